/**
 * The parts of a read that are not answered yet, found by id and by who has the lease: a member that
 * goes takes a few parts of many thousands with it, and each acknowledgement of a write asks what
 * waits, which is nearly always nothing.
 *
 * Those of a round that was sent as one (read-round.ts) are flags, all of them leased, until something happens to
 * one: it is taken out, and is a part as any other.
 *
 * Invariant: the parts that are leased are those in `#leased`, under their `member`, and those flagged.
 */
import { newPart, type ReadPart } from './read-plan.ts'
import type { ReadRound } from './read-round.ts'

const NONE: ReadPart[] = []
const NOWHERE: number[] = []

export class OpenParts {
  readonly #byId: Map<string, ReadPart>
  /** Lists, not sets: nearly all of them are of one part. */
  readonly #leased = new Map<number, ReadPart[]>()
  #leasedCount = 0
  readonly #round: ReadRound | undefined
  /** By part of the round. */
  readonly #isFlat: Uint8Array
  #flatCount: number

  /** Those listed wait, and those of the round are leased. */
  constructor(parts: readonly ReadPart[] = [], round?: ReadRound) {
    this.#byId = new Map(parts.map((part) => [part.id, part]))
    this.#round = round
    this.#flatCount = round?.size ?? 0
    this.#isFlat = new Uint8Array(this.#flatCount).fill(1)
  }

  get size(): number {
    return this.#byId.size + this.#flatCount
  }

  /** Places in the round of those parts of it that nothing has happened to; of all members, or of one. */
  flatOf(member?: number): number[] {
    if (this.#flatCount === 0) return NOWHERE
    const all = { from: 0, to: this.#isFlat.length }
    const { from, to } = member === undefined ? all : this.#round!.partsOf(member)
    const flat: number[] = []
    for (let at = from; at < to; at++) if (this.#isFlat[at] === 1) flat.push(at)
    return flat
  }

  /** Where in the round the part of this id is, if nothing has happened to it. */
  findFlat(id: string): number | undefined {
    if (this.#flatCount === 0) return undefined
    const at = this.#round!.find(id)
    return at !== undefined && this.#isFlat[at] === 1 ? at : undefined
  }

  /** Makes it a part as any other, leased. */
  takeOut(at: number): ReadPart {
    const round = this.#round!
    this.#isFlat[at] = 0
    this.#flatCount -= 1
    const tiles = round.tilesOf(at)
    const part = newPart(round.idOf(at), { tiles }, round.memberOf(at))
    part.attempt = 1
    this.add(part)
    this.lease(part)
    return part
  }

  find(id: string): ReadPart | undefined {
    return this.#byId.get(id)
  }

  has(part: ReadPart): boolean {
    return this.#byId.get(part.id) === part
  }

  /** It waits. */
  add(part: ReadPart): void {
    this.#byId.set(part.id, part)
  }

  /** Its member has it from now on. True if the member has no other. */
  lease(part: ReadPart): boolean {
    part.isLeased = true
    this.#leasedCount += 1
    const leased = this.#leased.get(part.member!)
    if (leased === undefined) this.#leased.set(part.member!, [part])
    else leased.push(part)
    return leased === undefined
  }

  /** True if its member had it, and has no other. */
  remove(part: ReadPart): boolean {
    this.#byId.delete(part.id)
    if (!part.isLeased) return false
    part.isLeased = false
    this.#leasedCount -= 1
    const leased = this.#leased.get(part.member!)!
    if (leased.length === 1) return this.#leased.delete(part.member!)
    leased.splice(leased.indexOf(part), 1)
    return false
  }

  /** A copy, as whoever acts on them changes what is open. */
  leasedBy(member: number): ReadPart[] {
    return [...(this.#leased.get(member) ?? NONE)]
  }

  get isAnyWaiting(): boolean {
    return this.#leasedCount < this.#byId.size
  }

  waiting(): ReadPart[] {
    if (!this.isAnyWaiting) return NONE
    return [...this.#byId.values()].filter(({ isLeased }) => !isLeased)
  }

  /** Members that have a lease. */
  holders(): number[] {
    if (this.#flatCount === 0) return [...this.#leased.keys()]
    const flat = this.flatOf().map((at) => this.#round!.memberOf(at))
    return [...new Set([...this.#leased.keys(), ...flat])]
  }
}
