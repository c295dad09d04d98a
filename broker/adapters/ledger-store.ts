/**
 * The gateway's ledger in LMDB: one table a kind of record, values as CBOR. It stores what the
 * coordinator says and knows nothing of its meaning.
 */
import { assert } from '../../shared/core/assert.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'
import { AppError, EXIT_CONFIG } from '../../shared/runtime/errors.ts'
import { type Database, openDatabase } from '../../shared/runtime/lmdb.ts'
import type { OnLook } from '../../shared/runtime/store-look.ts'
import type { Table, Tables } from '../../shared/runtime/tables.ts'
import type {
  IdentityRecord,
  LedgerContents,
  LedgerRecord,
  LedgerTable,
} from '../core/ledger-records.ts'
import type { KeptMessage } from './mqtt-retained-journal.ts'

/** Address space, not a cap: LMDB grows the map when it must. */
const MAP_BYTES = 1024 * 1024 * 1024

/** Records are our own; the check keeps damage from becoming state. */
const RECORD_LIMITS = { bytesMax: 256 * 1024 * 1024, depthMax: 16, itemsMax: 50_000_000 }

/** Tables whose values are bytes already. */
const RAW_TABLES: ReadonlySet<LedgerTable> = new Set(['body', 'result'])

/** A table of its own: what others than the fleet have retained is not the coordinator's business. */
const RETAINED_TABLE = 'retained'

export class LedgerStore {
  readonly #database: Tables
  readonly #copier: Pick<Database, 'copyTo'> | undefined
  readonly #retained: Table<string>
  readonly #tables: Record<LedgerTable, Table<string | number>>

  /** `copier` is of the same database, where it can be copied. */
  constructor(database: Tables, tables: readonly LedgerTable[], copier?: Pick<Database, 'copyTo'>) {
    this.#copier = copier
    this.#database = database
    this.#retained = database.table<string>(RETAINED_TABLE, 'ordered-binary')
    this.#tables = Object.fromEntries(
      tables.map((name) => [name, database.table<string | number>(name, 'ordered-binary')]),
    ) as Record<LedgerTable, Table<string | number>>
  }

  /**
   * Opens the ledger of a data directory. One that cannot be opened is an error, never an empty
   * ledger: what it held is known nowhere else.
   */
  static async open(
    directory: string,
    tables: readonly LedgerTable[],
    onFatal: (error: AppError) => void,
    onLook?: OnLook,
  ): Promise<LedgerStore> {
    const options = {
      onLook,
      mapSizeBytes: MAP_BYTES,
      maxDbs: tables.length + 2,
      isIrreplaceable: true,
    }
    const database = await openDatabase(directory, options, onFatal)
    return new LedgerStore(database, tables, database)
  }

  /** Everything but results. */
  load(): LedgerContents {
    const contents = (Object.keys(this.#tables) as LedgerTable[])
      .filter((table) => table !== 'result')
      .map((table) => [
        table,
        this.#database.read(() =>
          Array.from(this.#tables[table].getRange(), ({ key, value }) => ({
            key,
            value: decodeValue(table, value),
          })),
        ),
      ])
    return Object.fromEntries(contents) as LedgerContents
  }

  /** As it is on the disk; there is none before the first start. */
  identity(): IdentityRecord | undefined {
    const bytes = this.#database.read(() => this.#tables.meta.getBinary('identity'))
    return bytes && (decodeValue('meta', bytes) as IdentityRecord)
  }

  /** Resolves once all records are on disk. */
  async write(records: readonly LedgerRecord[]): Promise<void> {
    const encoded = this.#encoded(records)
    await this.#database.write(() => apply(encoded))
  }

  /** Of records with the same key the last one: steps that share a flush share what they write. */
  #encoded(records: readonly LedgerRecord[]): Encoded[] {
    const byTable = new Map<LedgerTable, Map<string | number, LedgerRecord>>()
    for (const record of records) {
      const table = byTable.get(record.table)
      if (table === undefined) byTable.set(record.table, new Map([[record.key, record]]))
      else table.set(record.key, record)
    }
    const encoded: Encoded[] = []
    for (const [name, byKey] of byTable) {
      const table = this.#tables[name]
      for (const { key, value } of byKey.values()) {
        const bytes = value === undefined ? undefined : encodeValue(name, value)
        encoded.push({ table, key, bytes })
      }
    }
    return encoded
  }

  result(task: string): Uint8Array | undefined {
    return this.#database.read(() => this.#tables.result.getBinary(task))
  }

  /** Retained messages, by topic. */
  *retained(): Generator<KeptMessage> {
    const kept = this.#database.read(() => [...this.#retained.getRange()])
    for (const { key, value } of kept) {
      const qos = value[0]
      if (qos === 0 || qos === 1 || qos === 2) yield { topic: key, qos, payload: value.subarray(1) }
    }
  }

  /** Resolves once these retained messages are on disk, and those without a message are not; with the records. */
  async writeRetained(
    changes: ReadonlyMap<string, KeptMessage | undefined>,
    records: readonly LedgerRecord[] = [],
  ): Promise<void> {
    const encoded = this.#encoded(records)
    await this.#database.write(() => {
      apply(encoded)
      for (const [topic, message] of changes) {
        if (message === undefined) this.#retained.remove(topic)
        else this.#retained.put(topic, Buffer.concat([Uint8Array.of(message.qos), message.payload]))
      }
    })
  }

  /** Copies all of it into a directory that there is not yet, while it is used. */
  async copyTo(directory: string): Promise<void> {
    assert(this.#copier !== undefined, 'what is copied lies on a disk')
    await this.#copier.copyTo(directory)
  }

  /** Since when the oldest write waits for the disk, monotonic ms. */
  get waitingSinceMs(): number | undefined {
    return this.#database.waitingSinceMs
  }

  fileBytes(): number {
    return this.#database.fileBytes()
  }

  async close(): Promise<void> {
    await this.#database.close()
  }
}

interface Encoded {
  readonly table: Table<string | number>
  readonly key: string | number
  readonly bytes: Uint8Array | undefined
}

function apply(encoded: readonly Encoded[]): void {
  for (const { table, key, bytes } of encoded) {
    if (bytes === undefined) table.remove(key)
    else table.put(key, bytes)
  }
}

function encodeValue(table: LedgerTable, value: unknown): Uint8Array {
  return RAW_TABLES.has(table) ? (value as Uint8Array) : encodeCbor(value)
}

function decodeValue(table: LedgerTable, bytes: Uint8Array): unknown {
  if (RAW_TABLES.has(table)) return new Uint8Array(bytes)
  const decoded = decodeCbor(bytes, RECORD_LIMITS)
  if (decoded.ok) return decoded.value
  throw new AppError('ledger-damaged', `a record of ${table} is damaged: ${decoded.message}`, {
    exitCode: EXIT_CONFIG,
  })
}
