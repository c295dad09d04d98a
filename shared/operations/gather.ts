/**
 * `gather`: a field of single LSUs, named by their places, at most 4,096: their values in the order in
 * which they were named. A node is asked for those of its tiles, each once.
 */
import * as v from 'valibot'
import { bytesOfColumn, columnFromBytes, createColumn, FIELD_BYTES } from '../grid/fields.ts'
import type { Geometry } from '../grid/geometry.ts'
import { PROBLEMS_MAX, type Problem, parseWith } from '../protocol/problems.ts'
import { areTiles, concatBytes, packTiles, unpackTiles } from './columns.ts'
import { namedField } from './field-values.ts'
import {
  cellOf,
  cutToTiles,
  mostInTile,
  orderOfIds,
  packIds,
  runOfTile,
  unpackIds,
} from './named-lsus.ts'
import { type ReadOperation, TILE_ID_BYTES, type Wire } from './operation.ts'

export const GATHER_LSUS_MAX = 4096

interface GatherArgs extends Wire {
  /** Index of the field. */
  readonly field: number
  /** Packed, in their order, each once. */
  readonly ids: Uint8Array
  /** Which of the ids each value is of, packed as they are. Only the gateway has it. */
  readonly order?: Uint8Array
}

/** Tile after tile in the order of `tiles`, the LSUs of each in the order of ids. */
interface GatherPartial extends Wire {
  readonly tiles: Uint8Array
  readonly values: Uint8Array
}

const schema = v.strictObject({
  field: v.string(),
  cells: v.custom<unknown[]>(Array.isArray, 'a list of [x, y]'),
})

export const gather: ReadOperation = {
  kind: 'read',
  name: 'gather',
  about: {
    does: 'reads a field of single LSUs, in the order in which they are named',
    args: [
      { name: 'field', kind: 'field' },
      { name: 'cells', kind: 'cells', min: 1, max: GATHER_LSUS_MAX },
    ],
  },
  parse(input, _region, context) {
    const shape = parseWith(schema, input, 'args')
    const problems: Problem[] = shape.ok ? [] : [...shape.problems]
    const field = namedField(input, context.fields, problems)
    if (!shape.ok) return { ok: false, problems }
    const ids = parseCells(shape.value.cells, context.geometry, problems)
    if (field === undefined || ids === undefined || problems.length > 0) {
      return { ok: false, problems }
    }
    const normal: GatherArgs = {
      field: context.fields.indexOf(field),
      ...withoutRepeats(ids, context.geometry),
    }
    return { ok: true, value: normal }
  },
  fieldsOf: (args) => [(args as GatherArgs).field],
  idsOf: (args) => unpackIds((args as GatherArgs).ids),
  resultBytesPerTile(args, context, tiles) {
    const { ids, field } = args as GatherArgs
    const each = FIELD_BYTES[context.fields[field]!.type]
    return TILE_ID_BYTES + each * mostInTile(unpackIds(ids), tiles, context.geometry)
  },
  cut(args, tiles, { geometry }) {
    const { field, ids } = args as GatherArgs
    return { field, ids: cutToTiles({ ids, each: 0 }, tiles, geometry).ids } satisfies GatherArgs
  },
  run(args, { geometry, fields }) {
    const { field, ids: packed } = args as GatherArgs
    const ids = unpackIds(packed)
    const tiles: number[] = []
    const values: number[] = []
    return {
      visit(cells, { tile }) {
        tiles.push(tile)
        const { from, end } = runOfTile(ids, tile, geometry)
        const one = cells.valueOf(field)
        if (one !== undefined) {
          for (let at = from; at < end; at++) values.push(one)
          return
        }
        const column = cells.column(field)
        const own = geometry.tileRegion(tile)
        for (let at = from; at < end; at++) values.push(column[cellOf(ids[at]!, own, geometry)]!)
      },
      finish(): GatherPartial {
        const column = createColumn(fields[field]!.type, values.length)
        column.set(values)
        return { tiles: packTiles(tiles), values: bytesOfColumn(column) }
      },
    }
  },
  faultOf(partial, { args, tiles, lsus }, { fields }) {
    const { tiles: packed, values } = partial as Partial<GatherPartial>
    if (!areTiles(packed, tiles)) return 'it is not of the tiles that were asked for'
    const each = FIELD_BYTES[fields[(args as GatherArgs).field]!.type]
    const isWhole = values instanceof Uint8Array && values.length === lsus * each
    return isWhole ? undefined : 'it has not one value for each LSU that was asked for'
  },
  merge(left, right) {
    const a = left as GatherPartial
    const b = right as GatherPartial
    return {
      tiles: concatBytes([a.tiles, b.tiles]),
      values: concatBytes([a.values, b.values]),
    } satisfies GatherPartial
  },
  finish(rounds, args, _region, { fields, geometry }) {
    const { field, ids: packed, order } = args as GatherArgs
    const { tiles, values } = rounds[0] as GatherPartial
    const { type } = fields[field]!
    const ids = unpackIds(packed)
    const given = columnFromBytes(type, values)
    const inOrder = createColumn(type, ids.length)
    let at = 0
    for (const tile of unpackTiles(tiles)) {
      const { from, end } = runOfTile(ids, tile, geometry)
      inOrder.set(given.subarray(at, at + end - from), from)
      at += end - from
    }
    return { values: Array.from(unpackIds(order!), (index) => inOrder[index]) }
  },
}

function parseCells(
  cells: readonly unknown[],
  { width, height }: Geometry,
  problems: Problem[],
): Uint32Array | undefined {
  const path = 'args.cells'
  if (cells.length < 1 || cells.length > GATHER_LSUS_MAX) {
    const message = `${path} has ${cells.length} entries, 1 to ${GATHER_LSUS_MAX} are taken`
    problems.push({ path, code: 'wrong-count', message })
    return undefined
  }
  const isWhole = (one: unknown): one is number => Number.isInteger(one)
  const ids = new Uint32Array(cells.length)
  for (let index = 0; index < cells.length && problems.length < PROBLEMS_MAX; index++) {
    const cell = cells[index]
    const name = `${path}[${index}]`
    const [x, y] = Array.isArray(cell) && cell.length === 2 ? (cell as unknown[]) : []
    if (!isWhole(x) || !isWhole(y)) {
      const message = `${name} must be [x, y], two whole numbers`
      problems.push({ path: name, code: 'wrong-type', message })
    } else if (x < 0 || x >= width || y < 0 || y >= height) {
      const message = `${name} is ${x},${y}, expected x from 0 to ${width - 1} and y from 0 to ${height - 1}`
      problems.push({ path: name, code: 'outside-grid', message })
    } else ids[index] = y * width + x
  }
  return ids
}

/** The ids in their order, each once, and for each of those given which it is. */
function withoutRepeats(
  given: Uint32Array,
  geometry: Geometry,
): { ids: Uint8Array; order: Uint8Array } {
  const ids: number[] = []
  const order = new Uint32Array(given.length)
  for (const index of orderOfIds(given, geometry)) {
    if (ids.at(-1) !== given[index]) ids.push(given[index]!)
    order[index] = ids.length - 1
  }
  return { ids: packIds(Uint32Array.from(ids)), order: packIds(order) }
}
