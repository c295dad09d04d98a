/**
 * What a node tells of a ghost in its part of a write (shared/operations/ghost.ts): of each tile that it compared, how
 * many cells differ, as runs of written-counts.ts with one count. Of a tile that it did not compare, it knows none.
 */
import * as v from 'valibot'
import type { CellDifference, TileDifference } from '../operations/operation.ts'
import { CountRuns } from './written-counts.ts'

const whole = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))
const finite = v.pipe(v.number(), v.finite())

export const ghostReport = v.strictObject({
  differ: v.custom<Uint8Array>((input) => input instanceof Uint8Array, 'bytes'),
  max: v.pipe(finite, v.minValue(0)),
  first: v.optional(v.strictObject({ field: whole, lsu: whole, current: finite, ghost: finite })),
  /** It took much longer than was to be expected, and was left out from then on. */
  late: v.optional(v.boolean()),
})

export type GhostReport = v.InferOutput<typeof ghostReport>

/** Makes the report of one part, tile by tile in their order. */
export class GhostReporter {
  readonly #differ = new CountRuns(1)
  #max = 0
  #first: CellDifference | undefined

  /** The next tile; nothing where it was not compared. */
  add(difference?: TileDifference): void {
    this.#differ.add(difference && [difference.differ])
    if (difference === undefined) return
    this.#max = Math.max(this.#max, difference.max)
    this.#first ??= difference.first
  }

  take(): GhostReport {
    const first = this.#first === undefined ? {} : { first: this.#first }
    return { differ: this.#differ.take(), max: this.#max, ...first }
  }
}
