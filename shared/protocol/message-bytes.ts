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

export class MessageBytes {
  #bytes = Buffer.alloc(0)
  #at = 0

  /** To be asked for before so many are written. */
  room(bytes: number): void {
    const needed = this.#at + bytes
    if (this.#bytes.length >= needed) return
    const larger = Buffer.alloc(2 * needed)
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }

  /** The message; from here on it is another one. */
  take(): Uint8Array {
    const message = Buffer.allocUnsafe(this.#at)
    this.#bytes.copy(message, 0, 0, this.#at)
    this.#at = 0
    return message
  }

  copy(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** An integer of more than 32 bits is a float. */
  number(value: number): void {
    if (value >>> 0 === value) {
      this.head(0, value)
      return
    }
    this.#bytes[this.#at] = FLOAT64
    this.#at = this.#bytes.writeDoubleBE(value, this.#at + 1)
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
      this.#at = bytes.writeUInt16BE(argument, this.#at)
    } else {
      bytes[this.#at++] = major | IN_FOUR
      this.#at = bytes.writeUInt32BE(argument, this.#at)
    }
  }

  /** Its lowest byte first. */
  word(word: number): void {
    const bytes = this.#bytes
    const at = this.#at
    bytes[at] = word
    bytes[at + 1] = word >>> 8
    bytes[at + 2] = word >>> 16
    bytes[at + 3] = word >>> 24
    this.#at = at + WORD_BYTES
  }

  words(words: Uint32Array, from: number, to: number): void {
    for (let at = from; at < to; at++) this.word(words[at]!)
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
