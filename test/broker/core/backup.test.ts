import fc from 'fast-check'
import t from 'tap'
import {
  judgeEnrolment,
  type KeyRecord,
  keyUsed,
  type NodeIdentity,
  type NodeToken,
  type RegistryChange,
  revokeNode,
} from '../../../broker/core/access/registry.ts'
import type { UserRecord } from '../../../broker/core/access/users.ts'
import {
  namesIn,
  readBackup,
  restoredRecords,
  revokedBy,
  writeBackup,
} from '../../../broker/core/backup.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { check } from '../../support/property.ts'

const NOW = 1_800_000_000_000
const LATER = NOW + 1000
const MOMENT = { ts: NOW, log: { seq: 7, hash: '0'.repeat(32) } }
const FILES = [{ name: 'ca.key', bytes: Buffer.from('a key') }]

const USER: UserRecord = {
  ...{ roles: ['viewer'], topics: [], createdTs: 1, by: 'admin' },
  keys: [{ sha256: 'aa', label: '', addedTs: 1 }],
  tokens: [{ id: 't', sha256: new Uint8Array(32), label: '', createdTs: 1, untilTs: NOW * 2 }],
}

const RECIPIENT = { key: new Uint8Array(1216).fill(7), addedTs: 1, by: 'admin' }

const stored = (records: readonly RegistryChange[]) =>
  records.map(({ table, key, value }) => ({ table, key, value: encodeCbor(value) }))

function written(...rows: Parameters<typeof writeBackup>): Buffer {
  return Buffer.concat([...writeBackup(...rows)])
}

function contentOf(bytes: Uint8Array) {
  const reading = readBackup(bytes)
  if (!reading.ok) throw new Error(reading.problem)
  return reading.content
}

t.test('what is written is read, and what a later version puts in is said', (t) => {
  const records: RegistryChange[] = [
    { table: 'user', key: 'ann', value: USER },
    { table: 'recipient', key: 'alice', value: RECIPIENT },
  ]
  const more = [
    { table: 'user-token', key: 't', value: encodeCbor({ user: 'ann' }) },
    { table: 'meta', key: 'meta', value: encodeCbor({ floorTs: 5 }) },
  ]
  const bytes = written(MOMENT, FILES, [...stored(records), ...more])
  const { moment, files, records: read } = contentOf(bytes)
  t.same(moment, MOMENT)
  t.same(
    read.map(({ table, key, value }) => [table, key, encodeCbor(value)]),
    records.map(({ table, key, value }) => [table, key, encodeCbor(value)]),
  )
  t.same(
    files.map(({ name, bytes }) => [name, Buffer.from(bytes)]),
    FILES.map(({ name, bytes }) => [name, bytes]),
  )
  const later = { table: 'unheard-of', key: 'x', value: encodeCbor({}) }
  t.throws(() => written(MOMENT, FILES, [later]), 'a table that nobody thought of')
  const row = encodeCbor(later)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(row.length)
  t.same(readBackup(Buffer.concat([bytes, length, row])), { ok: false, problem: 'later' })
  t.same(readBackup(Buffer.alloc(0)), { ok: false, problem: 'malformed' })
  for (const cut of [1, 3, 4, 5, bytes.length - 1]) {
    t.same(readBackup(bytes.subarray(0, cut)), { ok: false, problem: 'malformed' })
  }
  t.end()
})

t.test('who is named is out, and who is not known is said', (t) => {
  const identity: NodeIdentity = {
    keys: [{ sha256: 'bb', addedTs: 1, state: 'active' }],
    createdTs: 1,
  }
  const records: RegistryChange[] = [
    { table: 'identity', key: 'n1' as NodeId, value: identity },
    { table: 'key', key: 'bb', value: { node: 'n1' as NodeId } },
    { table: 'identity', key: 'n2' as NodeId, value: { ...identity, keys: [], revokedTs: 3 } },
    { table: 'user', key: 'ann', value: USER },
    { table: 'key', key: 'aa', value: { user: 'ann' } },
    { table: 'user', key: 'bob', value: { ...USER, keys: [], tokens: [], revokedTs: 3 } },
    { table: 'recipient', key: 'alice', value: RECIPIENT },
    { table: 'recipient', key: 'carl', value: RECIPIENT },
  ]
  t.same(namesIn(records), { nodes: ['n1'], users: ['ann'], recipients: ['alice', 'carl'] })
  const names = ['n1', 'node/n2', 'user/ann', 'user/bob', 'recipient/alice']
  const revoked = revokedBy(names, records)
  const out = { nodes: ['n1', 'n2'], users: ['ann', 'bob'], recipients: ['alice'] }
  t.same(revoked, { ...out, unknown: [], ambiguous: [] })
  const twice: RegistryChange[] = [
    { table: 'user', key: 'n1', value: USER },
    { table: 'recipient', key: 'n2', value: RECIPIENT },
  ]
  t.same(revokedBy(['n1', 'n2', 'node/n1', 'user/n1'], [...records, ...twice]), {
    ...{ nodes: ['n1'], users: ['n1'], recipients: [], unknown: [], ambiguous: ['n1', 'n2'] },
  })
  t.same(revokedBy(['n9', 'ann', 'user/n1', '', 'node/', '__proto__'], records).unknown, [
    ...['n9', 'ann', 'user/n1', '', 'node/', '__proto__'],
  ])
  const restored = restoredRecords(LATER, records, revoked)
  const of = (key: string) => restored.find((one) => one.key === key)!.value
  t.same(namesIn(restored), { nodes: [], users: [], recipients: ['carl'] })
  t.same(of('bb'), { node: 'n1', removedTs: LATER })
  t.same(of('aa'), { user: 'ann', removedTs: LATER })
  t.match(of('bob'), { revokedTs: 3 }, 'since then')
  const kept = restoredRecords(LATER, records, { nodes: [], users: [], recipients: [] })
  t.same(namesIn(kept), { nodes: ['n1'], users: ['ann'], recipients: ['alice', 'carl'] })
  t.same(kept.find(({ key }) => key === 'ann')!.value, { ...USER, tokens: [] })
  t.end()
})

