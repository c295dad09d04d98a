/**
 * A line of a board's log in words, for commands and for the page. The line is as pino wrote it: numbers stand for levels,
 * and what a program adds has names of its own. Anything may stand in it, since a board wrote it.
 */
import type { LogView } from './views.ts'

/** The numbers of levels, as pino has them. */
const LEVELS: Readonly<Record<number, string>> = {
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
}
/** Beyond this no Date has a time (ECMAScript, 21.4.1.1). */
const TS_MAX = 8.64e15

/** `when` says a time, given as Unix ms. */
export function logLineText(
  { level, time, name: _, msg, ...rest }: LogView['lines'][number],
  when: (ts: number) => string,
): string {
  const more = Object.entries(rest).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`)
  const at = typeof time === 'number' && Math.abs(time) <= TS_MAX ? when(time) : ''
  const named = typeof level === 'number' ? (LEVELS[level] ?? '') : ''
  const message = typeof msg === 'string' ? msg : JSON.stringify(msg)
  return `${at} ${named.padEnd(5)} ${message}${more.join('')}`
}
