/**
 * `scatter` with a program instead of values: what it asks for is checked and bound here, on the gateway; what goes on
 * is the operation that runs it (osl-scatter.ts).
 */
import * as v from 'valibot'
import { own } from '../core/own.ts'
import { bytesOfColumn, type Column } from '../grid/fields.ts'
import { COLUMNS_MAX, FIRST_COLUMN } from '../osl/codex.ts'
import { compile } from '../osl/compiler.ts'
import {
  isPlainObject,
  joinPath,
  type Parsed,
  PROBLEMS_MAX,
  type Problem,
  parseWith,
} from '../protocol/problems.ts'
import { orderOfIds, packIds } from './named-lsus.ts'
import { columnOf, describeList, isNumberList, lengthOf } from './number-list.ts'
import type { GridContext, Wire } from './operation.ts'
import { argsOfProgram, OSL_SCATTER, programOf } from './osl-program.ts'
import type { ScatterProgramArgs } from './osl-scatter.ts'
import { addRepeated, PLACES, parsePlaces } from './places.ts'
import {
  bindParameters,
  type ProgramLimits,
  problemOf,
  type ResolvedProgram,
  resolveProgram,
} from './program.ts'
import { SCATTER_LSUS_MAX } from './scatter.ts'

const numbersByName = v.custom<Record<string, unknown>>(isPlainObject, 'an object of numbers')

const schema = v.strictObject({
  ...PLACES,
  source: v.string(),
  columns: v.optional(
    v.custom<Record<string, unknown>>(isPlainObject, 'an object of lists of numbers'),
    {},
  ),
  with: v.optional(numbersByName, {}),
})

/** Whether the arguments of a `scatter` are of this form. */
export function isOfProgram(args: unknown): boolean {
  return isPlainObject(args) && (Object.hasOwn(args, 'source') || Object.hasOwn(args, 'columns'))
}

export function parseScatterProgram(
  input: unknown,
  context: GridContext,
  limits: ProgramLimits,
): Parsed<ResolvedProgram> {
  const shape = parseWith(schema, input, 'args')
  if (!shape.ok) return shape
  const { source, columns: given, with: values, ...places } = shape.value
  const { fields, geometry } = context
  const problems: Problem[] = []
  const ids = parsePlaces(places, SCATTER_LSUS_MAX, geometry, problems)
  const names = Object.keys(given)
  const columns = columnsOf(given, ids?.length, problems)
  for (const name of names.filter((one) => Object.hasOwn(values, one))) {
    const path = joinPath('args.with', name)
    problems.push({ path, code: 'duplicate', message: `${path} is a column already` })
  }
  const result = compile(source, { fields, columns: names, width: geometry.width })
  if (!result.ok) {
    problems.push(...result.problems.map((problem) => problemOf(source, problem, 'args.source')))
  }
  const bound = result.ok && bindParameters(result.compiled, values, 'args.with')
  if (bound && !bound.ok) problems.push(...bound.problems)
  if (problems.length > 0 || !bound || !bound.ok || ids === undefined || columns === undefined) {
    return { ok: false, problems }
  }
  const order = orderOfIds(ids, geometry)
  addRepeated(places, { ids, order }, geometry, problems)
  if (problems.length > 0) return { ok: false, problems }
  const normal: ScatterProgramArgs = {
    ...argsOfProgram(bound.value),
    ids: packIds(order.map((index) => ids[index]!)),
    columns: names.length,
    values: interleaved(columns, order),
  }
  const region = { x: 0, y: 0, w: ids.length, h: 1 }
  const resolved = resolveProgram(normal, { region }, context, limits)
  if (!resolved.ok) return resolved
  problems.push(...misfits(normal, names, fields.length))
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, value: { ...resolved.value, op: OSL_SCATTER } }
}

/** A number for each LSU, in the order in which these were named. */
function columnsOf(
  given: Readonly<Record<string, unknown>>,
  count: number | undefined,
  problems: Problem[],
): Column[] | undefined {
  const before = problems.length
  const names = Object.keys(given)
  if (names.length > COLUMNS_MAX) {
    const message = `args.columns has ${names.length} columns, at most ${COLUMNS_MAX} are taken`
    problems.push({ path: 'args.columns', code: 'wrong-count', message })
    return undefined
  }
  const columns = names.flatMap((name) => {
    if (problems.length >= PROBLEMS_MAX) return []
    const path = joinPath('args.columns', name)
    const list = own(given, name)
    if (!isNumberList(list)) {
      const message = `${path} must be a list of numbers, or their bytes`
      problems.push({ path, code: 'wrong-type', message })
      return []
    }
    const field = { name, type: 'f64' } as const
    const length = lengthOf(list, field)
    if (length !== (count ?? length) || !Number.isInteger(length)) {
      const message = `${count ?? 'no'} LSUs are named, but ${path} has ${describeList(list, field)}`
      problems.push({ path, code: 'wrong-count', message })
      return []
    }
    return columnOf(list, field, path, problems) ?? []
  })
  return problems.length > before ? undefined : columns
}

function interleaved(columns: readonly Column[], order: Uint32Array): Uint8Array {
  const values = new Float64Array(order.length * columns.length)
  let at = 0
  for (const index of order) for (const column of columns) values[at++] = column[index]!
  return bytesOfColumn(values)
}

/** What is wrong with a sound program here: it must write, and each column must be one of its own. */
function misfits(args: Wire, names: readonly string[], fields: number): Problem[] {
  const { sound } = programOf(args, fields)
  if (sound.kind !== 'write') {
    const message = 'scatter takes a program that sets fields'
    return [{ path: 'args.source', code: 'not-allowed', message }]
  }
  return names.flatMap((name, index) => {
    if (sound.loads.includes(FIRST_COLUMN + index)) return []
    const path = joinPath('args.columns', name)
    return [{ path, code: 'unknown-key' as const, message: `the program does not use $${name}` }]
  })
}
