/**
 * `scatter`: a field of single LSUs, named by their ids or places, gets a value each; status stays as it
 * is. The normal form has ids in their order and the values beside them; a part carries those of its
 * tiles.
 */
import * as v from 'valibot'
import {
  bytesOfColumn,
  columnFromBytes,
  createColumn,
  FIELD_BYTES,
  type Field,
} from '../grid/fields.ts'
import { type Problem, parseWith } from '../protocol/problems.ts'
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
import { columnOf, describeList, lengthOf, numberListSchema } from './number-list.ts'
import type { Wire, WriteOperation } from './operation.ts'
import { addRepeated, PLACES, parsePlaces } from './places.ts'

/** wire.md: one `scatter` names at most this many LSUs. */
export const SCATTER_LSUS_MAX = 65_536

interface ScatterArgs extends Wire {
  /** Index of the field. */
  readonly field: number
  /** Packed, in their order. */
  readonly ids: Uint8Array
  /** Packed, little-endian, of the field's type: one an id. */
  readonly values: Uint8Array
}

const schema = v.strictObject({ field: v.string(), ...PLACES, values: numberListSchema })

/** What a normal form says of each LSU. */
export function* valuesOf(
  args: Wire,
  fields: readonly Field[],
): Generator<{ readonly field: Field; readonly id: number; readonly value: number }> {
  const { field: index, ids, values } = args as ScatterArgs
  const field = fields[index]!
  const column = columnFromBytes(field.type, values)
  for (const [at, id] of unpackIds(ids).entries()) yield { field, id, value: column[at]! }
}

export const scatter: WriteOperation = {
  kind: 'write',
  name: 'scatter',
  about: {
    does: 'gives a field of single LSUs a value each; they are named by ids, or by x and y',
    args: [
      { name: 'field', kind: 'field' },
      { name: 'ids', kind: 'wholes', isOptional: true, min: 1, max: SCATTER_LSUS_MAX },
      { name: 'x', kind: 'wholes', isOptional: true, min: 1, max: SCATTER_LSUS_MAX },
      { name: 'y', kind: 'wholes', isOptional: true, min: 1, max: SCATTER_LSUS_MAX },
      { name: 'values', kind: 'numbers', min: 1, max: SCATTER_LSUS_MAX },
    ],
  },
  parse(input, _region, context) {
    const shape = parseWith(schema, input, 'args')
    const problems: Problem[] = shape.ok ? [] : [...shape.problems]
    const field = namedField(input, context.fields, problems)
    if (!shape.ok) return { ok: false, problems }
    const { values: list, ...places } = shape.value
    const ids = parsePlaces(places, SCATTER_LSUS_MAX, context.geometry, problems)
    if (ids !== undefined && lengthOf(list, field) !== ids.length) {
      const message = `${ids.length} LSUs are named, but args.values has ${describeList(list, field)}`
      problems.push({ path: 'args.values', code: 'wrong-count', message })
    }
    const column = columnOf(list, field, 'args.values', problems)
    if (field === undefined || ids === undefined || column === undefined || problems.length > 0) {
      return { ok: false, problems }
    }
    const order = orderOfIds(ids, context.geometry)
    addRepeated(places, { ids, order }, context.geometry, problems)
    if (problems.length > 0) return { ok: false, problems }
    const values = createColumn(field.type, column.length)
    order.forEach((index, at) => {
      values[at] = column[index]!
    })
    const normal: ScatterArgs = {
      field: context.fields.indexOf(field),
      ids: packIds(order.map((index) => ids[index]!)),
      values: bytesOfColumn(values),
    }
    return { ok: true, value: normal }
  },
  fieldsOf: (args) => [(args as ScatterArgs).field],
  idsOf: (args) => unpackIds((args as ScatterArgs).ids),
  argumentBytesPerTile(args, context, tiles) {
    const { ids, field } = args as ScatterArgs
    const each = Uint32Array.BYTES_PER_ELEMENT + FIELD_BYTES[context.fields[field]!.type]
    return each * mostInTile(unpackIds(ids), tiles, context.geometry)
  },
  cut(args, _region, tiles, context) {
    const { field, ids, values } = args as ScatterArgs
    const each = FIELD_BYTES[context.fields[field]!.type]
    const cut = cutToTiles({ ids, beside: values, each }, tiles, context.geometry)
    return { field, ids: cut.ids, values: cut.beside } satisfies ScatterArgs
  },
  run(args, { geometry, fields }) {
    const { field, ids: packed, values } = args as ScatterArgs
    const ids = unpackIds(packed)
    const source = columnFromBytes(fields[field]!.type, values)
    if (source.length !== ids.length) throw new RangeError('args has not one value for each id')
    return {
      act(cells, window) {
        const column = cells.column(field)
        const own = geometry.tileRegion(window.tile)
        const { from, end } = runOfTile(ids, window.tile, geometry)
        for (let at = from; at < end; at++) column[cellOf(ids[at]!, own, geometry)] = source[at]!
      },
      countIn({ tile }) {
        const { from, end } = runOfTile(ids, tile, geometry)
        return end - from
      },
    }
  },
}
