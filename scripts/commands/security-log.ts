/** `obelisk security log`: reads the files of the log. Whoever may read their folder is admin already. */
import { join } from 'node:path'
import { count } from '../../shared/core/count.ts'
import type { SecurityFault } from '../../shared/protocol/security-chain.ts'
import {
  isSecurityEvent,
  SECURITY_EVENTS,
  type SecurityLevel,
} from '../../shared/protocol/security-events.ts'
import {
  formatHead,
  parseHead,
  SECURITY_FOLDER,
  type SecurityHead,
  type SecurityLine,
} from '../../shared/protocol/security-log.ts'
import { EXIT_DONE, EXIT_FAILED } from '../../shared/runtime/errors.ts'
import {
  type LineReader,
  readSecurityLog,
  type SecurityLogReport,
  verifySecurityLog,
} from '../../shared/runtime/security-log-files.ts'
import { fault, usage } from '../fault.ts'
import { faultOf } from '../path-faults.ts'
import type { Flags } from './command-place.ts'
import { placeOfGateway } from './secure.ts'
import { type Colour, paint, printable, type Streams, when, written } from './streams.ts'
import { durationIn } from './task-request.ts'

export type SecurityLogFlags = Flags<'data' | 'head' | 'event' | 'since', 'verify' | 'json'>

const COLOURS: Readonly<Record<SecurityLevel, Colour>> = {
  info: 'grey',
  warn: 'yellow',
  alarm: 'red',
}
const WRITE_LENGTH = 64 * 1024

export async function showSecurityLog(
  flags: SecurityLogFlags,
  streams: Streams,
  nowMs = Date.now(),
): Promise<number> {
  const folder = join(placeOfGateway(flags.data).data, SECURITY_FOLDER)
  const { event, json: isJson = false } = flags
  if (event !== undefined && !isSecurityEvent(event)) {
    const names = Object.keys(SECURITY_EVENTS).join(', ')
    throw usage(`--event: there is no event "${event}", but ${names}`)
  }
  const sinceMs = flags.since === undefined ? undefined : parseSince(flags.since, nowMs)
  const expected = flags.head === undefined ? undefined : headOf(flags)
  if (flags.verify) {
    if (event !== undefined || sinceMs !== undefined) {
      throw usage('--verify takes the whole log: no --event and no --since')
    }
    const report = await readLog(folder, expected)
    streams.stdout.write(
      isJson ? `${JSON.stringify(report)}\n` : reportText(report, expected, streams),
    )
    return report.isWhole ? EXIT_DONE : EXIT_FAILED
  }
  // A log may have half a million lines, and a write to a pipe costs more than a line.
  let text = ''
  let hasRoom = Promise.resolve()
  const flush = (): void => {
    hasRoom = written(streams.stdout, text)
    text = ''
  }
  const report = await readLog(folder, undefined, {
    onLine(line, bytes) {
      if (event !== undefined && line.event !== event) return
      if (sinceMs !== undefined && line.ts < sinceMs) return
      text += isJson ? `${bytes.toString('utf8')}\n` : lineText(line, streams)
      if (text.length >= WRITE_LENGTH) flush()
    },
    // Whoever reads them has read them.
    hasRoom: () => hasRoom,
  })
  flush()
  if (!report.isWhole) {
    const text = 'this log is not what the gateway wrote: obelisk security log --verify says where'
    streams.stderr.write(`warning: ${text}\n`)
  }
  return EXIT_DONE
}

function headOf({ head = '', verify }: SecurityLogFlags): SecurityHead {
  const parsed = parseHead(head)
  if (parsed === undefined) throw usage(`--head: "${head}" is not <seq>:<32 hexadecimal digits>`)
  if (!verify) throw usage('--head is for --verify')
  return parsed
}

function parseSince(text: string, nowMs: number): number {
  const ago = durationIn(text)
  if (ago !== undefined) return nowMs - ago
  const ts = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ts)) {
    throw usage(`--since: "${text}" is no time as 2026-11-29T10:00:00Z, and no 90m, 12h or 7d`)
  }
  return ts
}

async function readLog(
  folder: string,
  expected: SecurityHead | undefined,
  reader?: LineReader,
): Promise<SecurityLogReport> {
  try {
    return await (reader === undefined
      ? verifySecurityLog(folder, expected)
      : readSecurityLog(folder, expected, reader))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') throw faultOf(error, folder, 'looked at')
    const message = `${folder} has no security log: say where the gateway has its data, with --data`
    throw fault('unreadable', message, error)
  }
}

function lineText(line: SecurityLine, streams: Streams): string {
  const { ts, level, event, who, what, source, other, via, code, count } = line
  const words = [
    ...[who, what === undefined ? '' : `→ ${what}`, source],
    ...[other === undefined ? '' : `and ${other}`, via, code, count === 1 ? '' : `×${count}`],
  ]
  const rest = words.filter((word) => word !== '').map(printable)
  const shown = paint(streams, COLOURS[level], level.padEnd(5))
  return `${when(ts)}  ${shown}  ${printable(event).padEnd(19)}  ${rest.join('  ')}\n`
}

function reportText(
  { files, lines, firstSeq = 0, head, tornBytes, faults, faultCount }: SecurityLogReport,
  expected: SecurityHead | undefined,
  streams: Streams,
): string {
  const text = faults.map((fault) => `${paint(streams, 'red', 'fail')}  ${faultText(fault)}\n`)
  if (faultCount > faults.length) text.push(`      and ${faultCount - faults.length} more\n`)
  const isWhole = faultCount === 0
  const verdict = isWhole ? paint(streams, 'green', 'ok') : count(faultCount, 'fault')
  text.push(
    `${verdict}: ${count(lines, 'line')} in ${count(files, 'file')}, from ${firstSeq} to ${head.seq}\n`,
  )
  if (tornBytes > 0) text.push(`a write of ${tornBytes} bytes is under way, or was cut off\n`)
  text.push(`head ${formatHead(head)}\n`)
  if (isWhole && expected === undefined) {
    text.push('nothing is known of the end without a head that was kept elsewhere: --head\n')
  } else if (isWhole && expected!.seq < firstSeq - 1) {
    text.push(`the head that was given is older than the oldest line, and says nothing\n`)
  }
  return text.join('')
}

function faultText({ kind, file, line, seq, message }: SecurityFault): string {
  const at = line === undefined ? file : `${file}:${line}`
  return printable(`${at}  ${seq === undefined ? '' : `seq ${seq}  `}${kind}: ${message}`)
}
