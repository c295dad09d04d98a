/**
 * A backup as a file: a tar archive whose first file says what the others are. It is looked through before anything is
 * done with it, and read piece by piece: a ledger may be larger than memory.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { parseTarHeader, TAR_BLOCK, TAR_FILE, tarHeader, tarPadding } from '../core/tar-header.ts'
import {
  type BackupManifest,
  MANIFEST,
  MANIFEST_SUM,
  manifestText,
  readManifest,
} from '../protocol/backup-manifest.ts'
import { AppError, EXIT_BAD_INPUT } from './errors.ts'
import { damaged, newer } from './sealed-file.ts'

/** A file that goes into a backup: its bytes, or where they lie. */
export type BackupPart =
  | { readonly name: string; readonly content: Uint8Array }
  | {
      readonly name: string
      readonly path: string
      readonly bytes: number
      readonly sha256: string
    }

const PIECE_BYTES = 64 * 1024
/** Of what is read whole. */
const SMALL_BYTES_MAX = 256 * 1024 * 1024
const MANIFEST_BYTES_MAX = 1024 * 1024
const OWN = 0o600

export interface WrittenBackup {
  readonly bytes: number
  /** Fails if a file is not as it was when it was counted. */
  pieces(): AsyncGenerator<Uint8Array>
}

export function writeBackupFile(
  facts: Omit<BackupManifest, 'obelisk' | 'version' | 'files'>,
  parts: readonly BackupPart[],
): WrittenBackup {
  const files = Object.fromEntries(parts.map((part) => [part.name, digestOf(part)]))
  const manifest = Buffer.from(manifestText({ ...facts, files }))
  const sum = Buffer.from(`${sha256Of(manifest)}  ${MANIFEST}\n`)
  const all: readonly BackupPart[] = [
    { name: MANIFEST, content: manifest },
    { name: MANIFEST_SUM, content: sum },
    ...parts,
  ]
  const end = Buffer.alloc(2 * TAR_BLOCK)
  const sizes = all.map((part) => bytesOf(part) + tarPadding(bytesOf(part)).length + TAR_BLOCK)
  const seconds = Math.floor(facts.ts / 1000)
  return {
    bytes: sizes.reduce((sum, size) => sum + size, end.length),
    async *pieces() {
      for (const part of all) {
        const size = bytesOf(part)
        yield tarHeader({ name: part.name, size, mode: OWN, seconds })
        if ('content' in part) yield* piecesOfBytes(part.content)
        else yield* piecesOfFile(part.path, size)
        if (size % TAR_BLOCK !== 0) yield tarPadding(size)
      }
      yield end
    },
  }
}

function bytesOf(part: BackupPart): number {
  return 'content' in part ? part.content.length : part.bytes
}

function digestOf(part: BackupPart): { bytes: number; sha256: string } {
  const sha256 = 'content' in part ? sha256Of(part.content) : part.sha256
  return { bytes: bytesOf(part), sha256 }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function* piecesOfBytes(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}

async function* piecesOfFile(path: string, bytes: number): AsyncGenerator<Uint8Array> {
  const file = await open(path)
  try {
    yield* piecesIn(file, 0, bytes)
  } finally {
    await file.close()
  }
}

async function* piecesIn(file: FileHandle, from: number, bytes: number): AsyncGenerator<Buffer> {
  for (let left = bytes; left > 0; ) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, left))
    const { bytesRead } = await file.read(piece, 0, piece.length, from + bytes - left)
    if (bytesRead === 0) throw damaged('it is cut off')
    left -= bytesRead
    yield piece.subarray(0, bytesRead)
  }
}

interface Place {
  readonly from: number
  readonly size: number
}

export class BackupFile {
  readonly manifest: BackupManifest
  readonly #file: FileHandle
  readonly #places: ReadonlyMap<string, Place>

