/**
 * A submission: parsed from JSON or CBOR, checked against the grid, and brought to its normal form.
 * Two submissions are the same task body when their normal forms are equal (wire.md, Task). Every
 * problem is named at once; nothing throws.
 */
import { isUtf8 } from 'node:buffer'
import * as v from 'valibot'
import { isId, isTaskId, type TaskId } from '../core/ids.ts'
import type { Region } from '../grid/geometry.ts'
import { findOperation, findTaskOperation, TASK_OPERATIONS } from '../operations/catalog.ts'
import { parseItemsProgram, strangeRecords } from '../operations/items-program.ts'
import { boxOfIds } from '../operations/named-lsus.ts'
import type { GridContext, Operation, Wire } from '../operations/operation.ts'
import { oslItems } from '../operations/osl-items.ts'
import { OSL_WRITE } from '../operations/osl-program.ts'
import {
  OSL_COST_MAX,
  type ProgramFacts,
  parseProgram,
  type ResolvedProgram,
} from '../operations/program.ts'
import { PROGRAM } from '../operations/program-about.ts'
import { scatter } from '../operations/scatter.ts'
import { isOfProgram, parseScatterProgram } from '../operations/scatter-program.ts'
import { decodeCbor } from './cbor.ts'
import {
  DEADLINE_MS_DEFAULT,
  DEADLINE_MS_MAX,
  ITEM_KEY_BYTES_MAX,
  ITEMS_MAX,
  SUBMISSION_BYTES_MAX,
  SUBMISSION_LIMITS,
} from './limits.ts'
import {
  choiceOf,
  NAME_SHOWN_MAX,
  type Parsed,
  PROBLEMS_MAX,
  type Problem,
  parseWith,
  wholeWithin,
} from './problems.ts'
import {
  calledBy,
  calledName,
  isGlyphLike,
  type ProgramCall,
  type ProgramNames,
  parseCall,
} from './program-call.ts'
import { type CheckedRegion, parseRegion, regionSchema } from './region.ts'

export interface Items {
  readonly keys: string[]
  readonly values: Uint8Array[]
}

/** The normal form of what a task asks for. Exactly one of `region` and `items` is there. */
export interface TaskBody {
  readonly op: string
  readonly region?: Region | undefined
  readonly items?: Items | undefined
  readonly args: Wire
  readonly deadlineMs: number
  /** The recipient that its value is sealed to. */
  readonly seal?: string | undefined
  /** Of a program: what was asked for, and what a result says of it. `op` is what runs it. */
  readonly program?: TaskProgram | undefined
}

export interface TaskProgram extends ProgramFacts {
  readonly as: string
  /** Of the codex, which it was when the task was accepted. */
  readonly name?: string
  readonly version?: number
  readonly context?: string
  /** Of the codex, which shadows it in this task. */
  readonly ghost?: { readonly version: number; readonly number: number }
}

/** The operation that a task asked for by name. */
export function askedOp({ op, program }: Pick<TaskBody, 'op' | 'program'>): string {
  return program?.as ?? op
}

/** What submissions are checked against. */
export interface TaskContext extends GridContext {
  /** Of a program, units × cells. */
  readonly oslCostMax?: number
  /** Without it there are no programs that a task could name. */
  readonly codex?: ProgramNames
}

export interface Submission {
  /** The caller's id; without one the gateway makes it. */
  readonly id?: TaskId
  /** Of a task that names a program, what was asked for: nothing runs it as it is. */
  readonly body: TaskBody
  readonly call?: ProgramCall
}

/** `id` is told whenever it could be read, so that a refusal can name it. */
export type SubmissionResult =
  | { ok: true; submission: Submission }
  | { ok: false; id?: TaskId; problems: Problem[] }

