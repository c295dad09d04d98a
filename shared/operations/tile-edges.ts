/**
 * The cells of tiles that others have for neighbours, as `osl1-edges` gives them (osl-edges.ts), and the halos that are
 * made of them: what lies around each tile that a program goes over. Bytes are moved here, and never looked at.
 */
import { FIELD_BYTES, type FieldType } from '../grid/fields.ts'
import { cellsOf, eachRun, type Frame, frameOf, placeIn } from '../grid/frames.ts'
import type { Geometry, Region } from '../grid/geometry.ts'
import { unpackTiles } from './columns.ts'
import type { GridContext, Wire } from './operation.ts'

/** What is asked for. */
export interface EdgesArgs extends Wire {
  /** Indexes of columns: of fields, or of status behind the last. */
  readonly columns: number[]
  /** How many cells deep edges are. */
  readonly reach: number
}

/** Tile after tile; for each column a list of bytes. */
export interface EdgesPartial extends Wire {
  readonly tiles: Uint8Array
  /** By tile: whether its edge is one value, which stands for all. */
  readonly ones: Uint8Array[]
  readonly values: Uint8Array[]
}

export function typeOfColumn({ fields }: GridContext, column: number): FieldType {
  return fields[column]?.type ?? 'u8'
}

/** Of a tile, as far as it lies in the region: what is at most `reach` away from another tile. */
export function edgeFrame(
  geometry: Geometry,
  tile: number,
  { region, reach }: { region: Region; reach: number },
): Frame {
  const { x, y, w, h } = geometry.tileRegion(tile)
  const left = x > 0 ? reach : 0
  const top = y > 0 ? reach : 0
  const right = x + w < geometry.width ? reach : 0
  const bottom = y + h < geometry.height ? reach : 0
  const inner = { x: x + left, y: y + top, w: w - left - right, h: h - top - bottom }
  return frameOf(geometry.overlap(tile, region), inner)
}

/** What lies around a tile, as far as it is at most `reach` away from what the region has of the tile. */
export function haloFrame(
  geometry: Geometry,
  tile: number,
  { region, reach }: { region: Region; reach: number },
): Frame {
  return frameOf(geometry.grown(geometry.overlap(tile, region), reach), geometry.tileRegion(tile))
}

/** The most cells that the edge of a tile has, and that its halo has. */
export function edgeCellsMax({ tile }: Geometry, reach: number): number {
  return tile ** 2 - Math.max(0, tile - 2 * reach) ** 2
}

export function haloCellsMax({ tile }: Geometry, reach: number): number {
  return (tile + 2 * reach) ** 2 - tile ** 2
}

export function bytesOfColumns(columns: readonly number[], context: GridContext): number {
  return columns.reduce((sum, column) => sum + FIELD_BYTES[typeOfColumn(context, column)], 0)
}

interface Edge {
  readonly frame: Frame
  /** By column: where its bytes begin. */
  readonly starts: number[]
  readonly index: number
}

/** Edges of all tiles that touch a region, to make halos of. */
export class TileEdges {
  readonly #geometry: Geometry
  readonly #args: EdgesArgs
  readonly #sizes: number[]
  readonly #partial: EdgesPartial
  readonly #byTile = new Map<number, Edge>()

  constructor(partial: EdgesPartial, args: EdgesArgs, region: Region, context: GridContext) {
    this.#geometry = context.geometry
    this.#args = args
    this.#partial = partial
    this.#sizes = args.columns.map((column) => FIELD_BYTES[typeOfColumn(context, column)])
    const next = args.columns.map(() => 0)
    for (const [index, tile] of unpackTiles(partial.tiles).entries()) {
      const frame = edgeFrame(context.geometry, tile, { region, reach: args.reach })
      this.#byTile.set(tile, { frame, starts: [...next], index })
      for (const [at, ones] of partial.ones.entries()) {
        next[at]! += (ones[index] === 1 ? 1 : cellsOf(frame)) * this.#sizes[at]!
      }
    }
  }

  /** By column: the cells around each of these tiles, one tile after the other. */
  halosOf(tiles: Uint32Array, region: Region): Uint8Array[] {
    const { reach, columns } = this.#args
    const frames = Array.from(tiles, (tile) => haloFrame(this.#geometry, tile, { region, reach }))
    const cells = frames.reduce((sum, frame) => sum + cellsOf(frame), 0)
    return columns.map((_, at) => {
      const halos = new Uint8Array(cells * this.#sizes[at]!)
      let to = 0
      for (const frame of frames) {
        eachRun(frame, (x, y, length) => {
          this.#copyRun(at, { x, y, length }, halos, to)
          to += length * this.#sizes[at]!
        })
      }
      return halos
    })
  }

  /** A run may lie in several tiles. */
  #copyRun(
    at: number,
    { x, y, length }: { x: number; y: number; length: number },
    halos: Uint8Array,
    to: number,
  ): void {
    const { tile: side, tilesAcross } = this.#geometry
    const size = this.#sizes[at]!
    const row = Math.floor(y / side) * tilesAcross
    for (let from = x; from < x + length; ) {
      const end = Math.min(x + length, (Math.floor(from / side) + 1) * side)
      const { frame, starts, index } = this.#byTile.get(row + Math.floor(from / side))!
      const isOne = this.#partial.ones[at]![index] === 1
      const start = starts[at]! + (isOne ? 0 : placeIn(frame, from, y) * size)
      const values = this.#partial.values[at]!
      const place = to + (from - x) * size
      if (isOne) {
        const one = values.subarray(start, start + size)
        for (let cell = 0; cell < end - from; cell++) halos.set(one, place + cell * size)
      } else halos.set(values.subarray(start, start + (end - from) * size), place)
      from = end
    }
  }
}
