/** Bytes that many connections hold together, with one bound for all of them. */
export class ByteBudget {
  readonly bytesMax: number
  #used = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get used(): number {
    return this.#used
  }

  /** False, and nothing is taken, if the budget would be passed. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.bytesMax) return false
    this.#used += bytes
    return true
  }

  give(bytes: number): void {
    this.#used -= bytes
  }
}

/** A token bucket of one second's worth; what is taken beyond it is paid back by waiting. */
export class TokenBucket {
  readonly #perSecond: number
  #tokens: number
  #updatedMs: number

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond
    this.#tokens = perSecond
    this.#updatedMs = nowMs
  }

  /** How long to wait before more is taken; 0 while the rate is kept. */
  take(tokens: number, nowMs: number): number {
    const refill = ((nowMs - this.#updatedMs) / 1000) * this.#perSecond
    this.#tokens = Math.min(this.#perSecond, this.#tokens + refill) - tokens
    this.#updatedMs = nowMs
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000
  }
}
