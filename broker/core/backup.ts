/**
 * What a backup of a secured gateway holds, and what becomes of it when it is restored (security.md, 0.1 and 12). It is
 * a row of CBOR maps, each after its length: what was true of the registry, the files of keys, then the records of the
 * registry as they were stored. A seal around it says that it is whole and ours (sealed-file.ts); so this looks only
 * for what a later version may have put in.
 *
 * A registry of yesterday knows nothing of what was taken away since. So no token of it is worth anything any more,
 * and whoever restores says which nodes, users and recipients have lost their right since then. Tombstones stay.
 */
import { assert } from '../../shared/core/assert.ts'
import { isNodeId, type NodeId } from '../../shared/core/ids.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'
import type { SecurityHead } from '../../shared/protocol/security-log.ts'
import type { NodeIdentity, NodeToken, RegistryChange } from './access/registry.ts'
import { revokeNode } from './access/registry.ts'
import { isThere, removeUser, type UserRecord } from './access/users.ts'

/** Of the registry when the backup was made. */
export interface BackupMoment {
  /** Unix ms. */
  readonly ts: number
  /** That of the security log. */
  readonly log: SecurityHead
}

export interface KeyFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** A record of the registry as the store has it. */
export interface StoredRecord {
  readonly table: string
  readonly key: string
  readonly value: Uint8Array
}

export interface BackupContent {
  readonly moment: BackupMoment
  readonly files: readonly KeyFile[]
  readonly records: readonly RegistryChange[]
}

export type BackupReading =
  | { readonly ok: true; readonly content: BackupContent }
  /** `later`: it has what this version does not know. */
  | { readonly ok: false; readonly problem: 'later' | 'malformed' }

const LENGTH_BYTES = 4
/** A record of the registry has 64 KiB at the most. */
const ROW_LIMITS = { bytesMax: 128 * 1024, depthMax: 4, itemsMax: 64 }
const RECORD_LIMITS = { bytesMax: 64 * 1024, depthMax: 8, itemsMax: 1024 }
/** Tokens of users stand in their users' records, and are worth nothing. */
const RESTORED = ['identity', 'key', 'token', 'user', 'recipient'] as const
const LEFT_OUT: readonly string[] = ['user-token', 'meta']

export function* writeBackup(
  moment: BackupMoment,
  files: Iterable<KeyFile>,
  records: Iterable<StoredRecord>,
): Generator<Uint8Array> {
  yield* row({ moment })
  for (const { name, bytes } of files) yield* row({ file: name, bytes })
  for (const { table, key, value } of records) {
    if (LEFT_OUT.includes(table)) continue
    assert(isRestored(table), `what a backup does with ${table} is decided`)
    yield* row({ table, key, value })
  }
}

function* row(value: object): Generator<Uint8Array> {
  const bytes = encodeCbor(value)
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(bytes.length)
  yield length
  yield bytes
}

export function readBackup(bytes: Uint8Array): BackupReading {
  const files: KeyFile[] = []
  const records: RegistryChange[] = []
  let moment: BackupMoment | undefined
  for (const value of rowsOf(bytes)) {
    if (value === undefined) return { ok: false, problem: 'malformed' }
    if (value.moment !== undefined) moment = value.moment as BackupMoment
    else if (typeof value.file === 'string' && value.bytes instanceof Uint8Array) {
      files.push({ name: value.file, bytes: value.bytes })
    } else {
      const record = recordOf(value)
      if (record === undefined) return { ok: false, problem: 'later' }
      records.push(record)
    }
  }
  if (moment === undefined) return { ok: false, problem: 'malformed' }
  return { ok: true, content: { moment, files, records } }
}

function* rowsOf(bytes: Uint8Array): Generator<Record<string, unknown> | undefined> {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at < view.length; ) {
    const start = at + LENGTH_BYTES
    at = start <= view.length ? start + view.readUInt32BE(at) : Number.POSITIVE_INFINITY
    const decoded = at <= view.length ? decodeCbor(view.subarray(start, at), ROW_LIMITS) : undefined
    yield decoded?.ok ? (decoded.value as Record<string, unknown>) : undefined
  }
}

