/**
 * The parts of a read that are not answered yet, found by id and by who has the lease: a member that
 * goes takes a few parts of many thousands with it, and each acknowledgement of a write asks what
 * waits, which is nearly always nothing.
 *
 * Invariant: the parts that are leased are those in `#leased`, under their `member`.
 */
import type { ReadPart } from './read-plan.ts'

const NONE: ReadPart[] = []

export class OpenParts {
  readonly #byId: Map<string, ReadPart>
  /** Lists, not sets: nearly all of them are of one part. */
  readonly #leased = new Map<number, ReadPart[]>()
  #leasedCount = 0

  /** All of them wait. */
  constructor(parts: readonly ReadPart[] = []) {
    this.#byId = new Map(parts.map((part) => [part.id, part]))
  }

  get size(): number {
    return this.#byId.size
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
    return [...this.#leased.keys()]
  }
}
