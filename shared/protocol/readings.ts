/**
 * Readings of cells (wire.md): a number for one cell, told by the topic, or many of one field. Checked against the
 * grid and brought to ids and to numbers that the field holds. Every problem is named at once; nothing throws.
 */
import { isUtf8 } from 'node:buffer'
import * as v from 'valibot'
import { findField, held, takes } from '../grid/fields.ts'
import type { Geometry } from '../grid/geometry.ts'
import { notTaken, unknownField } from '../operations/field-values.ts'
import type { GridContext } from '../operations/operation.ts'
import { decodeCbor } from './cbor.ts'
import { READING_BYTES_MAX, READINGS_BYTES_MAX, READINGS_LIMITS, READINGS_MAX } from './limits.ts'
import { isPlainObject, PROBLEMS_MAX, type Problem, parseWith, wholeWithin } from './problems.ts'
import type { Topic } from './topics.ts'

export type ReadingTopic =
  | Extract<Topic, { kind: 'cell-reading' | 'cell-readings' }>
  /** It was to be one of these. */
  | { readonly kind: 'cell-mistyped' }

const MISTYPED: Problem = {
  path: '',
  code: 'malformed',
  message:
    'the topic ends in neither cell/<field>/<x>/<y> nor cell/<field>: a field is small letters, digits and "_", x and y are whole numbers from 0',
}

export interface Readings {
  /** Index of the field. */
  readonly field: number
  /** One cell may stand here more than once: the last one counts. */
  readonly cells: readonly number[]
  /** As the field holds them. */
  readonly values: readonly number[]
  /** When it was read, Unix ms, where the sensor says so. */
  readonly ts?: number
}

export type ReadingsResult =
  | { readonly ok: true; readonly readings: Readings }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Unix ms that a date can be [ECMA-262 §21.4.1.1]. */
const TS_MAX = 8_640_000_000_000_000

/** A number of JSON, and what sensors write besides: `+3`, `.5`, `5.`. */
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

const readingSchema = v.strictObject({
  value: v.number(),
  ts: v.optional(wholeWithin(0, TS_MAX)),
})

export function parseReadings(
  topic: ReadingTopic,
  payload: Uint8Array,
  grid: GridContext,
): ReadingsResult {
  if (topic.kind === 'cell-mistyped') return { ok: false, problems: [MISTYPED] }
  if (topic.kind === 'cell-readings') return parseMany(topic.field, payload, grid)
  if (payload.length >= READING_BYTES_MAX) return tooLarge(payload, READING_BYTES_MAX - 1)
  const given = parseOne(payload)
  if ('problems' in given) return { ok: false, problems: given.problems }
  const { x, y } = topic
  return checkReadings({ field: topic.field, entries: [[x, y, given.value]] }, grid, given.ts)
}

interface Given {
  readonly field: string
  readonly entries: readonly unknown[]
}

/** Cells as somebody named them, each `[x, y, number]`, for a field of the grid. */
export function checkReadings(
  { field: name, entries }: Given,
  grid: GridContext,
  ts?: number,
): ReadingsResult {
  const { geometry, fields } = grid
  const field = findField(fields, name)
  if (field === undefined) return { ok: false, problems: [unknownField('field', name, fields)] }
  const problems: Problem[] = []
  const cells: number[] = []
  const values: number[] = []
  for (const [index, entry] of entries.entries()) {
    if (problems.length >= PROBLEMS_MAX) break
    const path = entries.length === 1 ? 'value' : `[${index}]`
    if (!isReading(entry)) {
      const message = `${path} must be [x, y, number]`
      problems.push({ path, code: 'wrong-type', message })
      continue
    }
    const [x, y, value] = entry
    if (!(isBelow(x, geometry.width) && isBelow(y, geometry.height))) {
      problems.push(noSuchCell(path, { x, y }, geometry))
    } else if (!takes(field.type, value)) problems.push(notTaken(path, field, value))
    cells.push(y * geometry.width + x)
    values.push(held(field.type, value))
  }
  if (problems.length > 0) return { ok: false, problems }
  const at = ts === undefined ? {} : { ts }
  return { ok: true, readings: { field: fields.indexOf(field), cells, values, ...at } }
}

export function noSuchCell(
  path: string,
  { x, y }: { readonly x: number; readonly y: number },
  { width, height }: Geometry,
): Problem {
  const message = `there is no cell ${x},${y} in a grid of ${width}x${height}`
  return { path, code: 'outside-grid', message }
}

function isReading(entry: unknown): entry is readonly [number, number, number] {
  return (
    Array.isArray(entry) && entry.length === 3 && entry.every((part) => typeof part === 'number')
  )
}

function isBelow(coordinate: number, end: number): boolean {
  return Number.isInteger(coordinate) && coordinate >= 0 && coordinate < end
}

/** The number that a text is. */
export function plainNumber(text: string): number | undefined {
  const trimmed = text.trim()
  return NUMBER.test(trimmed) ? Number(trimmed) : undefined
}

function parseOne(
  payload: Uint8Array,
): { value: number; ts?: number | undefined } | { problems: Problem[] } {
  const text = isUtf8(payload) ? Buffer.from(payload).toString('utf8').trim() : ''
  const value = plainNumber(text)
  if (value !== undefined) return { value }
  const shape = text.startsWith('{') ? parseJson(text) : undefined
  if (!isPlainObject(shape)) {
    const message = 'the payload is neither a number nor {"value": number}'
    return { problems: [{ path: '', code: 'malformed', message }] }
  }
  const parsed = parseWith(readingSchema, shape)
  return parsed.ok ? parsed.value : { problems: parsed.problems }
}

function parseMany(field: string, payload: Uint8Array, grid: GridContext): ReadingsResult {
  if (payload.length > READINGS_BYTES_MAX) return tooLarge(payload, READINGS_BYTES_MAX)
  const list = parseList(payload)
  if (!Array.isArray(list)) {
    const message = 'the payload is no list of [x, y, number], in JSON or in CBOR'
    return { ok: false, problems: [{ path: '', code: 'malformed', message }] }
  }
  if (list.length < 1 || list.length > READINGS_MAX) {
    const message = `the list has ${list.length} cells, 1 to ${READINGS_MAX} are taken`
    return { ok: false, problems: [{ path: '', code: 'wrong-count', message }] }
  }
  return checkReadings({ field, entries: list }, grid)
}

/** A list of CBOR has 4 in its first three bits [RFC 8949 §3.1]; no text of JSON begins so. */
function parseList(payload: Uint8Array): unknown {
  if (payload[0]! >> 5 === 4) {
    const decoded = decodeCbor(payload, READINGS_LIMITS)
    return decoded.ok ? decoded.value : undefined
  }
  return isUtf8(payload) ? parseJson(Buffer.from(payload).toString('utf8')) : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function tooLarge({ length }: Uint8Array, most: number): ReadingsResult {
  const message = `${length} bytes, at most ${most} are taken`
  return { ok: false, problems: [{ path: '', code: 'too-large', message }] }
}
