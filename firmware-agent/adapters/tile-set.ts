/** A set of tiles in one bit each, since a slice may have hundreds of thousands, and what they come to. */
export interface TileSize {
  readonly lsus: number
  /** Of its page, if it is whole. */
  readonly diskBytes: number
}

export class TileSet {
  #bits = new Uint8Array(0)
  #size = 0
  #lsus = 0
  #diskBytes = 0
  readonly #sizeOf: (tile: number) => TileSize

  constructor(sizeOf: (tile: number) => TileSize) {
    this.#sizeOf = sizeOf
  }

  get size(): number {
    return this.#size
  }

  get lsus(): number {
    return this.#lsus
  }

  /** What all of their pages would take. */
  get diskBytes(): number {
    return this.#diskBytes
  }

  has(tile: number): boolean {
    return ((this.#bits[tile >>> 3] ?? 0) & (1 << (tile & 7))) !== 0
  }

  add(tile: number): void {
    if (this.has(tile)) return
    const at = tile >>> 3
    if (at >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(64, 2 * at))
      grown.set(this.#bits)
      this.#bits = grown
    }
    this.#bits[at] = this.#bits[at]! | (1 << (tile & 7))
    this.#size += 1
    const { lsus, diskBytes } = this.#sizeOf(tile)
    this.#lsus += lsus
    this.#diskBytes += diskBytes
  }

  delete(tile: number): void {
    if (!this.has(tile)) return
    this.#bits[tile >>> 3] = this.#bits[tile >>> 3]! & ~(1 << (tile & 7))
    this.#size -= 1
    const { lsus, diskBytes } = this.#sizeOf(tile)
    this.#lsus -= lsus
    this.#diskBytes -= diskBytes
  }

  /** Up to `count` tiles from `from` on, ascending. */
  from(from: number, count: number): Uint32Array {
    const found: number[] = []
    for (let tile = from; tile < this.#bits.length * 8 && found.length < count; tile++) {
      if (this.has(tile)) found.push(tile)
    }
    return Uint32Array.from(found)
  }

  clear(): void {
    this.#bits = new Uint8Array(0)
    this.#size = 0
    this.#lsus = 0
    this.#diskBytes = 0
  }
}
