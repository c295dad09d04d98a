/**
 * A node's part of `overview`: the squares of each tile, folded row by row. A tile that is no larger
 * than a square is one record; else it has one for each square that the region touches in it.
 */
import { bytesOfColumn, type Column, type FieldType, RANGES, saturate } from '../grid/fields.ts'
import { packNumbers, packTiles } from './columns.ts'
import type { GridContext, ReadRun, TileWindow, Wire } from './operation.ts'

/** What can be asked of a square, in the order of the normal form. */
export const ANSWERS = ['mean', 'min', 'max'] as const
export type Answer = (typeof ANSWERS)[number]

/** What a node gives of it. */
export type Source = Answer | 'sum' | 'count'

/** Where a square has several tiles, each gives its sum for the mean. */
export function sourceOf(answer: Answer, hasSeveral: boolean): Source {
  return answer === 'mean' && hasSeveral ? 'sum' : answer
}

/** Squares of one tile after the other in the order of `tiles`, row-major inside each: f32, but for sums (f64). */
export interface OverviewPartial extends Wire {
  readonly tiles: Uint8Array
  readonly mean?: Uint8Array
  readonly sum?: Uint8Array
  readonly min?: Uint8Array
  readonly max?: Uint8Array
  /** How many of its LSUs do not hold nodata; there if the arguments say which. Of none, its numbers are 0. */
  readonly count?: Uint8Array
}

/** LSUs of a tile, from `left` to before `right` in the rows from `top` to before `bottom`. */
interface Square {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

interface Cells extends Square {
  readonly column: Column
  /** What is left out; NaN for nothing, as no number is equal to it. */
  readonly none: number
  readonly stride: number
}

export function runOverview(
  {
    field,
    step,
    of,
    nodata,
  }: { field: number; step: number; of: readonly Answer[]; nodata?: number },
  { fields, geometry }: GridContext,
): ReadRun {
  const sumOf = sumFor(fields[field]!.type)
  const hasSeveral = step > geometry.tile
  const none = nodata ?? Number.NaN
  const tiles: number[] = []
  // Its own words, not those that came with the message (decision 0017).
  const folds = ANSWERS.filter((answer) => of.includes(answer)).map((answer) => {
    return { source: sourceOf(answer, hasSeveral), into: [] as number[] }
  })
  const counts: number[] = []
  const sumOfSame = sumsOfSame()
  const visitSame = (value: number, square: Square): void => {
    const lsus = value === none ? 0 : lsusOf(square)
    counts.push(lsus)
    for (const { source, into } of folds) {
      if (lsus === 0) into.push(0)
      else if (source === 'min' || source === 'max') into.push(value)
      else into.push(sumOfSame(value, lsus) / (source === 'sum' ? 1 : lsus))
    }
  }
  const visitSquare = (cells: Cells): void => {
    const lsus = nodata === undefined ? lsusOf(cells) : countOf(cells)
    counts.push(lsus)
    for (const { source, into } of folds) {
      if (lsus === 0) into.push(0)
      else if (source === 'min') into.push(leastOf(cells))
      else if (source === 'max') into.push(greatestOf(cells))
      else into.push(sumOf(cells) / (source === 'sum' ? 1 : lsus))
    }
  }
  return {
    visit(cells, window) {
      tiles.push(window.tile)
      const one = cells.valueOf(field)
      if (one !== undefined) {
        eachSquare(window, step, (square) => visitSame(one, square))
        return
      }
      const column = cells.column(field)
      const { stride } = window
      eachSquare(window, step, (square) => visitSquare({ ...square, column, stride, none }))
    },
    finish(): OverviewPartial {
      const columns = folds.map(({ source, into }) => [source, pack(source, into)])
      const count = nodata === undefined ? {} : { count: pack('count', counts) }
      return { tiles: packTiles(tiles), ...Object.fromEntries(columns), ...count }
    },
  }
}

function pack(source: Source, numbers: readonly number[]): Uint8Array {
  if (source === 'sum') return packNumbers(numbers)
  const column = new Float32Array(numbers.length)
  numbers.forEach((number, at) => {
    column[at] = saturate('f32', number)
  })
  return bytesOfColumn(column)
}

/** The squares of a tile that the window touches, row-major, each cut to it. */
function eachSquare(
  { left: start, top: first, w, h }: TileWindow,
  step: number,
  visit: (square: Square) => void,
): void {
  const [end, last] = [start + w, first + h]
  for (let top = first; top < last; ) {
    const bottom = Math.min(last, top - (top % step) + step)
    for (let left = start; left < end; ) {
      const right = Math.min(end, left - (left % step) + step)
      visit({ left, right, top, bottom })
      left = right
    }
    top = bottom
  }
}

function lsusOf({ left, right, top, bottom }: Square): number {
  return (right - left) * (bottom - top)
}

/** Of so many equal numbers, added one by one as cells are: the same bits, once for those that come after each other. */
function sumsOfSame(): (value: number, lsus: number) => number {
  const { min, max } = RANGES.f32
  let known = { value: 0, lsus: 0, sum: 0 }
  return (value, lsus) => {
    if (known.value === value && known.lsus === lsus) return known.sum
    const bounded = value > max ? max : value < min ? min : value
    let sum = 0
    for (let at = 0; at < lsus; at++) sum += bounded
    known = { value, lsus, sum }
    return sum
  }
}

/** Only f64 has numbers beyond those of f32. */
function sumFor(type: FieldType): (cells: Cells) => number {
  return type === 'f64' ? boundedSumOf : plainSumOf
}

function plainSumOf({ column, stride, left, right, top, bottom, none }: Cells): number {
  let sum = 0
  for (let row = top * stride; row < bottom * stride; row += stride) {
    for (let at = row + left; at < row + right; at++) {
      const value = column[at]!
      if (value !== none) sum += value
    }
  }
  return sum
}

/** Those that do not hold nodata. */
function countOf({ column, stride, left, right, top, bottom, none }: Cells): number {
  let count = 0
  for (let row = top * stride; row < bottom * stride; row += stride) {
    for (let at = row + left; at < row + right; at++) if (column[at] !== none) count++
  }
  return count
}

function boundedSumOf({ column, stride, left, right, top, bottom, none }: Cells): number {
  const { min, max } = RANGES.f32
  let sum = 0
  for (let row = top * stride; row < bottom * stride; row += stride) {
    for (let at = row + left; at < row + right; at++) {
      const value = column[at]!
      if (value !== none) sum += value > max ? max : value < min ? min : value
    }
  }
  return sum
}

function leastOf({ column, stride, left, right, top, bottom, none }: Cells): number {
  let least = Number.POSITIVE_INFINITY
  for (let row = top * stride; row < bottom * stride; row += stride) {
    for (let at = row + left; at < row + right; at++) {
      const value = column[at]!
      if (value < least && value !== none) least = value
    }
  }
  return least
}

function greatestOf({ column, stride, left, right, top, bottom, none }: Cells): number {
  let greatest = Number.NEGATIVE_INFINITY
  for (let row = top * stride; row < bottom * stride; row += stride) {
    for (let at = row + left; at < row + right; at++) {
      const value = column[at]!
      if (value > greatest && value !== none) greatest = value
    }
  }
  return greatest
}
