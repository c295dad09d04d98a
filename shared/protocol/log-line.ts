/**
 * A line of a board's log in words, and how a log is followed, for commands and for the page. The line is as pino wrote it:
 * numbers stand for levels, and what a program adds has names of its own. Anything may stand in it, since a board wrote it.
 */
import type { LogView } from './views.ts'

/** Lines that a node keeps, and the most that are asked for at once. */
export const LOG_LINES_MAX = 500
/** Who follows asks once a second for so many, and for ten minutes; what the board has no room for meanwhile is counted. */
export const LOG_AGAIN_MS = 1000
export const LOG_LINES_AT_ONCE = 20
export const LOG_FOLLOWED_MS = 600_000
/** A board with a slow line gives its log in pieces. */
export const LOG_TIMEOUT_MS = 30_000

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
