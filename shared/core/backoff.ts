/**
 * Decorrelated jitter: each wait is drawn between the base and three times the wait before it, up
 * to a cap, so that a fleet that lost its gateway at one moment does not come back at one moment.
 * Source: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
 */
import type { Random } from './random.ts'

export interface BackoffOptions {
  /** The shortest wait, milliseconds. */
  baseMs: number
  /** The longest wait, milliseconds. */
  capMs: number
}

export class Backoff {
  readonly #options: BackoffOptions
  readonly #random: Random
  #previousMs: number

  constructor(options: BackoffOptions, random: Random) {
    this.#options = options
    this.#random = random
    this.#previousMs = options.baseMs
  }

  /** The next wait, milliseconds. */
  nextMs(): number {
    const { baseMs, capMs } = this.#options
    this.#previousMs = Math.min(capMs, this.#random.between(baseMs, this.#previousMs * 3))
    return this.#previousMs
  }

  reset(): void {
    this.#previousMs = this.#options.baseMs
  }
}
