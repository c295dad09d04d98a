import { randomFillSync } from 'node:crypto'
import { Random } from '../core/random.ts'

/** Drawn at a time: a call into the system costs more than the bytes. */
const WORDS = 64

/**
 * Numbers from the system's generator, for programs that run: what names something for good (a store, a
 * ledger, a task) must not share its name with that of any other process, and 32 bits of a seed are the
 * same in two of a hundred thousand.
 */
export class SystemRandom extends Random {
  static readonly #words = new Uint32Array(WORDS)
  static #left = 0

  constructor() {
    super(0)
  }

  override uint32(): number {
    if (SystemRandom.#left === 0) {
      randomFillSync(SystemRandom.#words)
      SystemRandom.#left = WORDS
    }
    return SystemRandom.#words[--SystemRandom.#left]!
  }
}
