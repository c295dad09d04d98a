/**
 * What reading programs gather for each class of a field, 256 at the most: as the reductions of reductions.ts do for
 * all cells. A cell whose class is missing, or not within 0 … 255, is skipped; a class is there once a cell of it came
 * whose condition is true, even if what is reduced is missing in all of them.
 */
import { ClassSums } from '../operations/class-sums.ts'
import { BLOCK_CELLS, CLASSES_MAX } from './codex.ts'
import { type Block, idOf, type Mask, resultOf } from './reductions.ts'

const NO_CLASS = -1

/** The class of each cell of the block that is looked at. */
const classes = new Int16Array(BLOCK_CELLS)

const perClass = (): Float64Array => new Float64Array(CLASSES_MAX)

export abstract class Classes {
  readonly #isThere = new Uint8Array(CLASSES_MAX)

  /** Ascending. */
  get all(): number[] {
    return [...this.#isThere.keys()].filter((of) => this.#isThere[of] === 1)
  }

  protected find(by: Float64Array, mask: Mask, cells: number): void {
    for (let i = 0; i < cells; i++) {
      const of = Math.floor(by[i]!)
      const counts = of >= 0 && of < CLASSES_MAX && (mask === undefined || (mask[i]! & 1) === 1)
      classes[i] = counts ? of : NO_CLASS
      if (counts) this.#isThere[of] = 1
    }
  }
}

export class ClassCount extends Classes {
  readonly yes = perClass()
  readonly known = perClass()

  add(values: Uint8Array, mask: Mask, { cells, times }: Block, by: Float64Array): void {
    this.find(by, mask, cells)
    for (let i = 0; i < cells; i++) {
      const of = classes[i]!
      if (of === NO_CLASS) continue
      const value = values[i]!
      this.yes[of]! += (value & 1) * times
      this.known[of]! += ((value & 1) | (value >> 1)) * times
    }
  }
}

const number = new Float64Array(1)
const words = new Int32Array(number.buffer)

export class ClassSum extends Classes {
  readonly counts = perClass()
  readonly sums = new ClassSums()

  add(values: Float64Array, mask: Mask, { cells, times }: Block, by: Float64Array): void {
    this.find(by, mask, cells)
    for (let i = 0; i < cells; i++) {
      const of = classes[i]!
      const value = values[i]!
      if (of === NO_CLASS || Number.isNaN(value)) continue
      number[0] = resultOf(value)
      this.counts[of]! += times
      this.sums.add(of, words[0]!, words[1]!, times)
    }
  }
}

export class ClassSpan extends Classes {
  readonly counts = perClass()
  readonly min = perClass()
  readonly max = perClass()
  readonly minIds = perClass()
  readonly maxIds = perClass()

  add(values: Float64Array, mask: Mask, block: Block, by: Float64Array): void {
    this.find(by, mask, block.cells)
    for (let i = 0; i < block.cells; i++) {
      const of = classes[i]!
      const value = values[i]!
      if (of === NO_CLASS || Number.isNaN(value)) continue
      const isFirst = this.counts[of] === 0
      this.counts[of]! += block.times
      if (isFirst || value <= this.min[of]!) {
        this.minIds[of] = lower(
          idOf(block, i),
          this.minIds[of]!,
          !isFirst && value === this.min[of],
        )
        this.min[of] = value
      }
      if (isFirst || value >= this.max[of]!) {
        this.maxIds[of] = lower(
          idOf(block, i),
          this.maxIds[of]!,
          !isFirst && value === this.max[of],
        )
        this.max[of] = value
      }
    }
  }
}

function lower(id: number, known: number, isTie: boolean): number {
  return isTie ? Math.min(id, known) : id
}

export type ClassReduction = ClassCount | ClassSum | ClassSpan

export function isByClass<R>(reduction: R | ClassReduction): reduction is ClassReduction {
  return reduction instanceof Classes
}
