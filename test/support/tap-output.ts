/** What a test file that was run by itself wrote: TAP 14, closed by the totals of node-tap; and what may stand in it. */
import { stripVTControlCharacters } from 'node:util'

export interface Totals {
  readonly total: number
  readonly pass: number
  readonly fail: number
  readonly skip: number
}

/** Of `# { total: 98, pass: 97, fail: 1 }`, the last such line. */
export function totalsOf(output: string): Totals | undefined {
  const line = [...output.matchAll(/^# \{ (total: .*) \}$/gm)].at(-1)?.[1]
  if (line === undefined) return undefined
  const of = (name: string): number => Number(new RegExp(`\\b${name}: (\\d+)`).exec(line)?.[1] ?? 0)
  return { total: of('total'), pass: of('pass'), fail: of('fail'), skip: of('skip') }
}

/**
 * What a program wrote on a terminal, as lines that a comment or the message of an error may hold: at another end of a
 * line than that of TAP node-tap ends the test there, and no later one is run.
 */
export function tapLines(text: string): string {
  const lines = stripVTControlCharacters(text).replace(/\r+\n|[\r\u2028\u2029]/g, '\n')
  return lines.replace(/[^\P{Cc}\n\t]/gu, '')
}

const LINES_BEFORE = 3
const LINES_AFTER = 40
const LINES_LAST = 40
const LINES_MAX = 200

/** What failed, with what stands around it; or the end, where nothing says so. */
export function excerptOf(output: string): string {
  const lines = output.split('\n')
  const shown = new Set<number>()
  for (const [index, line] of lines.entries()) {
    // With a time it is a test, of which the failed assertion is shown.
    if (!/^\s*not ok (?!.*# time=)/.test(line)) continue
    for (let at = index - LINES_BEFORE; at <= index + LINES_AFTER; at++) shown.add(at)
  }
  if (shown.size === 0) return lines.slice(-LINES_LAST).join('\n')
  const found = lines.filter((_line, index) => shown.has(index)).slice(0, LINES_MAX)
  // An error that nobody awaited ends the process, after all else is said.
  const closed = lines.findLastIndex((line) => line.startsWith('# time='))
  const after = closed === -1 ? [] : lines.slice(closed + 1).slice(0, LINES_LAST)
  return [...found, ...after].join('\n')
}
