/**
 * What reading programs gather on a node, one accumulator an output's slot: cells that are missing, or whose condition
 * is not true, are skipped. A number beyond the greatest double counts as that. What comes out does not depend on the
 * order in which tiles were visited: sums are exact, ties go to the lower LSU id.
 */
import { ExactSums } from '../operations/exact-sums.ts'
import { binOf, edgesOf } from '../operations/stat.ts'
import { BLOCK_CELLS } from './codex.ts'

/** A block's cells, so that each can be named. */
export interface Block {
  /** In coordinates of the grid. */
  readonly x: number
  readonly y: number
  /** Cells in a row of it. */
  readonly width: number
  readonly cells: number
  readonly gridWidth: number
  /** Which LSU each of its cells is, if they lie anywhere. */
  readonly ids?: Uint32Array | undefined
  /** How many LSUs each of its cells stands for: more than one where a tile holds one value. */
  readonly times: number
}

export type Mask = Uint8Array | undefined

/** The id of the LSU at that place of a block. */
export function idOf({ x, y, width, gridWidth, ids }: Block, at: number): number {
  return ids?.[at] ?? (y + Math.floor(at / width)) * gridWidth + x + (at % width)
}

/** A number of a register as a result has it: finite, and 0 for −0. */
export function resultOf(value: number): number {
  if (value > Number.MAX_VALUE) return Number.MAX_VALUE
  return value < -Number.MAX_VALUE ? -Number.MAX_VALUE : value + 0
}

export class Count {
  /** Cells whose condition is true, and those where it is not missing. */
  yes = 0
  known = 0

  add(values: Uint8Array, mask: Mask, { cells, times }: Block): void {
    let [yes, known, i] = [0, 0, 0]
    if (mask === undefined) {
      // Four at once: a byte each, of which the product adds the lowest bits up in the highest byte.
      const words = new Int32Array(values.buffer, 0, cells >> 2)
      for (const word of words) {
        yes += Math.imul(word & 0x01010101, 0x01010101) >>> 24
        known += Math.imul((word | (word >>> 1)) & 0x01010101, 0x01010101) >>> 24
      }
      i = cells & ~3
    }
    for (; i < cells; i++) {
      if (mask !== undefined && (mask[i]! & 1) === 0) continue
      const value = values[i]!
      yes += value & 1
      known += (value & 1) | (value >> 1)
    }
    this.yes += yes * times
    this.known += known * times
  }
}

const gathered = new Float64Array(BLOCK_CELLS)
const gatheredWords = new Int32Array(gathered.buffer)

/** Copies what counts of a block, and says how many that are. */
function gather(values: Float64Array, mask: Mask, cells: number): number {
  let count = 0
  for (let i = 0; i < cells; i++) {
    const value = values[i]!
    if (Number.isNaN(value) || (mask !== undefined && (mask[i]! & 1) === 0)) continue
    gathered[count++] = resultOf(value)
  }
  return count
}

/** Whether none of them is missing or infinite: such a number times 0 is no 0. */
function areFinite(values: Float64Array, cells: number): boolean {
  let [a, b] = [0, 0]
  const even = cells & ~1
  for (let i = 0; i < even; i += 2) {
    a += values[i]! * 0
    b += values[i + 1]! * 0
  }
  if (even < cells) a += values[even]! * 0
  return a + b === 0
}

export class Sum {
  readonly sums = new ExactSums()
  count = 0

  add(values: Float64Array, mask: Mask, { cells, times }: Block, words: Int32Array): void {
    if (times === 1 && mask === undefined && areFinite(values, cells)) {
      this.count += cells
      this.sums.add(words, cells)
      return
    }
    const count = gather(values, mask, cells)
    this.count += count * times
    if (times === 1) this.sums.add(gatheredWords, count)
    else if (count > 0) this.sums.addSame(gatheredWords, times)
  }
}

/** The least and the greatest number, and the lowest id of an LSU that has it. */
export class Span {
  count = 0
  min = Number.POSITIVE_INFINITY
  max = Number.NEGATIVE_INFINITY
  minId = -1
  maxId = -1

