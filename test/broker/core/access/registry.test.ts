import { deepEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import {
  type EnrolmentFacts,
  isRotationDue,
  type Judgement,
  judgeEnrolment,
  judgeRotation,
  type KeyRecord,
  keyUsed,
  type NodeIdentity,
  type NodeToken,
  type RegistryChange,
  type RotationRefusal,
  revokeNode,
  wantRotation,
} from '../../../../broker/core/access/registry.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { check } from '../../../support/property.ts'

const SECRET = new Uint8Array(32)

/** The records, as the store keeps them. */
class Records {
  readonly identity = new Map<string, NodeIdentity>()
  readonly key = new Map<string, KeyRecord>()
  readonly token = new Map<string, NodeToken>()
  readonly user = new Map<string, unknown>()
  readonly recipient = new Map<string, unknown>()
  readonly 'user-token' = new Map<string, unknown>()
  readonly known = new Set<string>()
  nowTs = 1000

  put(changes: readonly RegistryChange[]): void {
    for (const { table, key, value } of changes) {
      const records = this[table] as Map<string, unknown>
      records.set(key, value)
    }
  }

  create(id: string, node: string | null, more: Partial<NodeToken> = {}): void {
    const { nowTs } = this
    this.token.set(id, {
      ...{ sha256: SECRET, node: node as NodeId | null, replaces: false, by: 'admin' },
      ...{ untilTs: nowTs + 100, createdTs: nowTs },
      ...more,
    })
  }

  enrol(id: string, node: string, key: string, more: Partial<EnrolmentFacts> = {}): Judgement {
    const value = this.token.get(id)
    const judgement = judgeEnrolment(this.nowTs, {
      node: node as NodeId,
      board: undefined,
      token: value && { id, value },
      key,
      isProven: true,
      keyRecord: this.key.get(key),
      identity: this.identity.get(node),
      isNameKnown: this.known.has(node),
      ...more,
    })
    if (judgement.ok) this.put(judgement.changes)
    return judgement
  }

  /** Whether a connection with this key is let in, and as whom. */
  connect(key: string): string | undefined {
    const record = this.key.get(key)
    const node = record?.removedTs === undefined ? record?.node : undefined
    if (node === undefined) return undefined
    this.put(keyUsed(this.nowTs, node, this.identity.get(node)!, key))
    return node
  }

  /** With a token of its own, which replaces whatever there is. */
  enrolWith(node: string, key: string): void {
    const id = `own-${key}`
    this.create(id, node, { replaces: true })
    this.enrol(id, node, key)
  }

  rotate(
    node: string,
    current: string,
    next?: string,
    isProven = true,
  ): Judgement<RotationRefusal> {
    const judgement = judgeRotation(this.nowTs, {
      node: node as NodeId,
      identity: this.identity.get(node),
      keyRecord: next === undefined ? undefined : this.key.get(next),
      ...{ current, next, isProven },
    })
    if (judgement.ok) this.put(judgement.changes)
    return judgement
  }

  want(node: string): void {
    this.put(wantRotation(this.nowTs, node as NodeId, this.identity.get(node)!))
  }

  keysOf(node: string): string[] {
    return this.identity.get(node)!.keys.map(({ sha256, state }) => `${sha256} ${state}`)
  }

  revoke(node: string): void {
    const identity = this.identity.get(node)
    if (identity === undefined) return
    this.put(revokeNode(this.nowTs, node as NodeId, identity, this.token))
  }
}

const refused = (code: string) => ({ ok: false, code })

t.test('attempts 22 and 23: a token gives one key its place, and gives it again', (t) => {
  const records = new Records()
  records.create('t1', 'n1')
  t.match(records.enrol('t1', 'n1', 'k1', { board: 'b1' }), { ok: true })
  t.match(records.identity.get('n1'), { keys: [{ sha256: 'k1', state: 'active' }], board: 'b1' })
  t.match(records.token.get('t1'), { usedBy: 'k1', usedTs: 1000 })
  t.same(records.enrol('t1', 'n1', 'k1'), { ok: true, changes: [] }, 'the same key, nothing new')
  t.equal(records.connect('k1'), 'n1')
  t.same(records.enrol('t1', 'n1', 'k2'), refused('token-used'), 'a second card, or a thief')
  t.equal(records.connect('k2'), undefined)
  t.end()
})

t.test('what is refused changes nothing, and says why in this order', (t) => {
  const records = new Records()
  records.create('gone', 'n1', { revokedTs: 900, untilTs: 1 })
  records.create('old', 'n1', { untilTs: 999 })
  records.create('good', 'n1')
  records.create('any', null)
  const before = structuredClone({ ...records })
  t.same(records.enrol('none', 'n1', 'k1'), refused('token-unknown'))
  t.same(records.enrol('gone', 'n1', 'k1'), refused('token-revoked'))
  t.same(records.enrol('old', 'n1', 'k1', { isProven: false }), refused('token-expired'))
  const stranger = { key: undefined, isProven: false }
  t.same(records.enrol('good', 'n2', 'k1', stranger), refused('token-other-node'))
  t.same(records.enrol('good', 'n1', 'k1', stranger), refused('key-unsuitable'))
  t.same(records.enrol('good', 'n1', 'k1', { isProven: false }), refused('proof-wrong'))
  t.same(records.enrol('any', 'n9', 'k1', { isNameKnown: true }), refused('node-exists'))
  t.same({ ...records }, before)
  t.end()
})

t.test('a node with a key gets another one only with a token that replaces', (t) => {
  const records = new Records()
  records.create('t1', 'n1')
  records.enrol('t1', 'n1', 'k1')
  records.create('t2', 'n1')
  t.same(records.enrol('t2', 'n1', 'k2'), refused('node-exists'))
  records.create('t3', 'n1', { replaces: true })
  t.match(records.enrol('t3', 'n1', 'k2'), { ok: true })
  t.equal(records.connect('k1'), 'n1', 'the old one works until the new one was used')
  t.equal(records.connect('k2'), 'n1')
  t.equal(records.connect('k1'), undefined)
  t.same(records.enrol('t1', 'n1', 'k1'), refused('key-revoked'), 'nor by its old token')
  t.equal(records.connect('k2'), 'n1')
  t.end()
})

t.test('of two that replace, both work until the later one was used', (t) => {
  const records = new Records()
  records.enrolWith('n1', 'k1')
  records.enrolWith('n1', 'k2')
  records.enrolWith('n1', 'k3')
  t.same(records.keysOf('n1'), ['k1 active', 'k2 pending', 'k3 pending'])
  t.equal(records.connect('k2'), 'n1', 'the use of the second token took nothing from the first')
  t.same(records.keysOf('n1'), ['k2 active', 'k3 pending'])
  t.equal(records.connect('k1'), undefined)
  t.equal(records.connect('k3'), 'n1')
  t.same(records.keysOf('n1'), ['k3 active'])
  t.equal(records.connect('k2'), undefined)
  t.end()
})

t.test('a replacement that comes first leaves no room for one that was given before', (t) => {
  const records = new Records()
  for (const key of ['k1', 'k2', 'k3']) records.enrolWith('n1', key)
  t.equal(records.connect('k3'), 'n1')
  t.equal(records.connect('k2'), undefined, 'or an older card would push a newer one out')
  t.same(records.keysOf('n1'), ['k3 active'])
  t.end()
})

t.test('replacements that nobody uses have a bound, which touches no other key', (t) => {
  const records = new Records()
  for (const key of ['k1', 'k2', 'k3']) records.enrolWith('n1', key)
  t.match(records.rotate('n1', 'k1', 'r1'), { ok: true })
  records.enrolWith('n1', 'k4')
  t.same(records.keysOf('n1'), ['k1 active', 'r1 pending', 'k3 pending', 'k4 pending'])
  t.same(records.connect('k2'), undefined)
  t.end()
})

t.test(
  'a key follows the one that the board is here with, and nobody else loses his for it',
  (t) => {
    const records = new Records()
    records.enrolWith('n1', 'k1')
    records.enrolWith('n1', 'new-card')
    t.match(records.rotate('n1', 'k1', 'r1'), { ok: true })
    t.same(records.rotate('n1', 'k1', 'r1'), { ok: true, changes: [] }, 'after a lost answer')
    t.same(records.keysOf('n1'), ['k1 active', 'r1 pending', 'new-card pending'])
    t.equal(records.connect('k1'), 'n1')
    t.equal(records.connect('r1'), 'n1')
    t.same(records.keysOf('n1'), ['r1 active', 'new-card pending'])
    t.equal(records.connect('k1'), undefined)
    t.same(records.rotate('n1', 'k1', 'r9'), refused('key-revoked'), 'on a connection of before')
    t.match(records.rotate('n1', 'r1', 'r2'), { ok: true })
    t.match(records.rotate('n1', 'r1', 'r3'), { ok: true }, 'the board has lost the one before')
    t.same(records.keysOf('n1'), ['r1 active', 'r3 pending', 'new-card pending'])
    t.equal(records.connect('new-card'), 'n1')
    t.same(records.keysOf('n1'), ['new-card active'])
    t.same(records.rotate('n1', 'r1', 'r4'), refused('key-revoked'))
    t.end()
  },
)

t.test('what is no key of the board’s own follows nothing', (t) => {
  const records = new Records()
  for (const [name, key] of [
    ['n1', 'k1'],
    ['n1', 'p1'],
    ['n2', 'k2'],
  ] as const) {
    records.enrolWith(name, key)
  }
  records.rotate('n1', 'k1', 'r1')
  records.connect('r1')
  const before = records.keysOf('n1')
  t.same(records.rotate('n1', 'r1', undefined), refused('key-unsuitable'))
  t.same(records.rotate('n1', 'r1', 'x', false), refused('proof-wrong'))
  t.same(records.rotate('n1', 'r1', 'k2'), refused('key-unsuitable'), 'another node’s')
  t.same(records.rotate('n1', 'r1', 'r1'), refused('key-unsuitable'), 'itself')
  t.same(records.rotate('n1', 'r1', 'p1'), refused('key-unsuitable'), 'another card’s')
  t.same(records.rotate('n1', 'r1', 'k1'), refused('key-revoked'), 'one that was out')
  t.same(records.rotate('n1', 'p1', 'x'), refused('key-revoked'), 'nor before it was used')
  t.same(records.rotate('nobody', 'r1', 'x'), refused('key-revoked'))
  t.same(records.keysOf('n1'), before)
  t.end()
})

t.test('a rotation is due until there is a newer key, or once the key is old', (t) => {
  const records = new Records()
  records.enrolWith('n1', 'k1')
  const isDue = (afterMs?: number): boolean =>
    isRotationDue(records.nowTs, records.identity.get('n1')!, afterMs)
  t.notOk(isDue())
  records.nowTs += 10
  t.ok(isDue(9))
  t.notOk(isDue(10))
  records.want('n1')
  t.ok(isDue())
  records.nowTs += 1
  records.rotate('n1', 'k1', 'r1')
  t.ok(isDue(), 'the old one may be all that the board has')
  records.connect('r1')
  t.notOk(isDue())
  records.want('n1')
  records.revoke('n1')
  t.notOk(isDue())
  t.same(records.want('n1'), undefined)
  records.enrolWith('n1', 'k9')
  t.notOk(isDue())
  t.end()
})

t.test('a revoked node is out, and neither its key nor its tokens bring it back', (t) => {
  const records = new Records()
  records.create('t1', 'n1')
  records.create('spare', 'n1', { replaces: true })
  records.create('other', 'n2')
  records.enrol('t1', 'n1', 'k1')
  records.revoke('n1')
  t.equal(records.connect('k1'), undefined)
  t.same(records.enrol('t1', 'n1', 'k1'), refused('token-revoked'))
  t.same(records.enrol('spare', 'n1', 'k2'), refused('token-revoked'))
  t.match(records.enrol('other', 'n2', 'k3'), { ok: true }, 'that of another node is as it was')
  records.create('new', 'n1')
  t.same(records.enrol('new', 'n1', 'k1'), refused('key-revoked'))
  t.match(records.enrol('new', 'n1', 'k4'), { ok: true }, 'a new key with a new token')
  t.equal(records.connect('k4'), 'n1')
  t.end()
})

t.test('a token for any node takes the first name, and none that anybody has heard of', (t) => {
  const records = new Records()
  records.create('any', null)
  records.known.add('of-ledger')
  t.same(records.enrol('any', 'of-ledger', 'k1'), refused('node-exists'))
  t.match(records.enrol('any', 'n1', 'k1'), { ok: true })
  t.equal(records.token.get('any')?.node, 'n1')
  t.same(records.enrol('any', 'n2', 'k1'), refused('token-other-node'))
  records.revoke('n1')
  records.create('any2', null)
  t.same(records.enrol('any2', 'n1', 'k2'), refused('node-exists'), 'nor one that was revoked')
  t.end()
})

t.test('a key is one node’s', (t) => {
  const records = new Records()
  records.create('t1', 'n1')
  records.create('t2', 'n2')
  records.enrol('t1', 'n1', 'k1')
  t.same(records.enrol('t2', 'n2', 'k1'), refused('key-unsuitable'))
  t.equal(records.connect('k1'), 'n1')
  t.end()
})

const node = fc.constantFrom('n1', 'n2')
const key = fc.constantFrom('k1', 'k2', 'k3', 'k4', 'k5', 'k6')
type Step =
  | { readonly create: readonly [node: string | null, replaces: boolean] }
  | { readonly enrol: readonly [token: number, node: string, key: string] }
  | { readonly connect: string }
  | { readonly rotate: readonly [node: string, current: string, next: string] }
  | { readonly revoke: string }
  | { readonly pass: number }
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ create: fc.tuple(fc.option(node), fc.boolean()) }),
  { weight: 3, arbitrary: fc.record({ enrol: fc.tuple(fc.nat(5), node, key) }) },
  { weight: 2, arbitrary: fc.record({ connect: key }) },
  { weight: 2, arbitrary: fc.record({ rotate: fc.tuple(node, key, key) }) },
  fc.record({ revoke: node }),
  fc.record({ pass: fc.integer({ min: 1, max: 60 }) }),
)

