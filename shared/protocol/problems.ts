/**
 * What is wrong with input from outside, as values: every problem at once, each with the path to the
 * member that is wrong, a stable code and a sentence. Shapes are checked by valibot schemas; this
 * file turns their issues into problems.
 */
import * as v from 'valibot'

export interface Problem {
  /** Where, as `args.values[3]`; empty for the whole. */
  readonly path: string
  readonly code: ProblemCode
  readonly message: string
}

/** Codes of single problems (the table stands in docs/operations.md). */
export type ProblemCode =
  | 'malformed'
  | 'missing'
  | 'unknown-key'
  | 'wrong-type'
  | 'out-of-range'
  | 'unknown-operation'
  | 'unknown-field'
  | 'outside-grid'
  | 'wrong-count'
  | 'too-large'
  | 'duplicate'
  | 'not-allowed'

export type Parsed<T> = { ok: true; value: T } | { ok: false; problems: Problem[] }

export function joinPath(prefix: string, key: string | number): string {
  if (typeof key === 'number') return `${prefix}[${key}]`
  return prefix === '' ? key : `${prefix}.${key}`
}

type Schema = v.BaseSchema<unknown, unknown, v.BaseIssue<unknown>>

/** No answer names more problems than this; a hostile body must not become a huge one. */
export const PROBLEMS_MAX = 32

/** Checks `input` against a schema and names every problem, with paths below `prefix`. */
export function parseWith<S extends Schema>(
  schema: S,
  input: unknown,
  prefix = '',
): Parsed<v.InferOutput<S>> {
  const result = v.safeParse(schema, input)
  if (result.success) return { ok: true, value: result.output }
  return {
    ok: false,
    problems: result.issues.slice(0, PROBLEMS_MAX).map((issue) => problemOf(issue, prefix)),
  }
}

function problemOf(issue: v.BaseIssue<unknown>, prefix: string): Problem {
  const path = (issue.path ?? []).reduce(
    (text, item) => joinPath(text, item.key as string | number),
    prefix,
  )
  const shown = path === '' ? 'the value' : path
  if (issue.kind === 'schema' && issue.type === 'strict_object') {
    if (issue.expected === 'never') {
      return { path, code: 'unknown-key', message: `${shown} is not a known key` }
    }
    if (issue.received === 'undefined') {
      return { path, code: 'missing', message: `${shown} is missing` }
    }
  }
  if (issue.kind === 'schema' && issue.received === 'undefined') {
    return { path, code: 'missing', message: `${shown} is missing` }
  }
  const code = issue.kind === 'validation' ? 'out-of-range' : 'wrong-type'
  const expected = issue.expected ?? 'another value'
  return {
    path,
    code,
    message:
      issue.kind === 'validation' && issue.type !== 'integer'
        ? `${shown} is ${issue.received}, expected ${expected}`
        : `${shown} must be ${issue.type === 'integer' ? 'a whole number' : expected}`,
  }
}
