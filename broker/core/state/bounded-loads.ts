/**
 * How the ring places tiles: consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam,
 * 2018). Each tile walks the ring clockwise from its own hash and takes the first `replicas` distinct
 * members whose load is below `loadBound` times their fair share. What a tile gets depends on all tiles before it, so
 * one is not placed without the others; it is made cheap instead.
 *
 * The ring is kept, and other members than the last ones are brought into it. So is the beginning of each tile's walk,
 * which is renewed only where a point came or went; the rest of a walk is met by few tiles, behind full members.
 */
import { mix32, unmix32 } from '../../../shared/core/hash.ts'
import { HashRing, type RingMember } from './hash-ring.ts'
import { NO_HOLDER } from './slots.ts'

export interface LoadBound {
  readonly tiles: number
  readonly replicas: number
  /** Ring points of a member of weight 1. */
  readonly virtualNodes: number
  /** Greatest load over fair share, above 1. */
  readonly loadBound: number
}

/** Where more than one member in so many is another, the ring is made anew. */
const FEW = 8

export class BoundedLoads {
  readonly #bound: LoadBound
  #members: readonly RingMember[] = []
  /** Those of the ring, by index. */
  #known: (RingMember | undefined)[] = []
  #ring: HashRing
  /** Hashes of all tiles, ascending; made when tiles are first placed. */
  #hashes: Uint32Array | undefined
  /** By tile: the first owners that it meets; nothing where all are to be looked up. */
  #near: Uint32Array | undefined
  /** What the ring gives as it is. */
  #slots: Uint32Array | undefined

  constructor(bound: LoadBound) {
    this.#bound = bound
    this.#ring = new HashRing([], bound.virtualNodes)
  }

  /** Good until it is asked for with others. The same list has the same members. */
  ringOver(members: readonly RingMember[]): HashRing {
    if (members === this.#members) return this.#ring
    this.#members = members
    const known: (RingMember | undefined)[] = []
    const come: RingMember[] = []
    for (const member of members) {
      known[member.index] = member
      if (!isSame(this.#known[member.index], member)) come.push(member)
    }
    const gone: RingMember[] = []
    for (const member of this.#known) {
      if (member !== undefined && !isSame(known[member.index], member)) gone.push(member)
    }
    this.#known = known
    if (come.length + gone.length === 0) return this.#ring
    this.#slots = undefined
    if ((come.length + gone.length) * FEW > members.length) {
      this.#ring = new HashRing(members, this.#bound.virtualNodes)
      this.#near = undefined
    } else {
      const changed = [this.#ring.remove(gone), this.#ring.add(come)]
      for (const hashes of changed) for (const hash of hashes) this.#renewAround(hash)
    }
    return this.#ring
  }

  /** `replicas` slots a tile (placement.ts), of the ring over these members; it is kept, and not to be changed. */
  place(members: readonly RingMember[]): Uint32Array {
    const ring = this.ringOver(members)
    this.#slots ??= this.#placeAll(ring, Math.min(this.#bound.replicas, members.length))
    return this.#slots
  }

  #placeAll(ring: HashRing, copies: number): Uint32Array {
    const { tiles, replicas } = this.#bound
    const slots = new Uint32Array(tiles * replicas)
    if (copies === 0) return slots
    const room = this.#roomOf(copies)
    const near = this.#beginnings()
    const width = near.length / tiles
    for (let tile = 0; tile < tiles; tile++) {
      const start = tile * replicas
      const end = start + copies
      let filled = start
      for (let at = tile * width; at < (tile + 1) * width && filled < end; at++) {
        const owner = near[at]!
        if (room[owner]! > 0) filled = put(slots, start, filled, owner, room)
      }
      if (filled < end) placeRest(slots, { tile, start, end }, ring, room)
    }
    return slots
  }

  /** By member: how many tiles it takes below the bound. */
  #roomOf(copies: number): Int32Array {
    const { tiles, loadBound } = this.#bound
    const room = new Int32Array(this.#known.length)
    // By index, in whatever order they came: a sum of fractions depends on it.
    const weights = this.#known.reduce((sum, member) => sum + (member?.weight ?? 0), 0)
    for (const member of this.#known) {
      if (member === undefined) continue
      room[member.index] = Math.ceil((loadBound * tiles * copies * member.weight) / weights)
    }
    return room
  }

  /** By tile, as many owners as are nearly always enough. */
  #beginnings(): Uint32Array {
    const { tiles, replicas } = this.#bound
    this.#hashes ??= Uint32Array.from({ length: tiles }, (_, tile) => mix32(tile)).sort()
    if (this.#near === undefined) {
      this.#near = new Uint32Array(tiles * (replicas + 1))
      for (const hash of this.#hashes) this.#renew(hash)
    }
    return this.#near
  }

  /** The tile with this hash meets other owners. Returns where its walk begins. */
  #renew(hash: number): number {
    const width = this.#bound.replicas + 1
    const position = this.#ring.positionOf(hash)
    const first = unmix32(hash) * width
    for (let step = 0; step < width; step++) {
      this.#near![first + step] = this.#ring.ownerAt(position + step)
    }
    return position
  }

  /** A point came or went: for the tiles before it, as far back as a beginning may be that has it. */
  #renewAround(hash: number): void {
    if (this.#near === undefined) return
    const { tiles, replicas } = this.#bound
    const { points } = this.#ring
    const position = this.#ring.positionOf(hash)
    const behind = lowerBound(this.#hashes!, hash + 1)
    for (let step = 1; step <= tiles; step++) {
      const began = this.#renew(this.#hashes![(behind - step + tiles) % tiles]!)
      if ((position - began + points) % points > replicas) break
    }
  }
}

function isSame(a: RingMember | undefined, b: RingMember): boolean {
  return a === b || (a?.id === b.id && a.weight === b.weight)
}

/** Where the first number that is not below `bound` stands among ascending ones. */
function lowerBound(numbers: Uint32Array, bound: number): number {
  let low = 0
  for (let high = numbers.length; low < high; ) {
    const middle = (low + high) >>> 1
    if (numbers[middle]! < bound) low = middle + 1
    else high = middle
  }
  return low
}

/** Fills what is left of a tile's slots by its whole walk. */
function placeRest(
  slots: Uint32Array,
  { tile, start, end }: { tile: number; start: number; end: number },
  ring: HashRing,
  room: Int32Array,
): void {
  const { points } = ring
  const position = ring.positionOf(mix32(tile))
  let filled = start
  while (slots[filled] !== NO_HOLDER) filled++
  // A second pass ignores the bound: weights far apart can leave too few members below it.
  for (let step = 0; filled < end && step < 2 * points; step++) {
    const owner = ring.ownerAt(position + step)
    if (room[owner]! > 0 || step >= points) filled = put(slots, start, filled, owner, room)
  }
}

/** Puts an owner into the next slot of a tile, if it has none of its slots. Returns where the next one goes. */
function put(
  slots: Uint32Array,
  start: number,
  filled: number,
  owner: number,
  room: Int32Array,
): number {
  for (let slot = start; slot < filled; slot++) if (slots[slot] === owner + 1) return filled
  slots[filled] = owner + 1
  room[owner]! -= 1
  return filled + 1
}
