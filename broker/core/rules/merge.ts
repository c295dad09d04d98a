/**
 * Joins the partial results of a task's parts as they come. `merge` of an operation is associative, so those that
 * follow each other are joined as a balanced tree: 10,000 parts cost n log n copies instead of n², and what they sum
 * up to is kept 14 times at the most, not 10,000 times (as the carries of a binary counter).
 */
import type { Wire } from '../../../shared/operations/operation.ts'

export class JoinedParts {
  readonly #merge: (left: Wire, right: Wire) => Wire
  /** Each of half as many parts as the one before, or fewer. */
  readonly #runs: { value: Wire; parts: number }[] = []

  constructor(merge: (left: Wire, right: Wire) => Wire) {
    this.#merge = merge
  }

  add(value: Wire): void {
    let run = { value, parts: 1 }
    for (let last = this.#runs.at(-1); last?.parts === run.parts; last = this.#runs.at(-1)) {
      this.#runs.pop()
      run = { value: this.#merge(last.value, run.value), parts: 2 * run.parts }
    }
    this.#runs.push(run)
  }

  get total(): Wire {
    const values = this.#runs.map(({ value }) => value)
    return values.length === 0 ? {} : values.reduceRight((right, left) => this.#merge(left, right))
  }
}
