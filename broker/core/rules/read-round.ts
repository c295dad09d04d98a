/**
 * A round of a read as it is sent to many at once: flat arrays, in which a part is an index. What each message says is
 * noted when the round is planned, and made when it leaves, as is the name of each part. A part that does not go as it
 * was planned is taken out, as one of its own.
 *
 * Invariant: the parts of a member stand together, and the members ascend.
 */
import { digestWords } from '../../../shared/core/hash.ts'
import { type ReadForAll, ReadTemplate } from '../../../shared/protocol/read-template.ts'
import type { MessageRound } from '../effects.ts'
import type { ConnectionId } from '../events.ts'
import type { Member, Session } from '../state/membership.ts'
import type { TilePlan } from './planner.ts'
import { newPart, type ReadPart } from './read-plan.ts'

const WORDS = 2
const WORD_BYTES = 4

export interface RoundInput {
  readonly plan: TilePlan
  readonly forAll: ReadForAll
  /** By part: which of its tiles no write has touched, as `ReadForOne`. */
  readonly unborn: Uint8Array | boolean
  memberAt(index: number): Member
}

export class ReadRound implements MessageRound {
  readonly #plan: TilePlan
  readonly #forAll: ReadForAll
  readonly #unborn: Uint8Array | boolean
  /** The tiles, as they are hashed. */
  readonly #words: Int32Array
  /** By part, as of when it was planned. */
  readonly #sessions: Session[]
  readonly #heads: Float64Array
  /** By part, two words; of the first `#named`. */
  readonly #digests: Uint32Array
  #named = 0
  /** By part: nothing has happened to it. */
  readonly #isOpen: Uint8Array
  #openCount: number
  #template: ReadTemplate | undefined
  /** Parts by digest, one more than the index; made when one is first looked for. */
  #table: Uint32Array | undefined

  /** All members of the plan are connected. */
  constructor({ plan, forAll, unborn, memberAt }: RoundInput) {
    this.#plan = plan
    this.#forAll = forAll
    this.#unborn = unborn
    const { size } = this
    const { buffer, byteOffset, length } = plan.tiles
    this.#words = new Int32Array(buffer, byteOffset, length)
    this.#sessions = new Array(size)
    this.#heads = new Float64Array(size)
    this.#digests = new Uint32Array(size * WORDS)
    this.#isOpen = new Uint8Array(size).fill(1)
    this.#openCount = size
    for (let part = 0; part < size; part++) {
      const member = memberAt(plan.members[part]!)
      this.#sessions[part] = member.session!
      this.#heads[part] = member.stream.head
    }
  }

  get size(): number {
    return this.#plan.members.length
  }

  get openCount(): number {
    return this.#openCount
  }

  memberOf(part: number): number {
    return this.#plan.members[part]!
  }

  /** Some of the tiles are asked for that no write has touched. */
  get hasUnborn(): boolean {
    return typeof this.#unborn === 'boolean' ? this.#unborn : this.#unborn.includes(1)
  }

  tilesOf(part: number): Uint32Array {
    const { tiles, offsets } = this.#plan
    return tiles.subarray(offsets[part]!, offsets[part + 1]!)
  }

  connectionOf(part: number): ConnectionId {
    return this.#sessions[part]!.connection
  }

  /** The message that it is sent with. */
  payloadOf(part: number): Uint8Array {
    this.#nameUpTo(part + 1)
    this.#template ??= new ReadTemplate(this.#forAll)
    const { tiles, offsets } = this.#plan
    return this.#template.encode({
      session: this.#sessions[part]!.number,
      after: this.#heads[part]!,
      digests: this.#digests,
      digestAt: part * WORDS,
      tiles,
      from: offsets[part]!,
      to: offsets[part + 1]!,
      unborn: this.#unborn,
    })
  }

  idOf(part: number): string {
    this.#nameUpTo(part + 1)
    const { buffer } = this.#digests
    const digest = Buffer.from(buffer, part * WORDS * WORD_BYTES, WORDS * WORD_BYTES)
    return this.#forAll.part + digest.toString('hex')
  }

  /** The part of this id, if it was not taken out. */
  find(id: string): number | undefined {
    const { part: prefix } = this.#forAll
    if (!id.startsWith(prefix)) return undefined
    const digest = Buffer.from(id.slice(prefix.length), 'hex')
    if (digest.length !== WORDS * WORD_BYTES) return undefined
    const found = this.#partOf(digest.readUInt32LE(0), digest.readUInt32LE(WORD_BYTES))
    if (found === undefined || this.#isOpen[found] === 0) return undefined
    return this.idOf(found) === id ? found : undefined
  }

  /** Those that were not taken out. */
  get open(): number[] {
    const open: number[] = []
    for (let part = 0; part < this.size && open.length < this.#openCount; part++) {
      if (this.#isOpen[part] === 1) open.push(part)
    }
    return open
  }

  /** The same, of a member. */
  openOf(member: number): number[] {
    const { members } = this.#plan
    let part = 0
    for (let to = members.length; part < to; ) {
      const middle = (part + to) >>> 1
      if (members[middle]! < member) part = middle + 1
      else to = middle
    }
    const open: number[] = []
    for (; members[part] === member; part++) if (this.#isOpen[part] === 1) open.push(part)
    return open
  }

  /** As a part like any other, which its member was asked for once. */
  takeOut(part: number): ReadPart {
    this.#isOpen[part] = 0
    this.#openCount -= 1
    const id = this.idOf(part)
    return { ...newPart(id, { tiles: this.tilesOf(part) }, this.memberOf(part)), attempt: 1 }
  }

  #nameUpTo(end: number): void {
    const { offsets } = this.#plan
    for (; this.#named < end; this.#named++) {
      const from = offsets[this.#named]!
      const to = offsets[this.#named + 1]!
      digestWords(this.#words, { from, to }, this.#digests, this.#named * WORDS)
    }
  }

  #partOf(left: number, right: number): number | undefined {
    this.#table ??= this.#newTable()
    const table = this.#table
    const mask = table.length - 1
    for (let at = left & mask; table[at] !== 0; at = (at + 1) & mask) {
      const part = table[at]! - 1
      const word = part * WORDS
      if (this.#digests[word] === left && this.#digests[word + 1] === right) return part
    }
    return undefined
  }

  /** Open addressing, at most half full. */
  #newTable(): Uint32Array {
    const { size } = this
    this.#nameUpTo(size)
    const table = new Uint32Array(2 ** Math.ceil(Math.log2(2 * size)))
    const mask = table.length - 1
    for (let part = 0; part < size; part++) {
      let at = this.#digests[part * WORDS]! & mask
      while (table[at] !== 0) at = (at + 1) & mask
      table[at] = part + 1
    }
    return table
  }
}