function recordOf({ table, key, value }: Record<string, unknown>): RegistryChange | undefined {
  if (!isRestored(table) || typeof key !== 'string' || !(value instanceof Uint8Array))
    return undefined
  const decoded = decodeCbor(value, RECORD_LIMITS)
  return decoded.ok ? ({ table, key, value: decoded.value } as RegistryChange) : undefined
}

function isRestored(table: unknown): boolean {
  return RESTORED.some((name) => name === table)
}

/** Who comes back by a backup, as far as nobody says otherwise. */
export interface BackupNames {
  readonly nodes: readonly NodeId[]
  readonly users: readonly string[]
  /** To whom results can be sealed. */
  readonly recipients: readonly string[]
}

export function namesIn(records: readonly RegistryChange[]): BackupNames {
  const nodes: NodeId[] = []
  const users: string[] = []
  const recipients: string[] = []
  for (const record of records) {
    if (record.table === 'identity' && record.value.keys.length > 0) nodes.push(record.key)
    if (record.table === 'user' && isThere(record.value)) users.push(record.key)
    if (record.table === 'recipient') recipients.push(record.key)
  }
  return { nodes: nodes.sort(), users: users.sort(), recipients: recipients.sort() }
}

/** Some of them: nodes by `n3` or `node/n3`, users by `user/ann`, recipients by `recipient/alice`. */
export interface Revoked extends BackupNames {
  /** Names that the backup has nobody of. */
  readonly unknown: readonly string[]
  /** Those without a kind that may be meant for another than the node. */
  readonly ambiguous: readonly string[]
}

/** The table of each kind of name. */
const KINDS = { node: 'identity', user: 'user', recipient: 'recipient' } as const
type Kind = keyof typeof KINDS

export function revokedBy(names: readonly string[], records: readonly RegistryChange[]): Revoked {
  const known = new Set(records.map(({ table, key }) => `${table}/${key}`))
  const has = (kind: Kind, name: string): boolean => known.has(`${KINDS[kind]}/${name}`)
  const out: Record<Kind, Set<string>> = { node: new Set(), user: new Set(), recipient: new Set() }
  const unknown: string[] = []
  const ambiguous: string[] = []
  for (const given of names) {
    const [, said, name = ''] = /^(?:(node|user|recipient)\/)?(.*)$/s.exec(given)!
    const kind = (said ?? 'node') as Kind
    if (!isNodeId(name) || !has(kind, name)) unknown.push(given)
    else if (said === undefined && (has('user', name) || has('recipient', name))) {
      ambiguous.push(given)
    } else out[kind].add(name)
  }
  const nodes = [...out.node].sort() as NodeId[]
  const [users, recipients] = [[...out.user].sort(), [...out.recipient].sort()]
  return { nodes, users, recipients, unknown, ambiguous }
}

/** The records of the registry that goes on from the backup: with every token void, and without those revoked. */
export function restoredRecords(
  nowTs: number,
  records: readonly RegistryChange[],
  { nodes, users, recipients }: BackupNames,
): RegistryChange[] {
  const restored = new Map<string, RegistryChange>()
  const put = (change: RegistryChange): void => {
    restored.set(`${change.table} ${change.key}`, change)
  }
  const tokens: [string, NodeToken][] = []
  for (const record of records) {
    const change = withoutTokens(nowTs, record)
    if (change.table === 'token') tokens.push([change.key, change.value])
    put(change)
  }
  for (const node of nodes) {
    const identity = restored.get(`identity ${node}`)!.value as NodeIdentity
    for (const change of revokeNode(nowTs, node, identity, tokens)) put(change)
  }
  for (const name of users) {
    const decision = removeUser(nowTs, name, restored.get(`user ${name}`)!.value as UserRecord)
    // One that was removed already stays so.
    if (decision.ok) for (const change of decision.changes) put(change)
  }
  for (const name of recipients) restored.delete(`recipient ${name}`)
  return [...restored.values()]
}

function withoutTokens(nowTs: number, record: RegistryChange): RegistryChange {
  if (record.table === 'token') {
    const { value } = record
    return { ...record, value: { ...value, revokedTs: value.revokedTs ?? nowTs } }
  }
  if (record.table !== 'user') return record
  return { ...record, value: { ...record.value, tokens: [] } }
}
