/**
 * The consistent-hash ring (Karger et al., 1997): each member has points on a circle of 2^32, as many
 * as its weight says; a hash belongs to the members met clockwise from it. Pure structure: who may
 * hold what is decided in placement.ts. The same members give the same ring, whatever order they
 * came in; a member that goes moves only what it had.
 *
 * Points lie sorted in typed arrays, behind an index of about one bucket for four points, so that a
 * look-up touches a few neighbouring words instead of a binary search over megabytes. Hashes are
 * spread evenly, so the index sorts as well: points go to their bucket and are ordered within it.
 * Members come and go in place: what lies between their points is moved, each run of it once.
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
/** Arrays that are too short grow by so much more than they need, as a share of it. */
const SPARE = 1 / 8

export class HashRing {
  readonly #virtualNodes: number
  #points: number
  /** Of the points, and room for more behind them. */
  #hashes: Uint32Array
  #owners: Uint32Array
  /** Where the points of each bucket begin, and the end of the last one. */
  #buckets!: Uint32Array
  /** Bits of a hash that stand below its bucket's number. */
  #shift!: number

  constructor(members: readonly RingMember[], virtualNodes: number) {
    this.#virtualNodes = virtualNodes
    const counts = members.map(({ weight }) => Math.max(1, Math.round(weight * virtualNodes)))
    this.#points = counts.reduce((sum, count) => sum + count, 0)
    this.#hashes = new Uint32Array(this.#points)
    this.#owners = new Uint32Array(this.#points)
    const hashes = hashPoints(members, counts, this.#points)
    this.#index(hashes)
    const ends = this.#buckets.slice()
    let at = 0
    members.forEach(({ index }, which) => {
      for (const end = at + counts[which]!; at < end; at++) this.#insert(hashes[at]!, index, ends)
    })
  }

  #index(hashes: Uint32Array): void {
    this.#shift = shiftFor(this.#points)
    const starts = new Uint32Array(2 ** (32 - this.#shift) + 1)
    for (let at = 0; at < this.#points; at++) starts[(hashes[at]! >>> this.#shift) + 1]!++
    for (let bucket = 1; bucket < starts.length; bucket++) starts[bucket]! += starts[bucket - 1]!
    this.#buckets = starts
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

  /** More members. Returns the hashes of their points. */
  add(members: readonly RingMember[]): Uint32Array {
    const more = new HashRing(members, this.#virtualNodes)
    const places = this.#placesOf(more)
    this.#reserve(this.#points + more.#points)
    for (let at = more.#points - 1, end = this.#points; at >= 0; at--) {
      const place = places[at]!
      this.#move({ from: place, end, to: place + at + 1 })
      this.#hashes[place + at] = more.#hashes[at]!
      this.#owners[place + at] = more.#owners[at]!
      end = place
    }
    return this.#changeBy(more, 1)
  }

  /** The same for members that are there, as they were added. */
  remove(members: readonly RingMember[]): Uint32Array {
    const gone = new HashRing(members, this.#virtualNodes)
    const places = this.#placesOf(gone)
    for (let at = 0; at < gone.#points; at++) {
      const from = places[at]! + 1
      this.#move({ from, end: places[at + 1] ?? this.#points, to: from - at - 1 })
    }
    return this.#changeBy(gone, -1)
  }

  /** How many points here are before each of another ring. */
  #placesOf(other: HashRing): Uint32Array {
    return other.#hashes.map((hash, which) => {
      const owner = other.#owners[which]!
      let at = this.#buckets[hash >>> this.#shift]!
      while (at < this.#points && this.#hashes[at]! < hash) at++
      while (at < this.#points && this.#hashes[at] === hash && this.#owners[at]! < owner) at++
      return at
    })
  }

  #reserve(points: number): void {
    if (points <= this.#hashes.length) return
    const [hashes, owners] = [this.#hashes, this.#owners]
    this.#hashes = new Uint32Array(Math.ceil(points * (1 + SPARE)))
    this.#owners = new Uint32Array(this.#hashes.length)
    this.#hashes.set(hashes)
    this.#owners.set(owners)
  }

  #move({ from, end, to }: { from: number; end: number; to: number }): void {
    this.#hashes.copyWithin(to, from, end)
    this.#owners.copyWithin(to, from, end)
  }

  /** The points of another ring have come (1) or gone (-1). */
  #changeBy(other: HashRing, by: 1 | -1): Uint32Array {
    this.#points += by * other.#points
    // Half or twice as many as the index was made for still go with it.
    if (Math.abs(shiftFor(this.#points) - this.#shift) > 1) this.#index(this.#hashes)
    else {
      let passed = 0
      for (let bucket = 1; bucket < this.#buckets.length; bucket++) {
        while (passed < other.#points && other.#hashes[passed]! >>> this.#shift < bucket) passed++
        this.#buckets[bucket]! += by * passed
      }
    }
    return other.#hashes
  }

  get points(): number {
    return this.#points
  }

  /** The position of the first point at or after `hash`; the ring must not be empty. */
  positionOf(hash: number): number {
    let at = this.#buckets[hash >>> this.#shift]!
    while (at < this.#points && this.#hashes[at]! < hash) at++
    return at === this.#points ? 0 : at
  }

  /** The index of the member at a position; positions wrap round. */
  ownerAt(position: number): number {
    return this.#owners[position < this.#points ? position : position % this.#points]!
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

/** For about four points a bucket. */
function shiftFor(points: number): number {
  return 32 - Math.min(BUCKET_BITS_MAX, Math.max(1, Math.floor(Math.log2(points + 1)) - 2))
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
