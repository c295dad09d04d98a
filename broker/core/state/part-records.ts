/**
 * The parts of a write as the ledger has them: one write over the whole grid has ten thousand, so they are columns, and
 * tiles, which ascend within a part, are the gaps between them. A gap is seven bits a byte, the lowest first, as in
 * LEB128 (DWARF 5, 7.6).
 */
import { assert } from '../../../shared/core/assert.ts'
import { unpackTiles } from '../../../shared/operations/columns.ts'
import type { NamedParts, WriteParts } from '../ledger-records.ts'
import type { WritePart } from './write-log.ts'

export function packParts(parts: readonly WritePart[]): WriteParts {
  const members = new Uint32Array(parts.length)
  const positions = new Float64Array(parts.length)
  const counts = new Uint32Array(parts.length)
  let bytesMax = 0
  for (const { tiles } of parts) bytesMax += tiles.length * 5
  const gaps = new Uint8Array(bytesMax)
  let length = 0
  parts.forEach(({ member, position, tiles }, at) => {
    members[at] = member
    positions[at] = position
    counts[at] = tiles.length
    let last = 0
    for (let index = 0; index < tiles.length; index++) {
      let gap = tiles[index]! - last
      assert(gap >= 0, 'tiles of a part ascend')
      last += gap
      for (; gap > 127; gap >>>= 7) gaps[length++] = (gap & 127) | 128
      gaps[length++] = gap
    }
  })
  return {
    members: bytesOf(members),
    positions: bytesOf(positions),
    counts: bytesOf(counts),
    gaps: gaps.slice(0, length),
  }
}

export function unpackParts(parts: WriteParts): WritePart[] {
  const members = unpackTiles(parts.members)
  const positions = new Float64Array(new Uint8Array(parts.positions).buffer)
  const counts = unpackTiles(parts.counts)
  let from = 0
  return Array.from(members, (member, at) => {
    const tiles = new Uint32Array(counts[at]!)
    let last = 0
    for (let index = 0; index < tiles.length; index++) {
      let gap = 0
      let byte = 128
      for (let shift = 0; byte > 127; shift += 7) {
        byte = parts.gaps[from++]!
        gap |= (byte & 127) << shift
      }
      last += gap
      tiles[index] = last
    }
    return { member, position: positions[at]!, tiles }
  })
}

/** As an earlier version wrote them. */
export function isNamed(parts: WriteParts | NamedParts): parts is NamedParts {
  return Array.isArray(parts)
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
