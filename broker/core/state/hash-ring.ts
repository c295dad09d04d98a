/**
 * The consistent-hash ring (Karger et al., 1997): each member has points on a circle of 2^32, as many
 * as its weight says; a hash belongs to the members met clockwise from it. Pure structure: who may
 * hold what is decided in placement.ts. The same members give the same ring, whatever order they
 * came in; a member that goes moves only what it had.
 *
 * Points lie sorted in typed arrays, behind an index of about one bucket for four points, so that a
 * look-up touches a few neighbouring words instead of a binary search over megabytes. Hashes are
 * spread evenly, so the index sorts as well: points go to their bucket and are ordered within it.
 */
import { hashText, mix32 } from '../../../shared/core/hash.ts'

export interface RingMember {
  /** Small number that stands for the member. */
  readonly index: number
  readonly id: string
  readonly weight: number
}

const GOLDEN_GAMMA = 0x9e3779b9
const BUCKET_BITS_MAX = 20

export class HashRing {
  readonly #hashes: Uint32Array
  readonly #owners: Uint32Array
  /** Where the points of each bucket begin, and the end of the last one. */
  readonly #buckets: Uint32Array
  /** Bits of a hash that stand below its bucket's number. */
  readonly #shift: number

  constructor(members: readonly RingMember[], virtualNodes: number) {
    const counts = members.map(({ weight }) => Math.max(1, Math.round(weight * virtualNodes)))
    const points = counts.reduce((sum, count) => sum + count, 0)
    const bits = Math.min(BUCKET_BITS_MAX, Math.max(1, Math.floor(Math.log2(points + 1)) - 2))
    this.#shift = 32 - bits
    this.#hashes = new Uint32Array(points)
    this.#owners = new Uint32Array(points)
    this.#buckets = new Uint32Array((1 << bits) + 1)
    const hashes = hashPoints(members, counts, points)
    const starts = this.#buckets
    for (let at = 0; at < points; at++) starts[(hashes[at]! >>> this.#shift) + 1]!++
    for (let bucket = 1; bucket < starts.length; bucket++) starts[bucket]! += starts[bucket - 1]!
    const ends = starts.slice()
    let at = 0
    members.forEach(({ index }, which) => {
      for (const end = at + counts[which]!; at < end; at++) this.#insert(hashes[at]!, index, ends)
    })
  }

  /** Puts a point into its bucket in the order of hash and owner; `ends` tells how full buckets are. */
  #insert(hash: number, owner: number, ends: Uint32Array): void {
    const hashes = this.#hashes
    const owners = this.#owners
    const bucket = hash >>> this.#shift
    const start = this.#buckets[bucket]!
    let at = ends[bucket]!++
    for (; at > start; at--) {
      const before = hashes[at - 1]!
      if (before < hash || (before === hash && owners[at - 1]! <= owner)) break
      hashes[at] = before
      owners[at] = owners[at - 1]!
    }
    hashes[at] = hash
    owners[at] = owner
  }

  get points(): number {
    return this.#hashes.length
  }

  /** The position of the first point at or after `hash`; the ring must not be empty. */
  positionOf(hash: number): number {
    let at = this.#buckets[hash >>> this.#shift]!
    while (at < this.#hashes.length && this.#hashes[at]! < hash) at++
    return at === this.#hashes.length ? 0 : at
  }

  /** The index of the member at a position; positions wrap round. */
  ownerAt(position: number): number {
    const { length } = this.#owners
    return this.#owners[position < length ? position : position % length]!
  }

  /** The first member clockwise from `hash` that `accepts`, or nothing. */
  find(hash: number, accepts: (index: number) => boolean): number | undefined {
    if (this.points === 0) return undefined
    const start = this.positionOf(hash)
    for (let step = 0; step < this.points; step++) {
      const owner = this.ownerAt(start + step)
      if (accepts(owner)) return owner
    }
    return undefined
  }
}

/** The hashes of all points, member by member. */
function hashPoints(
  members: readonly RingMember[],
  counts: readonly number[],
  points: number,
): Uint32Array {
  const hashes = new Uint32Array(points)
  let at = 0
  members.forEach(({ id }, which) => {
    const seed = hashText(id)
    for (let count = 0; count < counts[which]!; count++) {
      hashes[at++] = mix32(seed + Math.imul(count, GOLDEN_GAMMA))
    }
  })
  return hashes
}
