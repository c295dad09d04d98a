/**
 * What time it is, on boards of which many have no clock and begin in 1970. Before the gateway has told
 * the time it is the system's clock, but never before the last time that was stored (the floor, which
 * goes on from the start of the process); afterwards the gateway's, carried on by the monotonic clock, so
 * that the `ts` of all nodes compare. The gateway may be behind the floor: then that was wrong.
 *
 * The time is stored with whatever is written anyway. On its own it is stored only when that was an hour
 * ago, by either clock, and at most once an hour: a card wears.
 */
export interface Moment {
  readonly monotonicMs: number
  /** The system's wall clock, Unix ms. */
  readonly wallMs: number
}

const KEEP_INTERVAL_MS = 3_600_000

export class WallClock {
  readonly #floorMs: number
  #startMs: number | undefined
  #now: Moment = { monotonicMs: 0, wallMs: 0 }
  /** When the monotonic clock was at zero, as the gateway's wall clock tells. */
  #gatewayZeroMs: number | undefined
  /** As it is stored. */
  #keptMs: number | undefined
  #keptAloneMs = Number.NEGATIVE_INFINITY

  /** `floorMs`: what was stored last, Unix ms, or 0. */
  constructor(floorMs: number) {
    this.#floorMs = floorMs
  }

  advance(now: Moment): void {
    this.#now = now
    this.#startMs ??= now.monotonicMs
    this.#keptMs ??= this.ms
  }

  /** The best that is known, Unix ms, as of the last `advance`. */
  get ms(): number {
    const { monotonicMs, wallMs } = this.#now
    if (this.#gatewayZeroMs !== undefined) return Math.round(this.#gatewayZeroMs + monotonicMs)
    const passedMs = monotonicMs - (this.#startMs ?? monotonicMs)
    return Math.round(Math.max(wallMs, this.#floorMs + passedMs))
  }

  /** The gateway's wall clock says this now. */
  set(gatewayMs: number): void {
    this.#gatewayZeroMs = gatewayMs - this.#now.monotonicMs
  }

  /** The time, to be stored. */
  stamp(): number {
    this.#keptMs = this.ms
    return this.#keptMs
  }

  /** Whether it is to be stored now, on its own. */
  takeKeep(): boolean {
    const { monotonicMs } = this.#now
    if (monotonicMs < this.deadlineMs) return false
    this.#keptAloneMs = monotonicMs
    this.stamp()
    return true
  }

  /** Monotonic ms of the next `takeKeep`. */
  get deadlineMs(): number {
    if (this.#keptMs === undefined) return Number.POSITIVE_INFINITY
    const passedMs = Math.abs(this.ms - this.#keptMs)
    const dueMs = this.#now.monotonicMs + Math.max(0, KEEP_INTERVAL_MS - passedMs)
    return Math.max(dueMs, this.#keptAloneMs + KEEP_INTERVAL_MS)
  }
}
