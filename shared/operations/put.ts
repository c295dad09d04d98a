/**
 * `put`: a field of every LSU of the region gets its own value, given row-major over the region.
 * The normal form packs the values as a column of the field's type; a part carries the values of
 * its tiles, tile after tile, row-major inside each.
 */
import * as v from 'valibot'
import { bytesOfColumn, FIELD_BYTES } from '../grid/fields.ts'
import { type Problem, parseWith } from '../protocol/problems.ts'
import { namedField } from './field-values.ts'
import { columnOf, describeList, isNumberList, lengthOf, numberListSchema } from './number-list.ts'
import type { Wire, WriteOperation } from './operation.ts'

interface PutArgs extends Wire {
  /** Index of the field. */
  readonly field: number
  /** Packed, little-endian, of the field's type. */
  readonly values: Uint8Array
}

const schema = v.strictObject({ field: v.string(), values: numberListSchema })

export const put: WriteOperation = {
  kind: 'write',
  name: 'put',
  about: {
    does: 'gives a field of every LSU of a region its own value, row by row',
    args: [
      { name: 'field', kind: 'field' },
      { name: 'values', kind: 'numbers' },
    ],
  },
  parse(input, region, context) {
    const shape = parseWith(schema, input, 'args')
    const problems: Problem[] = shape.ok ? [] : [...shape.problems]
    const field = namedField(input, context.fields, problems)
    const given = (input as { values?: unknown } | null | undefined)?.values
    if (!isNumberList(given)) return { ok: false, problems }
    const lsus = region && region.w * region.h
    if (lsus !== undefined && lengthOf(given, field) !== lsus) {
      const message = `the region has ${lsus} LSUs, but args.values has ${describeList(given, field)}`
      problems.push({ path: 'args.values', code: 'wrong-count', message })
    }
    const column = columnOf(given, field, 'args.values', problems)
    if (field === undefined || column === undefined || problems.length > 0) {
      return { ok: false, problems }
    }
    const normal: PutArgs = {
      field: context.fields.indexOf(field),
      values: bytesOfColumn(column),
    }
    return { ok: true, value: normal }
  },
  fieldsOf: (args) => [(args as PutArgs).field],
  argumentBytesPerTile(args, context) {
    const { type } = context.fields[(args as PutArgs).field]!
    return FIELD_BYTES[type] * context.geometry.tile ** 2
  },
  cut(args, region, tiles, context) {
    const { field, values } = args as PutArgs
    const size = FIELD_BYTES[context.fields[field]!.type]
    const windows = Array.from(tiles, (tile) => context.geometry.overlap(tile, region))
    const lsus = windows.reduce((sum, window) => sum + window.w * window.h, 0)
    const packed = new Uint8Array(lsus * size)
    let at = 0
    for (const window of windows) {
      for (let row = 0; row < window.h; row++) {
        const from = (window.y - region.y + row) * region.w + (window.x - region.x)
        packed.set(values.subarray(from * size, (from + window.w) * size), at)
        at += window.w * size
      }
    }
    return { field, values: packed } satisfies PutArgs
  },
  run(args, context) {
    const { field, values: given } = args as PutArgs
    const size = FIELD_BYTES[context.fields[field]!.type]
    // As bytes: numbers from the wire lie at any offset, and a copy for that would be garbage at once. Not as a Buffer,
    // of which a part is dear.
    const values = new Uint8Array(given.buffer, given.byteOffset, given.length)
    return {
      act(cells, window, cellsBefore) {
        const end = (cellsBefore + window.w * window.h) * size
        if (values.length < end) throw new RangeError('args.values ends before the part does')
        const column = bytesOfColumn(cells.column(field))
        const isOfRows = window.w === window.stride
        const length = size * (isOfRows ? window.h * window.w : window.w)
        let to = size * (window.top * window.stride + window.left)
        for (let from = cellsBefore * size; from < end; from += length) {
          column.set(values.subarray(from, from + length), to)
          to += window.stride * size
        }
      },
    }
  },
}
