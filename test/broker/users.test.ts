/** Users on disk, who log in at a secured broker over real TLS. Numbers are those of the design. */
import { createHash, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import type { MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import type { LoginAnswer } from '../../broker/adapters/mqtt-entrance.ts'
import { Passwords } from '../../broker/adapters/passwords.ts'
import type { UserToken } from '../../broker/core/access/users.ts'
import { type Order, Users } from '../../broker/users.ts'
import { toBase32 } from '../../shared/core/base32.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { ownerNameOf } from '../../shared/protocol/access.ts'
import { formatToken } from '../../shared/protocol/tokens.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { eventually } from '../support/processes.ts'
import { SecuredBench, type SecuredOptions } from '../support/secured-bench.ts'
import { shortDirectory } from '../support/short-directory.ts'

const NOW = 1_800_000_000_000
const by = 'admin'
const PASSWORD = 'correct horse'

interface Opened {
  readonly users: Users
  readonly store: IdentityStore
  /** Whose rights have changed. */
  readonly changed: string[]
  readonly time: { nowTs: number }
  onChange(identity: string, token: string | undefined): void
}

async function open(t: Test, path: string, usersMax = 10): Promise<Opened> {
  const store = await IdentityStore.open(path, (error) => {
    throw error
  })
  t.teardown(() => store.close())
  const changed: string[] = []
  const time = { nowTs: NOW }
  const users = new Users(
    { usersMax },
    {
      store,
      passwords: new Passwords({ n: 1024 }),
      clock: SYSTEM_CLOCK,
      nowTs: () => time.nowTs,
      changed(identity, token) {
        changed.push(token === undefined ? identity : `${identity} by ${token}`)
        opened.onChange(identity, token)
      },
    },
  )
  const opened: Opened = { users, store, changed, time, onChange() {} }
  return opened
}

function directory(t: Test): string {
  const path = shortDirectory()
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function newToken(untilTs = NOW + 1000): { token: UserToken; text: string } {
  const [id, secret] = [toBase32(randomBytes(5)), randomBytes(16)]
  const sha256 = createHash('sha256').update(secret).digest()
  return {
    token: { id, sha256, label: 'program', createdTs: NOW, untilTs },
    text: formatToken({ kind: 'user', id, secret, pin: randomBytes(32) }),
  }
}

function login(users: Users, name: string, password: string, source = 'a'): Promise<LoginAnswer> {
  return new Promise((resolve) => {
    const attempt = { name, password: Buffer.from(password), source, isGone: () => false }
    users.login(attempt, resolve)
  })
}

const codeOf = (answer: LoginAnswer): string => (answer.ok ? 'right' : answer.code)

t.test('what stands of a user is there again after a start', async (t) => {
  const path = directory(t)
  const first = await open(t, path)
  const grant = { ops: ['add'], regions: [{ x: 0, y: 0, w: 2, h: 2 }], fields: '*' } as const
  await first.users.add('anna', { roles: ['submitter'], grant, password: PASSWORD, by })
  await first.users.addKey('anna', { sha256: 'k1', label: 'laptop', addedTs: NOW })
  const { token, text } = newToken()
  await first.users.addToken('anna', token)
  await first.users.add('bert', { roles: ['viewer'], by })
  await first.users.remove('bert')
  await first.store.close()

  const { users } = await open(t, path)
  t.same(
    users.records().map(([name]) => name),
    ['anna'],
  )
  const anna = { kind: 'user', name: 'anna', roles: ['submitter'], topics: [], grant }
  t.same(users.principal('anna'), anna)
  t.same(users.userOf('k1'), anna)
  t.same(await login(users, 'anna', PASSWORD), { ok: true, who: anna })
  t.same(await login(users, 'anna', text), { ok: true, who: { ...anna, token: token.id } })
  t.same(await login(users, 'anna', 'wrong'), {
    ok: false,
    code: 'wrong-password',
    who: 'user/anna',
  })
  t.same(await login(users, 'bert', PASSWORD), { ok: false, code: 'wrong-password', who: 'nobody' })
})

t.test('what is not possible is said, and changes nothing', async (t) => {
  const { users, changed } = await open(t, directory(t), 2)
  await t.rejects(users.add('anna', { password: 'short', by }), { code: 'password-unsuitable' })
  await t.rejects(users.add('#', { by }), { code: 'user-name-wrong' })
  await t.rejects(users.set('anna', { roles: ['admin'] }), { code: 'user-unknown' })
  await t.rejects(users.remove('anna'), { code: 'user-unknown' })
  t.same(changed, [])
  await users.add('anna', { by })
  await users.add('bert', { by })
  await t.rejects(users.add('carl', { by }), { code: 'users-full' })
  await users.remove('bert')
  await users.add('carl', { by })
  t.same(changed, ['user/anna', 'user/bert', 'user/bert', 'user/carl'])
})

t.test('a name that is taken again is of another user, each time', async (t) => {
  const { users } = await open(t, directory(t), 2)
  const owners: (string | undefined)[] = []
  for (let n = 0; n < 3; n++) {
    await users.add('anna', { roles: ['viewer'], by })
    await users.set('anna', { roles: ['submitter'] })
    owners.push(ownerNameOf(users.principal('anna')!))
    await users.remove('anna')
  }
  t.same(owners, ['user/anna', 'user/anna.2', 'user/anna.3'])
})

t.test('nothing is given that could not be announced', async (t) => {
  const { users } = await open(t, directory(t))
  const full = (): Promise<void> => Promise.reject(new Error('the disk is full'))
  await t.rejects(users.add('anna', { by }, announcing(full)), /disk is full/)
  t.same(users.records(), [])
  await users.add('anna', { by })
  await users.add('bert', { by })
  const both = ['anna', 'bert'].map((name) => users.addKey(name, key('k1'), announcing(turn)))
  const [one, other] = await Promise.allSettled(both)
  t.equal(one?.status, 'fulfilled')
  t.match(other, { status: 'rejected', reason: { code: 'key-known' } })
})

const turn = (): Promise<void> => new Promise(setImmediate)
const announcing = (announce: () => Promise<void>): Order => ({ announce, assertMay() {} })
const key = (sha256: string): { sha256: string; label: string; addedTs: number } => ({
  ...{ sha256, label: '', addedTs: NOW },
})

t.test('attempt 52: tokens: his own, good, and no other', async (t) => {
  const { users, time, changed } = await open(t, directory(t))
  await users.add('anna', { roles: ['viewer'], by })
  await users.add('bert', { roles: ['viewer'], by })
  const [one, other] = [newToken(), newToken()]
  changed.length = 0
  await users.addToken('anna', one.token)
  await users.addKey('anna', key('k1'))
  t.same(changed, [], 'whoever is there stays')
  const byToken = (token: string, source = 't'): Promise<LoginAnswer> =>
    new Promise((resolve) => users.loginByToken({ token, source, isGone: () => false }, resolve))
  t.equal(codeOf(await login(users, 'anna', one.text)), 'right')
  t.match(await byToken(one.text), { ok: true, who: { name: 'anna' } })
  t.equal(codeOf(await login(users, 'bert', one.text)), 'wrong-password')
  t.equal(codeOf(await byToken(other.text)), 'wrong-password')
  t.equal(codeOf(await byToken('obu1-x', 'u')), 'wrong-password')
  const foreign = one.text.replace(/-[a-z2-7]{26}-/, `-${toBase32(randomBytes(16))}-`)
  t.equal(codeOf(await byToken(foreign)), 'wrong-password')
  await users.set('anna', { isDisabled: true })
  t.equal(codeOf(await byToken(one.text)), 'user-not-allowed')
  await users.set('anna', { isDisabled: false })
  time.nowTs = NOW + 1001
  t.equal(codeOf(await byToken(one.text)), 'wrong-password', 'it is over')
  time.nowTs = NOW
  await users.removeToken('anna', one.token.id)
  t.equal(codeOf(await byToken(one.text, 'v')), 'wrong-password')
})

t.test('many programs of one user at once are one try, and a wrong one is not right', async (t) => {
  const { users } = await open(t, directory(t))
  await users.add('anna', { roles: ['viewer'], password: PASSWORD, by })
  const some = (password: string, source: string): Promise<LoginAnswer[]> =>
    Promise.all(Array.from({ length: 30 }, () => login(users, 'anna', password, source)))
  t.ok((await some(PASSWORD, 'a')).every(({ ok }) => ok))
  t.ok(
    (await some(PASSWORD, 'a')).every(({ ok }) => ok),
    'by memory, too',
  )
  t.ok((await some('wrong one', 'b')).every((answer) => codeOf(answer) === 'wrong-password'))
  const guesses = Array.from({ length: 30 }, (_, n) => login(users, 'anna', `guess ${n}`, 'c'))
  const codes = (await Promise.all(guesses)).map(codeOf)
  t.equal(codes.filter((code) => code === 'wrong-password').length, 5)
  t.equal(codes.filter((code) => code === 'user-locked').length, 25)
  const locked = await login(users, 'anna', PASSWORD, 'c')
  t.match(locked, { ok: false, code: 'user-locked' })
  const { retryMs = 0 } = locked as { retryMs?: number }
  t.ok(retryMs > 30_000 && retryMs <= 60_000, 'a minute, or what is left of it')
})

t.test('users who come at once from one place all come in, also while strangers try', async (t) => {
  const { users } = await open(t, directory(t), 30)
  const names = Array.from({ length: 24 }, (_, n) => `user${n}`)
  for (const name of names) await users.add(name, { roles: ['viewer'], password: PASSWORD, by })
  const all = (): Promise<LoginAnswer[]> =>
    Promise.all(names.map((name) => login(users, name, PASSWORD, 'fe80:0:0:0:1:2:3:4')))
  t.same(new Set((await all()).map(codeOf)), new Set(['right']))
  const [known] = names
  const slow = Array.from({ length: 200 }, (_, n) =>
    login(users, `nobody${n}`, 'x'.repeat(20), `192.0.2.${n}`),
  )
  // Another password than what is remembered: it is looked at all the same.
  t.equal(codeOf(await login(users, known!, 'wrong one', 'fe80:0:0:0:5:6:7:8')), 'wrong-password')
  t.ok((await Promise.all(slow)).some((answer) => codeOf(answer) === 'logins-busy'))
})

t.test('a password that changes while it is judged is not right any more', async (t) => {
  const { users } = await open(t, directory(t))
  await users.add('anna', { roles: ['viewer'], password: PASSWORD, by })
  const before = login(users, 'anna', PASSWORD)
  const changing = users.set('anna', { roles: ['submitter'] })
  t.equal(codeOf(await before), 'logins-busy')
  await changing
  t.match(await login(users, 'anna', PASSWORD), { ok: true, who: { roles: ['submitter'] } })
  await users.set('anna', { password: 'battery staple' })
  t.equal(codeOf(await login(users, 'anna', PASSWORD)), 'wrong-password')
})

t.test('what could not be judged locks nobody', async (t) => {
  const { store } = await open(t, directory(t))
  let verdict = 'busy'
  const passwords = { isRemembered: () => false, judge: async () => verdict }
  const users = new Users(
    {},
    {
      ...{ store, clock: SYSTEM_CLOCK, nowTs: () => NOW, changed: () => {} },
      passwords: passwords as unknown as Passwords,
    },
  )
  await users.add('anna', { roles: ['viewer'], by })
  for (let n = 0; n < 20; n++) {
    verdict = n % 2 === 0 ? 'busy' : 'gone'
    t.equal(codeOf(await login(users, 'anna', PASSWORD)), 'logins-busy')
  }
  verdict = 'right'
  t.equal(codeOf(await login(users, 'anna', PASSWORD)), 'right')
})

/** A secured broker that asks them. */
async function gatewayWith(t: Test, opened: Opened): Promise<SecuredBench> {
  const bench = await SecuredBench.start(t, {
    login: (attempt, answer) => opened.users.login(attempt, answer),
  })
  opened.onChange = (identity, over) => {
    if (over === undefined) bench.broker.endIdentity(identity)
    else bench.broker.endKeys(identity, [over])
  }
  return bench
}

/** What CONNACK said to a user who says this password. */
async function connackOf(bench: SecuredBench, options: SecuredOptions): Promise<number> {
  return await bench.connect(options).then(
    (client: MqttClient) => {
      client.end(true)
      return 0
    },
    (error: { code?: number }) => error.code ?? -1,
  )
}

t.test('attempts 32 and 33: guessing is over soon, and its user is not locked out', async (t) => {
  const opened = await open(t, directory(t))
  await opened.users.add('anna', { roles: ['viewer'], password: PASSWORD, by })
  const bench = await gatewayWith(t, opened)
  const codes: number[] = []
  for (let n = 0; n < 20; n++) {
    codes.push(await connackOf(bench, { username: 'anna', password: `guess ${n}` }))
  }
  t.same(codes, [...new Array(5).fill(4), ...new Array(15).fill(3)])
  t.match(bench.refused, { 'wrong-password': 5, 'user-locked': 15 })
  t.equal(bench.gateway.told('login-failed', 'user/anna', 'wrong-password'), 5)
  t.equal(bench.gateway.told('locked', 'user/anna', 'user-locked'), 15)
  t.equal(await connackOf(bench, { username: 'anna', password: PASSWORD }), 3, 'not from there')
  const elsewhere = { username: 'anna', password: PASSWORD, from: '127.0.0.2' }
  t.equal(await connackOf(bench, elsewhere), 0)
  t.equal(bench.gateway.events.filter(({ event }) => event === 'login').length, 1)
  t.equal(bench.gateway.events.find(({ event }) => event === 'login')?.source, '127.0.0.2')
  const node = await bench.node('n1' as NodeId)
  t.ok(node.connected, 'keys are not asked for passwords')
})

t.test('a user who is out is out at once, and comes back as what he is then', async (t) => {
  const opened = await open(t, directory(t))
  const { users } = opened
  await users.add('anna', { roles: ['viewer'], password: PASSWORD, by })
  const bench = await gatewayWith(t, opened)
  const options = { username: 'anna', password: PASSWORD }
  const client = await bench.connect(options)
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
  const startMs = performance.now()
  const setting = users.set('anna', { isDisabled: true })
  await closed
  t.ok(performance.now() - startMs < 100)
  await setting
  t.equal(await connackOf(bench, options), 5)
  t.equal(bench.gateway.told('login-failed', 'user/anna', 'user-not-allowed'), 1)
  await users.set('anna', { isDisabled: false, roles: ['submitter'] })
  t.equal(await connackOf(bench, options), 0)
  await users.remove('anna')
  t.equal(await connackOf(bench, options), 4)
})

t.test('more than can be judged hear so, and the others come in', async (t) => {
  const opened = await open(t, directory(t))
  await opened.users.add('anna', { roles: ['viewer'], password: PASSWORD, by })
  const slow = new Users(
    {},
    {
      ...{ store: opened.store, clock: SYSTEM_CLOCK, nowTs: () => NOW, changed: () => {} },
      passwords: new Passwords({ n: 2 ** 15 }),
    },
  )
  const bench = await SecuredBench.start(t, {
    login: (attempt, answer) => slow.login(attempt, answer),
  })
  const many = Array.from({ length: 60 }, (_, n) =>
    connackOf(bench, { username: `user${n}`, password: 'x', from: `127.0.1.${n + 1}` }),
  )
  const codes = await Promise.all(many)
  t.ok(codes.filter((code) => code === 4).length >= 26)
  t.equal(codes.filter((code) => code !== 4 && code !== 3).length, 0)
  t.equal(await connackOf(bench, { username: 'anna', password: PASSWORD }), 0)
  await eventually('all are gone', () => bench.broker.counters().clientsConnected === 0)
})

t.test('who is here by a token is out when that is over, and nobody else is', async (t) => {
  const opened = await open(t, directory(t))
  const { users, time, changed } = opened
  await users.add('anna', { roles: ['viewer'], password: PASSWORD, by })
  const [short, long] = [newToken(NOW + 1000), newToken(NOW + 2000)]
  await users.addToken('anna', short.token)
  await users.addToken('anna', long.token)
  const bench = await gatewayWith(t, opened)
  const enter = async (password: string): Promise<MqttClient> =>
    await bench.connect({ username: 'anna', password })
  const clients = [await enter(short.text), await enter(long.text), await enter(PASSWORD)]
  const closed: number[] = []
  for (const [at, client] of clients.entries()) client.once('close', () => closed.push(at))
  changed.length = 0
  time.nowTs = NOW + 1000
  users.endOver()
  t.same(changed, [], 'it is good until then')
  time.nowTs = NOW + 1001
  users.endOver()
  t.same(changed, [`user/anna by ${short.token.id}`])
  await eventually('the first is out', () => closed.length > 0)
  time.nowTs = NOW + 5000
  users.endOver()
  users.endOver()
  await eventually('the second is out', () => closed.length > 1)
  t.same(closed, [0, 1])
  t.ok(clients[2]?.connected)
  t.equal(changed.length, 2, 'each once')
  t.equal(await connackOf(bench, { username: 'anna', password: long.text }), 4)
})