export const submissionSchema = v.strictObject({
  id: v.optional(v.custom<TaskId>(isTaskId, 'an id of 1 to 64 letters, digits, "_" or "-"')),
  op: v.string(),
  region: v.optional(regionSchema),
  items: v.optional(v.custom<unknown[]>(Array.isArray, 'a list')),
  args: v.optional(v.unknown()),
  deadline_ms: v.optional(wholeWithin(1, DEADLINE_MS_MAX), DEADLINE_MS_DEFAULT),
  seal: v.optional(
    v.custom<string>(isId, 'the name of a recipient, 1 to 64 letters, digits, "_" or "-"'),
  ),
})

/** Parses the payload of `task/submit` or the body of `POST /process`. */
export function parseSubmission(payload: Uint8Array, context: TaskContext): SubmissionResult {
  if (payload.length > SUBMISSION_BYTES_MAX) {
    const message = `${payload.length} bytes, at most ${SUBMISSION_BYTES_MAX} are taken`
    return { ok: false, problems: [{ path: '', code: 'too-large', message }] }
  }
  const decoded = payload[0] === 0x7b ? decodeJson(payload) : decodeMap(payload)
  if (!decoded.ok) {
    return { ok: false, problems: [{ path: '', code: 'malformed', message: decoded.message }] }
  }
  return checkSubmission(decoded.value, context)
}

function decodeJson(payload: Uint8Array): ReturnType<typeof decodeCbor> {
  if (!isUtf8(payload)) return { ok: false, message: 'the JSON text is not UTF-8' }
  try {
    return { ok: true, value: JSON.parse(Buffer.from(payload).toString('utf8')) }
  } catch (error) {
    return { ok: false, message: `not JSON: ${(error as Error).message.slice(0, 200)}` }
  }
}

function decodeMap(payload: Uint8Array): ReturnType<typeof decodeCbor> {
  if (payload.length === 0) return { ok: false, message: 'the submission is empty' }
  if (payload[0]! >> 5 !== 5) {
    return { ok: false, message: 'neither a JSON object nor a CBOR map' }
  }
  const decoded = decodeCbor(payload, SUBMISSION_LIMITS)
  return decoded.ok ? decoded : { ok: false, message: `not CBOR as taken here: ${decoded.message}` }
}

/** What was decoded already, or made here of what somebody asked for in another way. */
export function checkSubmission(input: unknown, context: TaskContext): SubmissionResult {
  const shape = parseWith(submissionSchema, fromShortForm(input))
  const given = input as { id?: unknown; Id?: unknown }
  const id = isTaskId(given.id) ? given.id : isTaskId(given.Id) ? given.Id : undefined
  const fail = (problems: Problem[]): SubmissionResult => ({
    ok: false,
    ...(id === undefined ? {} : { id }),
    problems: problems.slice(0, PROBLEMS_MAX),
  })
  const problems = shape.ok ? [] : shape.problems.filter(({ path }) => !isOfRegion(path))
  const loose = fromShortForm(input) as Record<string, unknown>
  const operation =
    typeof loose.op === 'string' ? operationNamed(loose.op, loose, context) : undefined
  if (typeof loose.op === 'string' && operation === undefined) {
    problems.push(unknownOperation(loose.op, context))
  }
  const isOverRegion = operation?.kind !== 'items' && operation?.idsOf === undefined
  const checked = isOverRegion ? regionOf(loose, context, problems) : {}
  if (operation === undefined) return fail(problems)
  const asked = parseArgs(operation, loose, checked, context)
  const box = asked.ok && boxOf(operation, asked.value.args, context)
  const over = parseExtent(operation, loose, box || checked.region, problems)
  if (!asked.ok) problems.push(...asked.problems)
  else if (operation === oslItems && over?.items !== undefined && !asked.value.call) {
    problems.push(...strangeRecords(asked.value.args, over.items.values))
  }
  if (!shape.ok || !asked.ok || over === undefined || problems.length > 0) return fail(problems)
  const { seal, deadline_ms: deadlineMs } = shape.value
  const { call, ...whatAsked } = asked.value
  const body: TaskBody = {
    ...whatAsked,
    ...over,
    deadlineMs,
    ...(seal === undefined ? {} : { seal }),
  }
  return {
    ok: true,
    submission: {
      ...(id === undefined ? {} : { id }),
      body,
      ...(call === undefined ? {} : { call }),
    },
  }
}

