/**
 * Programs over items instead of a region: what a `program` asks for, or one of the codex, is checked and bound here, on
 * the gateway; what goes on is the operation that runs it (osl-items.ts).
 */
import { own } from '../core/own.ts'
import { type Field, formatFields, parseFields } from '../grid/fields.ts'
import type { Region } from '../grid/geometry.ts'
import type { SoundSource } from '../osl/checked-source.ts'
import { isPlainObject, type Parsed, PROBLEMS_MAX, type Problem } from '../protocol/problems.ts'
import type { GridContext, Wire } from './operation.ts'
import { type ItemsProgramArgs, misfitOfItems, recordBytes } from './osl-items.ts'
import { OSL_ITEMS, type ProgramArgs, programOf } from './osl-program.ts'
import {
  type ProgramLimits,
  parseProgram,
  type ResolvedProgram,
  resolveCompiled,
} from './program.ts'

/** `count` is how many items there are. */
export function parseItemsProgram(
  input: unknown,
  count: number,
  context: GridContext,
  limits: ProgramLimits,
): Parsed<ResolvedProgram> {
  if (!isPlainObject(input)) return parseProgram(input, undefined, context, limits)
  const { columns: _, ...rest } = input
  const fields = columnsIn(own(input, 'columns'), 'args.columns')
  if (!fields.ok) return fields
  const region = rowOf(count)
  const within = { ...context, fields: fields.value }
  const resolved = parseProgram(rest, region, within, limits)
  return resolved.ok ? overItems(resolved.value, fields.value) : resolved
}

/** One of the codex, written for records with these columns. */
export function resolveItemsCompiled(
  compiled: SoundSource,
  asked: {
    readonly values: Readonly<Record<string, unknown>>
    readonly steps: number
    readonly count: number
  },
  context: GridContext,
  limits: ProgramLimits,
): Parsed<ResolvedProgram> {
  const { fields } = compiled
  const within = { ...context, fields }
  const resolved = resolveCompiled(compiled, asked, rowOf(asked.count), within, limits)
  return resolved.ok ? overItems(resolved.value, fields) : resolved
}

/** What the bounds of a task know items by. */
function rowOf(count: number): Region {
  return { x: 0, y: 0, w: count, h: 1 }
}

/** What a record has, as text like `amount:f64,nonce:i32`. */
export function columnsIn(columns: unknown, path: string): Parsed<readonly Field[]> {
  if (typeof columns !== 'string') {
    const message = `${path} must name the columns of a record, as in "amount:f64,nonce:i32"`
    return columns === undefined
      ? { ok: false, problems: [{ path, code: 'missing', message }] }
      : { ok: false, problems: [{ path, code: 'wrong-type', message }] }
  }
  const parsed = parseFields(columns)
  if ('problems' in parsed) {
    const problems = parsed.problems.map((message) => ({
      ...{ path, code: 'malformed' as const, message: `${path}: ${message}` },
    }))
    return { ok: false, problems: problems.slice(0, PROBLEMS_MAX) }
  }
  return { ok: true, value: parsed.fields }
}

function overItems(
  { args, facts }: ResolvedProgram,
  fields: readonly Field[],
): Parsed<ResolvedProgram> {
  const misfit = misfitOfItems(programOf(args, fields.length))
  if (misfit !== undefined) {
    return { ok: false, problems: [{ path: 'args', code: 'not-allowed', message: misfit }] }
  }
  const normal = { ...(args as ProgramArgs), record: formatFields(fields) }
  return { ok: true, value: { op: OSL_ITEMS, args: normal satisfies ItemsProgramArgs, facts } }
}

/** Items that are no records of what the program reads. */
export function strangeRecords(args: Wire, values: readonly Uint8Array[]): Problem[] {
  const parsed = parseFields((args as ItemsProgramArgs).record)
  const bytes = 'fields' in parsed ? recordBytes(parsed.fields) : 0
  const problems: Problem[] = []
  for (const [index, { length }] of values.entries()) {
    if (problems.length >= PROBLEMS_MAX) break
    if (length === bytes) continue
    const path = `items[${index}].data`
    const message = `${path} has ${length} bytes, a record of its columns has ${bytes}`
    problems.push({ path, code: 'wrong-count', message })
  }
  return problems
}
