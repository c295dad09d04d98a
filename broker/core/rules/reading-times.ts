/**
 * When cells were read, as far as their sensors say so: what was read before the last reading of its cell is none any
 * more. A time is known for an hour, and of the latest cells alone.
 */
import { LatestMap } from '../../../shared/core/latest-map.ts'

const KEPT_MS = 3_600_000
export const TIMES_MAX = 65_536

export class ReadingTimes {
  /** By cell; the one that was read last stands last. */
  readonly #times = new LatestMap<number, { readonly ts: number; readonly atMs: number }>(TIMES_MAX)

  /** False if a later one of that cell was there. */
  take(nowMs: number, cell: number, ts: number): boolean {
    const last = this.#times.get(cell)
    if (last !== undefined && ts < last.ts && nowMs - last.atMs < KEPT_MS) return false
    this.#times.set(cell, { ts, atMs: nowMs })
    return true
  }
}
