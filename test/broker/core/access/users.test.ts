import fc from 'fast-check'
import t from 'tap'
import type { KeyRecord, RegistryChange } from '../../../../broker/core/access/registry.ts'
import {
  addUser,
  addUserKey,
  addUserToken,
  changeUser,
  isUnused,
  principalOf,
  removeUser,
  removeUserKey,
  removeUserToken,
  tokenOf,
  USER_KEYS_MAX,
  USER_TOKENS_MAX,
  type UserDecision,
  type UserRecord,
  type UserToken,
  type UserTokenRecord,
  used,
} from '../../../../broker/core/access/users.ts'
import { check } from '../../../support/property.ts'

const NOW = 1000
const PASSWORD = { n: 2, r: 8, p: 1, salt: new Uint8Array(16), hash: new Uint8Array(32) }

/** The records, as the store keeps them. */
class Records {
  readonly users = new Map<string, UserRecord>()
  readonly keys = new Map<string, KeyRecord>()
  readonly tokens = new Map<string, UserTokenRecord>()

  put(decision: UserDecision): string {
    if (!decision.ok) return decision.code
    for (const change of decision.changes) this.#apply(change)
    return 'ok'
  }

  #apply(change: RegistryChange): void {
    if (change.table === 'user') this.users.set(change.key, change.value)
    if (change.table === 'key') this.keys.set(change.key, change.value)
    if (change.table !== 'user-token') return
    if (change.value === undefined) this.tokens.delete(change.key)
    else this.tokens.set(change.key, change.value)
  }

  add(name: string, more: Partial<Parameters<typeof addUser>[3]> = {}): string {
    return this.put(addUser(NOW, name, this.users.get(name), { by: 'admin', ...more }))
  }

  addKey(name: string, sha256: string): string {
    const key = { sha256, label: 'laptop', addedTs: NOW }
    return this.put(addUserKey(name, this.users.get(name), key, this.keys.get(sha256)))
  }

  addToken(name: string, id: string, untilTs = NOW + 10, nowTs = NOW): string {
    return this.put(addUserToken(nowTs, name, this.users.get(name), tokenFor(id, untilTs)))
  }
}

function tokenFor(id: string, untilTs: number): UserToken {
  return { id, sha256: new Uint8Array(32), label: 'program', createdTs: NOW, untilTs }
}

t.test('a user is what was asked for, and what it was changed to', (t) => {
  const records = new Records()
  t.equal(records.add('anna', { roles: ['viewer'], topics: ['home/#'], password: PASSWORD }), 'ok')
  const principal = { kind: 'user', name: 'anna', roles: ['viewer'], topics: ['home/#'] }
  const anna = (): UserRecord => records.users.get('anna')!
  t.same(principalOf('anna', anna()), principal)
  t.equal(records.add('anna'), 'user-exists')
  for (const name of ['', '+', '#', '../x', 'a b', 'x'.repeat(65)]) {
    t.equal(records.add(name), 'user-name-wrong', name)
  }
  const grant = { ops: ['add'], regions: '*', fields: '*' } as const
  const change = (wish: Parameters<typeof changeUser>[3]): string =>
    records.put(changeUser(NOW + 1, 'anna', anna(), wish))
  t.equal(change({ grant, roles: ['submitter'] }), 'ok')
  t.same(principalOf('anna', anna()), { ...principal, roles: ['submitter'], grant })
  t.same(anna().password, PASSWORD)
  t.equal(change({ grant: null, password: null }), 'ok')
  t.notOk('grant' in anna() || 'password' in anna())
  t.equal(change({ isDisabled: true }), 'ok')
  t.equal(principalOf('anna', anna()), undefined)
  t.equal(change({ roles: ['admin'] }), 'ok', 'it stays so')
  t.equal(principalOf('anna', anna()), undefined)
  t.equal(change({ isDisabled: false }), 'ok')
  t.match(principalOf('anna', anna()), { roles: ['admin'] })
  t.equal(change({ roles: [], topics: [] }), 'ok')
  t.equal(principalOf('anna', anna()), undefined, 'who may do nothing')
  t.equal(records.put(changeUser(NOW, 'bert', undefined, {})), 'user-unknown')
  t.end()
})