  add(values: Float64Array, mask: Mask, block: Block): void {
    if (mask === undefined && areFinite(values, block.cells) && !this.#isWidened(values, block)) {
      this.count += block.cells * block.times
      return
    }
    let [first, last, count] = [0, -1, 0]
    let [low, high] = [Number.NaN, Number.NaN]
    for (let i = 0; i < block.cells; i++) {
      const value = values[i]!
      if (Number.isNaN(value) || (mask !== undefined && (mask[i]! & 1) === 0)) continue
      if (count === 0) {
        low = high = value
        first = last = i
      } else if (value < low) {
        low = value
        first = i
      } else if (value > high) {
        high = value
        last = i
      }
      count++
    }
    if (count === 0) return
    this.count += count * block.times
    if (low < this.min || (low === this.min && idOf(block, first) < this.minId) || this.minId < 0) {
      this.min = low
      this.minId = idOf(block, first)
    }
    if (
      high > this.max ||
      (high === this.max && idOf(block, last) < this.maxId) ||
      this.maxId < 0
    ) {
      this.max = high
      this.maxId = idOf(block, last)
    }
  }

  /** Whether any of these, all finite, is as far out as the extremes so far. */
  #isWidened(values: Float64Array, { cells }: Block): boolean {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
    for (let i = 0; i < cells; i++) {
      const value = values[i]!
      if (value < low) low = value
      if (value > high) high = value
    }
    return low <= this.min || high >= this.max
  }
}

export class Histogram {
  readonly counts: Float64Array
  below = 0
  above = 0
  readonly #edges: readonly number[]

  constructor(low: number, high: number, bins: number) {
    this.counts = new Float64Array(bins)
    this.#edges = edgesOf(low, high, bins)
  }

  add(values: Float64Array, mask: Mask, { cells, times }: Block): void {
    const edges = this.#edges
    const [low, high] = [edges[0]!, edges.at(-1)!]
    for (let i = 0; i < cells; i++) {
      const value = values[i]!
      if (Number.isNaN(value) || (mask !== undefined && (mask[i]! & 1) === 0)) continue
      if (value < low) this.below += times
      else if (value > high) this.above += times
      else this.counts[binOf(value, edges)]! += times
    }
  }
}

/** The k greatest numbers with their ids, the greatest first, then by id. */
export class Top {
  readonly values: number[] = []
  readonly ids: number[] = []
  readonly k: number

  constructor(k: number) {
    this.k = k
  }

  add(values: Float64Array, mask: Mask, block: Block): void {
    for (let i = 0; i < block.cells; i++) {
      const value = values[i]!
      if (Number.isNaN(value) || (mask !== undefined && (mask[i]! & 1) === 0)) continue
      const isFull = this.values.length === this.k
      if (isFull && value < this.values.at(-1)!) continue
      this.#take(resultOf(value), idOf(block, i))
    }
  }

  #take(value: number, id: number): void {
    let at = this.values.length
    while (at > 0 && isBefore(value, id, this.values[at - 1]!, this.ids[at - 1]!)) at--
    if (at === this.k) return
    this.values.splice(at, 0, value)
    this.ids.splice(at, 0, id)
    if (this.values.length > this.k) {
      this.values.pop()
      this.ids.pop()
    }
  }
}

/** Whether a number comes before another in a list of the greatest. */
export function isBefore(value: number, id: number, other: number, otherId: number): boolean {
  return value > other || (value === other && id < otherId)
}

/** The column itself, in the order in which tiles were visited; NaN where it is missing. */
export class Shown {
  readonly parts: Float64Array[] = []

  add(values: Float64Array, mask: Mask, { cells, times }: Block): void {
    const part = new Float64Array(cells * times)
    for (let i = 0; i < part.length; i++) {
      const at = times === 1 ? i : 0
      const isIn = mask === undefined || (mask[at]! & 1) === 1
      part[i] = isIn && !Number.isNaN(values[at]!) ? resultOf(values[at]!) : Number.NaN
    }
    this.parts.push(part)
  }
}

export type Reduction = Count | Sum | Span | Histogram | Top | Shown
