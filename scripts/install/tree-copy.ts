/**
 * Copies of trees that somebody else can still write to. Only what is in the copy counts from then on, and
 * no link is followed: each file is opened in the directory that is held open (openat(2), by way of
 * proc(5)), and what is neither a plain file nor a directory is not opened at all.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { AppError } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import type { Problem } from '../package/inventory.ts'
import { faultOf, inWords } from '../path-faults.ts'

/** Many times what a package has: one that does not end is cut short. */
const BYTES_MAX = 256 * 1024 * 1024
const ENTRIES_MAX = 1000
const CHUNK_BYTES = 256 * 1024

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants

/** Makes `to`, for its owner alone, with every plain file of `from`; says what else was in there. */
export function copyTree(from: string, to: string): Problem[] {
  const descriptor = openSync(from, O_RDONLY | O_DIRECTORY)
  try {
    const copier = new Copier(from)
    copier.copyDirectory(descriptor, to, '')
    return copier.problems
  } finally {
    closeSync(descriptor)
  }
}

class Copier {
  readonly problems: Problem[] = []
  readonly #tree: string
  #bytes = 0
  #entries = 0

  constructor(tree: string) {
    this.#tree = tree
  }

  copyDirectory(descriptor: number, to: string, prefix: string): void {
    mkdirSync(to, 0o700)
    // The very directory that is open, whatever its name leads to by now.
    const held = `/proc/self/fd/${descriptor}`
    for (const name of readdirSync(held).sort()) {
      if ((this.#entries += 1) > ENTRIES_MAX) throw this.#tooLarge(`${ENTRIES_MAX} entries`)
      this.#copyEntry(join(held, name), join(to, name), `${prefix}${name}`)
    }
  }

  #copyEntry(from: string, to: string, path: string): void {
    const descriptor = openPlain(from)
    if (descriptor === undefined) {
      this.problems.push({ path, message: 'is not a plain file' })
      return
    }
    try {
      const stats = fstatSync(descriptor)
      if (stats.isDirectory()) this.copyDirectory(descriptor, to, `${path}/`)
      else this.#copyFile(descriptor, to, stats.mode & 0o7777)
    } finally {
      closeSync(descriptor)
    }
  }

  #copyFile(from: number, to: string, mode: number): void {
    copyOpen(from, to, (piece) => {
      if ((this.#bytes += piece.length) > BYTES_MAX) throw this.#tooLarge(`${BYTES_MAX} bytes`)
    })
    chmodSync(to, mode)
  }

  #tooLarge(bound: string): AppError {
    const message = `${this.#tree} is not a package: it has more than ${bound}`
    return fault('bad-package', message)
  }
}

/** Copies an open file, for its owner alone; `look` is shown each piece before it is written, and may refuse it. */
export function copyOpen(from: number, to: string, look: (piece: Uint8Array) => void): void {
  // Exclusive: never through a link that is there already.
  const target = openSync(to, 'wx', 0o600)
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    for (let read = readSync(from, chunk); read > 0; read = readSync(from, chunk)) {
      const piece = chunk.subarray(0, read)
      look(piece)
      writeFileSync(target, piece)
    }
  } finally {
    closeSync(target)
  }
}

/** A plain file or a directory, open; nothing for a link, a pipe, a device, or what is away again. */
function openPlain(path: string): number | undefined {
  const isPlain = (one: { isFile(): boolean; isDirectory(): boolean } | undefined): boolean =>
    one !== undefined && (one.isFile() || one.isDirectory())
  if (!isPlain(lstatSync(path, { throwIfNoEntry: false }))) return undefined
  let descriptor: number
  try {
    descriptor = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (['ELOOP', 'ENOENT', 'ENXIO'].includes(code)) return undefined
    throw error
  }
  // It may have become something else since it was looked at.
  if (isPlain(fstatSync(descriptor))) return descriptor
  closeSync(descriptor)
  return undefined
}

/** A copy that nobody else can change, for as long as an installation takes. */
export class PrivateCopy {
  /** The tree that it was made of. */
  readonly original: string
  readonly path: string
  readonly problems: readonly Problem[]
  readonly #directory: string

  /** Throws AppError when there is no room, or something may not be read. */
  static of(original: string): PrivateCopy {
    const place = tmpdir()
    const directory = inWords(place, 'changed', () => mkdtempSync(join(place, 'obelisk-tree-')))
    try {
      return new PrivateCopy(resolve(original), directory)
    } catch (error) {
      rmSync(directory, { recursive: true, force: true })
      throw faultOf(error, isOfTarget(error) ? directory : original, 'looked at')
    }
  }

  private constructor(original: string, directory: string) {
    this.original = original
    this.#directory = directory
    this.path = join(directory, 'tree')
    this.problems = copyTree(original, this.path)
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function isOfTarget(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')
}
