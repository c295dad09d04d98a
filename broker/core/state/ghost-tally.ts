/**
 * What nodes tell of the ghost of one write: each tile counts once, by who tells of it first. It stays in memory: what
 * was told before a start is not known any more, and a write of which not every tile is known says nothing of its ghost.
 */
import type { CellDifference } from '../../../shared/operations/operation.ts'
import type { GhostReport } from '../../../shared/protocol/ghost-report.ts'
import { WrittenTally } from './written-tally.ts'

/** All that is counted of a tile is how many cells differ. */
const DIFFER = 0

export class GhostTally {
  readonly #tally: WrittenTally
  #max = 0
  #first: CellDifference | undefined
  #isLate = false

  /** Of the write, ascending. */
  constructor(tiles: Uint32Array) {
    this.#tally = new WrittenTally([DIFFER], tiles)
  }

  add(tiles: Uint32Array, { differ, max, first, late }: GhostReport): void {
    // What is not of these tiles says nothing.
    if (this.#tally.add(tiles, differ) !== undefined) return
    this.#max = Math.max(this.#max, max)
    this.#first ??= first
    if (late === true) this.#isLate = true
  }

  /** The first cell that was told of, and how many there are by now. */
  get difference():
    | (CellDifference & { readonly differ: number; readonly max: number })
    | undefined {
    if (this.#first === undefined) return undefined
    const [differ = 0] = this.#tally.record.totals
    return { ...this.#first, differ, max: this.#max }
  }

  get isLate(): boolean {
    return this.#isLate
  }

  /** Each tile was compared. */
  get isComplete(): boolean {
    return this.#tally.totals !== undefined
  }
}
