/**
 * The security log as bytes. Each line is a JSON object on a line of its own, and carries the hash of the
 * line before it, as the entries of a hash chain do [Haber and Stornetta, How to time-stamp a digital document]:
 * who changes, takes out or moves a line must write all that follow anew, and then the last hash, the head, is
 * another one. So the head is kept in other places too. A hash is the first 16 bytes of SHA-256 over a line without
 * its line end. `seq` counts lines from 1, through all files, without a gap.
 *
 * Each file begins with a line of the log itself, `log-begun` or `log-continued`, which the lines after it rest
 * on: so no line can be taken from the front of a file either, not even once the file before it is gone.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { isId } from '../core/ids.ts'
import {
  meaningOf,
  SECURITY_LEVELS,
  type SecurityEvent,
  type SecurityLevel,
} from './security-events.ts'

export interface SecurityHead {
  readonly seq: number
  /** 32 hexadecimal digits. */
  readonly hash: string
}

/** What the first line of all stands on. */
export const NO_HEAD: SecurityHead = { seq: 0, hash: '0'.repeat(32) }

export interface SecurityLine {
  readonly seq: number
  /** Unix ms, by the clock of the gateway. */
  readonly ts: number
  /** One of the table, or of a later version. */
  readonly event: string
  readonly level: SecurityLevel
  readonly who: string
  readonly what?: string
  readonly source: string
  readonly other?: string
  readonly via: string
  readonly code: string
  readonly count: number
  readonly prev: string
}

/** Far more than the longest that is written. */
export const SECURITY_LINE_BYTES_MAX = 2048
/** What one write brings at most, so that a power cut spoils no more. */
export const SECURITY_WRITE_BYTES_MAX = 64 * 1024
export const SECURITY_FILE_BYTES_MAX = 10 * 1024 * 1024
/** `security.jsonl.1` is the newest of them. */
export const SECURITY_FILES_KEPT = 9
export const SECURITY_LOG_NAME = 'security.jsonl'
/** Below the data directory of the gateway. */
export const SECURITY_FOLDER = 'security'

export function hashOfLine(line: Uint8Array): string {
  return createHash('sha256').update(line).digest('hex').slice(0, 32)
}

/** Somebody by a name that he may have chosen himself: only well-formed ids are repeated. */
export function named(kind: string, name: unknown): string {
  return `${kind}/${isId(name) ? name : '?'}`
}

const SOMEBODY = /^(?:gateway|admin|nobody|[a-z]{1,16}\/(?:[A-Za-z0-9_-]{1,64}|\?))$/
const ADDRESS = /^[0-9A-Fa-f.:]{1,45}(?:%[A-Za-z0-9_.-]{1,32})?(?:\/\d{1,3})?$/
const CODE = /^(?=.{1,64}$)[a-z0-9]+(?:-[a-z0-9]+)*$/
/** What a Date can be. */
const TS_MAX = 8.64e15

function checked(text: string | undefined, form: RegExp): string {
  return text === undefined || text === '' ? '' : form.test(text) ? text : '?'
}

export interface LinePlace {
  readonly ts: number
  /** How many events the line stands for. */
  readonly count: number
  /** The line before it. */
  readonly after: SecurityHead
}

/** The line without its line end, which is ASCII alone. */
export function formatLine(told: SecurityEvent, { ts, count, after }: LinePlace): string {
  const { event, who, what, source, other, via, code } = told
  return JSON.stringify({
    seq: after.seq + 1,
    ts,
    event,
    level: meaningOf(event).level,
    who: checked(who, SOMEBODY),
    ...(what === undefined ? {} : { what: checked(what, SOMEBODY) }),
    source: checked(source, ADDRESS),
    ...(other === undefined ? {} : { other: checked(other, ADDRESS) }),
    via,
    code: checked(code, CODE),
    count,
    prev: after.hash,
  })
}

/** Nothing if that is no line of a security log. */
export function parseLine(bytes: Uint8Array): SecurityLine | undefined {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  } catch {
    return undefined
  }
  return isLine(value) ? value : undefined
}

function isLine(value: unknown): value is SecurityLine {
  if (typeof value !== 'object' || value === null) return false
  const { seq, ts, level, count, prev, what, other, ...texts } = value as Record<string, unknown>
  if (![seq, ts, count].every(Number.isSafeInteger) || Number(seq) < 1) return false
  if (Math.abs(Number(ts)) > TS_MAX) return false
  if (![texts.event, texts.who, texts.source, texts.via, texts.code].every(isText)) return false
  if (![what, other].every((text) => text === undefined || isText(text))) return false
  if (!SECURITY_LEVELS.some((one) => one === level)) return false
  return isText(prev) && /^[0-9a-f]{32}$/.test(prev)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

/** `1042:<hash>`, as people pass a head on. */
export function formatHead({ seq, hash }: SecurityHead): string {
  return `${seq}:${hash}`
}

export function parseHead(text: string): SecurityHead | undefined {
  const match = /^(\d{1,15}):([0-9a-f]{32})$/.exec(text.trim())
  return match === null ? undefined : { seq: Number(match[1]), hash: match[2]! }
}
