/**
 * Writes CBOR (RFC 8949) for tasks, in browsers too: maps with text keys, lists, numbers, text, bytes, true, false and
 * null. The numbers of a typed array are a list of them; a `Uint8Array` is a list only where it is a column (`Column`).
 * The library of protocol/cbor.ts gives a typed array a tag, which a gateway refuses, and writes each f32 as an f64; in a
 * page it would be 11 KB, compressed, and this is less than one.
 */
import type { Column } from '../grid/fields.ts'

const MAJOR = { whole: 0, negative: 1, bytes: 2, text: 3, list: 4, map: 5 } as const
const F32 = 0xfa
const F64 = 0xfb
const [FALSE, TRUE, NULL] = [0xf4, 0xf5, 0xf6]
/** The longest head: a major type, and eight bytes. */
const HEAD_BYTES = 9

/** Numbers that are to be a list, whatever their array is made of. */
export class Numbers {
  readonly column: Column

  constructor(column: Column) {
    this.column = column
  }
}

/** Members that are `undefined` are left out. */
export function writeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  const writer = new Writer()
  writer.write(value)
  return writer.bytes
}

class Writer {
  #bytes = new Uint8Array(1024)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at)
  }

  write(value: unknown): void {
    if (typeof value === 'number') this.#number(value)
    else if (typeof value === 'string') this.#string(MAJOR.text, new TextEncoder().encode(value))
    else if (typeof value === 'boolean') this.#byte(value ? TRUE : FALSE)
    else if (value === null) this.#byte(NULL)
    else if (value instanceof Uint8Array) this.#string(MAJOR.bytes, value)
    else if (value instanceof Numbers) this.#numbers(value.column)
    else if (ArrayBuffer.isView(value)) this.#numbers(value as Column)
    else if (Array.isArray(value)) {
      this.#head(MAJOR.list, value.length)
      for (const member of value) this.write(member)
    } else this.#map(Object.entries(value as object))
  }

  #map(entries: readonly (readonly [string, unknown])[]): void {
    const members = entries.filter(([, member]) => member !== undefined)
    this.#head(MAJOR.map, members.length)
    for (const [key, member] of members) {
      this.write(key)
      this.write(member)
    }
  }

  #numbers(column: Column): void {
    this.#head(MAJOR.list, column.length)
    this.#reserve(column.length * HEAD_BYTES)
    const isSingle = column instanceof Float32Array
    for (const value of column) {
      if (isSingle && !Number.isInteger(value)) {
        this.#view.setUint8(this.#at, F32)
        this.#view.setFloat32(this.#at + 1, value)
        this.#at += 5
      } else this.#number(value)
    }
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value >= 0) this.#head(MAJOR.whole, value)
      else this.#head(MAJOR.negative, -1 - value)
      return
    }
    this.#reserve(HEAD_BYTES)
    this.#view.setUint8(this.#at, F64)
    this.#view.setFloat64(this.#at + 1, value)
    this.#at += HEAD_BYTES
  }

  #string(major: number, bytes: Uint8Array): void {
    this.#head(major, bytes.length)
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** The shortest form [RFC 8949 §4.2.1]. */
  #head(major: number, argument: number): void {
    this.#reserve(HEAD_BYTES)
    const at = this.#at
    const first = major << 5
    if (argument < 24) this.#at = this.#set(at, first | argument, 0, argument)
    else if (argument < 2 ** 8) this.#at = this.#set(at, first | 24, 1, argument)
    else if (argument < 2 ** 16) this.#at = this.#set(at, first | 25, 2, argument)
    else if (argument < 2 ** 32) this.#at = this.#set(at, first | 26, 4, argument)
    else this.#at = this.#set(at, first | 27, 8, argument)
  }

  #set(at: number, first: number, bytes: number, argument: number): number {
    this.#view.setUint8(at, first)
    if (bytes === 1) this.#view.setUint8(at + 1, argument)
    else if (bytes === 2) this.#view.setUint16(at + 1, argument)
    else if (bytes === 4) this.#view.setUint32(at + 1, argument)
    else if (bytes === 8) this.#view.setBigUint64(at + 1, BigInt(argument))
    return at + 1 + bytes
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#view.setUint8(this.#at++, value)
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#at + bytes))
    larger.set(this.#bytes)
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}
