/**
 * How many cells of each tile took a value of a program, as a node tells it of a part: runs of tiles with the same
 * counts, in the order of the part's tiles. A run is how many tiles, and then the count of each field that is stored,
 * ascending, `status` last: u16, little-endian as every platform we run on is. Of a tile that it did not act on, as the
 * write was there already or its page is damaged, a node knows none.
 */

/** In the place of each count. */
export const UNKNOWN_COUNT = 0xffff
const RUN_MAX = 0xffff
const WORD_BYTES = 2

/** Makes the runs of one part. */
export class CountRuns {
  readonly #unknown: readonly number[]
  readonly #words: number[] = []
  #counts: readonly number[] = []
  #tiles = 0

  /** `fields`: how many are stored. */
  constructor(fields: number) {
    this.#unknown = new Array<number>(fields).fill(UNKNOWN_COUNT)
  }

  /** The next tile; nothing where they are not known. */
  add(counts: readonly number[] = this.#unknown): void {
    const isSame = this.#tiles > 0 && this.#tiles < RUN_MAX && areEqual(counts, this.#counts)
    if (!isSame) {
      this.#end()
      this.#counts = counts
    }
    this.#tiles += 1
  }

  #end(): void {
    if (this.#tiles > 0) this.#words.push(this.#tiles, ...this.#counts)
    this.#tiles = 0
  }

  take(): Uint8Array {
    this.#end()
    return new Uint8Array(Uint16Array.from(this.#words).buffer)
  }
}

function areEqual(left: readonly number[], right: readonly number[]): boolean {
  return left === right || left.every((count, at) => count === right[at])
}

/** The counts of each tile of a part, field after field; nothing if these are no runs over so many tiles. */
export function countsOfRuns(
  bytes: Uint8Array,
  { tiles, fields }: { tiles: number; fields: number },
): Uint16Array | undefined {
  const rowBytes = WORD_BYTES * (1 + fields)
  if (bytes.length % rowBytes !== 0 || bytes.length > tiles * rowBytes) return undefined
  const words = new Uint16Array(new Uint8Array(bytes).buffer)
  const counts = new Uint16Array(tiles * fields)
  let tile = 0
  for (let at = 0; at < words.length; at += 1 + fields) {
    const end = tile + words[at]!
    if (end > tiles || end === tile) return undefined
    const row = words.subarray(at + 1, at + 1 + fields)
    for (; tile < end; tile++) counts.set(row, tile * fields)
  }
  return tile === tiles ? counts : undefined
}
