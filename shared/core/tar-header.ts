/**
 * The blocks before and behind each file of a tar archive (POSIX.1-1988, ustar), as tar(1) reads them. All that we write
 * is owned by root and has a short name; one that does not fit its field is a bug. A header has a sum over itself, so that
 * damage is seen.
 */
import { assert } from './assert.ts'

export const TAR_BLOCK = 512
const NAME_BYTES = 100
/** Eleven octal digits. */
const TAR_FILE_BYTES_MAX = 2 ** 33 - 1
const MODE = { start: 100, end: 108 } as const
const SIZE = { start: 124, end: 136 } as const
const SUM = { start: 148, end: 156 } as const
const KIND_AT = 156
const PREFIX = { start: 345, end: 500 } as const

export const TAR_FILE = '0'
export const TAR_DIRECTORY = '5'

/** `size` in bytes; a name that ends with a slash is a directory's. `seconds` since 1970. */
export function tarHeader(entry: {
  name: string
  size: number
  mode: number
  seconds: number
}): Buffer {
  const { name, size, mode, seconds } = entry
  assert(Buffer.byteLength(name) <= NAME_BYTES, `${name} fits a tar header`)
  assert(size <= TAR_FILE_BYTES_MAX, `the size of ${name} fits a tar header`)
  const block = Buffer.alloc(TAR_BLOCK)
  const octal = (value: number, offset: number, digits: number): void => {
    block.write(`${value.toString(8).padStart(digits, '0')}\0`, offset, 'latin1')
  }
  block.write(name, 0)
  octal(mode, MODE.start, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  octal(size, SIZE.start, 11)
  octal(seconds, 136, 11)
  block.write(name.endsWith('/') ? TAR_DIRECTORY : TAR_FILE, KIND_AT)
  block.write('ustar\x0000', 257, 'latin1')
  block.write('root', 265)
  block.write('root', 297)
  // The sum is made with its own field full of spaces.
  block.fill(' ', SUM.start, SUM.end)
  block.write(`${sumOf(block).toString(8).padStart(6, '0')}\0 `, SUM.start, 'latin1')
  return block
}

export interface TarHeader {
  readonly name: string
  /** Of a name that is longer than its field: what stands before it. Ours have none. */
  readonly prefix: string
  /** `TAR_FILE`, `TAR_DIRECTORY`, or something else. */
  readonly kind: string
  /** NaN where it is no octal number, as is `mode`. */
  readonly size: number
  readonly mode: number
}

/** Nothing if its sum is another one: it is none, or damaged. */
export function parseTarHeader(block: Buffer): TarHeader | undefined {
  const text = (start: number, end: number): string =>
    block.toString('utf8', start, end).replace(/\0.*$/s, '')
  const octal = ({ start, end }: { start: number; end: number }): number => {
    const digits = text(start, end).trim()
    return /^[0-7]{1,11}$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN
  }
  const blank = Buffer.from(block)
  blank.fill(' ', SUM.start, SUM.end)
  if (octal(SUM) !== sumOf(blank)) return undefined
  return {
    ...{ name: text(0, NAME_BYTES), prefix: text(PREFIX.start, PREFIX.end) },
    ...{ kind: text(KIND_AT, KIND_AT + 1), size: octal(SIZE), mode: octal(MODE) },
  }
}

/** What fills the last block of a file. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK)
}

function sumOf(block: Buffer): number {
  return block.reduce((total, byte) => total + byte, 0)
}
