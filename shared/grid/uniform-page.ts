/**
 * A sealed page whose columns hold one value each. A write over a region makes thousands of equal ones, which differ
 * in their tile's number alone: so each distinct one of the last is one object, which never changes, with the digest
 * that the page would have with all its bytes (tile-page.ts), made once. Bytes that are those of one that is known
 * need no other check.
 */
import { STRIPE_BYTES, Xxh32Pair, xxh32Pair } from '../core/hash.ts'
import { columnOver } from './fields.ts'
import { writeFlags, writeNumber } from './packed-page.ts'
import {
  type Hashes,
  isSameButPlace,
  lowHashIn,
  placeIn,
  writeHeader,
  writePlace,
} from './page-header.ts'
import { HEADER_BYTES, PACKED_FORMAT, type PageLayout, PLAIN_FORMAT } from './page-layout.ts'

/** Whole stripes, and whole numbers of each type. */
const ROOM_BYTES = 4096
const KNOWN_MAX = 64
const LOW_SEED = 0
const HIGH_SEED = 0x9e3779b1

const room = new Uint8Array(ROOM_BYTES)
const number = new Float64Array(1)
const numberBytes = new Uint8Array(number.buffer)
let ofNumber: Hashes = xxh32Pair(numberBytes, LOW_SEED, HIGH_SEED)
const knownOf = new WeakMap<PageLayout, KnownPages>()

/** The last one that was wanted with all its bytes. */
let whole: { readonly page: UniformPage; readonly bytes: Uint8Array } | undefined

export class UniformPage {
  readonly layout: PageLayout
  readonly at: number
  /** By the index of the column. */
  readonly values: readonly number[]
  readonly hashes: Hashes
  /** In format 2, of some tile, once that is asked for. */
  #packed: Uint8Array | undefined

  /** Of any tile: the page that is known as such, or from now on. */
  static of(layout: PageLayout, at: number, values: readonly number[]): UniformPage {
    return knownPagesOf(layout).of(at, values)
  }

  /** Of tiles that were never written. */
  static empty(layout: PageLayout): UniformPage {
    return UniformPage.of(layout, 0, new Array<number>(layout.columns.length).fill(0))
  }

  /** The one that these bytes of a store are, of `tile`, if it is known. */
  static knownIn(layout: PageLayout, stored: Uint8Array, tile: number): UniformPage | undefined {
    if (stored.length !== layout.uniformBytes || placeIn(stored) !== tile + 1) return undefined
    return knownPagesOf(layout).find(stored)
  }

  constructor(layout: PageLayout, at: number, values: readonly number[]) {
    this.layout = layout
    this.at = at
    this.values = values
    this.hashes = hashesOf(layout, at, values)
  }

  /** How many bytes `stored` has. */
  storedBytes(mayPack: boolean, packedMax: number): number {
    const { bytes, uniformBytes } = this.layout
    const isShorter = uniformBytes < bytes && uniformBytes <= packedMax
    return mayPack && isShorter ? uniformBytes : bytes
  }

  /** As it is to be stored for `tile`: in format 2 as TilePage has it. Only until one is asked for that again. */
  stored(tile: number, mayPack: boolean, packedMax = Number.POSITIVE_INFINITY): Uint8Array {
    const isPacked = this.storedBytes(mayPack, packedMax) < this.layout.bytes
    const bytes = isPacked ? this.#pack() : this.#whole()
    writePlace(bytes, tile + 1)
    return bytes
  }

  isStoredIn(bytes: Uint8Array): boolean {
    return isSameButPlace(this.#pack(), bytes)
  }

  #pack(): Uint8Array {
    if (this.#packed !== undefined) return this.#packed
    const { layout, values } = this
    const packed = new Uint8Array(layout.uniformBytes)
    let to = HEADER_BYTES
    for (const { index, type, size } of layout.columns) {
      writeNumber(type, packed, to, values[index]!)
      to += size
    }
    writeFlags(layout, packed)
    this.#writeHeader(packed, PACKED_FORMAT)
    this.#packed = packed
    return packed
  }

  #whole(): Uint8Array {
    if (whole?.page === this) return whole.bytes
    const { layout, values } = this
    const bytes = new Uint8Array(layout.bytes)
    for (const { index, type, offset } of layout.columns) {
      columnOver(type, bytes.buffer, offset, layout.lsus).fill(values[index]!)
    }
    this.#writeHeader(bytes, PLAIN_FORMAT)
    whole = { page: this, bytes }
    return bytes
  }

  #writeHeader(bytes: Uint8Array, format: number): void {
    const { layout, at, hashes } = this
    writeHeader(bytes, { format, lsus: layout.lsus, place: 0, at, hashes })
  }
}

/** What the digest of every page begins with. The pages of a batch have the same `at`, mostly. */
export function hashesOfAt(at: number): Hashes {
  if (!Object.is(at, number[0])) {
    number[0] = at
    ofNumber = xxh32Pair(numberBytes, LOW_SEED, HIGH_SEED)
  }
  return ofNumber
}

function knownPagesOf(layout: PageLayout): KnownPages {
  let known = knownOf.get(layout)
  if (known === undefined) {
    known = new KnownPages(layout)
    knownOf.set(layout, known)
  }
  return known
}

class KnownPages {
  readonly #layout: PageLayout
  readonly #byText = new Map<string, UniformPage>()
  readonly #byHash = new Map<number, UniformPage>()
  #last: UniformPage | undefined

  constructor(layout: PageLayout) {
    this.#layout = layout
  }

  of(at: number, values: readonly number[]): UniformPage {
    if (this.#last !== undefined && isSame(this.#last, at, values)) return this.#last
    const text = textOf(at, values)
    let found = this.#byText.get(text)
    if (found === undefined) {
      if (this.#byText.size === KNOWN_MAX) {
        this.#byText.clear()
        this.#byHash.clear()
      }
      found = new UniformPage(this.#layout, at, values.slice())
      this.#byText.set(text, found)
      this.#byHash.set(found.hashes[0], found)
    }
    this.#last = found
    return found
  }

  find(stored: Uint8Array): UniformPage | undefined {
    if (this.#last?.isStoredIn(stored)) return this.#last
    const found = this.#byHash.get(lowHashIn(stored))
    if (!found?.isStoredIn(stored)) return undefined
    this.#last = found
    return found
  }
}

function isSame(known: UniformPage, at: number, values: readonly number[]): boolean {
  if (!Object.is(known.at, at)) return false
  for (let index = 0; index < values.length; index++) {
    if (!Object.is(values[index], known.values[index])) return false
  }
  return true
}

/** Zeros have a sign in a page, and none as text. */
function textOf(at: number, values: readonly number[]): string {
  let text = signed(at)
  for (const value of values) text += `/${signed(value)}`
  return text
}

function signed(value: number): string {
  return Object.is(value, -0) ? '-0' : `${value}`
}

function hashesOf({ lsus, columns }: PageLayout, at: number, values: readonly number[]): Hashes {
  const hash = new Xxh32Pair(...hashesOfAt(at))
  let used = 0
  for (const { index, type, size } of columns) {
    for (let left = lsus; left > 0; ) {
      const count = Math.min(left, (ROOM_BYTES - used) / size)
      columnOver(type, room.buffer, used, count).fill(values[index]!)
      used += count * size
      left -= count
      if (used === ROOM_BYTES) {
        hash.add(room)
        used = 0
      }
    }
  }
  const end = used - (used % STRIPE_BYTES)
  hash.add(room.subarray(0, end))
  return hash.end(room.subarray(end, used))
}
