/** Sessions of browsers of users on disk, in a time that passes as it is told. */
import { rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Identified, LoggedIn } from '../../broker/adapters/http-access.ts'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import { Passwords } from '../../broker/adapters/passwords.ts'
import type { SecurityLog } from '../../broker/adapters/security-log.ts'
import { HttpLogins } from '../../broker/http-logins.ts'
import { UserCalls } from '../../broker/user-calls.ts'
import { Users } from '../../broker/users.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { shortDirectory } from '../support/short-directory.ts'

const PASSWORD = 'correct horse'
const HOUR = 3_600_000
const remote = '192.0.2.1'

async function open(t: Test) {
  const path = shortDirectory()
  const store = await IdentityStore.open(path, (error) => {
    throw error
  })
  t.teardown(async () => {
    await store.close()
    rmSync(path, { recursive: true, force: true })
  })
  const time = { monotonicMs: 0, wallMs: 1_800_000_000_000 }
  const clock = { ...SYSTEM_CLOCK, now: () => ({ ...time }) }
  Object.defineProperty(clock, 'monotonicMs', { get: () => time.monotonicMs })
  const [ended, told]: [string[], string[]] = [[], []]
  const log = {
    append: async () => {},
    tell: ({ event, who }: { event: string; who: string }) => told.push(`${event} ${who}`),
  } as unknown as SecurityLog
  const users: Users = new Users(
    {},
    {
      ...{ store, passwords: new Passwords({ n: 1024 }), clock, nowTs: () => time.wallMs },
      changed: (identity) => logins.endOf(identity),
    },
  )
  const sessionEnded = (session: string): number => ended.push(session)
  const logins = new HttpLogins({ log, users, clock, sessionEnded, ownerOf: () => undefined })
  await users.add('anna', { roles: ['viewer'], password: PASSWORD, by: 'admin' })
  const login = async (shown: object): Promise<string> => {
    const answer = (await logins.login(
      { remote, ...shown } as Parameters<HttpLogins['login']>[0],
      () => false,
    )) as LoggedIn & { secret: string }
    if (!answer.ok) throw new Error(`login: ${answer.code}`)
    return answer.secret
  }
  const who = async (cookie: string, more = {}): Promise<string> => {
    const shown = { key: undefined, authorization: undefined, cookie, remote, ...more }
    const answer: Identified = await logins.identify(shown, () => false)
    return answer.ok ? answer.who.kind : answer.code
  }
  return { users, logins, time, ended, told, login, who, clock, log }
}

t.test('a session is over after an hour without use, after twelve, and says so', async (t) => {
  const { logins, time, ended, told, login, who } = await open(t)
  const [used, idle] = [
    await login({ name: 'anna', password: PASSWORD }),
    await login({ name: 'anna', password: PASSWORD }),
  ]
  t.same(told, ['login user/anna', 'login user/anna'])
  time.monotonicMs = HOUR - 1
  t.equal(await who(used), 'user')
  time.monotonicMs = HOUR
  logins.endOver()
  t.equal(ended.length, 1)
  t.equal(await who(idle), 'stranger')
  for (let ms = HOUR; ms < 12 * HOUR; ms += HOUR / 2) {
    time.monotonicMs = ms
    t.equal(await who(used), 'user')
  }
  time.monotonicMs = 12 * HOUR
  logins.endOver()
  t.equal(ended.length, 2)
  t.equal(await who(used), 'stranger')
  t.equal(await who('A'.repeat(43)), 'stranger')
})

t.test('by a token it is over with the token', async (t) => {
  const { users, time, ended, login, who, clock, log } = await open(t)
  const calls = new UserCalls({
    ...{ users, log, keys: { pin: Buffer.alloc(32) }, nowTs: () => clock.now().wallMs },
    certifyUser: async () => '',
  } as unknown as ConstructorParameters<typeof UserCalls>[0])
  const asker = { who: 'admin', via: 'socket', assertMay() {} } as const
  const wish = { label: '', ttlMs: 60_000 }
  const { token } = await calls.addToken('anna', wish, asker)
  const [byToken, asPassword] = [
    await login({ token }),
    await login({ name: 'anna', password: token }),
  ]
  const byPassword = await login({ name: 'anna', password: PASSWORD })
  time.wallMs += 59_999
  for (const cookie of [byToken, asPassword, byPassword]) t.equal(await who(cookie), 'user')
  time.wallMs += 2
  t.equal(await who(byToken), 'stranger')
  t.equal(await who(asPassword), 'stranger')
  t.equal(await who(byPassword), 'user')
  t.equal(ended.length, 2)
})

t.test('the 257th pushes out the one that was used least recently', async (t) => {
  const { ended, login, who } = await open(t)
  const shown = { name: 'anna', password: PASSWORD }
  const [first, second] = [await login(shown), await login(shown)]
  for (let n = 0; n < 254; n++) await login(shown)
  t.equal(await who(first), 'user')
  t.same(ended, [])
  await login(shown)
  t.equal(ended.length, 1)
  t.equal(await who(second), 'stranger')
  t.equal(await who(first), 'user')
})

t.test('what goes before a cookie counts, right or wrong', async (t) => {
  const { login, who } = await open(t)
  const cookie = await login({ name: 'anna', password: PASSWORD })
  t.equal(await who(cookie, { key: 'ab'.repeat(32) }), 'unauthenticated', 'a certificate')
  t.equal(await who(cookie, { authorization: 'Bearer x' }), 'unauthenticated')
})
