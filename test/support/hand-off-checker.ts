/**
 * What must be true of tiles that move: a node that becomes a holder has all that was ever shown as done on
 * the tile. Counts how far moves have come, and whether writes went on meanwhile.
 */
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
import { violated } from './violation.ts'

export interface HandOffSight {
  readonly tiles: number
  /** By tile: the last write that was shown as done. */
  lastDone(): readonly number[]
  /** Nothing while there is no gateway. */
  holdersOf(tile: number): readonly string[] | undefined
  /** The last write to a tile. */
  dueAt(tile: number): number
  /** What a node has of a tile on disk. */
  atOf(node: string, tile: number): number
  /** What it had on a card or page that is lost since. */
  lostAt(node: string, tile: number): number
  count(what: string): void
}

export class HandOffChecker {
  readonly #sight: HandOffSight
  /** Of each tile, as the ledger last had them. */
  #holders: (readonly string[] | undefined)[] = []

  constructor(sight: HandOffSight) {
    this.#sight = sight
  }

  /** The ledger is lost: who becomes a holder then has what there is. */
  forget(): void {
    this.#holders = []
  }

  /** The ledger's disk took these. */
  flushed(records: readonly LedgerRecord[]): void {
    this.#countMoves(records)
    if (records.some(({ table }) => table === 'placement')) this.#checkHolders()
  }

  #countMoves(records: readonly LedgerRecord[]): void {
    for (const { table, key, value } of records) {
      if (table !== 'control' || value?.op !== '$adopt') continue
      this.#sight.count('move-catching-up')
      const isBusy = records.some(
        (other) => other.table === 'write' && other.value !== undefined && other.key < key,
      )
      if (isBusy) this.#sight.count('move-under-write')
    }
  }

  #checkHolders(): void {
    const lastDone = this.#sight.lastDone()
    for (let tile = 0; tile < this.#sight.tiles; tile++) {
      const holders = this.#sight.holdersOf(tile)
      if (holders === undefined) return
      const before = this.#holders[tile]
      const done = lastDone[tile]!
      this.#holders[tile] = holders
      if (before === undefined || done === 0) continue
      for (const id of holders) {
        if (before.includes(id)) continue
        // It may have been lost after the decision, before the flush.
        const at = Math.max(this.#sight.atOf(id, tile), this.#sight.lostAt(id, tile))
        if (at < done) violated(`node ${id} holds tile ${tile} at ${at}, ${done} was shown as done`)
      }
    }
  }

  /** At rest, every holder of a written tile has its last state, and nobody else has any. */
  atRest(nodes: readonly string[]): void {
    for (let tile = 0; tile < this.#sight.tiles; tile++) {
      const seq = this.#sight.dueAt(tile)
      const holders = this.#sight.holdersOf(tile) ?? []
      if (seq > 0 && holders.length === 0) violated(`tile ${tile} has no holder`)
      for (const id of nodes) {
        const at = this.#sight.atOf(id, tile)
        const due = holders.includes(id) ? seq : 0
        if (at !== due) violated(`tile ${tile} is at ${at} on node ${id}, ${due} is due`)
      }
    }
  }
}
