/**
 * Pages by tile, in the order in which they came, for one batch after the other. A `Map` of thousands is made anew
 * while it grows, and copied by each collection of young objects: that was a third of a write to tiles that share
 * their page. This is open addressing over memory that is used again.
 */
const SLOTS_MIN = 64
/** 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4). */
const MULTIPLIER = 0x9e3779b1

/** What is read of a batch; a `Map` is one, too. */
export interface TilePages<Page> {
  readonly size: number
  forEach(visit: (page: Page, tile: number) => void): void
}

export class PageTable<Page> implements TilePages<Page> {
  /** The index of a tile and 1, or 0; at most half of them are taken. */
  #slots = new Int32Array(0)
  #shift = 32
  #tiles = new Uint32Array(0)
  /** Nothing for one that was taken out. */
  #pages: (Page | undefined)[] = []
  #count = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  has(tile: number): boolean {
    return this.get(tile) !== undefined
  }

  get(tile: number): Page | undefined {
    if (this.#size === 0) return undefined
    const index = this.#slots[this.#slotOf(tile)]!
    return index === 0 ? undefined : this.#pages[index - 1]
  }

  set(tile: number, page: Page): void {
    if (2 * (this.#count + 1) > this.#slots.length) this.#grow()
    const slot = this.#slotOf(tile)
    let index = this.#slots[slot]! - 1
    if (index < 0) {
      index = this.#count++
      this.#slots[slot] = index + 1
      this.#tiles[index] = tile
    }
    if (this.#pages[index] === undefined) this.#size += 1
    this.#pages[index] = page
  }

  delete(tile: number): void {
    if (!this.has(tile)) return
    this.#pages[this.#slots[this.#slotOf(tile)]! - 1] = undefined
    this.#size -= 1
  }

  forEach(visit: (page: Page, tile: number) => void): void {
    for (let index = 0; index < this.#count; index++) {
      const page = this.#pages[index]
      if (page !== undefined) visit(page, this.#tiles[index]!)
    }
  }

  /** The memory stays. */
  clear(): void {
    if (this.#count === 0) return
    this.#slots.fill(0)
    this.#pages.fill(undefined, 0, this.#count)
    this.#count = 0
    this.#size = 0
  }

  /** Lets go of the memory, too. */
  release(): void {
    this.#slots = new Int32Array(0)
    this.#tiles = new Uint32Array(0)
    this.#pages = []
    this.#count = 0
    this.#size = 0
  }

  /** Where the tile is, or where it would be. */
  #slotOf(tile: number): number {
    const last = this.#slots.length - 1
    for (let slot = Math.imul(tile, MULTIPLIER) >>> this.#shift; ; slot = (slot + 1) & last) {
      const index = this.#slots[slot]!
      if (index === 0 || this.#tiles[index - 1] === tile) return slot
    }
  }

  #grow(): void {
    const length = Math.max(SLOTS_MIN, 2 * this.#slots.length)
    const tiles = new Uint32Array(length / 2)
    tiles.set(this.#tiles)
    this.#tiles = tiles
    this.#slots = new Int32Array(length)
    this.#shift = 32 - Math.log2(length)
    for (let index = 0; index < this.#count; index++) {
      this.#slots[this.#slotOf(tiles[index]!)] = index + 1
    }
  }
}
