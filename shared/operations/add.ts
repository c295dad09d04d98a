/** `add`: adds one value to a field of every LSU of the region and saturates. Not idempotent. */
import * as v from 'valibot'
import { RANGES, saturate, takes, withoutNegativeZero } from '../grid/fields.ts'
import { parseWith } from '../protocol/problems.ts'
import { namedField, notTaken } from './field-values.ts'
import { coversTile, type Wire, type WriteOperation } from './operation.ts'

interface AddArgs extends Wire {
  /** Index of the field. */
  readonly field: number
  readonly value: number
}

const schema = v.strictObject({ field: v.string(), value: v.number() })

export const add: WriteOperation = {
  kind: 'write',
  name: 'add',
  about: {
    does: 'adds a number to a field of every LSU of a region, and stops at the ends of its type',
    args: [
      { name: 'field', kind: 'field' },
      { name: 'value', kind: 'number' },
    ],
  },
  parse(input, _region, context) {
    const shape = parseWith(schema, input, 'args')
    const problems = shape.ok ? [] : [...shape.problems]
    const field = namedField(input, context.fields, problems)
    if (shape.ok && field !== undefined && !takes(field.type, shape.value.value)) {
      problems.push(notTaken('args.value', field, shape.value.value))
    }
    if (!shape.ok || field === undefined || problems.length > 0) return { ok: false, problems }
    const value = withoutNegativeZero(shape.value.value)
    const normal: AddArgs = { field: context.fields.indexOf(field), value }
    return { ok: true, value: normal }
  },
  fieldsOf: (args) => [(args as AddArgs).field],
  argumentBytesPerTile: () => 0,
  cut: (args) => args,
  run(args, context) {
    const { field, value } = args as AddArgs
    const { type } = context.fields[field]!
    const { min, max } = RANGES[type]
    return {
      isAlike: true,
      act(cells, window) {
        const one = coversTile(window, cells) ? cells.valueOf(field) : undefined
        if (one !== undefined) {
          cells.fill(field, saturate(type, one + value))
          return
        }
        const column = cells.column(field)
        for (let row = 0; row < window.h; row++) {
          const start = (window.top + row) * window.stride + window.left
          // As `saturate` has it, which costs more than all the rest if it is asked for each number: a column rounds.
          for (let at = start; at < start + window.w; at++) {
            const sum = column[at]! + value
            column[at] = sum < min ? min : sum > max ? max : sum
          }
        }
      },
    }
  },
}
