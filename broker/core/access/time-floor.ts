/**
 * The time that a gateway has surely reached: what was over then does not begin again where its clock is set back. The
 * clock of the system moves it, but no faster than a day in an hour that has passed, so that one that was in the
 * future for a while does not hold it there; and while that clock is behind it, it goes on by itself, at half the
 * pace, so that the two meet again.
 */
import type { Instant } from '../events.ts'

const FASTEST = 24
const SLOWEST = 0.5
/** Clocks are set by less, all the time. */
const BEHIND_MS = 3_600_000

export class TimeFloor {
  #floorTs: number
  #sinceMs: number

  /** `keptTs`: where it was when it was last kept, Unix ms. */
  constructor(keptTs: number | undefined, { monotonicMs, wallMs }: Instant) {
    this.#floorTs = keptTs ?? wallMs
    this.#sinceMs = monotonicMs
  }

  /** Moves it to where it is now: a whole number of ms. */
  move({ monotonicMs, wallMs }: Instant): number {
    const passedMs = monotonicMs - this.#sinceMs
    const least = this.#floorTs + passedMs * SLOWEST
    const most = this.#floorTs + passedMs * FASTEST
    this.#floorTs = Math.min(Math.max(wallMs, least), most)
    this.#sinceMs = monotonicMs
    return Math.floor(this.#floorTs)
  }

  /** Whether the clock of the system has gone back. */
  isAhead({ wallMs }: Instant): boolean {
    return wallMs < this.#floorTs - BEHIND_MS
  }
}

/** Whether something is over that was given for a time; so it is where the clock was in the future when it was given. */
export function isOver(
  nowTs: number,
  { createdTs, untilTs }: { readonly createdTs: number; readonly untilTs: number },
): boolean {
  return untilTs < nowTs || createdTs > nowTs + BEHIND_MS
}
