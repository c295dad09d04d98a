/**
 * The consistent-hash ring (Karger et al., 1997): each member has points on a circle of 2^32, as many
 * as its weight says; a hash belongs to the members met clockwise from it. Pure structure: who may
 * hold what is decided in placement.ts. The same members give the same ring, whatever order they
 * came in; a member that goes moves only what it had.
 *
 * Points lie sorted in one typed array, with an index of 2^16 buckets in front, so that a look-up
 * touches a few neighbouring words instead of a binary search over megabytes.
 */
import { hashText, mix32 } from '../../shared/core/hash.ts'

export interface RingMember {
  /** Small number that stands for the member; below 65,535. */
  readonly index: number
  readonly id: string
  readonly weight: number
}

const BUCKET_BITS = 16
const BUCKETS = 1 << BUCKET_BITS
const GOLDEN_GAMMA = 0x9e3779b9

export class HashRing {
  readonly #hashes: Uint32Array
  readonly #owners: Uint16Array
  readonly #buckets: Uint32Array

  constructor(members: readonly RingMember[], virtualNodes: number) {
    const counts = members.map(({ weight }) => Math.max(1, Math.round(weight * virtualNodes)))
    const points = new Float64Array(counts.reduce((sum, count) => sum + count, 0))
    let at = 0
    members.forEach(({ id, index }, which) => {
      const seed = hashText(id)
      for (let count = 0; count < counts[which]!; count++) {
        const hash = mix32(seed + Math.imul(count, GOLDEN_GAMMA))
        points[at++] = hash * 65536 + index
      }
    })
    points.sort()
    this.#hashes = Uint32Array.from(points, (point) => Math.floor(point / 65536))
    this.#owners = Uint16Array.from(points, (point) => point % 65536)
    this.#buckets = new Uint32Array(BUCKETS + 1)
    let point = 0
    for (let bucket = 0; bucket <= BUCKETS; bucket++) {
      const start = bucket * 2 ** (32 - BUCKET_BITS)
      while (point < this.#hashes.length && this.#hashes[point]! < start) point++
      this.#buckets[bucket] = point
    }
  }

  get points(): number {
    return this.#hashes.length
  }

  /** The position of the first point at or after `hash`; the ring must not be empty. */
  positionOf(hash: number): number {
    const bucket = hash >>> (32 - BUCKET_BITS)
    let at = this.#buckets[bucket]!
    while (at < this.#hashes.length && this.#hashes[at]! < hash) at++
    return at === this.#hashes.length ? 0 : at
  }

  /** The index of the member at a position; positions wrap round. */
  ownerAt(position: number): number {
    return this.#owners[position % this.#owners.length]!
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
