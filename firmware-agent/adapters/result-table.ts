/**
 * Results of entries that the gateway has not confirmed, on disk by position. Those that it has leave the
 * disk with the next write of anything, as answers do.
 */
import type { Table } from '../../shared/runtime/tables.ts'
import type { PartResult } from '../core/events.ts'
import { bytesOfNumber, numberOf } from './slice-records.ts'

export class ResultTable {
  readonly #table: Table<number>
  #unconfirmed: PartResult[] = []
  /** Positions of results that are still on disk, ascending. */
  #onDisk: number[] = []

  constructor(table: Table<number>) {
    this.#table = table
    for (const { key, value } of table.getRange()) {
      this.#onDisk.push(key)
      this.#unconfirmed.push({ position: key, lsus: numberOf(value) })
    }
  }

  list(): PartResult[] {
    return this.#unconfirmed.slice()
  }

  /** Inside a transaction; `added` follows once that is on disk. */
  put(results: readonly PartResult[]): void {
    for (const { position, lsus } of results) {
      void this.#table.put(position, bytesOfNumber(lsus))
    }
  }

  added(results: readonly PartResult[]): void {
    for (const result of results) {
      this.#unconfirmed.push(result)
      this.#onDisk.push(result.position)
    }
  }

  /** Those up to `position` are confirmed. */
  forget(position: number): void {
    this.#unconfirmed = this.#unconfirmed.filter((result) => result.position > position)
  }

  /** What may leave the disk; the returned change does it, inside a transaction. */
  sweep(): () => void {
    const firstKept = this.#unconfirmed[0]?.position ?? Number.POSITIVE_INFINITY
    const confirmed = this.#onDisk.filter((position) => position < firstKept)
    this.#onDisk = this.#onDisk.slice(confirmed.length)
    return () => {
      for (const position of confirmed) void this.#table.remove(position)
    }
  }

  /** Inside a transaction; `cleared` follows once that is on disk. */
  clear(): void {
    this.#table.clearSync()
  }

  cleared(): void {
    this.#unconfirmed = []
    this.#onDisk = []
  }
}