  /**
   * Looks through all of it. Fails with `backup-malformed` if it is something else, with `backup-newer` or
   * `backup-damaged`, and as the system does where the file cannot be read.
   */
  static async open(path: string): Promise<BackupFile> {
    const file = await open(path)
    try {
      const places = await placesIn(file)
      const manifest = await manifestIn(file, places)
      const backup = new BackupFile(file, manifest, places)
      for (const name of Object.keys(manifest.files)) await backup.#check(name)
      return backup
    } catch (error) {
      await file.close()
      throw error
    }
  }

  private constructor(
    file: FileHandle,
    manifest: BackupManifest,
    places: ReadonlyMap<string, Place>,
  ) {
    this.#file = file
    this.manifest = manifest
    this.#places = places
  }

  has(name: string): boolean {
    return Object.hasOwn(this.manifest.files, name)
  }

  /** One of the files, in pieces. */
  pieces(name: string): AsyncGenerator<Buffer> {
    const { from, size } = this.#places.get(name)!
    return piecesIn(this.#file, from, size)
  }

  /** One of the small files, whole. */
  async read(name: string): Promise<Buffer> {
    return await whole(this.#file, this.#places.get(name)!, SMALL_BYTES_MAX)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async #check(name: string): Promise<void> {
    const { bytes, sha256 } = this.manifest.files[name]!
    const place = this.#places.get(name)
    if (place?.size !== bytes) throw damaged(`${name} is not there, or has another size`)
    const hash = createHash('sha256')
    for await (const piece of this.pieces(name)) hash.update(piece)
    if (hash.digest('hex') !== sha256) throw damaged(`${name} was changed`)
  }
}

async function placesIn(file: FileHandle): Promise<ReadonlyMap<string, Place>> {
  const { size: fileBytes } = await file.stat()
  const places = new Map<string, Place>()
  for (let at = 0; ; ) {
    const block = Buffer.alloc(TAR_BLOCK)
    const { bytesRead } = await file.read(block, 0, TAR_BLOCK, at)
    const isFirst = at === 0
    if (bytesRead < TAR_BLOCK) throw isFirst ? malformed() : damaged('it is cut off')
    if (block.every((byte) => byte === 0)) return places
    const header = parseTarHeader(block)
    const isFile = header?.kind === TAR_FILE && !Number.isNaN(header.size)
    if (!isFile || (isFirst && header.name !== MANIFEST)) {
      throw isFirst ? malformed() : damaged('the beginning of a file in it was changed')
    }
    const { name, size } = header
    const from = at + TAR_BLOCK
    at = from + size + tarPadding(size).length
    if (at > fileBytes) throw damaged('it is cut off')
    if (places.has(name)) throw damaged(`${name} is in it twice`)
    places.set(name, { from, size })
  }
}

async function manifestIn(
  file: FileHandle,
  places: ReadonlyMap<string, Place>,
): Promise<BackupManifest> {
  const [first, sum] = [places.get(MANIFEST), places.get(MANIFEST_SUM)]
  if (first === undefined) throw malformed()
  const text = await whole(file, first, MANIFEST_BYTES_MAX)
  const reading = readManifest(text.toString())
  if (!reading.ok && reading.problem === 'later') throw newer()
  const said = sum === undefined ? '' : (await whole(file, sum, TAR_BLOCK)).toString()
  if (said !== `${sha256Of(text)}  ${MANIFEST}\n`) throw damaged(`${MANIFEST} was changed`)
  if (reading.ok) return reading.manifest
  throw reading.problem === 'none' ? malformed() : damaged(`${MANIFEST} says too little`)
}

async function whole(file: FileHandle, { from, size }: Place, bytesMax: number): Promise<Buffer> {
  if (size > bytesMax) throw damaged(`a file in it has more than ${bytesMax} bytes`)
  const pieces: Buffer[] = []
  for await (const piece of piecesIn(file, from, size)) pieces.push(piece)
  return Buffer.concat(pieces)
}

function malformed(): AppError {
  const message = 'this is no backup that obelisk backup wrote'
  return new AppError('backup-malformed', message, { exitCode: EXIT_BAD_INPUT })
}
