/**
 * The registry on disk, in a store of its own: identities outlive a ledger that is lost. It keeps records and knows
 * nothing of their meaning. What is written can be read at once, also while it is on its way to the disk, so
 * that each decision sees the one before.
 */
import { setImmediate } from 'node:timers/promises'
import type { NodeId } from '../../shared/core/ids.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'
import type { SecurityHead } from '../../shared/protocol/security-log.ts'
import { AppError, EXIT_CONFIG } from '../../shared/runtime/errors.ts'
import { type Database, openDatabase } from '../../shared/runtime/lmdb.ts'
import type { Table } from '../../shared/runtime/tables.ts'
import type {
  KeyRecord,
  NodeIdentity,
  NodeToken,
  RecipientRecord,
  RegistryChange,
} from '../core/access/registry.ts'
import type { UserRecord, UserTokenRecord } from '../core/access/users.ts'
import type { StoredRecord } from '../core/backup.ts'

/** Address space, not a cap. */
const MAP_BYTES = 64 * 1024 * 1024
const RECORD_LIMITS = { bytesMax: 64 * 1024, depthMax: 8, itemsMax: 1024 }
const TABLES = ['identity', 'key', 'token', 'user', 'user-token', 'recipient', 'meta'] as const
type TableName = (typeof TABLES)[number]

/** What is kept beside the records, and goes to the disk with the next of them. */
export interface StoreMeta {
  /** The latest time that anything was decided at: the clock has been there. Unix ms. */
  readonly floorTs?: number
  /** When somebody last got or lost a key, or became or ceased to be a recipient: a backup of before does not have it. Unix ms. */
  readonly changedTs?: number
  /** That of the security log. */
  readonly head?: SecurityHead
}

const META = 'meta'
/** About a millisecond of decoding. */
const SLICE_TOKENS = 64
/** And of reading. */
const SLICE_ROWS = 256

export class IdentityStore {
  readonly #database: Database
  readonly #tables: Readonly<Record<TableName, Table<string>>>
  /** What is on its way to the disk, by table and key: a change, or that a token goes. */
  readonly #coming = new Map<string, RegistryChange | 'gone'>()
  /** Ids of tokens by the node that they are for; '' for any. */
  readonly #tokensOf = new Map<string, Set<string>>()
  #tokenCount = 0
  #meta: StoreMeta
  #isMetaKept = true

  /** Who is whom stands nowhere else: a store that cannot be opened is an error, never an empty one. */
  static async open(directory: string, onFatal: (error: AppError) => void): Promise<IdentityStore> {
    const options = { mapSizeBytes: MAP_BYTES, maxDbs: TABLES.length, isIrreplaceable: true }
    return new IdentityStore(await openDatabase(directory, options, onFatal))
  }

