/**
 * Unpacks an archive of somebody who is not trusted, as tar.ts writes them: plain files and directories below one name, which
 * is left out. Everything else is refused: links, devices, `..`, a header whose sum is wrong, more than a package has. It
 * is read as a stream: neither the archive nor a file of it is in memory as a whole.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Many times what a package has. */
const BYTES_MAX = 64 * 1024 * 1024
const ENTRIES_MAX = 1000

const BLOCK = 512
const NAME_END = 100
const SUM = { start: 148, end: 156 } as const

interface Entry {
  readonly parts: readonly string[]
  readonly isDirectory: boolean
  readonly bytes: number
  readonly mode: number
}

/** Makes `directory`. Throws an Error that says what is wrong with the archive; what was unpacked before stays. */
export async function unpackTar(
  archive: AsyncIterable<Uint8Array>,
  directory: string,
): Promise<void> {
  const blocks = new Blocks(archive)
  let top: string | undefined
  let entries = 0
  mkdirSync(directory, { mode: 0o700 })
  for (;;) {
    const header = await blocks.next()
    if (header === undefined) throw new Error('the archive is cut off')
    if (header.every((byte) => byte === 0)) return
    if ((entries += 1) > ENTRIES_MAX) throw new Error(`it has more than ${ENTRIES_MAX} entries`)
    const { parts, isDirectory, bytes, mode } = parseHeader(Buffer.from(header))
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

function parseHeader(header: Buffer): Entry {
  const text = (start: number, end: number): string =>
    header.toString('latin1', start, end).replace(/\0.*$/s, '')
  const octal = (start: number, end: number): number => {
    const digits = text(start, end).trim()
    return /^[0-7]{1,11}$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN
  }
  const name = text(0, NAME_END)
  const sum = header.reduce((total, byte, at) => {
    return total + (at >= SUM.start && at < SUM.end ? 0x20 : byte)
  }, 0)
  if (octal(SUM.start, SUM.end) !== sum) throw new Error('it is no archive of ours')
  const type = text(156, 157)
  if (type !== '0' && type !== '5') throw new Error(`${name} is not a plain file`)
  const isDirectory = type === '5'
  const parts = name.replace(/\/$/, '').split('/')
  const isSound =
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    text(345, BLOCK) === '' &&
    (isDirectory || parts.length > 1)
  if (!isSound) throw new Error(`${JSON.stringify(name)} is no name of a file of ours`)
  const [bytes, mode] = [octal(124, 136), octal(100, 108)]
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
