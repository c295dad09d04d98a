/**
 * A heartbeat as nodes send it, read without a map between: of ten thousand nodes five thousand come each second, and
 * they differ in two numbers. Whatever stands otherwise is left to messages.ts, also a heartbeat that is not made so:
 * where something is read here, it is what messages.ts would read (RFC 8949 §3).
 */
import { encodeCbor } from './cbor.ts'
import type { Heartbeat } from './messages.ts'

const MAP_OF_3 = 0xa3
const IN_ONE = 24
const IN_TWO = 25
const IN_FOUR = 26
const FLOAT64 = 0xfb

const BEFORE_SESSION = Buffer.concat([
  Buffer.of(MAP_OF_3),
  ...['t', 'heartbeat', 'session'].map(encodeCbor),
])
const BEFORE_BEAT = encodeCbor('beat')

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
