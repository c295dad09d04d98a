/**
 * The gateway's disk: what a flush brought to it and nothing else. Values are kept as the bytes that the
 * real ledger keeps, and come back as its decoder gives them.
 */
import {
  LEDGER_TABLES,
  type LedgerContents,
  type LedgerRecord,
  type LedgerTable,
} from '../../broker/core/ledger-records.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'

const LIMITS = { bytesMax: 2 ** 26, depthMax: 16, itemsMax: 10_000_000 }
const LOADED = LEDGER_TABLES.filter((table) => table !== 'result')
const RAW_TABLES: ReadonlySet<LedgerTable> = new Set(['body', 'result'])

export class SimulatedLedger {
  readonly #tables = new Map(
    LEDGER_TABLES.map((table) => [table, new Map<string | number, Uint8Array>()]),
  )

  /** All of these, or none: the flush is over. */
  write(records: readonly LedgerRecord[]): void {
    for (const { table, key, value } of records) {
      const rows = this.#tables.get(table)!
      if (value === undefined) rows.delete(key)
      else rows.set(key, RAW_TABLES.has(table) ? (value as Uint8Array).slice() : encodeCbor(value))
    }
  }

  load(): LedgerContents {
    const contents = LOADED.map((table) => [
      table,
      [...this.#tables.get(table)!.keys()].map((key) => ({ key, value: this.get(table, key) })),
    ])
    return Object.fromEntries(contents) as LedgerContents
  }

  get<T>(table: LedgerTable, key: string | number): T | undefined {
    const bytes = this.#tables.get(table)!.get(key)
    if (bytes === undefined) return undefined
    if (RAW_TABLES.has(table)) return new Uint8Array(bytes) as T
    const decoded = decodeCbor(bytes, LIMITS)
    if (!decoded.ok) throw new Error(`a record of ${table} does not decode: ${decoded.message}`)
    return decoded.value as T
  }

  /** The disk is gone. */
  clear(): void {
    for (const rows of this.#tables.values()) rows.clear()
  }

  count(table: LedgerTable): number {
    return this.#tables.get(table)!.size
  }
}
