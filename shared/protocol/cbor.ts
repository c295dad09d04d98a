/**
 * CBOR as wire.md has it (RFC 8949): maps with text keys, lists, numbers, text, byte strings, false,
 * true, null. Before the library decodes, one linear pass over the bytes refuses what it would
 * spend memory or quadratic time on: tags, indefinite lengths, depth, counts larger than the
 * bytes that are left, integers beyond ±2^53, text that is not UTF-8 or opens with a byte order mark
 * (the library drops one, depending on whether its native part is there; RFC 3629 §6 lets a protocol
 * forbid it), a key twice in a map. Untrusted bytes are values here: nothing throws.
 */
import { isUtf8 } from 'node:buffer'
import { Decoder, Encoder } from 'cbor-x'
import type { CborLimits } from './limits.ts'

// The library's types leave out `useTag259ForMaps` and `int64AsNumber`. With the first, a Map would bear
// a tag; without the second, a 64-bit head would give a BigInt.
const encoding = {
  useRecords: false,
  tagUint8Array: false,
  variableMapSize: true,
  useTag259ForMaps: false,
}
const decoding = { useRecords: false, mapsAsObjects: true, int64AsNumber: true }
const encoder = new Encoder(encoding)
const decoder = new Decoder(decoding)
const mapDecoder = new Decoder({ ...decoding, mapsAsObjects: false })

/** The key that no object takes by assignment; the library would make `__proto_` of it, another key. */
const PROTO = '__proto__'

/** Encodes plain data; a Map whose keys are text is a map, too. Members that are `undefined` must be left out by the caller. */
export function encodeCbor(value: unknown): Uint8Array {
  return encoder.encode(value)
}

export type CborResult = { ok: true; value: unknown } | { ok: false; message: string }

export function decodeCbor(bytes: Uint8Array, limits: CborLimits): CborResult {
  const check = new Check(bytes, limits)
  const fault = check.run()
  if (fault !== undefined) return { ok: false, message: fault }
  try {
    if (check.hasProto) return { ok: true, value: objectsOf(mapDecoder.decode(bytes)) }
    return { ok: true, value: decoder.decode(bytes) }
  } catch (error) {
    return { ok: false, message: `not decodable: ${(error as Error).message}` }
  }
}

/** Maps as objects with every key as a member of its own, as JSON.parse has them. */
function objectsOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(objectsOf)
  if (!(value instanceof Map)) return value
  return Object.fromEntries([...value].map(([key, member]) => [key, objectsOf(member)]))
}

const INTEGER_MAX = 2 ** 53
/** What follows the head of those that are taken: false, true, null and floats. */
const SIMPLE_BYTES: Readonly<Record<number, number>> = { 20: 0, 21: 0, 22: 0, 25: 2, 26: 4, 27: 8 }
const MAJOR_TEXT = 3
const MAJOR_ARRAY = 4
const MAJOR_MAP = 5

interface Open {
  /** Data items still to come inside it. */
  left: number
  readonly isMap: boolean
  /** Where the keys so far begin and end, for a map. */
  readonly keys: number[]
  /** The same once they are more than are compared one by one. */
  texts: Set<string> | undefined
}

/** So many keys are compared with each other: making texts of them takes longer. */
const KEYS_COMPARED = 16
/** Text of so many bytes is looked at here sooner than the library is called. */
const SHORT = 64
const NO_KEYS: number[] = []

class Check {
  readonly #bytes: Uint8Array
  readonly #limits: CborLimits
  readonly #open: Open[] = []
  #at = 0
  #items = 0
  /** Whether some map has the key `__proto__`. */
  hasProto = false

  constructor(bytes: Uint8Array, limits: CborLimits) {
    this.#bytes = bytes
    this.#limits = limits
  }

