/**
 * The packed page of one tile, as it lies in LMDB: a header, then each field as one column, then one
 * status byte an LSU. Columns are ordered by the size of their type, largest first, so that each
 * starts at a multiple of its size and a typed array can lie over the page without a copy.
 *
 * Format 1 has all columns whole; in format 2 (packed-page.ts) one that holds one value throughout is that value.
 * A page whose digest does not match its bytes is damaged and never read as cells. The digest is what
 * replicas compare at equal `at`, so the number is beside it and not in it (decision 0014), and it is the
 * same for both formats.
 */
import { DIGEST_BYTES, xxh32Pair } from '../core/hash.ts'
import { type Column, columnOver } from './fields.ts'
import { flagsOf, numberIn, packedBytesOf, readNumber, writeFlags } from './packed-page.ts'
import { type Hashes, readHeader, writeHeader } from './page-header.ts'
import {
  type ColumnPlace,
  HEADER_BYTES,
  PACKED_FORMAT,
  type PageLayout,
  PLAIN_FORMAT,
} from './page-layout.ts'
import { hashesOfAt, UniformPage } from './uniform-page.ts'

/** Gives memory of so many bytes that starts at a multiple of 8 in its buffer. */
export type Room = (bytes: number) => Uint8Array

const fresh: Room = (bytes) => new Uint8Array(bytes)

/**
 * One tile's page. While each of its columns holds one value it is these values alone; its cells have memory
 * once somebody wants a column of them.
 */
export class TilePage {
  readonly layout: PageLayout
  /** The sequence of the last write. */
  at = 0
  readonly #room: Room
  /** The tile's number plus 1. */
  #place = 0
  #hashes: Hashes = [0, 0]
  /** By the index of the column, while each holds one. */
  #values: number[] | undefined
  /** Else all cells, as format 1 has them. */
  #whole: Uint8Array | undefined
  /** Of a whole page: by the index of the column, whether it is known to hold one value. */
  #isUniform: boolean[] | undefined
  /** Instead of `#whole` once it was stored: the same in format 2. */
  #packed: Uint8Array | undefined

  private constructor(layout: PageLayout, room: Room) {
    this.layout = layout
    this.#room = room
  }

  /** `room`, here and below, gives memory to use instead of fresh. */
  static empty(layout: PageLayout, room: Room = fresh): TilePage {
    const page = new TilePage(layout, room)
    page.#values = new Array<number>(layout.columns.length).fill(0)
    return page
  }

  /** A private one of `tile` that is like it. */
  static like(uniform: UniformPage, tile: number, room: Room = fresh): TilePage {
    const { layout, at, values, hashes } = uniform
    const page = new TilePage(layout, room)
    page.#place = tile + 1
    page.at = at
    page.#hashes = hashes
    page.#values = values.slice()
    return page
  }

