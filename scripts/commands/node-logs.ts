import { setTimeout as pause } from 'node:timers/promises'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { count } from '../../shared/core/count.ts'
import {
  LOG_AGAIN_MS,
  LOG_FOLLOWED_MS,
  LOG_LINES_AT_ONCE,
  LOG_LINES_MAX,
  LOG_TIMEOUT_MS,
  logLineText,
} from '../../shared/protocol/log-line.ts'
import { LOG_LEVEL_NAMES } from '../../shared/protocol/log-messages.ts'
import type { LogView } from '../../shared/protocol/views.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { usage } from '../fault.ts'
import { type Asked, at, type Flags } from './command-place.ts'
import { untilInterrupted } from './interruption.ts'
import { wordsOf } from './refusal.ts'
import { printable, type Streams, when, written } from './streams.ts'

export type LogFlags = Flags<never, 'follow'> & Record<'lines' | 'level', string>

/** `node logs`. */
export async function showLog(
  { gateway, streams, flags: { json, follow, lines, level } }: Asked<LogFlags>,
  id: string,
): Promise<number> {
  const asked = /^\d{1,3}$/.test(lines) ? Number(lines) : 0
  if (asked < 1 || asked > LOG_LINES_MAX) {
    throw usage(`-n must be a whole number from 1 to ${LOG_LINES_MAX}: a board keeps no more`)
  }
  if (!LOG_LEVEL_NAMES.some((name) => name === level)) {
    throw usage(`--level must be one of ${LOG_LEVEL_NAMES.join(', ')}`)
  }
  const path = at`/api/nodes/${id}/log?level=${level}`
  const read = async (wish: string, signal?: AbortSignal): Promise<string> => {
    const view = await gateway.json<LogView>({
      ...{ path: `${path}&${wish}`, timeoutMs: LOG_TIMEOUT_MS, signal },
    })
    if (view.left > 0)
      streams.stderr.write(
        `${count(view.left, 'line')} ${view.left === 1 ? 'was' : 'were'} left out\n`,
      )
    const lines = view.lines.map((line) => {
      return `${json ? JSON.stringify(line) : printable(logLineText(line, when))}\n`
    })
    await written(streams.stdout, lines.join(''), signal)
    return view.next
  }
  const begin = async (signal?: AbortSignal): Promise<string> => {
    const next = await read(`lines=${asked}`, signal)
    if (!json) streams.stderr.write('older ones: journalctl -u obelisk-agent, on the board\n')
    return next
  }
  if (follow) {
    return await untilInterrupted(async (signal) =>
      followFrom(await begin(signal), signal, streams, (after) => {
        return read(`lines=${LOG_LINES_AT_ONCE}&after=${encodeURIComponent(after)}`, signal)
      }),
    )
  }
  await begin()
  return EXIT_DONE
}

/** A board that is away is waited for. */
async function followFrom(
  first: string,
  signal: AbortSignal,
  { stderr }: Streams,
  read: (after: string) => Promise<string>,
): Promise<number> {
  const untilMs = performance.now() + LOG_FOLLOWED_MS
  let isAway = false
  for (let next = first; performance.now() < untilMs; ) {
    await pause(LOG_AGAIN_MS, undefined, { signal })
    try {
      next = await read(next)
      isAway = false
    } catch (error) {
      const isPassing = error instanceof ObeliskError && (error.isPassing || error.status === 504)
      if (signal.aborted || !isPassing) throw error
      if (!isAway) stderr.write(`${printable(wordsOf(error))}; trying again\n`)
      isAway = true
    }
  }
  stderr.write('10 minutes are over; the same command goes on\n')
  return EXIT_DONE
}
