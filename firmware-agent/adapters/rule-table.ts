/**
 * The rule book of a slice, and what it told that the gateway has not taken, among the small records of the store. The
 * book counts only as long as the stream's mark names its version: a version of the agent from before writes marks
 * without, and evaluates nothing.
 */
import { bookOfArgs } from '../../shared/operations/rule-book.ts'
import type { RuleRecord } from '../../shared/protocol/rule-changes.ts'
import type { Table } from '../../shared/runtime/tables.ts'
import { RuleEvaluator } from './rule-evaluator.ts'
import { sealRecord } from './sealed-record.ts'
import type { SliceGrid } from './slice-grid.ts'
import { readRecord } from './slice-records.ts'

const BOOK = 'rules'
const PREFIX = 'rule-changes/'

export class RuleTable {
  readonly #meta: Table<string>
  #evaluator: RuleEvaluator | undefined
  #records: RuleRecord[] = []
  #onDisk: number[] = []
  /** Of a book that is stored and does not count. */
  readonly staleVersion: number | undefined

  /** `counting` is the version that the mark names. */
  constructor(meta: Table<string>, counting: number | undefined, grid: SliceGrid | undefined) {
    this.#meta = meta
    for (const key of meta.getKeys()) {
      if (!key.startsWith(PREFIX)) continue
      this.#onDisk.push(Number(key.slice(PREFIX.length)))
      const record = readRecord<RuleRecord>(meta, key)
      if (record !== undefined && counting !== undefined) this.#records.push(record)
    }
    this.#records.sort((a, b) => a.number - b.number)
    const args = readRecord<Record<string, unknown>>(meta, BOOK)
    if (args === undefined || grid === undefined) return
    if (args.version === counting) this.#evaluator = evaluatorOf(args, grid)
    else this.staleVersion = args.version as number
  }

  /** Nothing while no book counts. */
  get evaluator(): RuleEvaluator | undefined {
    return this.#evaluator
  }

  list(): RuleRecord[] {
    return this.#records.slice()
  }

  /** Inside a transaction; `added` follows once that is on disk. */
  put(records: readonly RuleRecord[], book: Record<string, unknown> | undefined): void {
    if (book !== undefined) void this.#meta.put(BOOK, sealRecord(book))
    for (const record of records) void this.#meta.put(keyOf(record.number), sealRecord(record))
  }

  added(records: readonly RuleRecord[], evaluator: RuleEvaluator | undefined): void {
    this.#evaluator = evaluator
    for (const record of records) {
      this.#records.push(record)
      this.#onDisk.push(record.number)
    }
  }

  /** Those up to `number` were taken. They leave the disk with the next write. */
  forget(number: number): void {
    this.#records = this.#records.filter((record) => record.number > number)
  }

  /** What may leave the disk; the returned change does it, inside a transaction. */
  sweep(): () => void {
    if (this.#onDisk.length === this.#records.length) return () => {}
    const kept = new Set(this.#records.map(({ number }) => number))
    const gone = this.#onDisk.filter((number) => !kept.has(number))
    this.#onDisk = [...kept]
    return () => {
      for (const number of gone) void this.#meta.remove(keyOf(number))
    }
  }

  /** Inside a transaction; `cleared` follows once that is on disk. */
  clear(): void {
    void this.#meta.remove(BOOK)
    for (const number of this.#onDisk) void this.#meta.remove(keyOf(number))
  }

  cleared(): void {
    this.#evaluator = undefined
    this.#records = []
    this.#onDisk = []
  }
}

/** Throws if the arguments are no book for this grid. */
export function evaluatorOf(args: Record<string, unknown>, grid: SliceGrid): RuleEvaluator {
  return new RuleEvaluator(bookOfArgs(args, grid), grid)
}

function keyOf(number: number): string {
  return `${PREFIX}${number}`
}
