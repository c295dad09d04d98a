import { assert } from '../../shared/core/assert.ts'
import type { Geometry } from '../../shared/grid/geometry.ts'
import { type Colour, type ColourDepth, halfBlocks, shadeOf } from './colours.ts'

/** Who shows in a tile: an index into the nodes, or nobody. */
export type Owners = readonly (number | undefined)[]

export interface MapSize {
  readonly columns: number
  readonly rows: number
}

/** Of the world's values 99 in 100 lie below. */
const RAIN_TOP = 3900
const CURVE = 0.68
/** Upper case from here on: about the mean of the world. */
const MUCH_RAIN = 1000

/** The rain of the world in characters, each tile in the colour, or with the letter, of a node. */
export class RainMap {
  readonly #geometry: Geometry
  readonly #values: readonly number[]

  constructor(geometry: Geometry, values: readonly number[]) {
    assert(values.length === geometry.lsus, 'a value for each LSU')
    this.#geometry = geometry
    this.#values = values
  }

  /** The largest size that fits; a character is about twice as high as wide. */
  sizeWithin({ columns, rows }: MapSize): MapSize {
    const { width, height } = this.#geometry
    const widest = Math.max(2, Math.min(columns, Math.floor((rows * 2 * width) / height)))
    return { columns: widest, rows: Math.max(1, Math.round((widest * height) / width / 2)) }
  }

  draw(size: MapSize, owners: Owners, depth: ColourDepth): string[] {
    return depth === 'none' ? this.#letters(size, owners) : this.#pixels(size, owners, depth)
  }

  #pixels(size: MapSize, owners: Owners, depth: 'indexed' | 'true'): string[] {
    const { columns, rows } = size
    const line = (row: number): Colour[] =>
      Array.from({ length: columns }, (_, column) => {
        const { rain, owner } = this.#sample({ columns, rows: rows * 2 }, column, row, owners)
        return shadeOf(owner, strengthOf(rain), depth)
      })
    return Array.from({ length: rows }, (_, row) => halfBlocks(line(2 * row), line(2 * row + 1)))
  }

  #letters(size: MapSize, owners: Owners): string[] {
    return Array.from({ length: size.rows }, (_, row) =>
      Array.from({ length: size.columns }, (_, column) => {
        const { rain, owner } = this.#sample(size, column, row, owners)
        return letterOf(rain, owner)
      }).join(''),
    )
  }

  /** The mean rain of the LSUs below a character or pixel, and who shows at its centre. */
  #sample(
    { columns, rows }: MapSize,
    column: number,
    row: number,
    owners: Owners,
  ): { rain: number; owner: number | undefined } {
    const { width, height, tile, tilesAcross } = this.#geometry
    const [left, right] = spanOf(column, columns, width)
    const [top, bottom] = spanOf(row, rows, height)
    let sum = 0
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) sum += this.#values[y * width + x]!
    }
    const centreX = Math.floor((left + right) / 2 / tile)
    const centreY = Math.floor((top + bottom) / 2 / tile)
    return {
      rain: sum / ((right - left) * (bottom - top)),
      owner: owners[centreY * tilesAcross + centreX],
    }
  }
}

/** The LSUs from … to that fall on one of `count` steps along a side; at least one. */
function spanOf(step: number, count: number, side: number): [number, number] {
  const from = Math.floor((step * side) / count)
  return [from, Math.max(from + 1, Math.floor(((step + 1) * side) / count))]
}

/** `a` for the first node, and upper case where it rains much; a point for nobody. */
export function letterOf(rain: number, owner: number | undefined): string {
  if (owner === undefined) return '.'
  const letter = String.fromCharCode('a'.charCodeAt(0) + owner)
  return rain >= MUCH_RAIN ? letter.toUpperCase() : letter
}

/** Most of the world has 200 to 2,000 mm: the curve spreads those, and leaves the rest at the ends. */
export function strengthOf(rain: number): number {
  return Math.min(1, rain / RAIN_TOP) ** CURVE
}
