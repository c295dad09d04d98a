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
