/**
 * The packed page of one tile, as it lies in LMDB: a header, then each field as one column, then one
 * status byte an LSU. Columns are ordered by the size of their type, largest first, so that each
 * starts at a multiple of its size and a typed array can lie over the page without a copy.
 *
 *   0   u32  format (1) in the low byte, LSUs in the upper 24 bits
 *   4   u32  the tile's number plus 1, or 0 in a page of before that was kept
 *   8   f64  `at`: the sequence of the last write applied to this tile, 0 when none
 *   16  8 B  digest of the bytes from 24 on and of `at`
 *   24  columns, then status
 *
 * A page whose digest does not match its bytes is damaged and never read as cells. The digest is what
 * replicas compare at equal `at`, so the number is beside it and not in it (decision 0014).
 */
import { DIGEST_BYTES, xxh32Pair } from '../core/hash.ts'
import { type Column, columnOver } from './fields.ts'
import { HEADER_BYTES, type PageLayout } from './page-layout.ts'

const FORMAT = 1
const PLACE_OFFSET = 4
const AT_OFFSET = 8
const DIGEST_OFFSET = 16

/** One tile's page over its own, 8-byte aligned memory. */
export class TilePage {
  readonly layout: PageLayout
  readonly bytes: Uint8Array
  readonly status: Uint8Array
  readonly #view: DataView

  /** `bytes` must be `layout.bytes` long and start at a multiple of 8 in its buffer. */
  constructor(layout: PageLayout, bytes: Uint8Array) {
    this.layout = layout
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    // Not `subarray`: of a Buffer that is a Buffer, whose `slice` does not copy.
    this.status = new Uint8Array(bytes.buffer, bytes.byteOffset + layout.statusOffset, layout.lsus)
  }

  /** `room`, here and below, is memory to use instead of fresh, as the constructor wants it. */
  static empty(layout: PageLayout, room?: Uint8Array): TilePage {
    const page = new TilePage(layout, room?.fill(0) ?? new Uint8Array(layout.bytes))
    page.#view.setUint32(0, FORMAT | (layout.lsus << 8), true)
    return page
  }

  /** A private copy of stored bytes, or why they are not a sound page of this layout, and of `tile`. */
  static open(
    layout: PageLayout,
    stored: Uint8Array,
    room: Uint8Array = new Uint8Array(layout.bytes),
    tile?: number,
  ): TilePage | 'wrong-size' | 'damaged' {
    if (stored.length !== layout.bytes) return 'wrong-size'
    room.set(stored)
    const page = new TilePage(layout, room)
    if (page.#view.getUint32(0, true) !== (FORMAT | (layout.lsus << 8)) >>> 0) return 'wrong-size'
    return page.#isSound() && page.#isOf(tile) ? page : 'damaged'
  }

  get at(): number {
    return this.#view.getFloat64(AT_OFFSET, true)
  }

  set at(seq: number) {
    this.#view.setFloat64(AT_OFFSET, seq, true)
  }

  get digest(): Uint8Array {
    return this.bytes.subarray(DIGEST_OFFSET, DIGEST_OFFSET + DIGEST_BYTES)
  }

  column(index: number): Column {
    const { fields, offsets, lsus } = this.layout
    const field = fields[index]!
    return columnOver(field.type, this.bytes.buffer, this.bytes.byteOffset + offsets[index]!, lsus)
  }

  /** Writes the digest of what the page now holds, and whose it is. To be called last, before it is stored. */
  seal(tile?: number): void {
    if (tile !== undefined) this.#view.setUint32(PLACE_OFFSET, tile + 1, true)
    const [low, high] = this.#hashes()
    this.#view.setUint32(DIGEST_OFFSET, low, true)
    this.#view.setUint32(DIGEST_OFFSET + 4, high, true)
  }

  #hashes(): [low: number, high: number] {
    const at = this.bytes.subarray(AT_OFFSET, AT_OFFSET + 8)
    const [low, high] = xxh32Pair(at, 0, 0x9e3779b1)
    return xxh32Pair(this.bytes.subarray(HEADER_BYTES), low, high)
  }

  /** A damaged tree may have it under the key of another. */
  #isOf(tile: number | undefined): boolean {
    const place = this.#view.getUint32(PLACE_OFFSET, true)
    return tile === undefined || place === 0 || place === tile + 1
  }

  #isSound(): boolean {
    const [low, high] = this.#hashes()
    return (
      this.#view.getUint32(DIGEST_OFFSET, true) === low &&
      this.#view.getUint32(DIGEST_OFFSET + 4, true) === high
    )
  }
}
