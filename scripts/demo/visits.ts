import type { GridSize, Region } from '../../shared/grid/geometry.ts'

/** How often each LSU must have been visited: a plain model of the accepted adds. */
export class Visits {
  readonly #width: number
  readonly #counts: Int32Array

  constructor({ width, height }: Pick<GridSize, 'width' | 'height'>) {
    this.#width = width
    this.#counts = new Int32Array(width * height)
  }

  add({ x, y, w, h }: Region): void {
    for (let row = y; row < y + h; row++) {
      for (let lsu = row * this.#width + x; lsu < row * this.#width + x + w; lsu++) {
        this.#counts[lsu]! += 1
      }
    }
  }

  /** Where a reading of the grid differs from the model, in words; nothing where it does not. */
  compare(found: readonly number[]): string | undefined {
    if (found.length !== this.#counts.length) {
      return `${found.length} LSUs instead of ${this.#counts.length}`
    }
    const wrong = found.flatMap((value, lsu) => (value === this.#counts[lsu] ? [] : [lsu]))
    const [first] = wrong
    if (first === undefined) return undefined
    const [x, y] = [first % this.#width, Math.floor(first / this.#width)]
    const sample = `at ${x},${y} ${found[first]} instead of ${this.#counts[first]}`
    return `${wrong.length} LSUs differ, the first ${sample}`
  }
}
