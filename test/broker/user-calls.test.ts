/** What an admin asks of users, with the real registry, and a security log that takes no line. */
import { rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import { Passwords } from '../../broker/adapters/passwords.ts'
import type { SecurityLog } from '../../broker/adapters/security-log.ts'
import { UserCalls } from '../../broker/user-calls.ts'
import { Users } from '../../broker/users.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { newAuthority } from '../support/certified.ts'
import { shortDirectory } from '../support/short-directory.ts'

const ASKER = { who: 'admin', via: 'socket' } as const

async function callsOf(t: Test) {
  const folder = shortDirectory()
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const store = await IdentityStore.open(folder, (error) => t.fail(error.message))
  t.teardown(() => store.close())
  const disk = { isFull: false, events: [] as string[] }
  const log = {
    append: async ({ event }: { event: string }) => {
      if (disk.isFull) throw new Error('log-broken')
      disk.events.push(event)
    },
  } as unknown as SecurityLog
  const clock = SYSTEM_CLOCK
  const users = new Users(
    {},
    {
      ...{ store, clock, passwords: new Passwords({ n: 1024 }), nowTs: () => Date.now() },
      changed: () => {},
    },
  )
  const authority = await newAuthority()
  const keys = { authority, pin: authority.pin } as never
  return { disk, calls: new UserCalls({ users, log, keys, clock, certifyUser: async () => '' }) }
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
