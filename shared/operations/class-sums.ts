/**
 * Exact sums of doubles and of their squares, as `ExactSums`, for each of up to 256 classes. Most classes have numbers
 * of a few exponents only, so all share one table of bins: a bin belongs to a class, a sign and an exponent, and is
 * found by hashing these (Knuth, "Sorting and Searching", 6.4, open addressing). When three of four are in use, or as
 * many numbers were added as a bin can hold, all are emptied into two integers a class: 280 KB, where 256 times
 * `ExactSums` would take 64 MB.
 */
import { ADDED_MAX, addPieces, BINS, SLOTS, takeBin } from './exact-sums.ts'

const USED_MAX = (BINS * 3) / 4
const FREE = -1
/** Bins of one class: signs times exponents. */
const BIN_BITS = 12

export class ClassSums {
  readonly #bins = new Float64Array(BINS * SLOTS)
  /** Which bin of which class is there. */
  readonly #keys = new Int32Array(BINS).fill(FREE)
  readonly #sums: bigint[] = []
  readonly #squares: bigint[] = []
  #used = 0
  #added = 0

  /** Adds a double, by its bits, so many times to a class of 0 … 255; `times` is at most 2^17. */
  add(of: number, low: number, high: number, times: number): void {
    if (this.#used === USED_MAX || this.#added + times > ADDED_MAX) this.#empty()
    const key = (of << BIN_BITS) | (high >>> 20)
    // Multiplied, so that exponents that follow each other do not follow each other in the table.
    let at = Math.imul(key, 0x9e3779b1) >>> (32 - BIN_BITS)
    while (this.#keys[at] !== key) {
      if (this.#keys[at] === FREE) {
        this.#keys[at] = key
        this.#used++
        break
      }
      at = (at + 1) % BINS
    }
    addPieces(this.#bins, at * SLOTS, { low, high, times })
    this.#added += times
  }

  #empty(): void {
    for (let at = 0; at < BINS; at++) {
      const key = this.#keys[at]!
      if (key === FREE) continue
      const of = key >> BIN_BITS
      const { sum, squares } = takeBin(this.#bins, at * SLOTS, key & (BINS - 1))
      this.#sums[of] = (this.#sums[of] ?? 0n) + sum
      this.#squares[of] = (this.#squares[of] ?? 0n) + squares
      this.#keys[at] = FREE
    }
    this.#used = 0
    this.#added = 0
  }

  /** In units of 2^-1074. */
  sumOf(of: number): bigint {
    this.#empty()
    return this.#sums[of] ?? 0n
  }

  /** In units of 2^-2148. */
  squaresOf(of: number): bigint {
    this.#empty()
    return this.#squares[of] ?? 0n
  }
}
