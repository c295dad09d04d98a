/**
 * How long a member may be silent before it is suspected, judged by how regularly it was heard before:
 * phi accrual (Hayashibara et al., "The φ accrual failure detector", SRDS 2004). Phi is −log10 of the
 * chance that a member which is well is heard even later than now; intervals between heartbeats are
 * taken as normally distributed, with a floor on the deviation. Pure: who was heard when is the
 * member's memory, what follows is decided in silence-watch.ts and fleet.ts. A closed socket makes a
 * member suspect at once; this is the slow path for sockets that stay open.
 *
 * Whatever the history, one missed heartbeat accuses nobody, and `suspectAfterMs` is waited at most.
 */

export interface DetectorOptions {
  /** How often each node is to send a heartbeat. */
  readonly heartbeatMs: number
  /** The most that is waited; above twice the heartbeat interval. */
  readonly suspectAfterMs: number
  /** Longer than a reboot of the slowest board. */
  readonly deadAfterMs: number
}

export type Liveness = 'alive' | 'suspect' | 'dead'

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

/**
 * Mean and deviation of the intervals between one member's heartbeats, the later ones weighing more:
 * three numbers, however long it runs.
 */
export class ArrivalHistory {
  #count = 0
  #meanMs = 0
  #variance = 0
  #lastMs: number | undefined

  get meanMs(): number {
    return this.#meanMs
  }

  get deviationMs(): number {
    return Math.sqrt(this.#variance)
  }

  get isTelling(): boolean {
    return this.#count >= INTERVALS_MIN
  }

  beat(nowMs: number): void {
    if (this.#lastMs !== undefined) this.#add(nowMs - this.#lastMs)
    this.#lastMs = nowMs
  }

  /** What lies between the last heartbeat and the next one says nothing of the member. */
  interrupt(): void {
    this.#lastMs = undefined
  }

  #add(intervalMs: number): void {
    this.#count += 1
    const weight = Math.max(1 / this.#count, 1 / WINDOW)
    const offMs = intervalMs - this.#meanMs
    this.#meanMs += weight * offMs
    this.#variance = (1 - weight) * (this.#variance + weight * offMs ** 2)
  }
}

/** The silence after which a member with this history is suspected, in ms. */
export function suspectAfter(history: ArrivalHistory, options: DetectorOptions): number {
  if (!history.isTelling) return options.suspectAfterMs
  const patienceMs = history.meanMs + DEVIATIONS * deviationOf(history, options)
  const leastMs = MISSED_BEAT * Math.max(options.heartbeatMs, history.meanMs)
  return Math.min(options.suspectAfterMs, Math.max(leastMs, patienceMs))
}

/** How suspicious this silence is: 1 for one chance in ten that the member is well, 8 for one in 10^8. */
export function phi(
  silentMs: number,
  history: ArrivalHistory,
  options: DetectorOptions,
): number | undefined {
  if (!history.isTelling) return undefined
  const deviations = (silentMs - history.meanMs) / deviationOf(history, options)
  // The logistic approximation of the normal distribution (Bowling et al. 2009), in a
  // form that does not underflow far out.
  const exponent = deviations * (1.5976 + 0.07056 * deviations ** 2)
  return (Math.max(0, exponent) + Math.log1p(Math.exp(-Math.abs(exponent)))) / Math.LN10
}

export function livenessOf(silentMs: number, suspectMs: number, deadMs: number): Liveness {
  if (silentMs >= deadMs) return 'dead'
  return silentMs >= suspectMs ? 'suspect' : 'alive'
}

/** How long until silence would change the verdict; nothing once dead. */
export function untilNextVerdictMs(
  silentMs: number,
  suspectMs: number,
  deadMs: number,
): number | undefined {
  if (silentMs < suspectMs) return suspectMs - silentMs
  return silentMs < deadMs ? deadMs - silentMs : undefined
}

function deviationOf(history: ArrivalHistory, options: DetectorOptions): number {
  return Math.max(history.deviationMs, DEVIATION_FLOOR * options.heartbeatMs)
}
