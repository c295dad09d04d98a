/**
 * Where messages are put together that differ in a few places (read-template.ts, entry-template.ts): what they share is
 * encoded once, and the rest is written between. Numbers and heads are as the library has them (RFC 8949 §3).
 */
import { encodeCbor } from './cbor.ts'

/** Major types. */
export const BYTES = 0x40
export const ARRAY = 0x80
export const MAP = 0xa0

/** Of a head or number. */
export const HEAD_BYTES_MAX = 9
export const WORD_BYTES = 4

const IN_ONE = 24
const IN_TWO = 25
const IN_FOUR = 26
const FLOAT64 = 0xfb
const DIGITS = Buffer.from('0123456789abcdef')

/** Messages lie in pieces of memory of this size: one that is not sent for long keeps a whole one. */
const PIECE_BYTES = 16 * 1024
/** A copy of fewer bytes is faster one by one. */
const FEW_BYTES = 32

export class MessageBytes {
  #bytes = Buffer.alloc(0)
  #view = new DataView(this.#bytes.buffer)
  /** Where the message begins. */
  #start = 0
  #at = 0

  /** To be asked for before so many are written. */
  room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const written = this.#at - this.#start
    const larger = Buffer.alloc(Math.max(PIECE_BYTES, 2 * (written + bytes)))
    this.#bytes.copy(larger, 0, this.#start, this.#at)
    this.#bytes = larger
    this.#view = new DataView(larger.buffer, larger.byteOffset)
    this.#start = 0
    this.#at = written
  }

  /** The message; from here on it is another one. */
  take(): Uint8Array {
    const message = this.#bytes.subarray(this.#start, this.#at)
    this.#start = this.#at
    return message
  }

  copy(bytes: Uint8Array): void {
    if (bytes.length > FEW_BYTES) this.#bytes.set(bytes, this.#at)
    else for (let at = 0; at < bytes.length; at++) this.#bytes[this.#at + at] = bytes[at]!
    this.#at += bytes.length
  }

  /** An integer of more than 32 bits is a float. */
  number(value: number): void {
    if (value >>> 0 === value) {
      this.head(0, value)
      return
    }
    this.#bytes[this.#at] = FLOAT64
    this.#view.setFloat64(this.#at + 1, value)
    this.#at += HEAD_BYTES_MAX
  }

  head(major: number, argument: number): void {
    const bytes = this.#bytes
    if (argument < IN_ONE) {
      bytes[this.#at++] = major | argument
    } else if (argument < 2 ** 8) {
      bytes[this.#at++] = major | IN_ONE
      bytes[this.#at++] = argument
    } else if (argument < 2 ** 16) {
      bytes[this.#at++] = major | IN_TWO
      this.#view.setUint16(this.#at, argument)
      this.#at += 2
    } else {
      bytes[this.#at++] = major | IN_FOUR
      this.#view.setUint32(this.#at, argument)
      this.#at += 4
    }
  }

  /** Its lowest byte first. */
  word(word: number): void {
    this.#view.setUint32(this.#at, word, true)
    this.#at += WORD_BYTES
  }

  words(words: Uint32Array, from: number, to: number): void {
    const view = this.#view
    let into = this.#at
    for (let at = from; at < to; at++) {
      view.setUint32(into, words[at]!, true)
      into += WORD_BYTES
    }
    this.#at = into
  }

  /** Of a word, its lowest byte first, in hexadecimal. */
  digits(word: number): void {
    const bytes = this.#bytes
    for (let shift = 0; shift < 32; shift += 8) {
      bytes[this.#at++] = DIGITS[(word >>> (shift + 4)) & 15]!
      bytes[this.#at++] = DIGITS[(word >>> shift) & 15]!
    }
  }
}

/** Key, value, key… one after the other. */
export function encodedOf(...items: unknown[]): Uint8Array {
  return Buffer.concat(items.map(encodeCbor))
}
