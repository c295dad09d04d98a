/**
 * The parts of a write as the ledger has them: one write over the whole grid has ten thousand, so they are columns, and
 * tiles, which ascend within a part, are the gaps between them. A gap is seven bits a byte, the lowest first, as in
 * LEB128 (DWARF 5, 7.6).
 */
import { assert } from '../../../shared/core/assert.ts'
import { unpackNumbers, unpackTiles } from '../../../shared/operations/columns.ts'
import type { NamedParts, WriteParts } from '../ledger-records.ts'
import { EntryParts } from './entry-parts.ts'

const GAP_BYTES_MAX = 5

/** The gaps of one write at a time: as large as the largest were. */
let scratch = new Uint8Array(0)

export function packParts(parts: EntryParts): WriteParts {
  const { size, tiles, offsets } = parts
  const members = new Uint32Array(size)
  const positions = new Float64Array(size)
  const counts = new Uint32Array(size)
  const bytesMax = offsets[size]! * GAP_BYTES_MAX
  if (scratch.length < bytesMax) scratch = new Uint8Array(bytesMax)
  let row = 0
  let length = 0
  for (let part = 0; part < size; part++) {
    if (parts.isGone(part)) continue
    const [from, to] = [offsets[part]!, offsets[part + 1]!]
    members[row] = parts.members[part]!
    positions[row] = parts.positions[part]!
    counts[row] = to - from
    length = packGaps(tiles, from, to, length)
    row += 1
  }
  return {
    members: bytesOf(members.subarray(0, row)),
    positions: bytesOf(positions.subarray(0, row)),
    counts: bytesOf(counts.subarray(0, row)),
    gaps: scratch.slice(0, length),
  }
}

function packGaps(tiles: Uint32Array, from: number, to: number, start: number): number {
  const gaps = scratch
  let length = start
  let last = 0
  for (let at = from; at < to; at++) {
    const tile = tiles[at]!
    if (tile < last) assert(false, 'tiles of a part ascend')
    let gap = tile - last
    last = tile
    for (; gap > 127; gap >>>= 7) gaps[length++] = (gap & 127) | 128
    gaps[length++] = gap
  }
  return length
}

export function unpackParts({ members, positions, counts, gaps }: WriteParts): EntryParts {
  const tileCounts = unpackTiles(counts)
  const offsets = new Uint32Array(tileCounts.length + 1)
  for (let part = 0; part < tileCounts.length; part++) {
    offsets[part + 1] = offsets[part]! + tileCounts[part]!
  }
  const tiles = new Uint32Array(offsets.at(-1)!)
  const parts = new EntryParts({ members: unpackTiles(members), offsets, tiles })
  let from = 0
  for (const position of unpackNumbers(positions)) {
    const part = parts.put(position)
    let last = 0
    for (let index = offsets[part]!; index < offsets[part + 1]!; index++) {
      let gap = 0
      let byte = 128
      for (let shift = 0; byte > 127; shift += 7) {
        byte = gaps[from++]!
        gap |= (byte & 127) << shift
      }
      last += gap
      tiles[index] = last
    }
  }
  return parts
}

/** As an earlier version wrote them. */
export function isNamed(parts: WriteParts | NamedParts): parts is NamedParts {
  return Array.isArray(parts)
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
