/**
 * Results of entries that the gateway has not confirmed, on disk by position. Those that it has leave the
 * disk with the next write of anything, as answers do. They lie among the small records, before all others, so that
 * mostly the page of the mark is theirs, too: each page that a write touches is written anew.
 */
import { concatBytes } from '../../shared/operations/columns.ts'
import type { Table } from '../../shared/runtime/tables.ts'
import type { PartResult } from '../core/events.ts'
import { bytesOfNumber, numberOf } from './slice-records.ts'

const PREFIX = 'applied/'
const LSUS_BYTES = 8

export class ResultTable {
  readonly #records: Table<string>
  /** Where results lay in stores from before. */
  readonly #former: Table<number>
  #unconfirmed: PartResult[] = []
  /** Positions of results that are still on disk. */
  #onDisk: number[] = []
  #hasFormer = false

  /** None is of an entry behind `last`: it would be of another stream. */
  constructor(records: Table<string>, former: Table<number>, last: number) {
    this.#records = records
    this.#former = former
    const found = new Map<number, Omit<PartResult, 'position'>>()
    for (const { key, value } of records.getRange()) {
      if (key.startsWith(PREFIX)) found.set(Number(key.slice(PREFIX.length)), resultIn(value))
    }
    // What lies in both was written there last, by a version from before that the board went back to for a while.
    for (const { key, value } of former.getRange()) {
      this.#hasFormer = true
      found.set(key, resultIn(value))
    }
    this.#onDisk = [...found.keys()]
    this.#unconfirmed = this.#onDisk
      .filter((position) => position <= last)
      .sort((a, b) => a - b)
      .map((position) => ({ position, ...found.get(position)! }))
  }

  list(): PartResult[] {
    return this.#unconfirmed.slice()
  }

  /** Inside a transaction; `added` follows once that is on disk. */
  put(results: readonly PartResult[]): void {
    for (const result of results) void this.#records.put(keyOf(result.position), bytesOf(result))
  }

  added(results: readonly PartResult[]): void {
    for (const { position, lsus, written } of results) {
      this.#unconfirmed.push({ position, lsus, ...(written === undefined ? {} : { written }) })
      this.#onDisk.push(position)
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
    this.#onDisk = this.#onDisk.filter((position) => position >= firstKept)
    const hadFormer = this.#hasFormer
    this.#hasFormer = hadFormer && this.#onDisk.length > 0
    return () => {
      for (const position of confirmed) {
        void this.#records.remove(keyOf(position))
        if (hadFormer) void this.#former.remove(position)
      }
    }
  }

  /** Inside a transaction; `cleared` follows once that is on disk. */
  clear(): void {
    for (const key of [...this.#records.getKeys()]) {
      if (key.startsWith(PREFIX)) void this.#records.remove(key)
    }
    this.#former.clearSync()
  }

  cleared(): void {
    this.#unconfirmed = []
    this.#onDisk = []
    this.#hasFormer = false
  }
}

/** What was written behind the number, which a version from before reads alone. */
function bytesOf({ lsus, written }: PartResult): Uint8Array {
  const number = bytesOfNumber(lsus)
  return written === undefined ? number : concatBytes([number, written])
}

function resultIn(value: Uint8Array): Omit<PartResult, 'position'> {
  const lsus = numberOf(value)
  if (value.length === LSUS_BYTES) return { lsus }
  // A copy: what the store gives is a view of its own memory.
  return { lsus, written: new Uint8Array(value.subarray(LSUS_BYTES)) }
}

function keyOf(position: number): string {
  return `${PREFIX}${position}`
}
