/**
 * When systemd is told that the program goes on (sd_notify(3), WATCHDOG=1): three times in the time that
 * it allows, but only while all that the program waits for comes within its limit. A timer alone would
 * ping for a program that does nothing else any more. Once something is late, it is looked at every
 * second, so that a program that recovers pings in time; one that does not is ended and started again.
 */

/** Something that must come to an end. */
export interface Wait {
  /** Its subject, for the log. */
  readonly what: string
  /** Monotonic ms since when it is awaited; nothing is, if undefined. */
  readonly sinceMs: number | undefined
  readonly limitMs: number
}

export interface WatchdogStep {
  readonly isPing: boolean
  /** Said once, when it begins and when it ends. */
  readonly change?: { readonly stalled: string | undefined }
}

const PINGS_PER_TIMEOUT = 3
const RECHECK_MS = 1000

/** What has been waited for too long: the first of these. */
export function stallOf(nowMs: number, waits: readonly Wait[]): string | undefined {
  const late = waits.find(({ sinceMs, limitMs }) => {
    return sinceMs !== undefined && nowMs - sinceMs > limitMs
  })
  if (late === undefined) return undefined
  return `${late.what} for ${Math.round((nowMs - late.sinceMs!) / 1000)} s`
}

export class Watchdog {
  readonly #intervalMs: number
  #dueMs: number
  #isStalled = false

  /** `timeoutMs`: how long systemd waits for a ping. */
  constructor(options: { readonly timeoutMs: number }, nowMs: number) {
    this.#intervalMs = options.timeoutMs / PINGS_PER_TIMEOUT
    this.#dueMs = nowMs
  }

  /** When to look again. */
  get deadlineMs(): number {
    return this.#dueMs
  }

  step(nowMs: number, waits: readonly Wait[]): WatchdogStep {
    if (nowMs < this.#dueMs) return { isPing: false }
    const stalled = stallOf(nowMs, waits)
    const isStalled = stalled !== undefined
    this.#dueMs = nowMs + (isStalled ? Math.min(RECHECK_MS, this.#intervalMs) : this.#intervalMs)
    if (isStalled === this.#isStalled) return { isPing: !isStalled }
    this.#isStalled = isStalled
    return { isPing: !isStalled, change: { stalled } }
  }
}
