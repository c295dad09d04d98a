import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { pause } from '../../shared/client/waits.ts'
import type { AppError } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import { interruptible } from './interruption.ts'
import { wordsOf } from './refusal.ts'
import { printable, type Streams } from './streams.ts'

const ASK_AGAIN_MS = 500

export interface PatienceOptions {
  readonly limitSeconds: number
  readonly streams: Streams
  /** What goes on without us, and how to look at it. */
  readonly goesOn: string
  /** The same for who interrupts it, and how to end it. */
  readonly interrupted: string
}

/** Does what waits, until a signal ends it. */
export async function patiently<T>(
  options: PatienceOptions,
  wait: (patience: Patience) => Promise<T>,
): Promise<T> {
  return await interruptible(options.interrupted, (signal) => wait(new Patience(options, signal)))
}

/** A wait for what a gateway does: one that was there may start again meanwhile. */
export class Patience {
  readonly #options: PatienceOptions
  readonly #signal: AbortSignal
  readonly #untilMs: number
  #isAway = false

  constructor(options: PatienceOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    this.#untilMs = performance.now() + options.limitSeconds * 1000
  }

  get leftMs(): number {
    return Math.max(0, this.#untilMs - performance.now())
  }

  /** Asks until there is an answer, or the wait is over. */
  async ask<T>(question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { streams } = this.#options
    while (true) {
      try {
        const answer = await question(this.#signal)
        if (this.#isAway) streams.stderr.write('the gateway is back\n')
        this.#isAway = false
        return answer
      } catch (error) {
        if (!(error instanceof ObeliskError && error.isAway)) throw error
        if (this.leftMs === 0) throw this.over(wordsOf(error), error)
        if (!this.#isAway) streams.stderr.write(`${printable(wordsOf(error))}; trying again\n`)
        this.#isAway = true
      }
      await this.pause()
    }
  }

  /** Before the next question. */
  async pause(): Promise<void> {
    await pause(Math.min(ASK_AGAIN_MS, this.leftMs), this.#signal)
  }

  /** The end of a wait that saw no end. */
  over(state: string, cause?: unknown): AppError {
    const { limitSeconds, goesOn } = this.#options
    const message = `${state} after ${limitSeconds} s; ${goesOn}`
    return fault('timed-out', message, cause)
  }
}
