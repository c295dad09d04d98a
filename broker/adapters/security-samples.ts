/**
 * What of the events that anybody can cause becomes a line of the security log, and when. The first of an event,
 * of somebody, from somewhere, is told at once; what repeats within the interval is one line at its end. A
 * flood of addresses meets two bounds of that event: so many lines a second, and so many an hour, so that it can
 * neither take the disk's time nor push what was logged before out of the files. What is beyond them is one line an
 * interval that says how many. Each event has bounds of its own: no flood of one hides another.
 */
import type { SecurityEvent, ToldEvent } from '../../shared/protocol/security-events.ts'

export interface CountedEvent {
  readonly event: SecurityEvent
  readonly count: number
}

/** Of one event. */
export interface SampleBounds {
  readonly intervalMs: number
  readonly keysMax: number
  readonly perSecondMax: number
  /** At 200 bytes a line, 17 MB a day. */
  readonly perHourMax: number
}

export const SAMPLE_BOUNDS: SampleBounds = {
  intervalMs: 10_000,
  keysMax: 512,
  perSecondMax: 50,
  perHourMax: 3600,
}

/** Who did it is what a stranger said, any number of names: from one source they are one. */
const OF_STRANGERS: ReadonlySet<ToldEvent> = new Set(['login-failed', 'locked', 'enroll-refused'])

interface Repeated {
  last: SecurityEvent<ToldEvent>
  held: number
  untilMs: number
}

/** Lines within a window of time. */
class Allowance {
  readonly #max: number
  readonly #windowMs: number
  #endMs = Number.NEGATIVE_INFINITY
  #taken = 0

  constructor(max: number, windowMs: number) {
    this.#max = max
    this.#windowMs = windowMs
  }

  isSpent(nowMs: number): boolean {
    if (nowMs >= this.#endMs) {
      this.#endMs = nowMs + this.#windowMs
      this.#taken = 0
    }
    return this.#taken >= this.#max
  }

  take(): void {
    this.#taken += 1
  }
}

/** Those of one event. */
class Samples {
  /** In the order of their ends. */
  readonly repeated = new Map<string, Repeated>()
  suppressed = 0
  suppressedUntilMs = 0
  readonly #bounds: SampleBounds
  readonly #allowances: readonly Allowance[]

  constructor(bounds: SampleBounds) {
    this.#bounds = bounds
    const { perSecondMax, perHourMax } = bounds
    this.#allowances = [new Allowance(perSecondMax, 1000), new Allowance(perHourMax, 3_600_000)]
  }

  get nextMs(): number {
    const [first] = this.repeated.values()
    const suppressedMs = this.suppressed > 0 ? this.suppressedUntilMs : Number.POSITIVE_INFINITY
    return Math.min(first?.untilMs ?? Number.POSITIVE_INFINITY, suppressedMs)
  }

  take(nowMs: number, event: SecurityEvent<ToldEvent>): CountedEvent[] {
    const who = OF_STRANGERS.has(event.event) ? '' : event.who
    const key = `${who} ${event.source ?? ''}`
    const repeated = this.repeated.get(key)
    if (repeated !== undefined) {
      repeated.held += 1
      repeated.last = event
      return []
    }
    if (this.repeated.size >= this.#bounds.keysMax || !this.#isAllowed(nowMs)) {
      this.#suppress(nowMs, 1)
      return []
    }
    this.#hold(nowMs, key, event)
    return [{ event, count: 1 }]
  }

  due(nowMs: number): CountedEvent[] {
    const lines: CountedEvent[] = []
    for (const [key, { untilMs, held, last }] of this.repeated) {
      if (untilMs > nowMs) break
      this.repeated.delete(key)
      if (held === 0) continue
      if (!this.#isAllowed(nowMs)) {
        this.#suppress(nowMs, held)
        continue
      }
      lines.push({ event: last, count: held })
      this.#hold(nowMs, key, last)
    }
    return lines
  }

  #hold(nowMs: number, key: string, last: SecurityEvent<ToldEvent>): void {
    this.repeated.set(key, { last, held: 0, untilMs: nowMs + this.#bounds.intervalMs })
  }

  #isAllowed(nowMs: number): boolean {
    // Each is looked at, so that each begins its window.
    const spent = this.#allowances.filter((allowance) => allowance.isSpent(nowMs))
    if (spent.length > 0) return false
    for (const allowance of this.#allowances) allowance.take()
    return true
  }

  #suppress(nowMs: number, count: number): void {
    if (this.suppressed === 0) this.suppressedUntilMs = nowMs + this.#bounds.intervalMs
    this.suppressed += count
  }
}

export class SecuritySamples {
  readonly #bounds: SampleBounds
  readonly #byEvent = new Map<ToldEvent, Samples>()

  constructor(bounds: SampleBounds = SAMPLE_BOUNDS) {
    this.#bounds = bounds
  }

  /** When `due` has something to say next. Times are of a clock that never goes back. */
  get nextMs(): number | undefined {
    const nextMs = Math.min(...[...this.#byEvent.values()].map((samples) => samples.nextMs))
    return nextMs === Number.POSITIVE_INFINITY ? undefined : nextMs
  }

  /** What is to be written now. */
  take(nowMs: number, event: SecurityEvent<ToldEvent>): CountedEvent[] {
    const lines = this.due(nowMs)
    let samples = this.#byEvent.get(event.event)
    if (samples === undefined) {
      samples = new Samples(this.#bounds)
      this.#byEvent.set(event.event, samples)
    }
    lines.push(...samples.take(nowMs, event))
    return lines
  }

  /** What was held until now. */
  due(nowMs: number): CountedEvent[] {
    const lines = [...this.#byEvent.values()].flatMap((samples) => samples.due(nowMs))
    return [...lines, ...this.#takeSuppressed(nowMs)]
  }

  /** All that is held, whenever it would be due. */
  flush(): CountedEvent[] {
    const lines: CountedEvent[] = []
    for (const { repeated } of this.#byEvent.values()) {
      for (const { held, last } of repeated.values()) {
        if (held > 0) lines.push({ event: last, count: held })
      }
      repeated.clear()
    }
    lines.push(...this.#takeSuppressed(Number.POSITIVE_INFINITY))
    return lines
  }

  #takeSuppressed(nowMs: number): CountedEvent[] {
    const lines: CountedEvent[] = []
    for (const [code, samples] of this.#byEvent) {
      const { suppressed: count, suppressedUntilMs } = samples
      if (count === 0 || nowMs < suppressedUntilMs) continue
      samples.suppressed = 0
      lines.push({
        event: { event: 'log-suppressed', who: 'gateway', via: 'gateway', code },
        count,
      })
    }
    return lines
  }
}
