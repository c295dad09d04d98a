/** Time as a process has it: two clocks, timers, and turns of its loop. A simulated process has another. */
import { setImmediate } from 'node:timers/promises'

export interface Clock {
  /** Ms since some moment; it never goes back. */
  readonly monotonicMs: number
  /** That, and Unix ms, which somebody may set. */
  now(): { readonly monotonicMs: number; readonly wallMs: number }
  /** Calls `act` once, so many ms from now; the returned function takes that back. */
  after(waitMs: number, act: () => void): () => void
  /** Resolves when the loop has taken what came meanwhile. */
  turn(): Promise<void>
}

/** Timers carry 31 bits of milliseconds; a longer one is early, and whoever asked looks again. */
const TIMER_MS_MAX = 2 ** 31 - 1

export const SYSTEM_CLOCK: Clock = {
  get monotonicMs() {
    return performance.now()
  },
  now() {
    return { monotonicMs: performance.now(), wallMs: Date.now() }
  },
  after(waitMs, act) {
    const timer = setTimeout(act, Math.min(Math.ceil(Math.max(0, waitMs)), TIMER_MS_MAX))
    return () => clearTimeout(timer)
  },
  async turn() {
    await setImmediate()
  },
}
