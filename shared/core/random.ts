/**
 * Seeded pseudo-random numbers, so that a run can be replayed from its seed.
 * Generator: sfc32 (Chris Doty-Humphrey, PractRand), seeded through splitmix32.
 * Programs take theirs from the system (`SystemRandom`): a seed is too small for names and secrets.
 */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    let state = seed >>> 0
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0
      let mixed = state ^ (state >>> 16)
      mixed = Math.imul(mixed, 0x21f0aaad)
      mixed ^= mixed >>> 15
      mixed = Math.imul(mixed, 0x735a2d97)
      return mixed ^ (mixed >>> 15)
    }
    this.#a = next()
    this.#b = next()
    this.#c = next()
    for (let round = 0; round < 12; round++) this.uint32()
  }

  /** A uniform integer in [0, 2^32). */
  uint32(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  /** A uniform number in [0, 1). */
  unit(): number {
    return this.uint32() / 4294967296
  }

  /** A uniform integer in [0, bound). */
  integer(bound: number): number {
    return Math.floor(this.unit() * bound)
  }

  /** A uniform number in [low, high). */
  between(low: number, high: number): number {
    return low + this.unit() * (high - low)
  }
}
