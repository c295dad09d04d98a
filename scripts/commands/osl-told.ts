/** What is wrong with a program, as who typed it is told. */
import { drawPlaced, type OslProblem, placeOf } from '../../shared/osl/osl-problems.ts'
import { EXIT_FAILED } from '../../shared/runtime/errors.ts'
import type { AskedHere } from './command-place.ts'
import { printableLines, type Streams } from './streams.ts'
import { inputOf } from './typed-input.ts'

/** What is wrong with a program: with its place, where it has one. */
export interface Told {
  readonly code: string
  readonly message: string
  readonly line?: number
  readonly column?: number
  readonly length?: number
  readonly hint?: string
}

export async function sourceIn(file: string, streams: Streams): Promise<string> {
  return (await inputOf(file, streams)).toString('utf8')
}

export function placed(source: string, problems: readonly OslProblem[]): Told[] {
  return problems.map(({ span, ...problem }) => ({ ...problem, ...placeOf(source, span) }))
}

/** What is wrong with a program is what was asked for, where that is JSON; else a person reads it. */
export function tell(
  { streams, flags }: AskedHere,
  source: string,
  problems: readonly Told[],
): number {
  if (flags.json) streams.stdout.write(`${JSON.stringify({ problems })}\n`)
  else {
    const drawn = problems.map(({ line, column, length, message, hint }) =>
      line === undefined || column === undefined || length === undefined
        ? message
        : drawPlaced(source, { line, column, length, message, hint }),
    )
    streams.stderr.write(`${printableLines(drawn.join('\n'))}\n`)
  }
  return EXIT_FAILED
}
