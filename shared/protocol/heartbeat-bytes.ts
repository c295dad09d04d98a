/**
 * A heartbeat as nodes send it, and its answer, without a map between: of ten thousand nodes five thousand come each
 * second, and they differ in some numbers. A heartbeat that stands otherwise is left to messages.ts; what is read or
 * written here is what messages.ts would read or write (RFC 8949 §3).
 */
import { encodedOf, HEAD_BYTES_MAX, MAP, MessageBytes } from './message-bytes.ts'
import type { Beat, Heartbeat } from './messages.ts'

const IN_ONE = 24
const IN_TWO = 25
const IN_FOUR = 26
const FLOAT64 = 0xfb

const BEFORE_SESSION = Buffer.concat([Buffer.of(MAP | 3), encodedOf('t', 'heartbeat', 'session')])
const BEFORE_BEAT = encodedOf('beat')
/** Of the answer: what stands before each of its numbers. */
const BEFORE_ITS_SESSION = encodedOf('t', 'beat', 'session')
const BEFORE_TS = encodedOf('ts')
const BEFORE_CONFIRMED = encodedOf('confirmed')
const BEFORE_PAGES = encodedOf('pages')
const ANSWER_KEYS = 5
/** Of all that stands before numbers, and of six numbers and a head. */
const ANSWER_BYTES_MAX = 64 + 7 * HEAD_BYTES_MAX

const written = new MessageBytes()

/** Undefined where it is to be read as any other message. */
export function readHeartbeat(payload: Uint8Array): Heartbeat | undefined {
  if (!hasAt(payload, 0, BEFORE_SESSION)) return undefined
  const sessionAt = BEFORE_SESSION.length
  const keyAt = sessionAt + sizeAt(payload, sessionAt)
  const beatAt = keyAt + BEFORE_BEAT.length
  if (!hasAt(payload, keyAt, BEFORE_BEAT)) return undefined
  if (beatAt + sizeAt(payload, beatAt) !== payload.length) return undefined
  const session = numberAt(payload, sessionAt)
  const beat = numberAt(payload, beatAt)
  return isCount(session) && isCount(beat) ? { t: 'heartbeat', session, beat } : undefined
}

export function writeBeat({ session, beat, ts, confirmed, pages }: Beat): Uint8Array {
  written.room(ANSWER_BYTES_MAX)
  written.head(MAP, pages === undefined ? ANSWER_KEYS : ANSWER_KEYS + 1)
  written.copy(BEFORE_ITS_SESSION)
  written.number(session)
  written.copy(BEFORE_BEAT)
  written.number(beat)
  written.copy(BEFORE_TS)
  written.number(ts)
  written.copy(BEFORE_CONFIRMED)
  written.number(confirmed)
  if (pages !== undefined) {
    written.copy(BEFORE_PAGES)
    written.number(pages)
  }
  return written.take()
}

function hasAt(payload: Uint8Array, at: number, bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) {
    if (payload[at + index] !== bytes[index]) return false
  }
  return true
}

/** Of the number there, with its head; endless where there is none that nodes write. */
function sizeAt(payload: Uint8Array, at: number): number {
  const head = payload[at] ?? Number.POSITIVE_INFINITY
  if (head < IN_ONE) return 1
  if (head <= IN_FOUR) return 1 + 2 ** (head - IN_ONE)
  return head === FLOAT64 ? 9 : Number.POSITIVE_INFINITY
}

/** Of a size that was found. */
function numberAt(payload: Uint8Array, at: number): number {
  const head = payload[at]!
  if (head < IN_ONE) return head
  const view = new DataView(payload.buffer, payload.byteOffset + at + 1)
  if (head === IN_ONE) return view.getUint8(0)
  if (head === IN_TWO) return view.getUint16(0)
  return head === IN_FOUR ? view.getUint32(0) : view.getFloat64(0)
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