t.test('whatever happens, a key that was out stays out, and a node has one identity', (t) => {
  check(
    t,
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const records = new Records()
      const out = new Set<string>()
      const userOf = new Map<string, string>()
      for (const one of steps) {
        const before = new Map(records.identity)
        if ('create' in one) {
          records.create(`t${records.token.size}`, one.create[0], { replaces: one.create[1] })
        } else if ('enrol' in one) {
          const [index, name, sha256] = one.enrol
          const id = `t${index}`
          const { ok: isGiven } = records.enrol(id, name, sha256)
          if (isGiven) {
            ok(!out.has(sha256), 'a tombstone came back')
            ok((userOf.get(id) ?? sha256) === sha256, 'two keys used one token')
            userOf.set(id, sha256)
          }
        } else if ('connect' in one) {
          ok(!out.has(one.connect) || records.connect(one.connect) === undefined)
          const name = records.connect(one.connect)
          if (name !== undefined) {
            const used = records.identity.get(name)!.keys.find((k) => k.sha256 === one.connect)
            ok(used?.state === 'active', 'a key that was used is no longer pending')
          }
        } else if ('rotate' in one) {
          const [name, current, next] = one.rotate
          const { ok: isTaken } = records.rotate(name, current, next)
          ok(
            !isTaken || (!out.has(next) && !out.has(current)),
            'a tombstone follows, or is followed',
          )
        } else if ('revoke' in one) {
          records.revoke(one.revoke)
          ok((records.identity.get(one.revoke)?.keys.length ?? 0) === 0)
        } else records.nowTs += one.pass

        const keys = [...records.identity].flatMap(([name, { keys }]) =>
          keys.map(({ sha256 }) => [sha256, { node: name }] as const),
        )
        const live = [...records.key].filter(([, { removedTs }]) => removedTs === undefined)
        deepEqual(new Map(keys), new Map(live), 'both tables say the same')
        ok(keys.length === new Set(keys.map(([sha256]) => sha256)).size, 'a key is one node’s')
        for (const { keys } of records.identity.values()) {
          ok(keys.length <= 4)
          const active = keys.filter(({ state }) => state === 'active')
          deepEqual(active, keys.slice(0, 1), 'the first one, and no other, is active')
        }
        // What a key loses its place for, and that nobody is left without one.
        for (const [name, { keys: had }] of before) {
          const has = records.identity.get(name)!.keys
          const gone = had.filter(({ sha256 }) => !has.some((k) => k.sha256 === sha256))
          if ('revoke' in one && one.revoke === name) ok(has.length === 0)
          else ok(has.length > 0 || had.length === 0, 'at every moment a key works')
          if ('connect' in one && gone.length > 0) {
            const at = had.findIndex(({ sha256 }) => sha256 === one.connect)
            deepEqual(gone, had.slice(0, at), 'those before it, and no other')
          }
          if ('rotate' in one) ok(gone.every(({ follows }) => follows !== undefined))
          if ('enrol' in one) {
            ok(gone.every(({ state, follows }) => state === 'pending' && follows === undefined))
            ok(gone.length === 0 || had.filter((k) => k.follows === undefined).length === 3)
          }
        }
        for (const [sha256, { removedTs }] of records.key) {
          if (removedTs !== undefined) out.add(sha256)
          else ok(!out.has(sha256))
        }
      }
    }),
    500,
  )
  t.end()
})
