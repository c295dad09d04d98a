/**
 * The squares of a region, made of the records that partial results have of them: one a tile where a
 * square has several tiles or just one, else one for each square of a tile. Records are joined in the
 * order of tiles, whatever order they came in.
 */
import { saturate } from '../grid/fields.ts'
import type { Geometry, Region } from '../grid/geometry.ts'
import type { Answer } from './overview-run.ts'
import { countSquares, type Squares, squaresOf } from './squares.ts'

export class PlacedSquares {
  /** LSUs of the region in each square, of the tiles that are there; row-major. */
  readonly counts: Float64Array
  readonly #hasSeveral: boolean
  /** In the order of tiles: which record is next, and of which square it is. */
  readonly #records: Int32Array
  readonly #places: Int32Array

  /** `tiles` touch the region, each stands there once, in the order of their records. */
  constructor(tiles: Uint32Array, squares: Squares, region: Region, geometry: Geometry) {
    const { step, columns, rows } = squares
    const { tile: side } = geometry
    this.counts = new Float64Array(columns * rows)
    this.#hasSeveral = step > side
    const across = squaresOf(region, side)
    const { starts, total } = startsOf(tiles, across, { step, region, geometry })
    this.#records = new Int32Array(total)
    this.#places = new Int32Array(total)
    let at = 0
    for (let index = 0; index < starts.length; index++) {
      let record = starts[index]!
      if (record === NOT_THERE) continue
      const tileX = across.x + (index % across.columns) * side
      const tileY = across.y + Math.floor(index / across.columns) * side
      const left = Math.max(region.x, tileX)
      const right = Math.min(region.x + region.w, tileX + side)
      const bottom = Math.min(region.y + region.h, tileY + side)
      for (let top = Math.max(region.y, tileY); top < bottom; ) {
        const lower = Math.min(bottom, top - (top % step) + step)
        const row = Math.floor((top - squares.y) / step) * columns
        for (let x = left; x < right; ) {
          const end = Math.min(right, x - (x % step) + step)
          const place = row + Math.floor((x - squares.x) / step)
          this.counts[place]! += (end - x) * (lower - top)
          this.#records[at] = record++
          this.#places[at++] = place
          x = end
        }
        top = lower
      }
    }
  }

  /** Of `numbers`, one a record; NaN where there is no LSU. */
  join(answer: Answer, numbers: ArrayLike<number>): Float32Array {
    const { counts } = this
    const joined = new Float64Array(counts.length).fill(NOTHING[answer])
    const isSum = answer === 'mean' && this.#hasSeveral
    for (let at = 0; at < this.#records.length; at++) {
      const place = this.#places[at]!
      const number = numbers[this.#records[at]!]!
      const before = joined[place]!
      if (answer === 'mean') joined[place] = before + number
      else if (answer === 'min') joined[place] = number < before ? number : before
      else joined[place] = number > before ? number : before
    }
    return Float32Array.from(joined, (number, place) => {
      const count = counts[place]!
      return count === 0 ? Number.NaN : saturate('f32', isSum ? number / count : number)
    })
  }
}

const NOT_THERE = -1

/** What a square has before its first record. */
const NOTHING: Readonly<Record<Answer, number>> = {
  mean: 0,
  min: Number.POSITIVE_INFINITY,
  max: Number.NEGATIVE_INFINITY,
}

/** The first record of each tile of the region, row-major, or that it is not there; and how many there are. */
function startsOf(
  tiles: Uint32Array,
  across: Squares,
  { step, region, geometry }: { step: number; region: Region; geometry: Geometry },
): { starts: Int32Array; total: number } {
  const { tile: side, tilesAcross } = geometry
  const starts = new Int32Array(across.columns * across.rows).fill(NOT_THERE)
  let total = 0
  for (const tile of tiles) {
    const column = (tile % tilesAcross) - across.x / side
    const row = Math.floor(tile / tilesAcross) - across.y / side
    starts[row * across.columns + column] = total
    total += step < side ? countSquares(geometry.overlap(tile, region), step) : 1
  }
  return { starts, total }
}
