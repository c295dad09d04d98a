/** A set of packet ids, a bit each: 8 KiB at most, where a client may have every id under way. */
export class PacketIds {
  #bits = new Uint8Array(8)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(id: number): boolean {
    return ((this.#bits[id >> 3] ?? 0) & (1 << (id & 7))) !== 0
  }

  add(id: number): void {
    if (this.has(id)) return
    if (id >> 3 >= this.#bits.length) {
      const grown = new Uint8Array(2 ** Math.ceil(Math.log2((id >> 3) + 1)))
      grown.set(this.#bits)
      this.#bits = grown
    }
    this.#bits[id >> 3]! |= 1 << (id & 7)
    this.#size++
  }

  /** False if it was not there. */
  delete(id: number): boolean {
    if (!this.has(id)) return false
    this.#bits[id >> 3]! &= ~(1 << (id & 7))
    this.#size--
    return true
  }
}