// ---------------------------------------------------------------- any history

const NODES = ['n1', 'n2', 'n3'] as NodeId[]
const KEYS = ['k1', 'k2', 'k3', 'k4', 'k5']
const TOKENS = ['t1', 't2', 't3', 't4']

/** A registry in memory, which decides as that of the gateway. */
class Registry {
  readonly identities = new Map<string, NodeIdentity>()
  readonly keys = new Map<string, KeyRecord>()
  readonly tokens = new Map<string, NodeToken>()

  apply(changes: readonly RegistryChange[]): void {
    for (const { table, key, value } of changes) {
      if (table === 'identity') this.identities.set(key, value)
      if (table === 'key') this.keys.set(key, value)
      if (table === 'token') this.tokens.set(key, value)
    }
  }

  get records(): RegistryChange[] {
    const all = (table: string, map: Map<string, unknown>) =>
      [...map].map(([key, value]) => ({ table, key, value }) as RegistryChange)
    return [
      ...all('identity', this.identities),
      ...all('key', this.keys),
      ...all('token', this.tokens),
    ]
  }

  /** Whether that gave or confirmed a right. */
  enrol(nowTs: number, node: NodeId, id: string, key: string): boolean {
    const value = this.tokens.get(id)
    const judgement = judgeEnrolment(nowTs, {
      ...{ node, key, board: undefined, isProven: true, isNameKnown: false },
      token: value && { id, value },
      keyRecord: this.keys.get(key),
      identity: this.identities.get(node),
    })
    if (judgement.ok) this.apply(judgement.changes)
    return judgement.ok
  }

  ownerOf(key: string): NodeId | undefined {
    const record = this.keys.get(key)
    return record?.removedTs === undefined ? record?.node : undefined
  }
}

const step = fc.record({
  act: fc.constantFrom('token', 'enrol', 'enrol', 'use', 'revoke'),
  node: fc.constantFrom(...NODES),
  key: fc.constantFrom(...KEYS),
  token: fc.constantFrom(...TOKENS),
  isBound: fc.boolean(),
  replaces: fc.boolean(),
})

t.test('after any history no old token gives anything, and no tombstone comes back', (t) => {
  const steps = fc.array(step, { maxLength: 40 })
  const revoked = fc.uniqueArray(fc.constantFrom(...NODES))
  const property = fc.property(steps, revoked, (history, names) => {
    const registry = new Registry()
    for (const { act, node, key, token, isBound, replaces } of history) {
      const identity = registry.identities.get(node)
      if (act === 'token' && !registry.tokens.has(token)) {
        const value = { sha256: new Uint8Array(32), replaces, untilTs: NOW * 2, createdTs: 1 }
        const made = { ...value, node: isBound ? node : null, by: 'admin' }
        registry.apply([{ table: 'token', key: token, value: made }])
      } else if (act === 'enrol') registry.enrol(NOW, node, token, key)
      else if (act === 'use' && identity && registry.ownerOf(key) === node) {
        registry.apply(keyUsed(NOW, node, identity, key))
      } else if (act === 'revoke' && identity) {
        registry.apply(revokeNode(NOW, node, identity, registry.tokens))
      }
    }
    const { records } = contentOf(written(MOMENT, FILES, stored(registry.records)))
    const known = names.filter((name) => registry.identities.has(name))
    const again = new Registry()
    again.apply(restoredRecords(LATER, records, { nodes: known, users: [], recipients: [] }))
    for (const key of KEYS) {
      const before = registry.ownerOf(key)
      const isOut = before !== undefined && known.includes(before)
      if (again.ownerOf(key) !== (isOut ? undefined : before)) return false
    }
    for (const id of TOKENS) {
      for (const node of NODES) {
        if ([...KEYS, 'new'].some((key) => again.enrol(LATER, node, id, key))) return false
      }
    }
    return KEYS.every((key) => registry.keys.has(key) === again.keys.has(key))
  })
  check(t, property, 500)
  t.end()
})
