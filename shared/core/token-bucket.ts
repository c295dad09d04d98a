/**
 * A token bucket, full at first. Who takes more than there is owes the rest, and time pays it back: whether one waits
 * for that, or takes nothing, is for those who ask.
 */

/** How fast tokens come back, and how many there can be: a second's worth unless it says. */
export interface TokenRate {
  readonly perSecond: number
  readonly most?: number
}

export class TokenBucket {
  readonly #rate: TokenRate
  #tokens: number
  #atMs: number

  constructor(rate: TokenRate, nowMs: number) {
    this.#rate = rate
    this.#tokens = mostOf(rate)
    this.#atMs = nowMs
  }

  /** How many ms it takes until so many are there. */
  waitMs(nowMs: number, count: number, rate: TokenRate = this.#rate): number {
    const filled = this.#tokens + ((nowMs - this.#atMs) / 1000) * rate.perSecond
    this.#tokens = Math.min(mostOf(rate), filled)
    this.#atMs = nowMs
    return (Math.max(0, count - this.#tokens) * 1000) / rate.perSecond
  }

  take(count: number): void {
    this.#tokens -= count
  }
}

function mostOf({ perSecond, most = perSecond }: TokenRate): number {
  return most
}
