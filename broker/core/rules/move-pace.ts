/**
 * How fast moves end, and how long those that are left will take by that: the rate of the last half minute, as
 * `ceph` tells a recovery. Before enough have ended to tell, it is what the bytes need at the pace that is set, or
 * what round trips and flushes need, whichever is more: small tiles are bound by these and not by bytes.
 */

const WINDOW_MS = 30_000
const BUCKET_MS = 1000
/** Fewer say little about the rate, if they did not take the whole window. */
const MEASURED_MIN = 16
/** What a small tile takes on its way through three processes and two disks, if nothing else is known. */
const MOVE_MS = 60

export interface MovePaceOptions {
  readonly moveBytesPerSecond: number
  readonly movesMax: number
}

export class MovePace {
  readonly #options: MovePaceOptions
  /** Since when moves have been under way, but for short breaks. */
  #beganMs: number | undefined
  #lastEndMs = Number.NEGATIVE_INFINITY
  /** How many ended, by the second. */
  readonly #ends = new Map<number, number>()
  /** The last rate that was measured, a millisecond. */
  #rate: number | undefined

  constructor(options: MovePaceOptions) {
    this.#options = options
  }

  began(nowMs: number): void {
    if (this.#beganMs !== undefined && nowMs - this.#lastProgressMs <= WINDOW_MS) return
    this.#beganMs = nowMs
    this.#ends.clear()
  }

  ended(nowMs: number): void {
    this.#lastEndMs = nowMs
    const bucket = Math.floor(nowMs / BUCKET_MS)
    this.#ends.set(bucket, (this.#ends.get(bucket) ?? 0) + 1)
    this.#measure(nowMs)
  }

  /** Of the last half minute, a second. */
  rateAt(nowMs: number): number {
    const sinceMs = Math.min(WINDOW_MS, nowMs - (this.#beganMs ?? nowMs))
    return sinceMs <= 0 ? 0 : Math.round((this.#countAt(nowMs) * 10_000) / sinceMs) / 10
  }

  /** Whether none has ended for so long that the rate says nothing any more. */
  standsStill(nowMs: number): boolean {
    return this.#beganMs !== undefined && nowMs - this.#lastProgressMs > WINDOW_MS
  }

  /** How long so much takes, seconds. */
  secondsFor({ tiles, bytes }: { tiles: number; bytes: number }): number {
    const { moveBytesPerSecond, movesMax } = this.#options
    const measured = this.#rate === undefined ? undefined : tiles / this.#rate / 1000
    const assumed = Math.max(bytes / moveBytesPerSecond, ((tiles / movesMax) * MOVE_MS) / 1000)
    return Math.ceil(measured ?? assumed)
  }

  get #lastProgressMs(): number {
    return Math.max(this.#beganMs ?? Number.NEGATIVE_INFINITY, this.#lastEndMs)
  }

  /** How many ended in the last half minute; earlier ones are forgotten. */
  #countAt(nowMs: number): number {
    let count = 0
    for (const [bucket, ends] of this.#ends) {
      if ((bucket + 1) * BUCKET_MS <= nowMs - WINDOW_MS) this.#ends.delete(bucket)
      else count += ends
    }
    return count
  }

  #measure(nowMs: number): void {
    const count = this.#countAt(nowMs)
    const sinceMs = nowMs - (this.#beganMs ?? nowMs)
    const isTelling = count >= MEASURED_MIN || sinceMs >= WINDOW_MS
    if (isTelling && sinceMs > 0) this.#rate = count / Math.min(WINDOW_MS, sinceMs)
  }
}
