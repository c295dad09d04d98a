/**
 * Numbers at places from 0 on, and their sums up to any place: both to change one and to ask costs the logarithm of how
 * many places there are (Fenwick, Software: Practice and Experience 24(3), 1994). A cell holds the sum of as many places
 * up to its own as the lowest bit of its own says.
 */
export class PrefixSums {
  readonly #cells: Float64Array

  constructor(places: number) {
    this.#cells = new Float64Array(places + 1)
  }

  add(place: number, amount: number): void {
    for (let at = place + 1; at < this.#cells.length; at += at & -at) this.#cells[at]! += amount
  }

  /** Of all places up to this one, and of this one. */
  upTo(place: number): number {
    let sum = 0
    for (let at = place + 1; at > 0; at -= at & -at) sum += this.#cells[at]!
    return sum
  }
}