t.test('of a grant nothing grows that nobody has said: each part is what was said last', (t) => {
  const list = fc.constantFrom<readonly string[] | '*'>(['add'], ['get', 'stat'], '*')
  const rect = { x: 0, y: 0, w: 4, h: 4 }
  const wish = fc.record(
    {
      ops: list,
      fields: list,
      regions: fc.constantFrom<'*' | (typeof rect)[]>([rect], '*'),
      tasksPerSecond: fc.constantFrom(1, 2, null),
      openTasksMax: fc.constantFrom(3, null),
    },
    { requiredKeys: [] },
  )
  const roles = fc.constantFrom(['submitter'], ['viewer', 'submitter'])
  const change = fc.record({ roles, grant: fc.option(wish) }, { requiredKeys: [] })
  const property = fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
    let record = { ...fresh(), roles: [] } as UserRecord
    let said: Record<string, unknown> = {}
    for (const change of changes) {
      const decision = changeUser(NOW, 'anna', record, change as never)
      const after: Record<string, unknown> =
        change.grant === null ? {} : { ...said, ...change.grant }
      for (const key of Object.keys(after)) if (after[key] === null) delete after[key]
      const isWhole = ['ops', 'regions', 'fields'].every((key) => key in after)
      const isNone = Object.keys(said).length === 0 && !change.grant
      if (decision.ok !== (isWhole || isNone || change.grant === null)) return false
      if (!decision.ok) continue
      said = after
      record = (decision.changes[0] as { value: UserRecord }).value
    }
    const shown = JSON.stringify(Object.entries(record.grant ?? {}).sort())
    return shown === JSON.stringify(Object.entries(said).sort())
  })
  check(t, property)
  t.end()
})

function fresh(): UserRecord {
  return { roles: [], topics: [], tokens: [], keys: [], createdTs: NOW, by: 'admin' }
}

t.test('filters are outside the base, and are filters', (t) => {
  const records = new Records()
  for (const filter of ['$SYS/#', '$share/a/b', 'a#', 'a/#/b', '', `a\0`, 'x'.repeat(257)]) {
    t.equal(records.add('anna', { topics: [filter] }), 'topic-filter-wrong', filter)
  }
  const many = Array.from({ length: 33 }, (_, n) => `a/${n}`)
  t.equal(records.add('anna', { topics: many }), 'topic-filter-wrong')
  t.equal(records.add('anna', { topics: many.slice(1) }), 'ok')
  t.end()
})

t.test('a key is one identity’s, and never comes back', (t) => {
  const records = new Records()
  records.add('anna', { roles: ['viewer'] })
  records.add('bert', { roles: ['viewer'] })
  t.equal(records.addKey('anna', 'k0'), 'ok')
  t.equal(records.addKey('bert', 'k0'), 'key-known')
  for (let n = 1; n < USER_KEYS_MAX; n++) t.equal(records.addKey('anna', `k${n}`), 'ok')
  t.equal(records.addKey('anna', 'more'), 'user-keys-full')
  t.equal(records.put(removeUserKey(NOW, 'anna', records.users.get('anna'), 'k0')), 'ok')
  t.same(records.keys.get('k0'), { user: 'anna', removedTs: NOW })
  t.equal(records.addKey('anna', 'k0'), 'key-known')
  t.equal(records.addKey('nobody', 'k9'), 'user-unknown')
  t.end()
})

t.test('tokens that are over make room, and good ones never', (t) => {
  const records = new Records()
  records.add('anna', { roles: ['viewer'] })
  for (let n = 0; n < USER_TOKENS_MAX; n++) t.equal(records.addToken('anna', `t${n}`), 'ok')
  t.equal(records.addToken('anna', 'more'), 'user-tokens-full')
  t.ok(tokenOf(NOW + 10, records.users.get('anna'), 't0'))
  t.notOk(tokenOf(NOW + 11, records.users.get('anna'), 't0'), 'it is over')
  t.equal(records.addToken('anna', 'new', NOW + 99, NOW + 11), 'ok')
  t.same([...records.tokens], [['new', { user: 'anna' }]])
  t.equal(records.put(removeUserToken('anna', records.users.get('anna'), 'new')), 'ok')
  t.same([...records.tokens], [])
  t.end()
})

