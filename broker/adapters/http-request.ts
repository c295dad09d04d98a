/** What a request asks for, read from its query and headers. */

import { own } from '../../shared/core/own.ts'
import { choiceOf, joinPath, PROBLEMS_MAX } from '../../shared/protocol/problems.ts'
import type { RequestFault } from './problem-json.ts'

const WAIT_MS_MAX = 300_000

const WAIT = /^(\d{1,9})(ms|s)?$/

/** `30s`, `500ms`, or plain seconds, in milliseconds; nothing if it is none of these. */
function parseWait(text: string): number | undefined {
  const match = WAIT.exec(text)
  if (!match) return undefined
  const ms = Number(match[1]) * (match[2] === 'ms' ? 1 : 1000)
  return ms <= WAIT_MS_MAX ? ms : undefined
}

type Reading<T> = (text: string) => T | undefined

/** A query parameter: how it is read, and what is taken, in words. */
export interface QueryRule<T> {
  readonly read: Reading<T>
  readonly expected: string
}

export type QueryValues<R> = { [K in keyof R]?: R[K] extends QueryRule<infer T> ? T : never }

export const WAIT_RULE: QueryRule<number> = {
  read: parseWait,
  expected: 'a time of at most 300s, as 30s, 500ms or 30',
}

export const FLAG_RULE: QueryRule<boolean> = {
  read: (text) => (text === 'true' || text === 'false' ? text === 'true' : undefined),
  expected: 'true or false',
}

export function wholeRule(min: number, max: number): QueryRule<number> {
  return {
    read(text) {
      const value = /^\d{1,6}$/.test(text) ? Number(text) : -1
      return value >= min && value <= max ? value : undefined
    },
    expected: `a whole number from ${min} to ${max}`,
  }
}

export function oneOf<T extends string>(choices: readonly T[]): QueryRule<T> {
  return {
    read: (text) => choices.find((choice) => choice === text),
    expected: `one of ${choices.join(', ')}`,
  }
}

/** A list; nothing in it is there twice. */
export function listRule<T extends string>(
  isOne: (text: string) => text is T,
  max: number,
  what: string,
): QueryRule<readonly T[]> {
  return {
    read(text) {
      const list = text === '' ? [] : text.split(',')
      const isList = list.length <= max && new Set(list).size === list.length
      return isList && list.every(isOne) ? list : undefined
    },
    expected: `at most ${max} different ${what}, with a comma and no space between them`,
  }
}

/** In the order of the choices. */
export function oneOrMoreOf<T extends string>(choices: readonly T[]): QueryRule<readonly T[]> {
  return {
    read(text) {
      const named = text.split(',')
      const found = choices.filter((choice) => named.includes(choice))
      return found.length === named.length ? found : undefined
    },
    expected: `different ones of ${choices.join(', ')}, with a comma and no space between them`,
  }
}

/** Reads a query by its rules; an unknown parameter is a fault, as a misspelt one is silent. */
export function parseQuery<R extends Record<string, QueryRule<unknown>>>(
  query: unknown,
  rules: R,
): { values: QueryValues<R>; faults: RequestFault[] } {
  const values = new Map<string, unknown>()
  const faults: RequestFault[] = []
  for (const [name, given] of Object.entries(query as Record<string, string | string[]>)) {
    if (faults.length >= PROBLEMS_MAX) break
    const rule = own(rules, name)
    if (rule === undefined) {
      const path = joinPath('', name)
      const choice = choiceOf(name, Object.keys(rules))
      faults.push({
        path,
        code: 'unknown-key',
        message: `there is no parameter "${path}"${choice}`,
      })
      continue
    }
    const value = typeof given === 'string' ? rule.read(given) : undefined
    if (value !== undefined) values.set(name, value)
    else faults.push({ path: name, code: 'malformed', message: `${name} must be ${rule.expected}` })
  }
  return { values: Object.fromEntries(values) as QueryValues<R>, faults }
}

/** Whether a list of entity tags has this one, by weak comparison [RFC 9110 §13.1.2]. */
export function namesTag(header: string | undefined, tag: string): boolean {
  const listed = (header ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''))
  return listed.includes(tag) || listed.includes('*')
}

export type ResultFormat = 'json' | 'cbor'

const FORMATS: readonly { readonly type: string; readonly format: ResultFormat }[] = [
  { type: 'application/json', format: 'json' },
  { type: 'application/cbor', format: 'cbor' },
]

/** The format that an Accept header prefers (RFC 9110 §12.5.1); JSON when it does not care. */
export function negotiateFormat(accept: string | undefined): ResultFormat | undefined {
  if (accept === undefined || accept.trim() === '') return 'json'
  const ranges = accept.split(',', 32).map(parseRange)
  let best: { format: ResultFormat; quality: number } | undefined
  for (const { type, format } of FORMATS) {
    const quality = qualityOf(type, ranges)
    if (quality > 0 && (best === undefined || quality > best.quality)) best = { format, quality }
  }
  return best?.format
}

interface MediaRange {
  readonly type: string
  readonly quality: number
}

function parseRange(text: string): MediaRange {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const weight = parameters.find((parameter) => parameter.startsWith('q='))
  const quality = weight === undefined ? 1 : Number(weight.slice(2))
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 }
}

/** The most specific range that matches decides. */
function qualityOf(type: string, ranges: readonly MediaRange[]): number {
  for (const pattern of [type, 'application/*', '*/*']) {
    const range = ranges.find((candidate) => candidate.type === pattern)
    if (range !== undefined) return range.quality
  }
  return 0
}