  constructor(database: Database) {
    this.#database = database
    const tables = TABLES.map((name) => [name, database.table<string>(name, 'ordered-binary')])
    this.#tables = Object.fromEntries(tables) as Record<TableName, Table<string>>
    this.#meta = (this.#get('meta', META) ?? {}) as StoreMeta
    for (const id of database.read(() => [...this.#tables.token.getKeys()])) {
      this.#list(id, this.token(id)!.node)
    }
  }

  identity(node: NodeId): NodeIdentity | undefined {
    return this.#get('identity', node) as NodeIdentity | undefined
  }

  /** `sha256` is hexadecimal. */
  key(sha256: string): KeyRecord | undefined {
    return this.#get('key', sha256) as KeyRecord | undefined
  }

  token(id: string): NodeToken | undefined {
    return this.#get('token', id) as NodeToken | undefined
  }

  user(name: string): UserRecord | undefined {
    return this.#get('user', name) as UserRecord | undefined
  }

  /** By name, those that were removed too. */
  users(): (readonly [name: string, UserRecord])[] {
    return this.#rows('user') as (readonly [string, UserRecord])[]
  }

  recipient(name: string): RecipientRecord | undefined {
    return this.#get('recipient', name) as RecipientRecord | undefined
  }

  /** By name. */
  recipients(): (readonly [name: string, RecipientRecord])[] {
    return this.#rows('recipient') as (readonly [string, RecipientRecord])[]
  }

  /** What a table has and will have, by key. */
  #rows(table: TableName): (readonly [key: string, value: unknown])[] {
    const keys = new Set(this.#database.read(() => [...this.#tables[table].getKeys()]))
    for (const change of this.#coming.values()) {
      if (change !== 'gone' && change.table === table) keys.add(change.key)
    }
    return [...keys]
      .sort()
      .map((key) => [key, this.#get(table, key)] as const)
      .filter(([, value]) => value !== undefined)
  }

  userToken(id: string): UserTokenRecord | undefined {
    return this.#get('user-token', id) as UserTokenRecord | undefined
  }

  /**
   * All records as they are on the disk at this moment, in slices: others have turns between them. Of what is still on its
   * way nobody has been told.
   */
  async stored(): Promise<StoredRecord[]> {
    return await this.#database.rowsOf<string>(TABLES, SLICE_ROWS)
  }

  get meta(): StoreMeta {
    return this.#meta
  }

  keepMeta(meta: StoreMeta): void {
    this.#meta = { ...this.#meta, ...meta }
    this.#isMetaKept = false
  }

  get tokenCount(): number {
    return this.#tokenCount
  }

  /** Whether there is one for the node that has another id. */
  hasTokenBeside(node: NodeId, id: string): boolean {
    const ids = this.#tokensOf.get(node)
    return ids !== undefined && ids.size > (ids.has(id) ? 1 : 0)
  }

  /** Those of one node, or all, by id. */
  *tokens(node?: NodeId): Generator<readonly [id: string, NodeToken]> {
    const some =
      node === undefined ? [...this.#tokensOf.values()] : [this.#tokensOf.get(node) ?? []]
    for (const id of some.flatMap((ids) => [...ids]).sort()) yield [id, this.token(id)!]
  }

  /** All, in slices: others have turns between them, and what they add or remove may be missed. */
  async *eachToken(): AsyncGenerator<readonly [id: string, NodeToken]> {
    const ids = [...this.#tokensOf.values()].flatMap((some) => [...some])
    for (const [at, id] of ids.entries()) {
      if (at % SLICE_TOKENS === SLICE_TOKENS - 1) await setImmediate()
      const token = this.token(id)
      if (token !== undefined) yield [id, token]
    }
  }

  /** Resolves once all that was written so far is on disk. */
  async write(changes: readonly RegistryChange[]): Promise<void> {
    const encoded = changes.map((change) => ({
      change,
      bytes: change.value === undefined ? undefined : encodeCbor(change.value),
    }))
    const { floorTs } = this.#meta
    const isChange = changes.some(({ table }) => table === 'key' || table === 'recipient')
    if (isChange && floorTs !== undefined) this.keepMeta({ changedTs: floorTs })
    for (const change of changes) {
      if (change.table === 'token') {
        this.#list(change.key, change.value.node, this.token(change.key))
      }
      this.#coming.set(nameOf(change.table, change.key), change)
    }
    await this.#database.write(() => {
      for (const { change, bytes } of encoded) {
        const table = this.#tables[change.table]
        void (bytes === undefined ? table.remove(change.key) : table.put(change.key, bytes))
      }
      this.#putMeta()
    })
    for (const change of changes) {
      const name = nameOf(change.table, change.key)
      if (this.#coming.get(name) === change) this.#coming.delete(name)
    }
  }

  /** Resolves once these tokens are gone from the disk. */
  async removeTokens(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      if (this.#tokensOf.get(this.token(id)?.node ?? '')?.delete(id)) this.#tokenCount -= 1
      this.#coming.set(nameOf('token', id), 'gone')
    }
    await this.#database.write(() => {
      for (const id of ids) void this.#tables.token.remove(id)
    })
    for (const id of ids) {
      const name = nameOf('token', id)
      if (this.#coming.get(name) === 'gone') this.#coming.delete(name)
    }
  }

  /** Resolves once what is kept beside the records is on disk. */
  async flushMeta(): Promise<void> {
    if (!this.#isMetaKept) await this.#database.write(() => this.#putMeta())
  }

  async close(): Promise<void> {
    await this.flushMeta()
    await this.#database.close()
  }

  #putMeta(): void {
    if (this.#isMetaKept) return
    this.#isMetaKept = true
    void this.#tables.meta.put(META, encodeCbor(this.#meta))
  }

  #list(id: string, node: NodeId | null, before?: NodeToken): void {
    if (before === undefined) this.#tokenCount += 1
    else this.#tokensOf.get(before.node ?? '')!.delete(id)
    const ids = this.#tokensOf.get(node ?? '') ?? new Set()
    this.#tokensOf.set(node ?? '', ids.add(id))
  }

  #get(table: TableName, key: string): unknown {
    const coming = this.#coming.get(nameOf(table, key))
    if (coming === 'gone') return undefined
    if (coming !== undefined) return coming.value
    const bytes = this.#database.read(() => this.#tables[table].getBinary(key))
    if (bytes === undefined) return undefined
    const decoded = decodeCbor(bytes, RECORD_LIMITS)
    if (decoded.ok) return decoded.value
    const message = `the ${table} of ${key} is damaged: ${decoded.message}`
    throw new AppError('store-damaged', message, { exitCode: EXIT_CONFIG })
  }
}

function nameOf(table: TableName, key: string): string {
  return `${table} ${key}`
}
