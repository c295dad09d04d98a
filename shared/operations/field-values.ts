/** Arguments of the form `{fields: {name: value}}`, shared by `scale` and `set`. */
import * as v from 'valibot'
import { type Field, findField, held, RANGES, takes } from '../grid/fields.ts'
import {
  choiceOf,
  isPlainObject,
  joinPath,
  NAME_SHOWN_MAX,
  type Parsed,
  PROBLEMS_MAX,
  type Problem,
  parseWith,
} from '../protocol/problems.ts'
import { coversTile, type TileCells, type TileWindow, type Wire } from './operation.ts'

/** Its members are checked one by one: many wrong ones must not become as many issues. */
const fieldMapSchema = v.custom<Record<string, unknown>>(isPlainObject, 'an object of numbers')

/** The normal form: field indexes, ascending, and their values. */
export interface FieldValues extends Wire {
  readonly fields: number[]
  readonly values: number[]
}

export function parseFieldValues(
  input: unknown,
  fields: readonly Field[],
  options: { required: boolean },
): Parsed<FieldValues> {
  const schema = v.strictObject({
    fields: options.required ? fieldMapSchema : v.optional(fieldMapSchema, {}),
  })
  const shape = parseWith(schema, input, 'args')
  const problems: Problem[] = shape.ok ? [] : [...shape.problems]
  const given = (input as { fields?: unknown } | null | undefined)?.fields
  const entries: [number, number][] = []
  for (const [name, value] of Object.entries(isPlainObject(given) ? given : {})) {
    if (problems.length >= PROBLEMS_MAX) break
    const path = joinPath('args.fields', name)
    const field = findField(fields, name)
    if (field === undefined) {
      problems.push(unknownField(path, name, fields))
    } else if (typeof value !== 'number') {
      problems.push({ path, code: 'wrong-type', message: `${path} must be a number` })
    } else if (!takes(field.type, value)) {
      problems.push(notTaken(path, field, value))
    } else {
      entries.push([fields.indexOf(field), held(field.type, value)])
    }
  }
  if (options.required && entries.length === 0 && problems.length === 0) {
    problems.push({
      path: 'args.fields',
      code: 'wrong-count',
      message: `args.fields names no field (${fields.map(({ name }) => name).join(', ')})`,
    })
  }
  if (problems.length > 0) return { ok: false, problems }
  entries.sort((left, right) => left[0] - right[0])
  return {
    ok: true,
    value: { fields: entries.map((entry) => entry[0]), values: entries.map((entry) => entry[1]) },
  }
}

export function unknownField(path: string, name: string, fields: readonly Field[]): Problem {
  const names = fields.map((field) => field.name)
  const message = `the grid has no field "${name.slice(0, NAME_SHOWN_MAX)}"${choiceOf(name, names)}`
  return { path, code: 'unknown-field', message }
}

/** The field that `args.field` names. Pushes what is wrong with the name; its type is the schema's. */
export function namedField(
  input: unknown,
  fields: readonly Field[],
  problems: Problem[],
): Field | undefined {
  const name = (input as { field?: unknown } | null | undefined)?.field
  if (typeof name !== 'string') return undefined
  const field = findField(fields, name)
  if (field === undefined) problems.push(unknownField('args.field', name, fields))
  return field
}

export function notTaken(path: string, { name, type }: Field, value: number): Problem {
  const { min, max, isWhole } = RANGES[type]
  const taken = `${isWhole ? 'whole numbers' : 'numbers'} from ${min} to ${max}`
  const message = `${path} is ${value}, but field "${name}" (${type}) takes ${taken}`
  return { path, code: 'out-of-range', message }
}

/** Sets each named field in the window. */
export function assignFields(cells: TileCells, window: TileWindow, args: FieldValues): void {
  args.fields.forEach((fieldIndex, index) => {
    fillWindow(cells, fieldIndex, window, args.values[index]!)
  })
}

/** Gives every LSU of the window a value in a column. What holds one value throughout goes on to where it can. */
export function fillWindow(
  cells: TileCells,
  index: number,
  window: TileWindow,
  value: number,
): void {
  if (coversTile(window, cells)) {
    cells.fill(index, value)
    return
  }
  if (Object.is(cells.valueOf(index), value)) return
  const column = cells.column(index)
  if (window.w === window.stride) {
    const start = window.top * window.stride
    column.fill(value, start, start + window.h * window.w)
    return
  }
  for (let row = 0; row < window.h; row++) {
    const start = (window.top + row) * window.stride + window.left
    column.fill(value, start, start + window.w)
  }
}