/** The design's short form, `{"Id": …, "Data": op}`. */
function fromShortForm(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || !('Data' in input)) return input
  const { Id, Data, ...rest } = input as Record<string, unknown>
  if ('op' in rest || 'id' in rest) return input
  return { ...rest, ...(Id === undefined ? {} : { id: Id }), op: Data }
}

/** Those are told by `parseRegion`, with their bounds. */
function isOfRegion(path: string): boolean {
  return path === 'region' || path.startsWith('region.')
}

function regionOf(
  input: Record<string, unknown>,
  { geometry }: GridContext,
  problems: Problem[],
): CheckedRegion {
  if (input.region !== undefined) return parseRegion(input.region, geometry, problems)
  return { region: geometry.whole, measured: geometry.whole }
}

/** Of a program over a region it is known later which operation it is; until then any is as good. */
function operationNamed(
  name: string,
  { items }: Record<string, unknown>,
  context: TaskContext,
): Operation | undefined {
  const isProgram = name === PROGRAM || programCalled(name, context) !== undefined
  if (isProgram && items !== undefined) return oslItems
  return isProgram ? findOperation(OSL_WRITE) : findTaskOperation(name)
}

/** An operation of ours goes before a program that was given its name when there was none. */
function programCalled(op: string, { codex }: TaskContext): ReturnType<typeof calledBy> {
  return TASK_OPERATIONS.includes(op) ? undefined : calledBy(op, codex)
}

function unknownOperation(op: string, { codex }: TaskContext): Problem {
  const { names = [], glyphs = [] } = codex ?? {}
  const shown = op.slice(0, NAME_SHOWN_MAX)
  if (isGlyphLike(op)) {
    const known = glyphs.length === 0 ? '' : ` (known: ${glyphs.join(' ').slice(0, 64)})`
    const message = `no program has the glyph "${shown}"${known}`
    return { path: 'op', code: 'unknown-glyph', message }
  }
  const message = `there is no operation "${shown}"${choiceOf(op, [...TASK_OPERATIONS, ...names])}`
  return { path: 'op', code: 'unknown-operation', message }
}

interface Asked extends Pick<TaskBody, 'op' | 'args' | 'program'> {
  readonly call?: ProgramCall
}

/**
 * Checks the arguments against the region that was asked for, even where it leaves the grid. Those of a program that is
 * named are checked against it, or against the items, when its version is found.
 */
function parseArgs(
  operation: Operation,
  input: Record<string, unknown>,
  { measured }: CheckedRegion,
  context: TaskContext,
): Parsed<Asked> {
  const given = input.args === undefined ? {} : input.args
  const limits = { costMax: context.oslCostMax ?? OSL_COST_MAX }
  const called = programCalled(String(input.op), context)
  if (called !== undefined) {
    const call = parseCall(called, given)
    if (!call.ok) return call
    const { name: _op, version: _version, ...args } = call.value
    return { ok: true, value: { op: calledName(called), args, call: call.value } }
  }
  if (operation === oslItems) {
    const { length } = Array.isArray(input.items) ? input.items : []
    return asProgram(PROGRAM, parseItemsProgram(given, length, context, limits))
  }
  if (input.op === PROGRAM) {
    return asProgram(PROGRAM, parseProgram(given, measured, context, limits))
  }
  if (operation === scatter && isOfProgram(given)) {
    return asProgram(scatter.name, parseScatterProgram(given, context, limits))
  }
  const args =
    operation.kind === 'items' ? operation.parse(given) : operation.parse(given, measured, context)
  return args.ok ? { ok: true, value: { op: operation.name, args: args.value } } : args
}

