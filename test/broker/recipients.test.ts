import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import { Sealer } from '../../broker/adapters/sealer.ts'
import type { SecurityLog } from '../../broker/adapters/security-log.ts'
import { Recipients } from '../../broker/recipients.ts'
import type { TaskId } from '../../shared/core/ids.ts'
import { fingerprintText } from '../../shared/runtime/public-keys.ts'
import { open } from '../../shared/runtime/sealing.ts'
import { xWingPublicKey } from '../../shared/runtime/x-wing.ts'
import { shortDirectory } from '../support/short-directory.ts'

const ASKER = { who: 'user/ann', via: 'http', assertMay() {} } as const
const NOW = 1_800_000_000_000
const alice = randomBytes(32)
const key = await xWingPublicKey(alice)
const value = randomBytes(100)
const order = { task: 'r' as TaskId, op: 'get', to: 'alice', ts: NOW, value }

async function opened(t: Test, folder = shortDirectory()) {
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const store = await IdentityStore.open(folder, (error) => t.fail(error.message))
  const sealer = new Sealer()
  t.teardown(async () => {
    await sealer.close()
    await store.close()
  })
  const disk = { isFull: false, events: [] as string[] }
  const log = {
    append: async ({ event, what, who, code }: Record<string, string>) => {
      if (disk.isFull) throw new Error('log-broken')
      disk.events.push([event, what, who, code].join(' ').trim())
    },
  } as unknown as SecurityLog
  const signer = randomBytes(32)
  const parts = { store, sealer, log, signer, nowTs: () => NOW }
  const recipients = new Recipients({ ...parts, fingerprint: fingerprintText }, { max: 2 })
  return { folder, store, recipients, disk }
}

t.test('who was added is there after a start, and can be sealed to', async (t) => {
  const { folder, store, recipients } = await opened(t)
  const [first, second] = [recipients.add('alice', key, ASKER), recipients.add('bob', key, ASKER)]
  await Promise.all([first, second])
  await recipients.remove('bob', ASKER)
  t.match(recipients.recipients(), [{ name: 'alice', addedTs: NOW, by: 'user/ann' }])
  await store.close()
  const again = await opened(t, folder)
  t.equal(again.recipients.has('bob'), false)
  t.match(again.recipients.recipients(), [{ name: 'alice', sha256: fingerprintText(key) }])
  const sealed = await again.recipients.seal(order)
  const { value: shown, head } = await open(sealed, alice, await again.recipients.signer())
  t.ok(value.equals(shown))
  t.same(head, { v: 1, task: 'r', op: 'get', to: 'alice', ts: NOW })
})

t.test('a name has one key, until it is removed', async (t) => {
  const { recipients, disk } = await opened(t)
  await recipients.add('alice', key, ASKER)
  await t.rejects(recipients.add('alice', key, ASKER), { code: 'recipient-exists' })
  for (const none of [randomBytes(31), Buffer.alloc(key.length)]) {
    await t.rejects(recipients.add('bob', none, ASKER), { code: 'key-unsuitable' })
  }
  await recipients.add('bob', key, ASKER)
  await t.rejects(recipients.add('carol', key, ASKER), { code: 'recipients-full' })
  await recipients.remove('alice', ASKER)
  await t.rejects(recipients.remove('alice', ASKER), { code: 'recipient-unknown' })
  await t.rejects(recipients.seal(order), { code: 'unknown-recipient' })
  const long = 'x'.repeat(5000)
  await t.rejects(recipients.remove(long, ASKER), { code: 'recipient-unknown' })
  t.same(disk.events, [
    `recipient-added recipient/alice user/ann ${fingerprintText(key)}`,
    `recipient-added recipient/bob user/ann ${fingerprintText(key)}`,
    'recipient-removed recipient/alice user/ann',
  ])
})

t.test('with a full disk nobody is added, and who is to go goes', async (t) => {
  const { recipients, disk } = await opened(t)
  await recipients.add('alice', key, ASKER)
  disk.isFull = true
  await t.rejects(recipients.add('bob', key, ASKER), { message: 'log-broken' })
  t.equal(recipients.has('bob'), false)
  await t.rejects(recipients.remove('alice', ASKER), { message: 'log-broken' })
  t.equal(recipients.has('alice'), false)
})

t.test('who may not any more adds none, also where the log had said so', async (t) => {
  const { recipients, disk } = await opened(t)
  const asker = {
    ...ASKER,
    assertMay() {
      if (disk.events.length > 0) throw new Error('forbidden')
    },
  }
  await t.rejects(recipients.add('alice', key, asker), { message: 'forbidden' })
  t.same(recipients.recipients(), [])
})
