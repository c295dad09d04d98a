/**
 * What is counted of born tiles, kept where holders change: every window of readings asks for it, and every look at the
 * fleet. A tile is taken out before anything of it changes and put in again as it then is, so nothing is counted by
 * looking at all of them.
 */
import { NO_HOLDER } from './slots.ts'

/** As it is at this moment. */
export interface Tally {
  /** Born tiles that each member has, by its index; who has none is left out. */
  readonly written: ReadonlyMap<number, number>
  writtenOf(member: number): number
  /** Born tiles without a copy. */
  readonly missing: number
  /** Those of them that are known to have been written. */
  readonly missingWritten: number
  /** How often a born tile came to be without a copy; no less than that, and since this start. */
  readonly losses: number
}

export class TileTally implements Tally {
  readonly #replicas: number
  readonly #written = new Map<number, number>()
  #missing = 0
  #missingSupposed = 0
  #losses = 0

  constructor(replicas: number) {
    this.#replicas = replicas
  }

  get written(): ReadonlyMap<number, number> {
    return this.#written
  }

  writtenOf(member: number): number {
    return this.#written.get(member) ?? 0
  }

  get missing(): number {
    return this.#missing
  }

  get missingWritten(): number {
    return this.#missing - this.#missingSupposed
  }

  get losses(): number {
    return this.#losses
  }

  /** A born tile, as it stands in the slots of all, comes (1) or goes (-1). */
  count(slots: Uint32Array, tile: number, isSupposed: boolean, by: 1 | -1): void {
    const first = tile * this.#replicas
    if (slots[first] === NO_HOLDER) {
      this.#missing += by
      if (by > 0) this.#losses += 1
      if (isSupposed) this.#missingSupposed += by
    }
    for (let slot = first; slot < first + this.#replicas; slot++) {
      if (slots[slot] !== NO_HOLDER) this.#countCopy(slots[slot]! - 1, by)
    }
  }

  #countCopy(member: number, by: 1 | -1): void {
    const count = this.writtenOf(member) + by
    if (count === 0) this.#written.delete(member)
    else this.#written.set(member, count)
  }
}