function asProgram(as: string, program: Parsed<ResolvedProgram>): Parsed<Asked> {
  if (!program.ok) return program
  const { op, args, facts } = program.value
  return { ok: true, value: { op, args, program: { as, ...facts } } }
}

/** Around the LSUs that are named, for an operation that names them. */
function boxOf(operation: Operation, args: Wire, { geometry }: GridContext): Region | undefined {
  if (operation.kind === 'items' || operation.idsOf === undefined) return undefined
  return boxOfIds(operation.idsOf(args), geometry)
}

/** The region or the items; pushes what is wrong and then returns nothing. */
function parseExtent(
  operation: Operation,
  input: Record<string, unknown>,
  region: Region | undefined,
  problems: Problem[],
): { region?: Region; items?: Items } | undefined {
  const isNamed = operation.kind !== 'items' && operation.idsOf !== undefined
  if (input.region !== undefined && (operation.kind === 'items' || isNamed)) {
    const what = isNamed ? 'the LSUs that it names' : 'items'
    const name = operation === oslItems ? PROGRAM : operation.name
    const message = `${name} runs over ${what}, not over a region`
    problems.push({ path: 'region', code: 'not-allowed', message })
  }
  if (operation.kind === 'items') {
    if (!Array.isArray(input.items)) {
      if (input.items === undefined) {
        problems.push({ path: 'items', code: 'missing', message: 'items is missing' })
      }
      return undefined
    }
    return parseItems(input.items, problems)
  }
  if (input.items !== undefined) {
    const message = `${operation.name} runs over ${isNamed ? 'the LSUs that it names' : 'a region'}, not over items`
    problems.push({ path: 'items', code: 'not-allowed', message })
  }
  return region && { region }
}

const encoder = new TextEncoder()

/** JSON can escape half of a surrogate pair; UTF-8, and with it CBOR, cannot hold it. */
const HALF_PAIR = /\p{Surrogate}/u

/** Whether a text travels on in CBOR as it is. */
function isCleanText(text: string): boolean {
  return !HALF_PAIR.test(text) && !text.startsWith('\ufeff')
}

function parseItems(input: unknown[], problems: Problem[]): { items: Items } | undefined {
  if (input.length === 0 || input.length > ITEMS_MAX) {
    const message = `items has ${input.length} entries, 1 to ${ITEMS_MAX} are taken`
    problems.push({ path: 'items', code: 'wrong-count', message })
    return undefined
  }
  const seen = new Set<string>()
  const items: Items = { keys: [], values: [] }
  input.forEach((entry, index) => {
    if (problems.length >= PROBLEMS_MAX) return
    const path = `items[${index}]`
    const shape = parseWith(itemSchema, entry, path)
    if (!shape.ok) {
      problems.push(...shape.problems)
      return
    }
    const { key, data } = shape.value
    if (key === '' || Buffer.byteLength(key) > ITEM_KEY_BYTES_MAX) {
      const message = `${path}.key must have 1 to ${ITEM_KEY_BYTES_MAX} bytes`
      problems.push({ path: `${path}.key`, code: 'out-of-range', message })
    } else if (!isCleanText(key)) {
      const message = `${path}.key has half a surrogate pair or opens with a byte order mark`
      problems.push({ path: `${path}.key`, code: 'malformed', message })
    } else if (seen.has(key)) {
      const message = `${path}.key stands on another item already`
      problems.push({ path: `${path}.key`, code: 'duplicate', message })
    }
    if (typeof data === 'string' && HALF_PAIR.test(data)) {
      const message = `${path}.data has half a surrogate pair, so no UTF-8 bytes`
      problems.push({ path: `${path}.data`, code: 'malformed', message })
    }
    seen.add(key)
    items.keys.push(key)
    items.values.push(typeof data === 'string' ? encoder.encode(data) : new Uint8Array(data))
  })
  return { items }
}

export const itemSchema = v.strictObject({
  key: v.string(),
  data: v.union([v.string(), v.instance(Uint8Array)], 'text or bytes'),
})
