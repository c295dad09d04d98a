/**
 * Who holds the lease of each tile of one read, kept from what was sent, beside the coordinator and
 * without its help: so that a benchmark can say whether each lost lease was really given away.
 */
export class LeaseBook {
  /** By tile; -1 while nobody has it. */
  readonly #holders: Int32Array
  /** By member: tiles that it has the lease of. */
  readonly #counts: Uint32Array

  constructor({ tiles, members }: { tiles: number; members: number }) {
    this.#holders = new Int32Array(tiles).fill(-1)
    this.#counts = new Uint32Array(members)
  }

  countOf(member: number): number {
    return this.#counts[member]!
  }

  /** A read begins anew: nobody has anything. */
  clear(): void {
    this.#holders.fill(-1)
    this.#counts.fill(0)
  }

  /** The member is sent these tiles, which `from` had until now (-1: nobody). */
  move(tiles: Uint32Array, { from, to }: { from: number; to: number }): void {
    if (from === to) throw new Error(`tiles of member ${from} went to itself`)
    for (const tile of tiles) {
      const holder = this.#holders[tile]
      if (holder !== from) throw new Error(`tile ${tile} was with ${holder}, not with ${from}`)
      this.#holders[tile] = to
    }
    if (from >= 0) this.#counts[from]! -= tiles.length
    this.#counts[to]! += tiles.length
  }
}
