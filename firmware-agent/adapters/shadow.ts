/**
 * A ghost beside one entry: it acts on copies of the tiles that this node is asked to compare, and what it finds is told
 * with the result. One that takes much longer than its cost says is left out from then on: what it did not compare
 * counts nowhere, and the write goes on without it.
 */
import type { TilePage } from '../../shared/grid/tile-page.ts'
import type { GhostArgs } from '../../shared/operations/ghost.ts'
import type { GhostRun, TileDifference, TileWindow } from '../../shared/operations/operation.ts'
import { type GhostReport, GhostReporter } from '../../shared/protocol/ghost-report.ts'
import type { Pace } from './pace.ts'

/** As many times as long as was to be expected of what the write itself took, and so much beside, ms: pauses, copies. */
const LATE_FACTOR = 2
const LATE_MS = 50

export class Shadow {
  readonly #run: GhostRun
  readonly #mine: Uint8Array | undefined
  readonly #pace: Pick<Pace, 'nowMs'>
  readonly #reporter = new GhostReporter()
  #isAsked = false
  #found: TileDifference | undefined
  #writeMs = 0
  #ghostMs = 0
  #isLate = false

  constructor(run: GhostRun, args: GhostArgs | undefined, pace: Pick<Pace, 'nowMs'>) {
    this.#run = run
    this.#mine = args?.mine
    this.#pace = pace
  }

  /** Of the tile that was begun. */
  get isAsked(): boolean {
    return this.#isAsked
  }

  /** The next tile of the part. */
  begin(index: number): void {
    const bit =
      this.#mine === undefined || (((this.#mine[index >> 3] ?? 0) >> (index & 7)) & 1) === 1
    this.#isAsked = bit && !this.#isLate
    this.#found = undefined
  }

  /** Has the write act on the page, the ghost on a copy, and compares both. */
  compare(page: TilePage, window: TileWindow, act: () => void): TileDifference | undefined {
    if (this.#isLate) {
      act()
      return undefined
    }
    const startMs = this.#pace.nowMs
    const copy = page.copy()
    const copiedMs = this.#pace.nowMs
    act()
    const actedMs = this.#pace.nowMs
    const difference = this.#run.compare(copy, page, window)
    this.#writeMs += actedMs - copiedMs
    this.#ghostMs += copiedMs - startMs + this.#pace.nowMs - actedMs
    const expectedMs = this.#writeMs * this.#run.costRatio
    this.#isLate = this.#ghostMs > LATE_FACTOR * expectedMs + LATE_MS
    return difference
  }

  /** What there is to tell of the tile that was begun. */
  found(difference: TileDifference | undefined): void {
    if (this.#isAsked) this.#found = difference
  }

  end(): void {
    this.#reporter.add(this.#found)
  }

  take(): GhostReport {
    return { ...this.#reporter.take(), ...(this.#isLate ? { late: true } : {}) }
  }
}
