/**
 * What is wrong with input from outside, as values: every problem at once, each with the path to the
 * member that is wrong, a stable code and a sentence. Shapes are checked by valibot schemas; this
 * file turns their issues into problems.
 */
import * as v from 'valibot'
import { didYouMean } from '../core/near-match.ts'
import { own } from '../core/own.ts'
import type { OslCode } from '../osl/osl-problems.ts'

export interface Problem {
  /** Where, as `args.values[3]`; empty for the whole. */
  readonly path: string
  readonly code: ProblemCode
  readonly message: string
  /** In the text of a program: both from 1, in characters; and what may have been meant. */
  readonly line?: number
  readonly column?: number
  readonly length?: number
  readonly hint?: string
}

/** Codes of single problems (the table stands in docs/operations.md). */
export type ProblemCode =
  | 'malformed'
  | 'missing'
  | 'unknown-key'
  | 'wrong-type'
  | 'out-of-range'
  | 'unknown-operation'
  | 'unknown-glyph'
  | 'unknown-version'
  | 'unknown-context'
  | 'program-damaged'
  | 'unknown-field'
  | 'outside-grid'
  | 'wrong-count'
  | 'too-large'
  | 'duplicate'
  | 'not-allowed'
  | 'not-granted'
  | 'unknown-recipient'
  | 'too-expensive'
  | OslCode

export type Parsed<T> = { ok: true; value: T } | { ok: false; problems: Problem[] }

/** Names that a caller chose are cut here: a problem must not echo a body of a mebibyte. */
export const NAME_SHOWN_MAX = 64

export function joinPath(prefix: string, key: string | number): string {
  if (typeof key === 'number') return `${prefix}[${key}]`
  const shown = key.slice(0, NAME_SHOWN_MAX)
  return prefix === '' ? shown : `${prefix}.${shown}`
}

type Schema = v.BaseSchema<unknown, unknown, v.BaseIssue<unknown>>

/** No answer names more problems than this; a hostile body must not become a huge one. */
export const PROBLEMS_MAX = 32

/** A map of JSON or CBOR: neither a list nor bytes, which valibot would take for objects. */
export function isPlainObject(input: unknown): input is Record<string, unknown> {
  return (
    typeof input === 'object' &&
    input !== null &&
    !Array.isArray(input) &&
    !ArrayBuffer.isView(input)
  )
}

/**
 * Checks `input` against a schema and names every problem, with paths below `prefix`; only the first
 * one with `firstOnly`, which costs no memory for the others.
 */
export function parseWith<S extends Schema>(
  schema: S,
  input: unknown,
  prefix = '',
  options: { firstOnly: boolean } = { firstOnly: false },
): Parsed<v.InferOutput<S>> {
  if (schema.type === 'strict_object' && !isPlainObject(input)) {
    const message = `${prefix === '' ? 'the value' : prefix} must be an object`
    return { ok: false, problems: [{ path: prefix, code: 'wrong-type', message }] }
  }
  const result = v.safeParse(schema, input, { abortEarly: options.firstOnly })
  if (result.success) return { ok: true, value: result.output }
  const { issues } = result
  // Unknown keys are named below, all of them; valibot stops at the first of an object.
  const told = options.firstOnly ? issues : issues.filter((issue) => !isUnknownKey(issue))
  const problems = told.slice(0, PROBLEMS_MAX).map((issue) => problemOf(issue, prefix))
  if (!options.firstOnly) addUnknownKeys(schema, input, prefix, problems)
  return { ok: false, problems }
}

/** Names each key of `input` and of what is in it that the schema does not have. */
export function addUnknownKeys(
  schema: Schema,
  input: unknown,
  path: string,
  problems: Problem[],
): void {
  if ('wrapped' in schema) addUnknownKeys(schema.wrapped as Schema, input, path, problems)
  if (!('entries' in schema) || !isPlainObject(input)) return
  const entries = schema.entries as Record<string, Schema>
  for (const key of Object.keys(input)) {
    if (problems.length >= PROBLEMS_MAX) return
    const keyPath = joinPath(path, key)
    if (Object.hasOwn(entries, key)) {
      addUnknownKeys(entries[key]!, input[key], keyPath, problems)
    } else problems.push(unknownKey(keyPath, key, Object.keys(entries)))
  }
}

function unknownKey(path: string, key: string, known: readonly string[]): Problem {
  return { path, code: 'unknown-key', message: `${path} is not a known key${choiceOf(key, known)}` }
}

function isUnknownKey(issue: v.BaseIssue<unknown>): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never'
}

/** Of a choice, this many are named. */
const CHOICE_SHOWN_MAX = 12

/** The end of a complaint about an unknown word: what was meant, and what there is. */
export function choiceOf(given: string, known: readonly string[]): string {
  const shown = known.slice(0, CHOICE_SHOWN_MAX).join(', ')
  const more = known.length > CHOICE_SHOWN_MAX ? ' …' : ''
  return `${didYouMean(given, known)}${known.length === 0 ? '' : ` (known: ${shown}${more})`}`
}

/** A whole number in these bounds; whatever is wrong with it, both are told. */
export function wholeWithin(min: number, max: number) {
  const taken = `a whole number from ${min} to ${max}`
  return v.pipe(v.number(taken), v.integer(taken), v.minValue(min, taken), v.maxValue(max, taken))
}

function problemOf(issue: v.BaseIssue<unknown>, prefix: string): Problem {
  const path = (issue.path ?? []).reduce(
    (text, item) => joinPath(text, item.key as string | number),
    prefix,
  )
  const shown = path === '' ? 'the value' : path
  if (isUnknownKey(issue)) return unknownKey(path, '', [])
  if (issue.kind === 'schema' && issue.received === 'undefined') {
    return { path, code: 'missing', message: `${shown} is missing` }
  }
  const code = issue.kind === 'validation' ? 'out-of-range' : 'wrong-type'
  const expected = expectationOf(issue)
  return {
    path,
    code,
    message:
      issue.kind === 'validation' && issue.type !== 'integer'
        ? `${shown} is ${issue.received}, expected ${expected}`
        : `${shown} must be ${expected}`,
  }
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  Object: 'an object',
  Array: 'a list',
  Uint8Array: 'bytes',
}

/** The words of the schema where it has its own, else valibot's, in ours. */
function expectationOf(issue: v.BaseIssue<unknown>): string {
  if (!issue.message.startsWith('Invalid ')) return issue.message
  if (issue.type === 'integer') return 'a whole number'
  const expected = issue.expected ?? 'another value'
  return own(TYPE_WORDS, expected) ?? expected
}