t.test('a use is written once a day, with the token or key that it was by', (t) => {
  const DAY = 86_400_000
  const records = new Records()
  records.put(addUser(NOW, 'anna', undefined, { by: 'admin' }))
  const now = (): UserRecord => records.users.get('anna')!
  for (const id of ['a', 'b'])
    records.put(addUserToken(NOW, 'anna', now(), tokenFor(id, NOW + DAY)))
  records.put(addUserKey('anna', now(), { sha256: 'k', label: '', addedTs: NOW }, undefined))
  const use = (ts: number, by: object): number => {
    const changes = used(ts, 'anna', now(), by)
    records.put({ ok: true, changes })
    return changes.length
  }
  t.notOk(isUnused(NOW + 90 * DAY, now()))
  t.ok(isUnused(NOW + 90 * DAY + 1, now()), 'since it was made')
  t.equal(use(NOW + 1, {}), 1)
  t.equal(use(NOW + 2, { token: 'a' }), 1)
  t.equal(use(NOW + 3, { key: 'k' }), 1)
  for (const by of [{}, { token: 'a' }, { key: 'k' }, { token: 'none' }]) {
    t.equal(use(NOW + DAY, by), 0, 'the same day')
  }
  const ofTokens = (): unknown[] => now().tokens.map(({ lastTs }) => lastTs)
  t.same(
    [now().lastTs, ...ofTokens(), now().keys[0]!.lastTs],
    [NOW + 1, NOW + 2, undefined, NOW + 3],
  )
  t.equal(use(NOW + DAY + 2, { token: 'a' }), 1)
  t.same([now().lastTs, ...ofTokens()], [NOW + DAY + 2, NOW + DAY + 2, undefined])
  t.ok(isUnused(NOW + 92 * DAY, now()))
  records.put(removeUser(NOW, 'anna', now()))
  t.equal(use(NOW + 99 * DAY, {}), 0)
  t.equal(used(NOW, 'bert', undefined, {}).length, 0)
  t.end()
})

t.test('who was removed proves nothing, and may come again as somebody new', (t) => {
  const records = new Records()
  records.add('anna', { roles: ['admin'], password: PASSWORD })
  records.addKey('anna', 'k0')
  records.addToken('anna', 't0')
  t.equal(records.put(removeUser(NOW, 'anna', records.users.get('anna'))), 'ok')
  const gone = records.users.get('anna')
  t.match(gone, { keys: [], tokens: [], revokedTs: NOW })
  t.notOk('password' in gone!)
  t.equal(principalOf('anna', gone), undefined)
  t.equal(tokenOf(NOW, gone, 't0'), undefined)
  t.same(records.keys.get('k0'), { user: 'anna', removedTs: NOW })
  t.equal(records.put(removeUser(NOW, 'anna', gone)), 'user-unknown')
  t.equal(records.add('anna', { roles: ['viewer'] }), 'ok')
  t.same(principalOf('anna', records.users.get('anna'))?.roles, ['viewer'])
  t.equal(records.addKey('anna', 'k0'), 'key-known')
  t.end()
})

t.test('whatever is done, what proves somebody stands in his record and in the tables', (t) => {
  const names = fc.constantFrom('anna', 'bert')
  const ids = fc.constantFrom('1', '2', '3', '4', '5', '6')
  const steps = fc.array(
    fc.tuple(fc.constantFrom('add', 'rm', 'key', 'rmkey', 'token', 'rmtoken'), names, ids),
    {
      maxLength: 40,
    },
  )
  const law = fc.property(steps, (list) => {
    const records = new Records()
    for (const [what, name, id] of list) {
      const user = records.users.get(name)
      if (what === 'add') records.add(name, { roles: ['viewer'] })
      if (what === 'rm') records.put(removeUser(NOW, name, user))
      if (what === 'key') records.addKey(name, id)
      if (what === 'rmkey') records.put(removeUserKey(NOW, name, user, id))
      if (what === 'token' && !records.tokens.has(id)) records.addToken(name, id)
      if (what === 'rmtoken') records.put(removeUserToken(name, user, id))
    }
    const keys = [...records.keys].filter(([, one]) => one.removedTs === undefined)
    const users = [...records.users]
    const ofUsers = users.flatMap(([name, { keys }]) => keys.map(({ sha256 }) => [sha256, name]))
    const tokens = users.flatMap(([name, { tokens }]) => tokens.map(({ id }) => [id, name]))
    const sorted = (list: unknown[][]): string => JSON.stringify([...list].sort())
    return (
      sorted(keys.map(([key, { user }]) => [key, user])) === sorted(ofUsers) &&
      sorted([...records.tokens].map(([id, { user }]) => [id, user])) === sorted(tokens)
    )
  })
  check(t, law, 500)
  t.end()
})
