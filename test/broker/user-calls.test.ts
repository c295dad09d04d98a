/** What an admin asks of users, with the real registry, and a security log that takes no line. */
import { rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import { Passwords } from '../../broker/adapters/passwords.ts'
import type { SecurityLog } from '../../broker/adapters/security-log.ts'
import { UserCalls } from '../../broker/user-calls.ts'
import { Users } from '../../broker/users.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import { fingerprintText, newKeyPair, spkiOf } from '../../shared/runtime/public-keys.ts'
import { newAuthority } from '../support/certified.ts'
import { shortDirectory } from '../support/short-directory.ts'

const ASKER = { who: 'admin', via: 'socket', assertMay() {} } as const

async function callsOf(t: Test) {
  const folder = shortDirectory()
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const store = await IdentityStore.open(folder, (error) => t.fail(error.message))
  t.teardown(() => store.close())
  const disk = { isFull: false, events: [] as string[], onAppend() {} }
  const log = {
    append: async ({ event }: { event: string }) => {
      disk.onAppend()
      if (disk.isFull) throw new Error('log-broken')
      disk.events.push(event)
    },
  } as unknown as SecurityLog
  const clock = SYSTEM_CLOCK
  const time = { nowTs: Date.now() }
  const nowTs = (): number => time.nowTs
  const users = new Users(
    {},
    { ...{ store, clock, passwords: new Passwords({ n: 1024 }), nowTs }, changed: () => {} },
  )
  const authority = await newAuthority()
  const keys = { authority, pin: authority.pin } as never
  const calls = new UserCalls({ users, log, keys, nowTs, certifyUser: async () => 'PEM' })
  return { disk, calls, store, time }
}

/** One who may until somebody takes that from him. */
function askerUntil() {
  const asker = {
    ...({ who: 'user/mallory', via: 'http', may: true } as const),
    assertMay() {
      if (!asker.may) throw new AppError('forbidden', 'not any more')
    },
  }
  return asker as { may: boolean; who: string; via: 'http'; assertMay(): void }
}

t.test('with a full disk nobody gets more, and whoever is to have less has less', async (t) => {
  const { calls, disk } = await callsOf(t)
  await calls.add('ann', { roles: ['admin'], password: 'correct horse' }, ASKER)
  disk.isFull = true
  await t.rejects(calls.add('bob', { roles: ['viewer'] }, ASKER), { message: 'log-broken' })
  await t.rejects(calls.set('ann', { roles: ['viewer'] }, ASKER), { message: 'log-broken' })
  await t.rejects(calls.set('ann', { password: 'another horse' }, ASKER))
  await t.rejects(calls.addToken('ann', { label: '', ttlMs: 1000 }, ASKER))
  t.match(calls.users(), [{ name: 'ann', roles: ['admin'], hasPassword: true, tokens: [] }])
  await calls.set('ann', { isDisabled: true, password: null }, ASKER)
  t.match(calls.user('ann'), { disabledTs: Number, hasPassword: false })
  await t.rejects(calls.set('ann', { isDisabled: false }, ASKER), { message: 'log-broken' })
  disk.isFull = false
  await calls.set('ann', { isDisabled: false }, ASKER)
  t.equal(calls.user('ann')?.disabledTs, undefined)
  t.same(disk.events, ['user-added', 'user-changed'])
})

t.test('an order of one who may not any more does nothing, however far it had come', async (t) => {
  const { calls, disk, store } = await callsOf(t)
  await calls.add('ann', { roles: ['viewer'] }, ASKER)
  const spki = spkiOf(newKeyPair().publicKey)
  const password = 'correct horse'
  const gone = { code: 'forbidden' }
  const orders: Record<string, (asker: ReturnType<typeof askerUntil>) => Promise<unknown>> = {
    add: (asker) => calls.add('back', { roles: ['admin'], password }, asker),
    set: (asker) => calls.set('ann', { roles: ['admin'], password }, asker),
    passwd: (asker) => calls.set('ann', { password }, asker),
    addToken: (asker) => calls.addToken('ann', { label: '', ttlMs: 1000 }, asker),
    addKey: (asker) => calls.addKey('ann', { label: '', spki }, asker),
    disable: (asker) => calls.set('ann', { isDisabled: true }, asker),
    remove: (asker) => calls.remove('ann', asker),
    removeToken: (asker) => calls.removeToken('ann', 'abcdefgh', asker),
    removeKey: (asker) => calls.removeKey('ann', fingerprintText(spki), asker),
  }
  const before = store.users()
  const said = disk.events.length
  for (const [name, order] of Object.entries(orders)) {
    const late = askerUntil()
    late.may = false
    await t.rejects(order(late), gone, `${name}, before it begins`)
  }
  for (const name of ['add', 'set', 'passwd']) {
    const asker = askerUntil()
    const under = order(name)(asker)
    asker.may = false
    await t.rejects(under, gone, `${name}, while scrypt works`)
  }
  t.equal(disk.events.length, said, 'of none of that the log says that it was')
  for (const name of ['add', 'set', 'passwd', 'addToken', 'addKey']) {
    const asker = askerUntil()
    disk.onAppend = () => {
      asker.may = false
    }
    await t.rejects(order(name)(asker), gone, `${name}, while the log is written`)
  }
  t.same(store.users(), before)
  function order(name: string): (asker: ReturnType<typeof askerUntil>) => Promise<unknown> {
    return orders[name]!
  }
})

t.test('what is refused in any case costs no scrypt', async (t) => {
  const { calls } = await callsOf(t)
  await calls.add('ann', { roles: ['viewer'] }, ASKER)
  const password = 'correct horse'
  const making = t.capture(Passwords.prototype, 'make')
  await t.rejects(calls.add('ann', { password }, ASKER), { code: 'user-exists' })
  await t.rejects(calls.add('#', { password }, ASKER), { code: 'user-name-wrong' })
  await t.rejects(calls.set('bob', { password }, ASKER), { code: 'user-unknown' })
  t.equal(making().length, 0)
})

t.test('tokens of users, too, go by a time that does not go back', async (t) => {
  const { calls, time } = await callsOf(t)
  await calls.add('ann', { roles: ['viewer'] }, ASKER)
  time.nowTs += 10 * 365 * 24 * 3_600_000
  const { untilTs } = await calls.addToken('ann', { label: '', ttlMs: 1000 }, ASKER)
  t.equal(untilTs, time.nowTs + 1000)
})

t.test('what is not there to be taken is said, and not that it was', async (t) => {
  const { calls, disk } = await callsOf(t)
  await calls.add('ann', { roles: ['viewer'] }, ASKER)
  await calls.add('bob', { roles: ['viewer'] }, ASKER)
  const spki = spkiOf(newKeyPair().publicKey)
  await calls.addKey('ann', { label: '', spki }, ASKER)
  const { id } = await calls.addToken('ann', { label: '', ttlMs: 1000 }, ASKER)
  const said = disk.events.length
  const unknown = { code: 'user-token-unknown' }
  await t.rejects(calls.removeToken('ann', 'abcdefgh', ASKER), unknown)
  await t.rejects(calls.removeToken('bob', id, ASKER), unknown, 'another has it')
  const sha256 = fingerprintText(spki)
  await t.rejects(calls.removeKey('ann', 'ab', ASKER), { code: 'user-key-unknown' })
  await t.rejects(calls.removeKey('bob', sha256, ASKER), { code: 'user-key-unknown' })
  t.equal(disk.events.length, said)
  await calls.removeToken('ann', id, ASKER)
  await calls.removeKey('ann', sha256, ASKER)
  await t.rejects(calls.removeToken('ann', id, ASKER), unknown, 'a second time')
  t.same(disk.events.slice(said), ['token-revoked', 'user-changed'])
})

t.test(
  'a key may be added again until it is taken out, and gets its certificate again',
  async (t) => {
    const { calls, disk } = await callsOf(t)
    await calls.add('ann', { roles: ['viewer'] }, ASKER)
    await calls.add('bob', { roles: ['viewer'] }, ASKER)
    const spki = spkiOf(newKeyPair().publicKey)
    const both = [
      calls.addKey('ann', { label: 'a', spki }, ASKER),
      calls.addKey('ann', { label: 'b', spki }, ASKER),
    ]
    t.same(await Promise.all(both), ['PEM', 'PEM'])
    const said = disk.events.length
    t.equal(await calls.addKey('ann', { label: '', spki }, ASKER), 'PEM')
    t.equal(disk.events.length, said, 'nothing has changed')
    t.match(calls.user('ann')?.keys, [{ label: 'a' }])
    t.equal(calls.user('ann')?.keys.length, 1)
    await t.rejects(calls.addKey('bob', { label: '', spki }, ASKER), { code: 'key-known' })
    await calls.removeKey('ann', fingerprintText(spki), ASKER)
    await t.rejects(calls.addKey('ann', { label: '', spki }, ASKER), { code: 'key-known' })
  },
)

t.test('what can be no name is the name of nobody', async (t) => {
  const { calls } = await callsOf(t)
  for (const name of ['a'.repeat(65), 'a'.repeat(5000), '', 'a b', '../x', '\0', '\ud800']) {
    t.equal(calls.user(name), undefined)
    await t.rejects(calls.add(name, {}, ASKER), { code: 'user-name-wrong' })
    await t.rejects(calls.set(name, {}, ASKER), { code: 'user-unknown' })
    await t.rejects(calls.remove(name, ASKER), { code: 'user-unknown' })
    await t.rejects(calls.removeToken(name, 'x', ASKER), { code: 'user-unknown' })
    await t.rejects(calls.addToken(name, { label: '', ttlMs: 1 }, ASKER), { code: 'user-unknown' })
  }
})
