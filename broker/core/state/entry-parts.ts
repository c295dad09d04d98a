/**
 * The parts of what stands in streams: at which position of which node's stream, and which tiles. One write over the
 * whole grid has ten thousand of them, so they are flat arrays, in which a part is an index. The chain of its stream at
 * a part lies here, too, once it was asked for (node-stream.ts).
 *
 * Invariants: the first `#sorted` parts ascend by member and position; behind them are those that moves added. A part
 * keeps its index: one whose node is gone stays, with its position below zero.
 */

/** The entry at `position` gives the member this write: its own, or the adoption of a page that has it. */
export interface EntryPart {
  readonly member: number
  readonly position: number
  readonly tiles: Uint32Array
}

/** Of which member which tiles are: as in a part, in their order. */
export type PlannedParts = Pick<EntryParts, 'members' | 'offsets' | 'tiles'>

const WORDS = 2

export class EntryParts {
  /** How many have a position. */
  size = 0
  members: Uint32Array
  positions: Float64Array
  /** Two words each. */
  chains: Int32Array
  /** Those of a part are `tiles[offsets[part] … offsets[part + 1])`, ascending. */
  offsets: Uint32Array
  tiles: Uint32Array
  /** The same, as they are hashed. */
  words: Int32Array
  #sorted = 0
  /** Where one was found last: they are mostly asked for one after the other. */
  #found = 0

  /** Of a plan: its parts get their positions in their order. */
  constructor({ members, offsets, tiles }: PlannedParts) {
    this.members = members
    this.offsets = offsets
    this.tiles = tiles
    this.words = wordsOf(tiles)
    this.positions = new Float64Array(members.length)
    this.chains = new Int32Array(members.length * WORDS)
  }

  static of(parts: readonly EntryPart[]): EntryParts {
    const none = new Uint32Array(0)
    const all = new EntryParts({ members: none, offsets: new Uint32Array(1), tiles: none })
    for (const part of parts) all.add(part)
    return all
  }

  /** The next part of the plan stands at this position; gives its index. */
  put(position: number): number {
    const part = this.size
    this.positions[part] = position
    const ascends = part === 0 || this.#isBefore(part - 1, this.members[part]!, position)
    if (ascends && this.#sorted === part) this.#sorted += 1
    this.size += 1
    this.#found = part
    return part
  }

  add({ member, position, tiles }: EntryPart): number {
    const part = this.size
    const from = this.offsets[part]!
    const to = from + tiles.length
    this.members = withRoom(this.members, part + 1)
    this.positions = withRoom(this.positions, part + 1)
    this.chains = withRoom(this.chains, (part + 1) * WORDS)
    this.offsets = withRoom(this.offsets, part + 2)
    this.tiles = withRoom(this.tiles, to)
    this.words = wordsOf(this.tiles)
    this.members[part] = member
    this.offsets[part + 1] = to
    this.tiles.set(tiles, from)
    return this.put(position)
  }

  positionOf(part: number): number {
    return Math.abs(this.positions[part]!)
  }

  tilesOf(part: number): Uint32Array {
    return this.tiles.subarray(this.offsets[part]!, this.offsets[part + 1]!)
  }

  /** The part at this position of the member's stream. */
  find(member: number, position: number): number | undefined {
    for (let part = this.#found; part < this.#found + 2 && part < this.size; part++) {
      if (this.#isAt(part, member, position)) return (this.#found = part)
    }
    let part = this.#countBefore(member, position)
    if (part === this.#sorted || !this.#isAt(part, member, position)) {
      part = this.#sorted
      while (part < this.size && !this.#isAt(part, member, position)) part++
      if (part === this.size) return undefined
    }
    return (this.#found = part)
  }

  /** The part of the member that stands last in its stream. */
  lastOf(member: number): number | undefined {
    let last = this.size - 1
    while (last >= this.#sorted && this.members[last] !== member) last--
    if (last < this.#sorted) last = this.#countBefore(member, Number.POSITIVE_INFINITY) - 1
    return last >= 0 && this.members[last] === member && !this.isGone(last) ? last : undefined
  }

  /** Whether all up to this one ascend. */
  ascendsTo(part: number): boolean {
    return part < this.#sorted
  }

  isGone(part: number): boolean {
    return this.positions[part]! < 0
  }

  /** The member's stream has ended. False where it has no part. */
  remove(member: number): boolean {
    let isAny = false
    let part = this.#countBefore(member, 0)
    for (; part < this.#sorted && this.members[part] === member; part++)
      isAny = this.#lose(part) || isAny
    for (part = this.#sorted; part < this.size; part++) {
      if (this.members[part] === member) isAny = this.#lose(part) || isAny
    }
    return isAny
  }

  /** False where it was gone. */
  #lose(part: number): boolean {
    if (this.isGone(part)) return false
    this.positions[part] = -this.positions[part]!
    return true
  }

  /** Those that are there, by member. */
  byMember(): Uint32Array {
    const parts = new Uint32Array(this.size)
    let count = 0
    for (let part = 0; part < this.size; part++) if (!this.isGone(part)) parts[count++] = part
    const { members } = this
    const there = parts.subarray(0, count)
    return this.#sorted === this.size ? there : there.sort((a, b) => members[a]! - members[b]!)
  }

  /** How many members have some. */
  get memberCount(): number {
    let count = 0
    let last: number | undefined
    for (const part of this.byMember()) {
      if (this.members[part] !== last) count += 1
      last = this.members[part]
    }
    return count
  }

  #isAt(part: number, member: number, position: number): boolean {
    return this.members[part] === member && this.positions[part] === position
  }

  #isBefore(part: number, member: number, position: number): boolean {
    const own = this.members[part]!
    return own < member || (own === member && this.positionOf(part) < position)
  }

  /** How many of those that ascend. */
  #countBefore(member: number, position: number): number {
    let from = 0
    for (let to = this.#sorted; from < to; ) {
      const middle = (from + to) >>> 1
      if (this.#isBefore(middle, member, position)) from = middle + 1
      else to = middle
    }
    return from
  }
}

function wordsOf({ buffer, byteOffset, length }: Uint32Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length)
}

/** The same numbers, or a copy with room for as many. */
export function withRoom<T extends Uint32Array | Int32Array | Float64Array>(
  numbers: T,
  length: number,
): T {
  if (numbers.length >= length) return numbers
  const larger = new (numbers.constructor as new (length: number) => T)(
    numbers.length === 0 ? length : 2 * length,
  )
  larger.set(numbers)
  return larger
}
