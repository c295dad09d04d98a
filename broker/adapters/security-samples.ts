/**
 * What of the events that anybody can cause becomes a line of the security log, and when. The first of an event,
 * of somebody, from somewhere, is told at once; what repeats within the interval is one line at its end. A
 * flood of names or addresses meets two bounds: so many lines a second, and so many of one event an hour, so that
 * it can neither take the disk's time nor push what was logged before out of the files. What is beyond them is
 * one line an interval that says how many.
 */
import { assert } from '../../shared/core/assert.ts'
import type { SecurityEvent, ToldEvent } from '../../shared/protocol/security-events.ts'

export interface CountedEvent {
  readonly event: SecurityEvent
  readonly count: number
}

export interface SampleBounds {
  readonly intervalMs: number
  readonly keysMax: number
  readonly perSecondMax: number
  /** Of one event. At 200 bytes a line, 17 MB a day. */
  readonly perHourMax: number
}

export const SAMPLE_BOUNDS: SampleBounds = {
  intervalMs: 10_000,
  keysMax: 1024,
  perSecondMax: 100,
  perHourMax: 3600,
}

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

export class SecuritySamples {
  readonly #bounds: SampleBounds
  /** In the order of their ends. */
  readonly #repeated = new Map<string, Repeated>()
  readonly #suppressed = new Map<ToldEvent, number>()
  readonly #hourly = new Map<ToldEvent, Allowance>()
  readonly #secondly: Allowance
  #suppressedUntilMs = 0

  constructor(bounds: SampleBounds = SAMPLE_BOUNDS) {
    this.#bounds = bounds
    this.#secondly = new Allowance(bounds.perSecondMax, 1000)
  }

  /** When `due` has something to say next. Times are of a clock that never goes back. */
  get nextMs(): number | undefined {
    const [first] = this.#repeated.values()
    const ends = first === undefined ? [] : [first.untilMs]
    if (this.#suppressed.size > 0) ends.push(this.#suppressedUntilMs)
    return ends.length === 0 ? undefined : Math.min(...ends)
  }

  /** What is to be written now. */
  take(nowMs: number, event: SecurityEvent<ToldEvent>): CountedEvent[] {
    const lines = this.due(nowMs)
    const key = `${event.event} ${event.who} ${event.source ?? ''}`
    const repeated = this.#repeated.get(key)
    if (repeated !== undefined) {
      repeated.held += 1
      repeated.last = event
      return lines
    }
    if (this.#repeated.size >= this.#bounds.keysMax || !this.#isAllowed(nowMs, event.event)) {
      this.#suppress(nowMs, event.event, 1)
      return lines
    }
    this.#repeated.set(key, { last: event, held: 0, untilMs: nowMs + this.#bounds.intervalMs })
    lines.push({ event, count: 1 })
    return lines
  }

  /** What was held until now. */
  due(nowMs: number): CountedEvent[] {
    const lines: CountedEvent[] = []
    for (const [key, repeated] of this.#repeated) {
      if (repeated.untilMs > nowMs) break
      this.#repeated.delete(key)
      const { held, last } = repeated
      if (held === 0) continue
      if (!this.#isAllowed(nowMs, last.event)) {
        this.#suppress(nowMs, last.event, held)
        continue
      }
      lines.push({ event: last, count: held })
      this.#repeated.set(key, { last, held: 0, untilMs: nowMs + this.#bounds.intervalMs })
    }
    if (this.#suppressed.size > 0 && nowMs >= this.#suppressedUntilMs) {
      lines.push(...this.#takeSuppressed())
    }
    return lines
  }

  /** All that is held, whenever it would be due. */
  flush(): CountedEvent[] {
    const lines: CountedEvent[] = []
    for (const { held, last } of this.#repeated.values()) {
      if (held > 0) lines.push({ event: last, count: held })
    }
    this.#repeated.clear()
    lines.push(...this.#takeSuppressed())
    return lines
  }

  #isAllowed(nowMs: number, event: ToldEvent): boolean {
    let hourly = this.#hourly.get(event)
    if (hourly === undefined) {
      hourly = new Allowance(this.#bounds.perHourMax, 3_600_000)
      this.#hourly.set(event, hourly)
    }
    // Both are looked at, so that both begin their windows.
    const isSpent = [this.#secondly.isSpent(nowMs), hourly.isSpent(nowMs)].includes(true)
    if (isSpent) return false
    this.#secondly.take()
    hourly.take()
    return true
  }

  #suppress(nowMs: number, event: ToldEvent, count: number): void {
    if (this.#suppressed.size === 0) this.#suppressedUntilMs = nowMs + this.#bounds.intervalMs
    this.#suppressed.set(event, (this.#suppressed.get(event) ?? 0) + count)
  }

  #takeSuppressed(): CountedEvent[] {
    const lines = [...this.#suppressed].map(([event, count]): CountedEvent => {
      assert(count > 0, 'nothing is suppressed in vain')
      return {
        event: { event: 'log-suppressed', who: 'gateway', via: 'gateway', code: event },
        count,
      }
    })
    this.#suppressed.clear()
    return lines
  }
}
