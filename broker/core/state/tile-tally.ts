/**
 * What is counted of born tiles, kept where holders change: every window of readings asks for it, and every look at the
 * fleet. A tile is taken out before anything of it changes and put in again as it then is, so nothing is counted by
 * looking at all of them.
 */
import { NO_HOLDER } from './slots.ts'

export class TileTally {
  readonly #replicas: number
  /** Born tiles that each member has, by its index; who has none is left out. */
  readonly written = new Map<number, number>()
  /** Born tiles without a copy. */
  missing = 0
  #missingSupposed = 0
  /** How often a born tile came to be without a copy; no less than that, and since this start. */
  losses = 0

  constructor(replicas: number) {
    this.#replicas = replicas
  }

  writtenOf(member: number): number {
    return this.written.get(member) ?? 0
  }

  /** Those without a copy that are known to have been written. */
  get missingWritten(): number {
    return this.missing - this.#missingSupposed
  }

  /** A born tile, as it stands in the slots of all, comes (1) or goes (-1). */
  count(slots: Uint32Array, tile: number, isSupposed: boolean, by: 1 | -1): void {
    const first = tile * this.#replicas
    if (slots[first] === NO_HOLDER) {
      this.missing += by
      if (by > 0) this.losses += 1
      if (isSupposed) this.#missingSupposed += by
    }
    for (let slot = first; slot < first + this.#replicas; slot++) {
      if (slots[slot] !== NO_HOLDER) this.#countCopy(slots[slot]! - 1, by)
    }
  }

  #countCopy(member: number, by: 1 | -1): void {
    const count = this.writtenOf(member) + by
    if (count === 0) this.written.delete(member)
    else this.written.set(member, count)
  }
}

/** For others to read, as it is at this moment. */
export interface Tally
  extends Readonly<Pick<TileTally, 'writtenOf' | 'missing' | 'missingWritten' | 'losses'>> {
  readonly written: ReadonlyMap<number, number>
}
