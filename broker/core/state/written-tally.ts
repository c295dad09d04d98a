/**
 * How many cells took a value of a program, as nodes tell it tile by tile: each tile is counted once, by who tells of
 * it first. It goes on after a start where its record stands. The numbers of each tile stay only in memory, to compare
 * what replicas say of one tile.
 */
import { countsOfRuns, UNKNOWN_COUNT } from '../../../shared/protocol/written-counts.ts'
import type { WrittenRecord } from '../ledger-records.ts'

/** Of a tile that was counted before the start. */
const FORGOTTEN = 0xfffe

export class WrittenTally {
  readonly #tiles: Uint32Array
  readonly #fields: readonly number[]
  /** By tile, field after field. */
  readonly #counts: Uint16Array
  readonly #totals: number[]
  #left: number

  /** `fields`: those that may be set, or `STATUS`; `tiles`: of the write, ascending. */
  constructor(fields: readonly number[], tiles: Uint32Array, record?: WrittenRecord) {
    this.#tiles = tiles
    this.#fields = fields
    this.#counts = new Uint16Array(tiles.length * fields.length).fill(UNKNOWN_COUNT)
    this.#totals = [...(record?.totals ?? fields.map(() => 0))]
    this.#left = tiles.length
    for (let at = 0; record !== undefined && at < tiles.length; at++) {
      if (((record.counted[at >> 3]! >> (at & 7)) & 1) === 0) continue
      this.#counts.fill(FORGOTTEN, at * fields.length, (at + 1) * fields.length)
      this.#left -= 1
    }
  }

  /** Takes what a node tells of these tiles of the write, and says what is wrong with it. */
  add(tiles: Uint32Array, runs: Uint8Array): string | undefined {
    const { length: fields } = this.#fields
    const told = countsOfRuns(runs, { tiles: tiles.length, fields })
    if (told === undefined) return 'tells of other tiles than it wrote'
    let fault: string | undefined
    let at = 0
    for (const [index, tile] of tiles.entries()) {
      at = this.#placeOf(tile, at)
      const row = told.subarray(index * fields, (index + 1) * fields)
      if (row[0] === UNKNOWN_COUNT) continue
      const known = this.#counts.subarray(at * fields, (at + 1) * fields)
      if (known[0] === UNKNOWN_COUNT) this.#count(row, known)
      else if (known[0] !== FORGOTTEN && known.some((count, field) => count !== row[field])) {
        fault ??= `wrote another number of cells of tile ${tile} than a replica`
      }
    }
    return fault
  }

  #count(row: Uint16Array, known: Uint16Array): void {
    known.set(row)
    for (const [field, count] of row.entries()) this.#totals[field]! += count
    this.#left -= 1
  }

  /** Which of the write's tiles it is; from one that is not behind it on. */
  #placeOf(tile: number, from: number): number {
    let at = from
    for (let to = this.#tiles.length; at < to; ) {
      const middle = (at + to) >>> 1
      if (this.#tiles[middle]! < tile) at = middle + 1
      else to = middle
    }
    return at
  }

  /** By field, once each tile is counted. */
  get totals(): ReadonlyMap<number, number> | undefined {
    if (this.#left > 0) return undefined
    return new Map(this.#fields.map((field, index) => [field, this.#totals[index]!]))
  }

  get record(): WrittenRecord {
    const { length: fields } = this.#fields
    const counted = new Uint8Array(Math.ceil(this.#tiles.length / 8))
    for (let at = 0; at < this.#tiles.length; at++) {
      if (this.#counts[at * fields] !== UNKNOWN_COUNT) counted[at >> 3]! |= 1 << (at & 7)
    }
    return { totals: [...this.#totals], counted }
  }
}
