/** A grid in memory, on which a program is tried without a fleet: tile by tile, by the code that runs on nodes. */
import { type Field, held, takes } from '../../shared/grid/fields.ts'
import { Geometry, type Region } from '../../shared/grid/geometry.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import {
  type GridContext,
  type ReadOperation,
  type Wire,
  type WriteOperation,
  windowOf,
} from '../../shared/operations/operation.ts'
import { oslEdges } from '../../shared/operations/osl-edges.ts'
import { edgesArgsOf, type NearArgs, OSL_NEAR, oslNear } from '../../shared/operations/osl-near.ts'
import { OSL_WRITE, programOf } from '../../shared/operations/osl-program.ts'
import { oslRead } from '../../shared/operations/osl-read.ts'
import { oslWrite } from '../../shared/operations/osl-write.ts'
import type { ResolvedProgram } from '../../shared/operations/program.ts'
import type { EdgesPartial } from '../../shared/operations/tile-edges.ts'
import { STATUS } from '../../shared/osl/codex.ts'
import { fault } from '../fault.ts'

/** As a gateway cuts its grid unless it is told otherwise. */
const TILE = 16

export interface Size {
  readonly width: number
  readonly height: number
}

export class LocalGrid {
  readonly context: GridContext
  readonly #pages: readonly TilePage[]

  /** Of zeros. */
  constructor(fields: readonly Field[], size: Size) {
    const geometry = new Geometry({ ...size, tile: TILE })
    this.context = { fields, geometry }
    this.#pages = Array.from({ length: geometry.tiles }, (_, tile) =>
      TilePage.empty(createLayout(fields, geometry.tileLsus(tile))),
    )
  }

  /** Every cell of a field, row by row. */
  fill(field: Field, values: readonly number[]): void {
    const { width } = this.context.geometry
    const wrong = values.findIndex((value) => !takes(field.type, value))
    if (wrong >= 0) {
      const place = `line ${Math.floor(wrong / width) + 1}, column ${(wrong % width) + 1}`
      const message = `${place}: ${field.name} is ${field.type}, which takes no ${values[wrong]}`
      throw fault('file-unsuitable', message)
    }
    const index = this.context.fields.indexOf(field)
    this.#eachCell((page, at, id) => {
      page.column(index)[at] = held(field.type, values[id]!)
    })
  }

  /** Of a field by its index, or of `STATUS`, row by row. */
  valuesOf(field: number): number[] {
    const { fields, geometry } = this.context
    const values = new Array<number>(geometry.lsus)
    const index = field === STATUS ? fields.length : field
    this.#eachCell((page, at, id) => {
      values[id] = page.valueOf(index) ?? page.column(index)[at]!
    })
    return values
  }

  /** Nothing of a program that sets fields. */
  run({ op, args }: ResolvedProgram, region: Region): unknown {
    const { context } = this
    const { geometry } = context
    if (op === OSL_WRITE) return this.#write(oslWrite, args, region)
    if (op === OSL_NEAR) {
      const asked = edgesArgsOf(args, context)
      const edges = this.#read(oslEdges, asked, geometry.grown(region, asked.reach))
      const all: NearArgs = { ...(args as NearArgs), edges: edges as EdgesPartial }
      return this.#write(
        oslNear,
        oslNear.cut(all, region, geometry.tilesOf(region), context),
        region,
      )
    }
    return oslRead.finish([this.#read(oslRead, args, region)], args, region, context)
  }

  #write(operation: WriteOperation, args: Wire, region: Region): undefined {
    const { geometry } = this.context
    const run = operation.run(args, this.context)
    for (const tile of geometry.tilesOf(region)) {
      run.act(this.#pages[tile]!, windowOf(geometry, tile, region), 0)
    }
  }

  #read(operation: ReadOperation, args: Wire, region: Region): Wire {
    const { geometry } = this.context
    const run = operation.run(args, this.context)
    for (const tile of geometry.tilesOf(region)) {
      run.visit(this.#pages[tile]!, windowOf(geometry, tile, region))
    }
    return run.finish()
  }

  /** What a program sets: indexes of fields, or `STATUS`. */
  storesOf({ args }: ResolvedProgram): readonly number[] {
    return programOf(args, this.context.fields.length).sound.stores
  }

  #eachCell(visit: (page: TilePage, at: number, id: number) => void): void {
    const { geometry } = this.context
    for (const [tile, page] of this.#pages.entries()) {
      const { x, y, w } = geometry.tileRegion(tile)
      for (let at = 0; at < page.lsus; at++) {
        visit(page, at, (y + Math.floor(at / w)) * geometry.width + x + (at % w))
      }
    }
  }
}
