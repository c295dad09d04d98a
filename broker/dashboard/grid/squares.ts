/** Squares of pieces that are in sight: the value at a cell, a sample of all, and a small table of them. */
import type { Region } from '../../../shared/grid/geometry.ts'
import type { Of, Piece } from './pieces.ts'
import { overlapOf } from './regions.ts'

/** What `pieces` say of the square that has a cell: NaN if nobody has it, undefined if it is not there yet. */
export function valueAt(pieces: readonly Piece[], x: number, y: number): number | undefined {
  for (const { values, region, step, columns } of pieces) {
    if (values === undefined || x < region.x || y < region.y) continue
    if (x >= region.x + region.w || y >= region.y + region.h) continue
    return values[Math.floor((y - region.y) / step) * columns + Math.floor((x - region.x) / step)]
  }
  return undefined
}

/**
 * At most about `most` numbers of what is in sight, evenly spread. Squares that nobody has are left out, and those that
 * `isLeftOut` says, by their first cell.
 */
export function sampleOf(
  pieces: readonly Piece[],
  visible: Region,
  { most, isLeftOut }: { readonly most: number; isLeftOut?(x: number, y: number): boolean },
): Float32Array {
  const parts = pieces.map((piece) => windowOf(piece, visible)).filter((part) => part !== undefined)
  const all = parts.reduce((sum, { columns, rows }) => sum + columns * rows, 0)
  // Not a multiple of a usual width, so that it walks through all columns.
  const stride = all <= most ? 1 : Math.ceil(all / most) | 1
  const found = new Float32Array(Math.ceil(all / stride) + parts.length)
  let count = 0
  for (const { piece, left, top, columns, rows } of parts) {
    const { region, step, values } = piece
    for (let index = 0; index < columns * rows; index += stride) {
      const row = top + Math.floor(index / columns)
      const column = left + (index % columns)
      const value = values![row * piece.columns + column]!
      if (Number.isNaN(value)) continue
      if (isLeftOut?.(region.x + column * step, region.y + row * step)) continue
      found[count++] = value
    }
  }
  return found.subarray(0, count)
}

interface Window {
  readonly piece: Piece
  readonly left: number
  readonly top: number
  readonly columns: number
  readonly rows: number
}

/** The squares of a piece that `visible` touches. */
function windowOf(piece: Piece, visible: Region): Window | undefined {
  const seen = overlapOf(piece.region, visible)
  if (seen === undefined || piece.values === undefined) return undefined
  const { step, region } = piece
  const left = Math.floor((seen.x - region.x) / step)
  const top = Math.floor((seen.y - region.y) / step)
  const columns = Math.ceil((seen.x + seen.w - region.x) / step) - left
  const rows = Math.ceil((seen.y + seen.h - region.y) / step) - top
  return { piece, left, top, columns, rows }
}

export interface Summary {
  /** Where columns begin and rows begin, in cells. */
  readonly xs: readonly number[]
  readonly ys: readonly number[]
  /** Row by row; undefined where nothing is known. */
  readonly cells: readonly (number | undefined)[]
}

/** What is in sight as a table of at most `most` × `most`: means, or the least or greatest of what is shown. */
export function summaryOf(
  pieces: readonly Piece[],
  visible: Region,
  { of, most }: { readonly of: Of; readonly most: number },
): Summary {
  // No more than there are squares: a column without any would say nothing.
  const side = pieces[0]?.step ?? 1
  const across = Math.min(most, Math.ceil(visible.w / side))
  const down = Math.min(most, Math.ceil(visible.h / side))
  const sums = new Float64Array(across * down).fill(of === 'mean' ? 0 : Number.NaN)
  const weights = new Float64Array(across * down)
  for (const piece of pieces) {
    const part = windowOf(piece, visible)
    if (part !== undefined) add(part)
  }
  function add({ piece, left, top, columns, rows }: Window): void {
    const { step, region } = piece
    for (let row = top; row < top + rows; row++) {
      const y = between(region.y + (row + 0.5) * step - visible.y, visible.h, down)
      for (let column = left; column < left + columns; column++) {
        const value = piece.values![row * piece.columns + column]!
        if (Number.isNaN(value)) continue
        const x = between(region.x + (column + 0.5) * step - visible.x, visible.w, across)
        const index = y * across + x
        weights[index]!++
        if (of === 'mean') sums[index]! += value
        else if (!(of === 'min' ? sums[index]! <= value : sums[index]! >= value))
          sums[index] = value
      }
    }
  }
  const starts = (from: number, side: number, parts: number): number[] =>
    Array.from({ length: parts }, (_, index) => from + Math.floor((index * side) / parts))
  return {
    xs: starts(visible.x, visible.w, across),
    ys: starts(visible.y, visible.h, down),
    cells: Array.from(sums, (sum, index) => {
      if (weights[index] === 0) return undefined
      return of === 'mean' ? sum / weights[index]! : sum
    }),
  }
}

/** Which of `parts` equal parts of `side` holds `at`. */
function between(at: number, side: number, parts: number): number {
  return Math.max(0, Math.min(parts - 1, Math.floor((at / side) * parts)))
}
