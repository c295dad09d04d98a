/**
 * A task that names a program of the codex (docs/osl.md, "The codex"). What is kept of it until it is accepted is what
 * was asked: which version that is, the gateway finds when it knows that the task is no repeat. So a task that is sent
 * again after another version has become current is the same task.
 */
import * as v from 'valibot'
import { REACH_MAX } from '../osl/codex.ts'
import {
  isPlainObject,
  type Parsed,
  PROBLEMS_MAX,
  type Problem,
  parseWith,
  wholeWithin,
} from './problems.ts'

/** Of programs, and of contexts. */
const NAME = /^[a-z][a-z0-9_]{0,31}$/

export function isProgramName(text: string): boolean {
  return NAME.test(text)
}

/** The context that is meant where none is named. */
export const MAIN_CONTEXT = 'main'

export interface ProgramCall {
  readonly name: string
  /** Left out: the current one of the context. */
  readonly version?: number
  readonly context?: string
  readonly with: Readonly<Record<string, number>>
  /** Left out: one. */
  readonly steps?: number
}

/** What a codex answers to who only wants to know whether there is such a program. */
export interface ProgramNames {
  /** Of a program that is called so, by its name or its glyph. */
  nameOf(called: string): string | undefined
  readonly names: readonly string[]
  readonly glyphs: readonly string[]
}

const CALLED = /^([^@]*)(?:@([1-9]\d{0,8}))?$/u

/** The program that an `op` names, by name, glyph or `name@version`; nothing, if the codex has none of that name. */
export function calledBy(
  op: string,
  codex: ProgramNames | undefined,
): Pick<ProgramCall, 'name' | 'version'> | undefined {
  const [, called, version] = CALLED.exec(op) ?? []
  const name = called === undefined ? undefined : codex?.nameOf(called)
  if (name === undefined) return undefined
  return version === undefined ? { name } : { name, version: Number(version) }
}

/** Whether an `op` that is none was meant for a glyph. */
export function isGlyphLike(op: string): boolean {
  return /^[\p{S}](@\d*)?$/u.test(op) && op.codePointAt(0)! > 0x7f
}

/** As results and states show it. */
export function calledName({ name, version }: Pick<ProgramCall, 'name' | 'version'>): string {
  return version === undefined ? name : `${name}@${version}`
}

const contextName = v.custom<string>(
  (input) => typeof input === 'string' && isProgramName(input),
  'the name of a context: a small letter, then up to 31 of a-z, 0-9 and "_"',
)

const schema = v.strictObject({
  with: v.optional(v.custom<Record<string, unknown>>(isPlainObject, 'an object of numbers'), {}),
  context: v.optional(contextName),
  steps: v.optional(wholeWithin(1, REACH_MAX)),
})

/** The arguments of a call. */
export function parseCall(
  called: Pick<ProgramCall, 'name' | 'version'>,
  input: unknown,
): Parsed<ProgramCall> {
  const shape = parseWith(schema, input, 'args')
  if (!shape.ok) return shape
  const { with: values, context, steps } = shape.value
  if (called.version !== undefined && context !== undefined) {
    const message = `${calledName(called)} is a version already: a context would name another`
    return { ok: false, problems: [{ path: 'args.context', code: 'not-allowed', message }] }
  }
  const problems: Problem[] = []
  const numbers: [string, number][] = []
  for (const [name, value] of Object.entries(values)) {
    if (problems.length >= PROBLEMS_MAX) break
    if (typeof value === 'number' && Number.isFinite(value)) numbers.push([name, value])
    else {
      const path = `args.with.${name.slice(0, 64)}`
      problems.push({ path, code: 'wrong-type', message: `${path} must be a finite number` })
    }
  }
  if (problems.length > 0) return { ok: false, problems }
  const often = steps === undefined || steps === 1 ? {} : { steps }
  const asked = { ...called, ...contextOf(called, context), with: sorted(numbers), ...often }
  return { ok: true, value: asked }
}

function contextOf(
  { version }: Pick<ProgramCall, 'version'>,
  context: string = MAIN_CONTEXT,
): Pick<ProgramCall, 'context'> {
  return version === undefined ? { context } : {}
}

/** By name: in whichever order they were given, it is the same task. */
function sorted(numbers: readonly [string, number][]): Record<string, number> {
  return Object.fromEntries([...numbers].sort(([a], [b]) => (a < b ? -1 : 1)))
}