  run(): string | undefined {
    if (this.#bytes.length === 0) return 'no bytes'
    if (this.#bytes.length > this.#limits.bytesMax) {
      return `${this.#bytes.length} bytes, at most ${this.#limits.bytesMax} are taken`
    }
    do {
      const fault = this.#item()
      if (fault !== undefined) return `${fault} at byte ${this.#at}`
      while (this.#open.length > 0 && this.#open.at(-1)!.left === 0) this.#open.pop()
    } while (this.#open.length > 0)
    return this.#at === this.#bytes.length ? undefined : `bytes left over at byte ${this.#at}`
  }

  #item(): string | undefined {
    if (++this.#items > this.#limits.itemsMax) return 'too many data items'
    const parent = this.#open.at(-1)
    const isKey = parent?.isMap === true && parent.left % 2 === 0
    if (parent !== undefined) parent.left -= 1
    if (this.#at >= this.#bytes.length) return 'the end comes too early'
    const initial = this.#bytes[this.#at]!
    const major = initial >> 5
    if (isKey && major !== MAJOR_TEXT) return 'a map key that is not text'
    if (major === 6) return 'a tag'
    if (major === 7) return this.#simple(initial & 31)
    const argument = this.#argument(initial & 31)
    if (typeof argument === 'string') return argument
    switch (major) {
      case 0:
      case 1:
        return argument > INTEGER_MAX - major ? 'an integer beyond 2^53' : undefined
      case MAJOR_ARRAY:
        return this.#enter(argument, false)
      case MAJOR_MAP:
        return this.#enter(argument * 2, true)
      default:
        return this.#string(argument, major === MAJOR_TEXT, isKey ? parent : undefined)
    }
  }

  /** The argument of a head (RFC 8949 §3), moving past it. */
  #argument(additional: number): number | string {
    const start = this.#at + 1
    if (additional < 24) {
      this.#at = start
      return additional
    }
    if (additional > 27) return additional === 31 ? 'an indefinite length' : 'a reserved length'
    const size = 1 << (additional - 24)
    if (start + size > this.#bytes.length) return 'the end comes too early'
    let value = 0
    for (let index = 0; index < size; index++) value = value * 256 + this.#bytes[start + index]!
    // The sum rounds: 2^53 + 1 would pass for 2^53.
    if (value === INTEGER_MAX && this.#bytes[start + 7] !== 0) value += 2
    this.#at = start + size
    return value
  }

  #simple(additional: number): string | undefined {
    const size = SIMPLE_BYTES[additional]
    if (size === undefined) return 'a simple value that is not false, true, null or a float'
    if (this.#at + 1 + size > this.#bytes.length) return 'the end comes too early'
    this.#at += 1 + size
    return undefined
  }

  #enter(count: number, isMap: boolean): string | undefined {
    if (count > this.#bytes.length - this.#at) return 'a count larger than the bytes that are left'
    if (this.#open.length >= this.#limits.depthMax) return 'too deep'
    this.#open.push({ left: count, isMap, keys: isMap ? [] : NO_KEYS, texts: undefined })
    return undefined
  }

  #string(length: number, isText: boolean, map: Open | undefined): string | undefined {
    if (length > this.#bytes.length - this.#at)
      return 'a length larger than the bytes that are left'
    const start = this.#at
    this.#at += length
    if (isText && !(length <= SHORT && this.#isAscii(start))) {
      const content = this.#bytes.subarray(start, this.#at)
      if (!isUtf8(content)) return 'text that is not UTF-8'
      if (startsWithMark(content)) return 'text that opens with a byte order mark'
    }
    if (map === undefined) return undefined
    if (this.#isKnown(map, start)) return 'a map key that stands twice'
    this.hasProto ||= length === PROTO.length && this.#text(start, this.#at) === PROTO
    return undefined
  }

  /** From there to where it stands. */
  #isAscii(start: number): boolean {
    const bytes = this.#bytes
    for (let at = start; at < this.#at; at++) if (bytes[at]! > 0x7f) return false
    return true
  }

  /** Whether the map has that key, which from now on it has. */
  #isKnown(map: Open, start: number): boolean {
    const { keys } = map
    if (map.texts === undefined) {
      for (let at = 0; at < keys.length; at += 2) {
        if (this.#isSame(keys[at]!, keys[at + 1]!, start)) return true
      }
      keys.push(start, this.#at)
      if (keys.length < 2 * KEYS_COMPARED) return false
      map.texts = new Set()
      for (let at = 0; at < keys.length; at += 2)
        map.texts.add(this.#text(keys[at]!, keys[at + 1]!))
      return false
    }
    const { size } = map.texts
    return map.texts.add(this.#text(start, this.#at)).size === size
  }

  #isSame(from: number, to: number, start: number): boolean {
    if (to - from !== this.#at - start) return false
    const bytes = this.#bytes
    for (let at = from; at < to; at++) if (bytes[at] !== bytes[start + at - from]) return false
    return true
  }

  /** One character a byte. */
  #text(from: number, to: number): string {
    const { buffer, byteOffset } = this.#bytes
    return Buffer.from(buffer, byteOffset + from, to - from).toString('latin1')
  }
}

function startsWithMark(content: Uint8Array): boolean {
  return content[0] === 0xef && content[1] === 0xbb && content[2] === 0xbf
}
