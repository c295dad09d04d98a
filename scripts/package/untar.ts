/**
 * Unpacks an archive of somebody who is not trusted, as tar.ts writes them: plain files and directories below one name, which
 * is left out. Everything else is refused: links, devices, `..`, a header whose sum is wrong, more than a package has. It
 * is read as a stream: neither the archive nor a file of it is in memory as a whole.
 */
import { closeSync, createReadStream, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import {
  TAR_BLOCK as BLOCK,
  parseTarHeader,
  TAR_DIRECTORY,
  TAR_FILE,
} from '../../shared/core/tar-header.ts'

/** Many times what a package has. */
const BYTES_MAX = 64 * 1024 * 1024
const ENTRIES_MAX = 1000

interface Entry {
  readonly parts: readonly string[]
  readonly isDirectory: boolean
  readonly bytes: number
  readonly mode: number
}

/**
 * Makes `directory` of the file `archive`, which is compressed by gzip. Throws an Error that says what is wrong with it; what
 * was unpacked before stays.
 */
export async function unpackPackage(archive: string, directory: string): Promise<void> {
  await pipeline(createReadStream(archive), createGunzip(), (bytes: AsyncIterable<Uint8Array>) =>
    unpackTar(bytes, directory),
  )
}

async function unpackTar(archive: AsyncIterable<Uint8Array>, directory: string): Promise<void> {
  const blocks = new Blocks(archive)
  let top: string | undefined
  let entries = 0
  mkdirSync(directory, { mode: 0o700 })
  for (;;) {
    const header = await blocks.next()
    if (header === undefined) throw new Error('the archive is cut off')
    if (header.every((byte) => byte === 0)) return
    if ((entries += 1) > ENTRIES_MAX) throw new Error(`it has more than ${ENTRIES_MAX} entries`)
    const { parts, isDirectory, bytes, mode } = entryOf(Buffer.from(header))
    top ??= parts[0]
    if (parts[0] !== top) throw new Error(`it has more than ${top} in it`)
    const path = join(directory, ...parts.slice(1))
    if (isDirectory) mkdirSync(path, { recursive: true, mode: 0o755 })
    else await unpackFile(blocks, { path, bytes, mode })
  }
}

async function unpackFile(
  blocks: Blocks,
  { path, bytes, mode }: { path: string; bytes: number; mode: number },
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  // Exclusive: a name that comes twice is refused.
  const target = openSync(path, 'wx', mode)
  try {
    for (let left = bytes; left > 0; left -= BLOCK) {
      const block = await blocks.next()
      if (block === undefined) throw new Error('the archive is cut off')
      writeSync(target, block, 0, Math.min(left, BLOCK))
    }
  } finally {
    closeSync(target)
  }
}

function entryOf(block: Buffer): Entry {
  const header = parseTarHeader(block)
  if (header === undefined) throw new Error('it is no archive of ours')
  const { name, prefix, kind, size: bytes, mode } = header
  const isDirectory = kind === TAR_DIRECTORY
  if (kind !== TAR_FILE && !isDirectory) throw new Error(`${name} is not a plain file`)
  const parts = name.replace(/\/$/, '').split('/')
  const isSound =
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    prefix === '' &&
    (isDirectory || parts.length > 1)
  if (!isSound) throw new Error(`${JSON.stringify(name)} is no name of a file of ours`)
  if (!(bytes <= BYTES_MAX) || (isDirectory && bytes > 0)) throw new Error(`${name} has no size`)
  if (!(mode <= 0o777)) throw new Error(`${name} has mode ${mode.toString(8)}`)
  return { parts, isDirectory, bytes, mode }
}

/** The archive, a block at a time. */
class Blocks {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array()
  #bytes = 0

  constructor(archive: AsyncIterable<Uint8Array>) {
    this.#chunks = archive[Symbol.asyncIterator]()
  }

  async next(): Promise<Uint8Array | undefined> {
    while (this.#rest.length < BLOCK) {
      const { done, value } = await this.#chunks.next()
      if (done) return undefined
      if ((this.#bytes += value.length) > BYTES_MAX) {
        throw new Error(`it has more than ${BYTES_MAX} bytes`)
      }
      this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value])
    }
    const block = this.#rest.subarray(0, BLOCK)
    this.#rest = this.#rest.subarray(BLOCK)
    return block
  }
}
