/**
 * The head of a tile's page as it is stored, the same in both formats (tile-page.ts, packed-page.ts):
 *
 *   0   u32  format in the low byte, LSUs in the upper 24 bits
 *   4   u32  the tile's number plus 1, or 0 in a page of before that was kept
 *   8   f64  `at`: the sequence of the last write applied to this tile, 0 when none
 *   16  8 B  digest of the bytes from 24 on and of `at`, as format 1 has them
 */
import { HEADER_BYTES } from './page-layout.ts'

/** A page's digest, as two words. */
export type Hashes = readonly [low: number, high: number]

export interface PageHeader {
  readonly format: number
  readonly lsus: number
  /** The tile's number plus 1, or 0. */
  readonly place: number
  readonly at: number
  readonly hashes: Hashes
}

const LSUS_SHIFT = 8
const FORMAT_MASK = 0xff
const PLACE_OFFSET = 4
const AT_OFFSET = 8
const DIGEST_OFFSET = 16

const header = new DataView(new ArrayBuffer(HEADER_BYTES))
const headerBytes = new Uint8Array(header.buffer)

/** From memory at any offset. */
export function readHeader(bytes: Uint8Array): PageHeader {
  for (let at = 0; at < HEADER_BYTES; at++) headerBytes[at] = bytes[at]!
  const word = header.getUint32(0, true)
  return {
    format: word & FORMAT_MASK,
    lsus: word >>> LSUS_SHIFT,
    place: header.getUint32(PLACE_OFFSET, true),
    at: header.getFloat64(AT_OFFSET, true),
    hashes: [header.getUint32(DIGEST_OFFSET, true), header.getUint32(DIGEST_OFFSET + 4, true)],
  }
}

export function writeHeader(bytes: Uint8Array, { format, lsus, place, at, hashes }: PageHeader) {
  header.setUint32(0, (format | (lsus << LSUS_SHIFT)) >>> 0, true)
  header.setUint32(PLACE_OFFSET, place, true)
  header.setFloat64(AT_OFFSET, at, true)
  header.setUint32(DIGEST_OFFSET, hashes[0], true)
  header.setUint32(DIGEST_OFFSET + 4, hashes[1], true)
  bytes.set(headerBytes)
}

export function writePlace(bytes: Uint8Array, place: number): void {
  for (let at = 0; at < 4; at++) bytes[PLACE_OFFSET + at] = place >>> (8 * at)
}

export function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  )
}

export function placeIn(bytes: Uint8Array): number {
  return wordAt(bytes, PLACE_OFFSET)
}

/** The low word of the digest. */
export function lowHashIn(bytes: Uint8Array): number {
  return wordAt(bytes, DIGEST_OFFSET)
}

/** Whether two heads, and what is behind them, differ in the tile's number at the most. */
export function isSameButPlace(left: Uint8Array, right: Uint8Array): boolean {
  const { length } = left
  if (right.length !== length) return false
  for (let at = AT_OFFSET; at < length; at++) if (left[at] !== right[at]) return false
  return wordAt(left, 0) === wordAt(right, 0)
}
