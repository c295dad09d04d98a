/** A set of tile ids in one bit each: a slice may have hundreds of thousands of tiles. */
export class TileSet {
  #bits = new Uint8Array(0)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(tile: number): boolean {
    return ((this.#bits[tile >>> 3] ?? 0) & (1 << (tile & 7))) !== 0
  }

  /** Whether the tile was not in the set before. */
  add(tile: number): boolean {
    if (this.has(tile)) return false
    const at = tile >>> 3
    if (at >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(64, 2 * at))
      grown.set(this.#bits)
      this.#bits = grown
    }
    this.#bits[at] = this.#bits[at]! | (1 << (tile & 7))
    this.#size += 1
    return true
  }

  /** Whether the tile was in the set before. */
  delete(tile: number): boolean {
    if (!this.has(tile)) return false
    this.#bits[tile >>> 3] = this.#bits[tile >>> 3]! & ~(1 << (tile & 7))
    this.#size -= 1
    return true
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
  }
}
