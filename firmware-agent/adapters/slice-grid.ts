/** The grid that a slice is cut from: geometry, fields, and the page layout of each tile. */
import { type Field, parseFields } from '../../shared/grid/fields.ts'
import {
  Geometry,
  GRID_SIDE_MAX,
  TILE_SIDE_MAX,
  TILE_SIDE_MIN,
} from '../../shared/grid/geometry.ts'
import { createLayout, type PageLayout } from '../../shared/grid/page-layout.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import type { GridShape } from '../../shared/protocol/messages.ts'
import { AppError } from '../../shared/runtime/errors.ts'

export class SliceGrid implements GridContext {
  readonly geometry: Geometry
  readonly fields: readonly Field[]
  /** By LSU count: tiles that are not clipped at the edge share one. */
  readonly #layouts = new Map<number, PageLayout>()
  #last: PageLayout | undefined

  constructor(shape: GridShape) {
    const parsed = parseFields(shape.fields)
    const sidesFit = [shape.width, shape.height].every((side) => side >= 1 && side <= GRID_SIDE_MAX)
    const tileFits = shape.tile >= TILE_SIDE_MIN && shape.tile <= TILE_SIDE_MAX
    if ('problems' in parsed || !sidesFit || !tileFits) {
      const { width, height, tile, fields } = shape
      throw new AppError('grid-invalid', `no grid: ${width}x${height}, tile ${tile}, ${fields}`)
    }
    this.fields = parsed.fields
    this.geometry = new Geometry(shape)
  }

  layoutOf(tile: number): PageLayout {
    const lsus = this.geometry.tileLsus(tile)
    if (this.#last?.lsus === lsus) return this.#last
    let layout = this.#layouts.get(lsus)
    if (layout === undefined) {
      layout = createLayout(this.fields, lsus)
      this.#layouts.set(lsus, layout)
    }
    this.#last = layout
    return layout
  }
}
