import { once } from 'node:events'
import { count } from '../../shared/core/count.ts'

/** What a command talks through, so that tests can listen. */
export interface Output {
  /** False where whoever reads has enough for now. */
  write(text: string | Uint8Array): unknown
  once?(event: 'drain', heard: () => void): unknown
  readonly isTTY?: boolean
}

export interface Streams {
  /** Data. */
  readonly stdout: Output
  /** Everything else. */
  readonly stderr: Output
  readonly stdin: AsyncIterable<Uint8Array | string>
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Resolves once there is room for more: of what is large, no more is held than a part. */
export async function written(
  output: Output,
  text: string | Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  if (output.write(text) !== false || output.once === undefined) return
  // A reader that goes away ends the process.
  await once(output as NodeJS.WritableStream, 'drain', { signal })
}

/** What whoever called this types before its words: npx, in a checkout, tells that it was it. */
export function calledAs({ environment }: Streams): string {
  return environment.npm_command === 'exec' ? 'npx obelisk' : 'obelisk'
}

const COLOURS = { red: 31, green: 32, yellow: 33, grey: 90 } as const
export type Colour = keyof typeof COLOURS

/** https://no-color.org, and terminals that cannot. */
export function hasColours({ stdout, environment: { NO_COLOR, TERM } }: Streams): boolean {
  return stdout.isTTY === true && !NO_COLOR && TERM !== 'dumb'
}

export function paint(streams: Streams, colour: Colour, text: string): string {
  return hasColours(streams) ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text
}

/** Text from the fleet must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd')
}

/** The same of each line. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** A name and what is so of it, a line. */
export type Row = readonly [name: string, text: string]

/** `width` is that of the names. */
export function rowLines(width: number, rows: readonly Row[]): string {
  return rows.map(([name, text]) => `${name.padEnd(width)}${printable(text)}\n`).join('')
}

export interface Column<T> {
  readonly title: string
  readonly text: (row: T) => string
  readonly colour?: (row: T) => Colour | undefined
  readonly isNumber?: boolean
}

/** A table with padded columns. */
export function table<T>(
  streams: Streams,
  rows: readonly T[],
  columns: readonly Column<T>[],
): string {
  const cells = rows.map((row) => columns.map((column) => printable(column.text(row))))
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...cells.map((line) => line[index]!.length)),
  )
  const pad = (text: string, index: number): string => {
    if (columns[index]!.isNumber) return text.padStart(widths[index]!)
    return index === columns.length - 1 ? text : text.padEnd(widths[index]!)
  }
  const head = columns.map(({ title }, index) => pad(title, index)).join('  ')
  const body = cells.map((line, row) =>
    line
      .map((text, index) => {
        const colour = columns[index]!.colour?.(rows[row]!)
        return colour ? paint(streams, colour, pad(text, index)) : pad(text, index)
      })
      .join('  '),
  )
  return `${[head, ...body].map((line) => line.trimEnd()).join('\n')}\n`
}

/** A time as a person reads it. */
export function when(ts: number | undefined): string {
  return ts === undefined ? '' : new Date(ts).toISOString().replace('T', ' ').replace(/\..*/, 'Z')
}

/** The day of it. */
export function day(ts: number): string {
  return when(ts).slice(0, 10)
}

const SPANS = [
  { noun: 'day', ms: 86_400_000 },
  { noun: 'hour', ms: 3_600_000 },
  { noun: 'minute', ms: 60_000 },
  { noun: 'second', ms: 1000 },
] as const

/** How long something took, in the largest unit of which it has two: `20 seconds`, `119 minutes`, `3 days`. */
export function span(ms: number): string {
  const { noun, ms: unit } = SPANS.find(({ ms: unit }) => ms >= 2 * unit) ?? SPANS.at(-1)!
  return count(Math.max(0, Math.round(ms / unit)), noun)
}
