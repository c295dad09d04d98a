/**
 * The short messages that there are most of, without a map between: of ten thousand nodes five thousand beat each second
 * and are answered, and all of them acknowledge one write. What stands otherwise than nodes write it is left to
 * messages.ts; what is read or written here is what messages.ts would read or write (RFC 8949 §3).
 */
import { DIGEST_BYTES } from '../core/hash.ts'
import { ARRAY, BYTES, encodedOf, HEAD_BYTES_MAX, MAP, MessageBytes } from './message-bytes.ts'
import type { Applied, Beat, Heartbeat } from './messages.ts'

const IN_ONE = 24
const IN_TWO = 25
const IN_FOUR = 26
const FLOAT64 = 0xfb

const BEAT_SESSION = Buffer.concat([Buffer.of(MAP | 3), encodedOf('t', 'heartbeat', 'session')])
const BEAT = encodedOf('beat')
const APPLIED_SESSION = Buffer.concat([Buffer.of(MAP | 5), encodedOf('t', 'applied', 'session')])
const POSITION = encodedOf('position')
const CHAIN = Buffer.concat([encodedOf('chain'), Buffer.of(BYTES | DIGEST_BYTES)])
const RESULTS = encodedOf('results')
const RESULT_POSITION = Buffer.concat([Buffer.of(MAP | 2), POSITION])
const LSUS = encodedOf('lsus')

/** Of the answer to a heartbeat: what stands before each of its numbers. */
const ANSWER_SESSION = encodedOf('t', 'beat', 'session')
const TS = encodedOf('ts')
const CONFIRMED = encodedOf('confirmed')
const PAGES = encodedOf('pages')
const ANSWER_KEYS = 5
/** Of all that stands before numbers, and of six numbers and a head. */
const ANSWER_BYTES_MAX = 64 + 7 * HEAD_BYTES_MAX

const written = new MessageBytes()

/** Undefined where it is to be read as any other message. */
export function readShort(payload: Uint8Array): Heartbeat | Applied | undefined {
  const reader = new ShortReader(payload)
  return reader.takes(BEAT_SESSION) ? heartbeatIn(reader) : appliedIn(reader)
}

function heartbeatIn(reader: ShortReader): Heartbeat | undefined {
  const session = reader.count()
  reader.expect(BEAT)
  const beat = reader.count()
  return reader.isRead ? { t: 'heartbeat', session, beat } : undefined
}

function appliedIn(reader: ShortReader): Applied | undefined {
  if (!reader.takes(APPLIED_SESSION)) return undefined
  const session = reader.count()
  reader.expect(POSITION)
  const position = reader.count()
  reader.expect(CHAIN)
  const chain = reader.bytes(DIGEST_BYTES)
  reader.expect(RESULTS)
  const results: Applied['results'] = []
  for (let left = reader.length(); left > 0 && reader.isSound; left--) {
    reader.expect(RESULT_POSITION)
    const own = reader.count()
    reader.expect(LSUS)
    results.push({ position: own, lsus: reader.count() })
  }
  return reader.isRead ? { t: 'applied', session, position, chain, results } : undefined
}

export function writeBeat({ session, beat, ts, confirmed, pages }: Beat): Uint8Array {
  written.room(ANSWER_BYTES_MAX)
  written.head(MAP, pages === undefined ? ANSWER_KEYS : ANSWER_KEYS + 1)
  written.copy(ANSWER_SESSION)
  written.number(session)
  written.copy(BEAT)
  written.number(beat)
  written.copy(TS)
  written.number(ts)
  written.copy(CONFIRMED)
  written.number(confirmed)
  if (pages !== undefined) {
    written.copy(PAGES)
    written.number(pages)
  }
  return written.take()
}

class ShortReader {
  readonly #payload: Uint8Array
  #at = 0
  /** All that was read so far is as it was asked for. */
  isSound = true

  constructor(payload: Uint8Array) {
    this.#payload = payload
  }

  /** And nothing is left. */
  get isRead(): boolean {
    return this.isSound && this.#at === this.#payload.length
  }

  /** Goes past these, if they are what comes. */
  takes(bytes: Uint8Array): boolean {
    for (let index = 0; index < bytes.length; index++) {
      if (this.#payload[this.#at + index] !== bytes[index]) return false
    }
    this.#at += bytes.length
    return true
  }

  expect(bytes: Uint8Array): void {
    if (!this.takes(bytes)) this.isSound = false
  }

  bytes(length: number): Uint8Array {
    this.#at += length
    return this.#payload.subarray(this.#at - length, this.#at)
  }

  /** Of a list of few. */
  length(): number {
    const length = (this.#payload[this.#at] ?? 0) ^ ARRAY
    this.#at += 1
    if (length >= IN_ONE) this.isSound = false
    return length
  }

  /** A number from 0 on. */
  count(): number {
    const value = this.#number()
    if (!Number.isSafeInteger(value) || value < 0) this.isSound = false
    return value
  }

  /** None where there is none that nodes write. */
  #number(): number {
    const payload = this.#payload
    const head = payload[this.#at] ?? FLOAT64
    if (head < IN_ONE) {
      this.#at += 1
      return head
    }
    const isFloat = head === FLOAT64
    const at = this.#at + 1
    this.#at = at + (isFloat ? 8 : 2 ** (head - IN_ONE))
    if ((head > IN_FOUR && !isFloat) || this.#at > payload.length) return Number.NaN
    const view = new DataView(payload.buffer, payload.byteOffset + at)
    if (isFloat) return view.getFloat64(0)
    if (head === IN_ONE) return view.getUint8(0)
    return head === IN_TWO ? view.getUint16(0) : view.getUint32(0)
  }
}
