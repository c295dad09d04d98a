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
  /** LSUs of the region in each square, of the tiles that are there, without those that hold nodata; row-major. */
  readonly counts: Float64Array
  readonly #hasSeveral: boolean
  /** In the order of tiles: which record is next, and of which square it is. */
  #records: Int32Array
  #places: Int32Array

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
    const { counts } = this
    const records = this.#records
    const places = this.#places
    const [end, last] = [region.x + region.w, region.y + region.h]
    let at = 0
    let index = 0
    for (let tileY = across.y; tileY < last; tileY += side) {
      for (let tileX = across.x; tileX < end; tileX += side) {
        let record = starts[index++]!
        if (record === NOT_THERE) continue
        const right = Math.min(end, tileX + side)
        const bottom = Math.min(last, tileY + side)
        for (let top = Math.max(region.y, tileY); top < bottom; ) {
          const lower = Math.min(bottom, top - (top % step) + step)
          const row = Math.floor((top - squares.y) / step) * columns
          for (let left = Math.max(region.x, tileX); left < right; ) {
            const next = Math.min(right, left - (left % step) + step)
            const place = row + Math.floor((left - squares.x) / step)
            counts[place]! += (next - left) * (lower - top)
            records[at] = record++
            places[at++] = place
            left = next
          }
          top = lower
        }
      }
    }
  }

  /** Says how many LSUs each record is of, where that is not all: one that is of none does not count. */
  countOnly(lsus: ArrayLike<number>): void {
    const { counts } = this
    const records = this.#records
    const places = this.#places
    counts.fill(0)
    for (let at = 0; at < places.length; at++) counts[places[at]!]! += lsus[records[at]!]!
    const isThere = (_: number, at: number): boolean => lsus[records[at]!]! > 0
    this.#places = places.filter(isThere)
    this.#records = records.filter(isThere)
  }

  /** Of `numbers`, one a record; NaN where there is no LSU. */
  join(answer: Answer, numbers: ArrayLike<number>): Float32Array {
    const { counts } = this
    const joined = this.#fold(answer, numbers)
    const isSum = answer === 'mean' && this.#hasSeveral
    const shown = new Float32Array(counts.length)
    for (let place = 0; place < shown.length; place++) {
      const count = counts[place]!
      const number = isSum ? joined[place]! / count : joined[place]!
      shown[place] = count === 0 ? Number.NaN : saturate('f32', number)
    }
    return shown
  }

  #fold(answer: Answer, numbers: ArrayLike<number>): Float64Array {
    const records = this.#records
    const places = this.#places
    const joined = new Float64Array(this.counts.length)
    if (answer === 'mean') {
      for (let at = 0; at < places.length; at++) joined[places[at]!]! += numbers[records[at]!]!
      return joined
    }
    const sign = answer === 'min' ? 1 : -1
    joined.fill(sign * Number.POSITIVE_INFINITY)
    for (let at = 0; at < places.length; at++) {
      const place = places[at]!
      const number = numbers[records[at]!]!
      if (sign * number < sign * joined[place]!) joined[place] = number
    }
    return joined
  }
}

const NOT_THERE = -1

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
