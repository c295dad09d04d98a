/**
 * Tar archives (POSIX.1-1988, ustar) that are the same bytes for the same files: sorted, owned by root,
 * all of one time. Names are short here; one that does not fit its field is a bug.
 */
import { gzipSync } from 'node:zlib'
import {
  TAR_BLOCK as BLOCK,
  tarHeader as header,
  parseTarHeader,
  tarPadding,
} from '../../shared/core/tar-header.ts'
import { compare, type TreeFile } from './inventory.ts'

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
    tarPadding(bytes.length),
  ])
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0) + 2 * BLOCK
  return Buffer.concat(chunks, Math.ceil(length / RECORD) * RECORD)
}

/** gzip without a name or time in its header. */
export function compress(bytes: Uint8Array): Buffer {
  return gzipSync(bytes, { level: 9 })
}

/** One plain file of an archive, by its full name. */
export function readTarFile(archive: Buffer, wanted: string): Buffer | undefined {
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0; ) {
    const entry = parseTarHeader(archive.subarray(at, at + BLOCK))
    if (entry === undefined) return undefined
    const { prefix, name, size } = entry
    const from = at + BLOCK
    if ((prefix === '' ? name : `${prefix}/${name}`) === wanted) {
      return archive.subarray(from, from + size)
    }
    at = from + size + tarPadding(size).length
  }
  return undefined
}
