/**
 * What gateway and node say to each other of the node's log (messages.ts). The node keeps its last lines in memory, and gives
 * them a piece at a time: a reader asks on where the piece before ended. The cores know nothing of it.
 */
import * as v from 'valibot'
import { isId } from '../core/ids.ts'
import { LOG_LINES_MAX } from './log-line.ts'

export const LOG_LEVEL_NAMES = ['debug', 'info', 'warn', 'error'] as const
/** Of one piece; a line has no more than a quarter of it. */
export const LOG_PIECE_BYTES_MAX = 16 * 1024

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))
/** Where a reader stands, `<process>-<line>`, so that another process of the node begins anew. */
const mark = v.custom<string>(isId, 'an id')

/** Say the last lines of this level or above; with `after` the first of those that came since. */
export const logOrder = v.strictObject({
  t: v.literal('log'),
  /** Stands in the answer. */
  ask: count,
  lines: v.pipe(count, v.minValue(1), v.maxValue(LOG_LINES_MAX)),
  level: v.picklist(LOG_LEVEL_NAMES),
  after: v.optional(mark),
})

/** Lines of JSON, each with its line end. */
export const logLines = v.strictObject({
  t: v.literal('log-lines'),
  ask: count,
  lines: v.pipe(
    v.custom<Uint8Array>((input) => input instanceof Uint8Array, 'bytes'),
    v.check((given) => given.length <= LOG_PIECE_BYTES_MAX, 'a piece of a log'),
  ),
  next: mark,
  /** Lines of any level that were given up, unread, between `after` and these. */
  left: count,
  /** Lines of any level from `next` on. */
  unread: count,
})

export type LogOrder = v.InferOutput<typeof logOrder>
export type LogLines = v.InferOutput<typeof logLines>
