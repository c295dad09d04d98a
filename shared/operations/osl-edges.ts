/**
 * The edges of tiles, for a program that reads neighbours: each tile gives the cells of some columns that others may have
 * for neighbours. The gateway asks for them before it gives such a program its place in the order (osl-near.ts).
 */
import { bytesOfColumn, createColumn, FIELD_BYTES } from '../grid/fields.ts'
import { cellsOf, eachRun } from '../grid/frames.ts'
import { areTiles, concatBytes, packTiles, unpackTiles } from './columns.ts'
import {
  type GridContext,
  type ReadOperation,
  TILE_ID_BYTES,
  type TileCells,
  type TileWindow,
} from './operation.ts'
import {
  bytesOfColumns,
  type EdgesArgs,
  type EdgesPartial,
  edgeCellsMax,
  edgeFrame,
  typeOfColumn,
} from './tile-edges.ts'

export const OSL_EDGES = 'osl1-edges'

export const oslEdges: ReadOperation = {
  kind: 'read',
  name: OSL_EDGES,
  about: { does: 'reads the cells of tiles that others have for neighbours', args: [] },
  parse: () => ({ ok: false, problems: [] }),
  fieldsOf: () => 'all',
  resultBytesPerTile(args, context) {
    const { columns, reach } = args as EdgesArgs
    const cells = edgeCellsMax(context.geometry, reach)
    return TILE_ID_BYTES + columns.length + bytesOfColumns(columns, context) * cells
  },
  run(args, context) {
    const { columns, reach } = checked(args, context)
    const tiles: number[] = []
    const ones: number[][] = columns.map(() => [])
    const values: Uint8Array[][] = columns.map(() => [])
    return {
      visit(cells, window) {
        tiles.push(window.tile)
        for (const [at, column] of columns.entries()) {
          const edge = edgeOf(cells, window, column, { reach, context })
          ones[at]!.push(edge.isOne ? 1 : 0)
          values[at]!.push(edge.bytes)
        }
      },
      finish: (): EdgesPartial => ({
        tiles: packTiles(tiles),
        ones: ones.map((flags) => Uint8Array.from(flags)),
        values: values.map(concatBytes),
      }),
    }
  },
  faultOf(partial, { args, tiles, region }, context) {
    const { columns, reach } = args as EdgesArgs
    const { tiles: packed, ones, values } = partial as Partial<EdgesPartial>
    if (!areTiles(packed, tiles)) return 'not the tiles that were asked for'
    if (!areBytes(ones, columns.length) || !areBytes(values, columns.length))
      return 'not the columns that were asked for'
    const given = unpackTiles(packed)
    const cells = Array.from(given, (tile) =>
      cellsOf(edgeFrame(context.geometry, tile, { region, reach })),
    )
    for (const [at, column] of columns.entries()) {
      const flags = ones[at]!
      if (flags.length !== given.length) return 'not a flag for each tile'
      const numbers = cells.reduce((sum, own, index) => sum + (flags[index] === 1 ? 1 : own), 0)
      if (values[at]!.length !== numbers * FIELD_BYTES[typeOfColumn(context, column)])
        return 'not all cells of the edges'
    }
    return undefined
  },
  merge(left, right) {
    const [a, b] = [left as EdgesPartial, right as EdgesPartial]
    return {
      tiles: concatBytes([a.tiles, b.tiles]),
      ones: a.ones.map((flags, at) => concatBytes([flags, b.ones[at]!])),
      values: a.values.map((bytes, at) => concatBytes([bytes, b.values[at]!])),
    } satisfies EdgesPartial
  },
  finish: ([edges]) => edges,
}

function checked(args: object, { fields }: GridContext): EdgesArgs {
  const { columns, reach } = args as Partial<EdgesArgs>
  const isSound =
    Array.isArray(columns) &&
    columns.every((column) => Number.isInteger(column) && column >= 0 && column <= fields.length) &&
    Number.isInteger(reach) &&
    reach! > 0
  if (!isSound) throw new Error('it names no columns, or no reach')
  return args as EdgesArgs
}

function areBytes(value: unknown, length: number): value is Uint8Array[] {
  return (
    Array.isArray(value) &&
    value.length === length &&
    value.every((bytes) => bytes instanceof Uint8Array)
  )
}

function edgeOf(
  cells: TileCells,
  window: TileWindow,
  column: number,
  { reach, context }: { reach: number; context: GridContext },
): { isOne: boolean; bytes: Uint8Array } {
  const { geometry } = context
  const own = geometry.tileRegion(window.tile)
  const region = { x: own.x + window.left, y: own.y + window.top, w: window.w, h: window.h }
  const frame = edgeFrame(geometry, window.tile, { region, reach })
  const one = cells.valueOf(column)
  const type = typeOfColumn(context, column)
  if (one !== undefined)
    return { isOne: true, bytes: bytesOfColumn(createColumn(type, 1).fill(one)) }
  const edge = createColumn(type, cellsOf(frame))
  const from = cells.column(column)
  let at = 0
  eachRun(frame, (x, y, length) => {
    const start = (y - own.y) * window.stride + (x - own.x)
    edge.set(from.subarray(start, start + length), at)
    at += length
  })
  return { isOne: false, bytes: bytesOfColumn(edge) }
}
