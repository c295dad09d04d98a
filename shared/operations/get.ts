/**
 * `get`: the cells of a region, at most 65,536 LSUs: named fields and status, row-major; as numbers and
 * names, or as bytes of each field's type and of the status.
 */
import * as v from 'valibot'
import {
  bytesOfColumn,
  type Column,
  columnFromBytes,
  createColumn,
  FIELD_BYTES,
  type Field,
  type FieldType,
} from '../grid/fields.ts'
import { STATUS_NAMES } from '../grid/status.ts'
import { joinPath, PROBLEMS_MAX, type Problem, parseWith } from '../protocol/problems.ts'
import { areTiles, concatBytes, packTiles, unpackTiles } from './columns.ts'
import { unknownField } from './field-values.ts'
import type { ReadOperation, TileCells, TileWindow, Wire } from './operation.ts'

/** wire.md: `get` covers at most this many LSUs. */
export const GET_LSUS_MAX = 65_536

interface GetArgs extends Wire {
  /** Indexes of the fields, in the order they were asked for. */
  readonly fields: number[]
  /** The value has bytes instead of numbers. */
  readonly isPacked?: true
}

/** Windows one after the other in the order of `tiles`; `columns` as in the arguments. */
interface GetPartial extends Wire {
  readonly tiles: Uint8Array
  readonly status: Uint8Array
  readonly columns: Uint8Array[]
}

const FORMS = ['numbers', 'bytes'] as const

const schema = v.strictObject({
  // Its members are checked one by one below: a long list of wrong ones must not become as many issues.
  fields: v.optional(v.custom<unknown[]>(Array.isArray, 'a list of field names')),
  as: v.optional(v.picklist(FORMS, FORMS.join(' or '))),
})

export const get: ReadOperation = {
  kind: 'read',
  name: 'get',
  about: {
    does: 'reads fields and status of every LSU of a region, row by row',
    args: [
      { name: 'fields', kind: 'fields', isOptional: true },
      { name: 'as', kind: 'choice', isOptional: true, choices: FORMS, default: 'numbers' },
    ],
  },
  parse(input, region, context) {
    const shape = parseWith(schema, input, 'args')
    const problems: Problem[] = shape.ok ? [] : [...shape.problems]
    const lsus = region === undefined ? 0 : region.w * region.h
    if (lsus > GET_LSUS_MAX) {
      const message = `the region has ${lsus} LSUs, get reads at most ${GET_LSUS_MAX}`
      problems.push({ path: 'region', code: 'too-large', message })
    }
    const indexes: number[] = []
    const given = (input as { fields?: unknown } | null | undefined)?.fields
    const names = Array.isArray(given) ? given : context.fields.map((field) => field.name)
    for (const [index, name] of names.entries()) {
      if (problems.length >= PROBLEMS_MAX) break
      const path = joinPath('args.fields', index)
      if (typeof name !== 'string') {
        problems.push({ path, code: 'wrong-type', message: `${path} must be text` })
        continue
      }
      const fieldIndex = context.fields.findIndex((field) => field.name === name)
      if (fieldIndex < 0) {
        problems.push(unknownField(path, name, context.fields))
      } else if (indexes.includes(fieldIndex)) {
        problems.push({ path, code: 'duplicate', message: `${path} names "${name}" again` })
      } else {
        indexes.push(fieldIndex)
      }
    }
    if (!shape.ok || problems.length > 0) return { ok: false, problems }
    const packed = shape.value.as === 'bytes' ? ({ isPacked: true } as const) : {}
    return { ok: true, value: { fields: indexes, ...packed } satisfies GetArgs }
  },
  fieldsOf: (args) => (args as GetArgs).fields,
  resultBytesPerTile(args, context) {
    const perLsu = selected(args as GetArgs, context.fields).reduce(
      (sum, field) => sum + FIELD_BYTES[field.type],
      1,
    )
    return perLsu * context.geometry.tile ** 2 + 4
  },
  run(args, context) {
    const fields = selected(args as GetArgs, context.fields)
    const tiles: number[] = []
    const status: Uint8Array[] = []
    const columns: Uint8Array[][] = fields.map(() => [])
    return {
      visit(cells, window) {
        tiles.push(window.tile)
        status.push(bytesOfColumn(windowOfColumn(cells, context.fields.length, 'u8', window)))
        ;(args as GetArgs).fields.forEach((fieldIndex, index) => {
          const { type } = context.fields[fieldIndex]!
          columns[index]!.push(bytesOfColumn(windowOfColumn(cells, fieldIndex, type, window)))
        })
      },
      finish: (): GetPartial => ({
        tiles: packTiles(tiles),
        status: concatBytes(status),
        columns: columns.map(concatBytes),
      }),
    }
  },
  faultOf(partial, { args, tiles, lsus }, context) {
    const { tiles: packed, status, columns } = partial as Partial<GetPartial>
    if (!areTiles(packed, tiles)) return 'it is not of the tiles that were asked for'
    const isWhole = (bytes: unknown, each: number): boolean =>
      bytes instanceof Uint8Array && bytes.length === lsus * each
    const fields = selected(args as GetArgs, context.fields)
    const isComplete =
      isWhole(status, 1) &&
      Array.isArray(columns) &&
      columns.length === fields.length &&
      fields.every(({ type }, index) => isWhole(columns[index], FIELD_BYTES[type]))
    return isComplete ? undefined : 'its columns are not as long as its tiles'
  },
  merge(left, right) {
    const a = left as GetPartial
    const b = right as GetPartial
    return {
      tiles: concatBytes([a.tiles, b.tiles]),
      status: concatBytes([a.status, b.status]),
      columns: a.columns.map((column, index) => concatBytes([column, b.columns[index]!])),
    } satisfies GetPartial
  },
  finish(rounds, args, region, context) {
    const total = rounds[0] as GetPartial
    const fields = selected(args as GetArgs, context.fields)
    const lsus = region.w * region.h
    const statusOut = new Uint8Array(lsus)
    const columnsIn = fields.map((field, index) =>
      columnFromBytes(field.type, total.columns[index]!),
    )
    const columnsOut = fields.map((field) => createColumn(field.type, lsus))
    let from = 0
    for (const tile of unpackTiles(total.tiles)) {
      const window = context.geometry.overlap(tile, region)
      for (let row = 0; row < window.h; row++) {
        const to = (window.y - region.y + row) * region.w + (window.x - region.x)
        statusOut.set(total.status.subarray(from, from + window.w), to)
        columnsIn.forEach((column, index) => {
          columnsOut[index]!.set(column.subarray(from, from + window.w), to)
        })
        from += window.w
      }
    }
    const { isPacked } = args as GetArgs
    const byName = fields.map(({ name }, index) => {
      const column = columnsOut[index]!
      return [name, isPacked ? bytesOfColumn(column) : Array.from(column)]
    })
    return {
      fields: Object.fromEntries(byName),
      status: isPacked ? statusOut : Array.from(statusOut, (code) => STATUS_NAMES[code]),
    }
  },
}

function selected(args: GetArgs, fields: readonly Field[]): Field[] {
  return args.fields.map((index) => fields[index]!)
}

function windowOfColumn(
  cells: TileCells,
  index: number,
  type: FieldType,
  window: TileWindow,
): Column {
  const copy = createColumn(type, window.w * window.h)
  const one = cells.valueOf(index)
  if (one !== undefined) return copy.fill(one)
  const column = cells.column(index)
  for (let row = 0; row < window.h; row++) {
    const start = (window.top + row) * window.stride + window.left
    copy.set(column.subarray(start, start + window.w), row * window.w)
  }
  return copy
}
