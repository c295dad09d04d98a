/** Parts of a task's value: what is a number, what is a histogram, and what is neither. */
import type { Region } from '../../../shared/grid/geometry.ts'
import type { Histogram } from '../parts/histogram.ts'

export interface NumberRow {
  readonly name: string
  readonly value: number
}

const TEXT_MAX = 20_000

/** The numbers at the top of it, and what else there is but what is drawn; nothing if that is all. */
export function numbersOf(value: unknown): {
  readonly numbers: readonly NumberRow[]
  readonly rest: unknown
} {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { numbers: [], rest: value }
  }
  const shown = squaresOf(value).map(({ of }) => of)
  const entries = Object.entries(value)
  const numbers = entries.flatMap(([name, one]) =>
    typeof one === 'number' ? [{ name, value: one }] : [],
  )
  const others = entries.filter(
    ([name, one]) =>
      typeof one !== 'number' &&
      !(name === 'histogram' && isHistogram(one)) &&
      !(shown.includes(name) && typeof one === 'string'),
  )
  return { numbers, rest: others.length === 0 ? undefined : Object.fromEntries(others) }
}

/** Squares of a field, row by row; NaN where every copy is lost. */
export interface Squares {
  readonly of: string
  readonly columns: number
  readonly rows: number
  readonly values: Float32Array
}

/** What an `overview` has of each square. */
const OF = ['mean', 'min', 'max']

/** Of an `overview`, as its JSON has it: f32, little-endian, in base64; of a `get`, whose task went over `region`. */
export function squaresOf(value: unknown, region?: Region): Squares[] {
  const { columns, rows, fields, ...more } = (value ?? {}) as Record<string, unknown>
  if (typeof columns === 'number' && typeof rows === 'number') {
    return OF.filter((of) => typeof more[of] === 'string').flatMap((of) => {
      const bytes = Uint8Array.from(atob(more[of] as string), (one) => one.charCodeAt(0))
      const isWhole = columns * rows > 0 && bytes.length === 4 * columns * rows
      return isWhole ? [{ of, columns, rows, values: new Float32Array(bytes.buffer) }] : []
    })
  }
  if (region === undefined || typeof fields !== 'object' || fields === null) return []
  const { w, h } = region
  return Object.entries(fields).flatMap(([of, list]) =>
    areNumbers(list) && list.length === w * h
      ? [{ of, columns: w, rows: h, values: Float32Array.from(list) }]
      : [],
  )
}

export function isHistogram(value: unknown): value is Histogram {
  const { edges, counts } = (value ?? {}) as Partial<Histogram>
  return (
    areNumbers(edges) && areNumbers(counts) && counts.length > 0 && edges.length > counts.length
  )
}

function areNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'number')
}

/** Long lists of numbers on one line each, and an end where it would be too long to look at. */
export function textOf(value: unknown): string {
  const flat = (_key: string, one: unknown): unknown =>
    Array.isArray(one) && one.length > 12 && one.every((item) => typeof item !== 'object')
      ? `[${one.slice(0, 12).join(', ')}, … ${one.length - 12} more]`
      : one
  const text = JSON.stringify(value, flat, 2) ?? 'null'
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}\n… and so on: save it`
}
