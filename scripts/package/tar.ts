/**
 * Tar archives (POSIX.1-1988, ustar) that are the same bytes for the same files: sorted, owned by root,
 * all of one time. Names are short here; one that does not fit its field is a bug.
 */
import { gzipSync } from 'node:zlib'
import { assert } from '../../shared/core/assert.ts'
import { compare, type TreeFile } from './inventory.ts'

const BLOCK = 512
const NAME_BYTES = 100
/** tar(1) writes records of 20 blocks. */
const RECORD = 20 * BLOCK
const DIRECTORY_MODE = 0o755

/** Files with all directories above them, the names as `prefix` and path. */
export function writeTar(
  files: readonly TreeFile[],
  { prefix, seconds }: { prefix: string; seconds: number },
): Buffer {
  const directories = new Set([prefix])
  for (const { path } of files) {
    const parts = `${prefix}${path}`.split('/')
    for (let depth = 1; depth < parts.length; depth++) {
      directories.add(`${parts.slice(0, depth).join('/')}/`)
    }
  }
  directories.delete('')
  const entries = [
    ...[...directories].map((name) => ({ name, bytes: new Uint8Array(), mode: DIRECTORY_MODE })),
    ...files.map(({ path, bytes, mode }) => ({ name: `${prefix}${path}`, bytes, mode })),
  ].sort((left, right) => compare(left.name, right.name))
  const chunks = entries.flatMap(({ name, bytes, mode }) => [
    header({ name, size: bytes.length, mode, seconds }),
    bytes,
    Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK),
  ])
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0) + 2 * BLOCK
  return Buffer.concat(chunks, Math.ceil(length / RECORD) * RECORD)
}

/** gzip without a name or time in its header. */
export function compress(bytes: Uint8Array): Buffer {
  return gzipSync(bytes, { level: 9 })
}

function header(entry: { name: string; size: number; mode: number; seconds: number }): Buffer {
  const { name, size, mode, seconds } = entry
  assert(Buffer.byteLength(name) <= NAME_BYTES, `${name} fits a tar header`)
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, offset: number, digits: number): void => {
    block.write(`${value.toString(8).padStart(digits, '0')}\0`, offset, 'latin1')
  }
  block.write(name, 0)
  octal(mode, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  octal(size, 124, 11)
  octal(seconds, 136, 11)
  block.write(name.endsWith('/') ? '5' : '0', 156)
  block.write('ustar\x0000', 257, 'latin1')
  block.write('root', 265)
  block.write('root', 297)
  // The sum is made with its own field full of spaces.
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

/** One plain file of an archive, by its full name. */
export function readTarFile(archive: Buffer, wanted: string): Buffer | undefined {
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0; ) {
    const text = (start: number, end: number): string =>
      archive.toString('utf8', at + start, at + end).replace(/\0.*$/s, '')
    const size = Number.parseInt(text(124, 136), 8)
    const prefix = text(345, 500)
    const name = prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`
    if (name === wanted) return archive.subarray(at + BLOCK, at + BLOCK + size)
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK
  }
  return undefined
}