  /** A private copy of stored bytes, or why they are not a sound page of this layout, and of `tile`. */
  static open(
    layout: PageLayout,
    stored: Uint8Array,
    room: Room = fresh,
    tile?: number,
  ): TilePage | 'wrong-size' | 'damaged' {
    if (stored.length < HEADER_BYTES) return 'wrong-size'
    const { format, lsus, place, at, hashes } = readHeader(stored)
    if (lsus !== layout.lsus) return 'wrong-size'
    const page = new TilePage(layout, room)
    page.#place = place
    page.at = at
    page.#hashes = hashes
    if (format === PLAIN_FORMAT && stored.length === layout.bytes) {
      page.#whole = room(layout.bytes)
      page.#whole.set(stored)
    } else {
      const isUniform = flagsOf(layout, stored)
      if (format !== PACKED_FORMAT || isUniform === undefined) return 'wrong-size'
      if (!page.#unpack(stored, isUniform)) return 'damaged'
    }
    return page.#isSound() && page.#isOf(tile) ? page : 'damaged'
  }

  /** As it is now, apart from this one. */
  copy(room: Room = fresh): TilePage {
    const page = new TilePage(this.layout, room)
    page.at = this.at
    page.#place = this.#place
    page.#hashes = this.#hashes
    if (this.#values !== undefined) page.#values = this.#values.slice()
    else if (this.#packed !== undefined) page.#unpack(this.#packed, this.#isUniform!)
    else {
      page.#whole = room(this.layout.bytes)
      page.#whole.set(this.#whole!)
      page.#isUniform = this.#isUniform?.slice()
    }
    return page
  }

  get lsus(): number {
    return this.layout.lsus
  }

  get digest(): Uint8Array {
    const digest = new Uint8Array(DIGEST_BYTES)
    const view = new DataView(digest.buffer)
    view.setUint32(0, this.#hashes[0], true)
    view.setUint32(4, this.#hashes[1], true)
    return digest
  }

  /** The cells of a field, or status behind the last one, to be read and written. */
  column(index: number): Column {
    const { type, offset } = this.#placeOf(index)
    const { buffer, byteOffset } = this.#expand()
    if (this.#isUniform !== undefined) this.#isUniform[index] = false
    return columnOver(type, buffer, byteOffset + offset, this.lsus)
  }

  get status(): Uint8Array {
    return this.column(this.layout.fields.length) as Uint8Array
  }

  /** What every LSU has in this column, where that is known to be one value. */
  valueOf(index: number): number | undefined {
    if (this.#values !== undefined) return this.#values[index]
    if (!this.#isUniform?.[index]) return undefined
    const { type, offset } = this.#placeOf(index)
    return readNumber(type, this.#expand(), offset)
  }

  /** Gives every LSU this value in that column. */
  fill(index: number, value: number): void {
    const { type, offset } = this.#placeOf(index)
    const { columns, lsus } = this.layout
    // The bits of a NaN are not those of a value.
    const isNumber = !Number.isNaN(value)
    if (this.#values !== undefined && isNumber) {
      this.#values[index] = numberIn(type, value)
      return
    }
    const whole = this.#expand()
    columnOver(type, whole.buffer, whole.byteOffset + offset, lsus).fill(value)
    this.#isUniform ??= new Array<boolean>(columns.length).fill(false)
    this.#isUniform[index] = isNumber
  }

  /** Writes the digest of what the page now holds, and whose it is. To be called last, before it is stored. */
  seal(tile?: number): void {
    if (tile !== undefined) this.#place = tile + 1
    if (this.#values === undefined) this.#findUniform()
    this.#hashes = this.#hashNow()
  }

  /** Of a sealed page whose columns hold one value each: the one that such pages share. */
  get uniform(): UniformPage | undefined {
    return this.#values && UniformPage.of(this.layout, this.at, this.#values)
  }

  /** Of a sealed page, in format 1. */
  get bytes(): Uint8Array {
    const whole = this.#whole ?? this.copy().#expand()
    this.#writeHeader(whole, PLAIN_FORMAT)
    return whole
  }

  /**
   * Of a sealed page, as it is to be stored: in format 2 where that is allowed, shorter, and not above `packedMax`.
   * The memory is the page's own, and its cells have to be made anew where they are wanted again.
   */
  stored(mayPack: boolean, packedMax = Number.POSITIVE_INFINITY): Uint8Array {
    const { bytes, uniformBytes } = this.layout
    if (this.#values !== undefined) {
      const isShorter = uniformBytes < bytes && uniformBytes <= packedMax
      if (mayPack && isShorter) return this.#packValues()
    } else if (mayPack && (this.#packed !== undefined || this.#pack(packedMax))) {
      this.#writeHeader(this.#packed!, PACKED_FORMAT)
      return this.#packed!
    }
    const whole = this.#expand()
    this.#writeHeader(whole, PLAIN_FORMAT)
    return whole
  }

  #packValues(): Uint8Array {
    const packed = this.#room(this.layout.uniformBytes)
    packed.set(this.uniform!.stored(0, true))
    this.#writeHeader(packed, PACKED_FORMAT)
    return packed
  }

  /** In its own memory: no column lies further behind than it did. False if nothing is won, or it is too long. */
  #pack(packedMax: number): boolean {
    const isUniform = this.#isUniform
    const whole = this.#whole!
    const bytes = isUniform && packedBytesOf(this.layout, isUniform)
    if (bytes === undefined || bytes >= whole.length || bytes > packedMax) return false
    const { columns, lsus } = this.layout
    let to = HEADER_BYTES
    for (const { index, offset, size } of columns) {
      const length = isUniform![index] ? size : size * lsus
      whole.copyWithin(to, offset, offset + length)
      to += length
    }
    this.#packed = whole.subarray(0, bytes)
    writeFlags(this.layout, this.#packed, isUniform!)
    this.#whole = undefined
    return true
  }

  /** From format 2. False if a value is none. */
  #unpack(packed: Uint8Array, isUniform: readonly boolean[]): boolean {
    const { layout } = this
    if (isUniform.every((flag) => flag)) this.#values = []
    else this.#whole = this.#room(layout.bytes)
    this.#isUniform = isUniform.slice()
    let from = HEADER_BYTES
    for (const place of layout.columns) {
      const { index, offset, size, type } = place
      const length = isUniform[index] ? size : size * layout.lsus
      if (isUniform[index]) {
        const value = readNumber(type, packed, from)
        if (Number.isNaN(value)) return false
        if (this.#values !== undefined) this.#values[index] = value
        else this.#spread(place, value)
      } else this.#whole!.set(packed.subarray(from, from + length), offset)
      from += length
    }
    return true
  }

  #spread({ type, offset }: ColumnPlace, value: number): void {
    const whole = this.#whole!
    columnOver(type, whole.buffer, whole.byteOffset + offset, this.lsus).fill(value)
  }

  /** Its cells have memory from now on. */
  #expand(): Uint8Array {
    if (this.#packed !== undefined) {
      const packed = this.#packed
      this.#packed = undefined
      this.#unpack(packed, this.#isUniform!)
    }
    if (this.#values !== undefined) {
      const values = this.#values
      this.#values = undefined
      this.#whole = this.#room(this.layout.bytes)
      this.#isUniform = values.map(() => true)
      for (const place of this.layout.columns) this.#spread(place, values[place.index]!)
    }
    return this.#whole!
  }

  /** Of each column that is not known to hold one value, whether it does; if all do, the page is these values. */
  #findUniform(): void {
    const whole = this.#expand()
    const { columns, lsus } = this.layout
    let count = 0
    for (const place of columns) {
      if (!this.#isUniform?.[place.index] && !isOneValue(whole, place, lsus)) continue
      this.#isUniform ??= new Array<boolean>(columns.length).fill(false)
      this.#isUniform[place.index] = true
      count += 1
    }
    if (count < columns.length) return
    const values = new Array<number>(columns.length)
    for (const { index, type, offset } of columns) values[index] = readNumber(type, whole, offset)
    this.#values = values
    this.#whole = undefined
  }

  #placeOf(index: number): ColumnPlace {
    return this.layout.columns.find((column) => column.index === index)!
  }

  #writeHeader(bytes: Uint8Array, format: number): void {
    const { lsus, at } = this
    writeHeader(bytes, { format, lsus, place: this.#place, at, hashes: this.#hashes })
  }

  #hashNow(): Hashes {
    const { uniform } = this
    if (uniform !== undefined) return uniform.hashes
    const [low, high] = hashesOfAt(this.at)
    return xxh32Pair(this.#expand(), low, high, HEADER_BYTES)
  }

  /** A damaged tree may have it under the key of another. */
  #isOf(tile: number | undefined): boolean {
    return tile === undefined || this.#place === 0 || this.#place === tile + 1
  }

  #isSound(): boolean {
    const [low, high] = this.#hashNow()
    return this.#hashes[0] === low && this.#hashes[1] === high
  }
}

/** By their bits: zeros have a sign, and a NaN is no value. */
function isOneValue(whole: Uint8Array, { type, offset, size }: ColumnPlace, lsus: number): boolean {
  const end = offset + size * lsus
  // What is not is not so at its ends, mostly.
  for (let at = 1; at <= size; at++) if (whole[offset + size - at] !== whole[end - at]) return false
  if (Number.isNaN(readNumber(type, whole, offset))) return false
  if (size === 1) return isOneByte(whole, offset, end)
  const step = size >> 2
  const words = new Int32Array(whole.buffer, whole.byteOffset + offset, step * lsus)
  for (let at = step; at < words.length; at++) if (words[at] !== words[at - step]) return false
  return true
}

/** Four at a time, but for those beside whole words. */
function isOneByte(whole: Uint8Array, start: number, end: number): boolean {
  const byte = whole[start]!
  const from = (start + 3) & ~3
  const to = end & ~3
  if (from < to) {
    const word = Math.imul(byte, 0x01010101)
    const words = new Int32Array(whole.buffer, whole.byteOffset + from, (to - from) >> 2)
    for (let at = 0; at < words.length; at++) if (words[at] !== word) return false
  }
  for (let at = start; at < Math.min(from, end); at++) if (whole[at] !== byte) return false
  for (let at = Math.max(to, start); at < end; at++) if (whole[at] !== byte) return false
  return true
}
