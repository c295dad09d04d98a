/**
 * How long a member may be silent before it is suspected, judged by how regularly it was heard before:
 * phi accrual (Hayashibara et al., "The φ accrual failure detector", SRDS 2004). Phi is −log10 of the
 * chance that a member which is well is heard even later than now; intervals between heartbeats are
 * taken as normally distributed, with a floor on the deviation. A closed socket makes a member suspect
 * at once; this is the slow path for sockets that stay open.
 *
 * Whatever the history, one missed heartbeat accuses nobody, and `suspectAfterMs` is waited at most.
 *
 * What is known of a member is one row of a table of numbers, however long it runs: a heartbeat makes no
 * object, and those whose silence has come to something are found by one look at all rows. What follows
 * is decided in silence-watch.ts and fleet.ts. `clockMs` is the clock of self-doubt.ts.
 */

export interface DetectorOptions {
  /** How often each node is to send a heartbeat. */
  readonly heartbeatMs: number
  /** The most that is waited; above twice the heartbeat interval. */
  readonly suspectAfterMs: number
  /** Longer than a reboot of the slowest board. */
  readonly deadAfterMs: number
}

/** About so many of the last intervals count. */
const WINDOW = 64
/** With fewer intervals a member has not shown how regular it is. */
const INTERVALS_MIN = 8
/** Deviations of the normal distribution where phi is 8: one false suspicion in 10^8 heartbeats. */
const DEVIATIONS = 5.2261
/** Of the heartbeat interval: agents spread theirs by ±10 %, which deviates by 6 %. */
const DEVIATION_FLOOR = 0.1
/** After one lost beat the next one is due after two intervals of +10 % each; the rest is for the way. */
const MISSED_BEAT = 2.5

/** When it was last heard since the gateway started, monotonic ms; NaN if it was not. */
const HEARD = 0
/** Since when its silence counts, on `clockMs`. */
const SINCE = 1
/** When its silence comes to something, on `clockMs`; infinite where it never does. */
const VERDICT = 2
/** Of the intervals between its heartbeats: how many, their mean and variance, the later ones weighing more. */
const COUNT = 3
const MEAN = 4
const VARIANCE = 5
/** Its last heartbeat on `clockMs`; NaN where what lies between it and the next one does not count. */
const LAST = 6
const ROW = 8

export class FailureDetector {
  readonly #options: DetectorOptions
  /** By member index. */
  #rows = new Float64Array(0)

  constructor(options: DetectorOptions) {
    this.#options = options
  }

  heard(member: number, nowMs: number, clockMs: number): void {
    const row = this.#row(member)
    this.#rows[row + HEARD] = nowMs
    this.#rows[row + SINCE] = clockMs
    this.#rows[row + VERDICT] = clockMs + this.suspectAfterMs(member)
  }

  /** Its silence counts from then on. */
  expect(member: number, sinceMs: number): void {
    this.#set(member, SINCE, sinceMs)
  }

  /** Of all that a member says, only heartbeats come at regular times. */
  beat(member: number, clockMs: number): void {
    const row = this.#row(member)
    const rows = this.#rows
    const intervalMs = clockMs - rows[row + LAST]!
    rows[row + LAST] = clockMs
    if (Number.isNaN(intervalMs)) return
    const count = (rows[row + COUNT]! += 1)
    const weight = Math.max(1 / count, 1 / WINDOW)
    const offMs = intervalMs - rows[row + MEAN]!
    rows[row + MEAN]! += weight * offMs
    rows[row + VARIANCE] = (1 - weight) * (rows[row + VARIANCE]! + weight * offMs ** 2)
    rows[row + VERDICT] = clockMs + this.suspectAfterMs(member)
  }

  /** What lies between the last heartbeat and the next one says nothing of the member. */
  interrupt(member: number): void {
    this.#set(member, LAST, Number.NaN)
  }

  heardMs(member: number): number | undefined {
    const row = this.#row(member)
    const heardMs = this.#rows[row + HEARD]!
    return Number.isNaN(heardMs) ? undefined : heardMs
  }

  sinceMs(member: number): number {
    const row = this.#row(member)
    return this.#rows[row + SINCE]!
  }

  /** The silence after which the member is suspected. */
  suspectAfterMs(member: number): number {
    const { suspectAfterMs, heartbeatMs } = this.#options
    const row = this.#row(member)
    if (this.#rows[row + COUNT]! < INTERVALS_MIN) return suspectAfterMs
    const meanMs = this.#rows[row + MEAN]!
    const patienceMs = meanMs + DEVIATIONS * this.#deviationMs(row)
    const leastMs = MISSED_BEAT * Math.max(heartbeatMs, meanMs)
    return Math.min(suspectAfterMs, Math.max(leastMs, patienceMs))
  }

  /** How suspicious its silence is: 1 for one chance in ten that the member is well, 8 for one in 10^8. */
  phi(member: number, clockMs: number): number | undefined {
    const row = this.#row(member)
    if (this.#rows[row + COUNT]! < INTERVALS_MIN) return undefined
    const silentMs = clockMs - this.#rows[row + SINCE]!
    const deviations = (silentMs - this.#rows[row + MEAN]!) / this.#deviationMs(row)
    // The logistic approximation of the normal distribution (Bowling et al. 2009), in a
    // form that does not underflow far out.
    const exponent = deviations * (1.5976 + 0.07056 * deviations ** 2)
    return (Math.max(0, exponent) + Math.log1p(Math.exp(-Math.abs(exponent)))) / Math.LN10
  }

  /** The member's silence comes to something then, unless it is heard before. */
  judgeAt(member: number, verdictMs: number): void {
    this.#set(member, VERDICT, verdictMs)
  }

  /** Whose silence has come to something by then, so many at most. */
  due(clockMs: number, most: number): number[] {
    const due: number[] = []
    for (let row = 0; row < this.#rows.length && due.length < most; row += ROW) {
      if (this.#rows[row + VERDICT]! <= clockMs) due.push(row / ROW)
    }
    return due
  }

  /** When the next one's does. */
  get nextVerdictMs(): number {
    let nextMs = Number.POSITIVE_INFINITY
    for (let row = VERDICT; row < this.#rows.length; row += ROW) {
      if (this.#rows[row]! < nextMs) nextMs = this.#rows[row]!
    }
    return nextMs
  }

  #deviationMs(row: number): number {
    const floorMs = DEVIATION_FLOOR * this.#options.heartbeatMs
    return Math.max(Math.sqrt(this.#rows[row + VARIANCE]!), floorMs)
  }

  #set(member: number, column: number, value: number): void {
    const row = this.#row(member)
    this.#rows[row + column] = value
  }

  /** Where it begins. To be asked for before the rows are, which may be others then. */
  #row(member: number): number {
    const row = member * ROW
    if (row >= this.#rows.length) this.#grow(member)
    return row
  }

  #grow(member: number): void {
    const before = this.#rows
    this.#rows = new Float64Array(2 * (member + 1) * ROW)
    this.#rows.set(before)
    for (let row = before.length; row < this.#rows.length; row += ROW) {
      this.#rows[row + HEARD] = Number.NaN
      this.#rows[row + LAST] = Number.NaN
      this.#rows[row + VERDICT] = Number.POSITIVE_INFINITY
    }
  }
}
