/**
 * How the ring places tiles: consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam,
 * 2018). Each tile walks the ring clockwise from its own hash and takes the first `replicas` distinct
 * members whose load is below `loadBound` times their fair share. A decision without memory.
 */
import { mix32 } from '../../../shared/core/hash.ts'
import type { HashRing, RingMember } from './hash-ring.ts'

export interface LoadBound {
  readonly tiles: number
  readonly replicas: number
  /** Greatest load over fair share, above 1. */
  readonly loadBound: number
}

/** `replicas` slots a tile (placement.ts), of the ring over these members. */
export function placeAll(
  members: readonly RingMember[],
  ring: HashRing,
  { tiles, replicas, loadBound }: LoadBound,
): Uint32Array {
  const copies = Math.min(replicas, members.length)
  const slots = new Uint32Array(tiles * replicas)
  if (copies === 0) return slots
  const room = new Int32Array(1 + members.reduce((last, { index }) => Math.max(last, index), 0))
  const weights = members.reduce((sum, { weight }) => sum + weight, 0)
  for (const { index, weight } of members) {
    room[index] = Math.ceil((loadBound * tiles * copies * weight) / weights)
  }
  for (let tile = 0; tile < tiles; tile++) {
    const start = tile * replicas
    const place = { start, end: start + copies, position: ring.positionOf(mix32(tile)) }
    placeTile(slots, place, ring, room)
  }
  return slots
}

/**
 * Fills the slots of one tile with the members met from its position on. `room` is how many more tiles
 * each member takes below the bound.
 */
function placeTile(
  slots: Uint32Array,
  { start, end, position }: { start: number; end: number; position: number },
  ring: HashRing,
  room: Int32Array,
): void {
  const { points } = ring
  let filled = start
  // A second pass ignores the bound: weights far apart can leave too few members below it.
  for (let step = 0; filled < end && step < 2 * points; step++) {
    const owner = ring.ownerAt(position + step)
    if (room[owner]! <= 0 && step < points) continue
    let slot = start
    while (slot < filled && slots[slot] !== owner + 1) slot++
    if (slot < filled) continue
    slots[filled++] = owner + 1
    room[owner]! -= 1
  }
}
