/**
 * When cells were read, as far as their sensors say so: what was read before the last reading of its cell is none any
 * more. A time is known for an hour, and of the latest cells alone.
 */

const KEPT_MS = 3_600_000
export const TIMES_MAX = 65_536

export class ReadingTimes {
  /** By cell; the one that was read last stands last. */
  readonly #times = new Map<number, { readonly ts: number; readonly atMs: number }>()

  /** False if a later one of that cell was there. */
  take(nowMs: number, cell: number, ts: number): boolean {
    const last = this.#times.get(cell)
    if (last !== undefined && ts < last.ts && nowMs - last.atMs < KEPT_MS) return false
    this.#times.delete(cell)
    this.#times.set(cell, { ts, atMs: nowMs })
    if (this.#times.size > TIMES_MAX) {
      const [oldest] = this.#times.keys()
      this.#times.delete(oldest!)
    }
    return true
  }
}
