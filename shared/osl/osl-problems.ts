/**
 * What is wrong with the text of a program, as a value: a stable code, where it stands, a sentence and, where there is
 * one, a guess at what was meant. `OslError` is how the parser and the compiler leave a statement; it never leaves
 * `compile`.
 */

/** Codes of single problems (the table stands in docs/operations.md). */
export type OslCode =
  | 'osl-syntax'
  | 'osl-character'
  | 'osl-number'
  | 'osl-unknown-name'
  | 'osl-unknown-function'
  | 'osl-arity'
  | 'osl-type'
  | 'osl-constant'
  | 'osl-mixed'
  | 'osl-empty'
  | 'osl-duplicate'
  | 'osl-radius'
  | 'osl-neighbour-after-write'
  | 'osl-too-deep'
  | 'osl-too-large'
  | 'osl-too-many-values'

/** A piece of the source: where it begins, and how long it is, in UTF-16 units. */
export interface Span {
  readonly at: number
  readonly length: number
}

export interface OslProblem {
  readonly code: OslCode
  readonly message: string
  readonly span: Span
  readonly hint?: string
}

export class OslError extends Error {
  readonly problem: OslProblem

  constructor(code: OslCode, message: string, span: Span, hint?: string) {
    super(message)
    this.problem = { code, message, span, ...(hint === undefined ? {} : { hint }) }
  }
}

/** What reading one of several pieces gives, or the problem that it ended with, which is kept. */
export function collecting<T>(problems: OslProblem[], read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof OslError)) throw error
    problems.push(error.problem)
    return undefined
  }
}

/** Both from 1; columns and the length are in characters, as an editor counts them. */
export interface Place {
  readonly line: number
  readonly column: number
  readonly length: number
}

export function placeOf(source: string, { at, length }: Span): Place {
  const before = source.slice(0, at)
  const lineStart = before.lastIndexOf('\n') + 1
  return {
    line: before.split('\n').length,
    column: charactersOf(source.slice(lineStart, at)) + 1,
    length: Math.max(1, charactersOf(source.slice(at, at + length))),
  }
}

function charactersOf(text: string): number {
  return [...text].length
}

/** Characters of a line. */
const LINE_SHOWN_MAX = 100

/** A problem with its place, as refusals of a gateway have it, too. */
export interface PlacedProblem extends Place {
  readonly message: string
  readonly hint?: string | undefined
}

/** As a terminal shows it: the place, the line, a mark below it, and the hint. */
export function drawProblem(source: string, { span, ...problem }: OslProblem): string {
  return drawPlaced(source, { ...problem, ...placeOf(source, span) })
}

export function drawPlaced(source: string, problem: PlacedProblem): string {
  const { line, column, length, message } = problem
  const whole = source.split('\n')[line - 1]!.replaceAll('\t', ' ').replace(/\r$/, '')
  const { text, at } = around([...whole], column - 1)
  const room = Math.max(1, charactersOf(text) - at + 1)
  const mark = `${' '.repeat(at)}${'^'.repeat(Math.min(length, room))}`
  const hint = problem.hint === undefined ? '' : `\n  ${problem.hint}`
  return `${line}:${column}: ${message}\n  ${text}\n  ${mark}${hint}`
}

/** Of a line that no terminal has room for, what is around a place; and where that is then. */
function around(line: readonly string[], at: number): { text: string; at: number } {
  if (line.length <= LINE_SHOWN_MAX) return { text: line.join(''), at }
  const start = Math.max(0, Math.min(at - LINE_SHOWN_MAX / 2, line.length - LINE_SHOWN_MAX))
  const shown = line.slice(start, start + LINE_SHOWN_MAX)
  if (start > 0) shown[0] = '…'
  if (start + LINE_SHOWN_MAX < line.length) shown[LINE_SHOWN_MAX - 1] = '…'
  return { text: shown.join(''), at: at - start }
}
