/** The gateway's disk as somebody sees it who looks at it: the ledger, as far as it was flushed. */
import { LedgerStore } from '../../broker/adapters/ledger-store.ts'
import {
  LEDGER_TABLES,
  type LedgerContents,
  type LedgerRecord,
  type LedgerTable,
} from '../../broker/core/ledger-records.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { AT_ONCE, SimulatedDisk } from './simulated-disk.ts'

const LIMITS = { bytesMax: 2 ** 26, depthMax: 16, itemsMax: 10_000_000 }

export class LedgerDisk {
  readonly disk = new SimulatedDisk()
  #store: LedgerStore | undefined

  count(table: LedgerTable): number {
    return this.disk.count(table)
  }

  get<T>(table: LedgerTable, key: string | number): T | undefined {
    const bytes = this.disk.get(table, key)
    if (bytes === undefined) return undefined
    if (table === 'body' || table === 'result') return Buffer.from(bytes) as T
    const decoded = decodeCbor(bytes, LIMITS)
    if (!decoded.ok) throw new Error(`a record of ${table} does not decode: ${decoded.message}`)
    return decoded.value as T
  }

  load(): LedgerContents {
    return this.#ledger.load()
  }

  write(records: readonly LedgerRecord[]): void {
    void this.#ledger.write(records)
  }

  get #ledger(): LedgerStore {
    this.#store ??= new LedgerStore(this.disk.open(AT_ONCE), LEDGER_TABLES)
    return this.#store
  }
}
