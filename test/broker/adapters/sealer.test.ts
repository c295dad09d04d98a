import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { loadSealKey, SEAL_KEY } from '../../../broker/adapters/seal-key.ts'
import { sealProgram } from '../../../broker/adapters/seal-program.ts'
import { Sealer } from '../../../broker/adapters/sealer.ts'
import { encodeHead } from '../../../shared/protocol/sealed.ts'
import { open } from '../../../shared/runtime/sealing.ts'
import { xWingPublicKey } from '../../../shared/runtime/x-wing.ts'
import { eventually } from '../../support/processes.ts'

const alice = randomBytes(32)
const signer = randomBytes(32)
const publicKey = await xWingPublicKey(alice)
const HEAD = { op: 'get', to: 'alice', ts: 1 }

t.test('many are sealed, two at a time, and the threads go when they have rested', async (t) => {
  const sealer = new Sealer({ restMs: 20 })
  t.teardown(() => sealer.close())
  t.equal(sealer.size, 0, 'none before it is needed')
  const values = Array.from({ length: 12 }, () => randomBytes(70_000))
  const sealed = values.map((value, index) => {
    const head = encodeHead({ ...HEAD, task: `t${index}` })
    // A part of something larger.
    const part = Buffer.concat([Buffer.alloc(9), value, Buffer.alloc(9)]).subarray(9, 70_009)
    return sealer.seal({ head, value: part, publicKey, signer })
  })
  t.equal(sealer.size, 2)
  const key = await sealer.publicKeyOf(signer)
  for (const [index, one] of (await Promise.all(sealed)).entries()) {
    const { head, value } = await open(one, alice, key)
    t.equal(head.task, `t${index}`)
    t.ok(values[index]!.equals(value))
  }
  await eventually('the threads have ended', () => sealer.size === 0)
  await sealer.try(publicKey)
  t.equal(sealer.size, 1, 'and come again')
})

t.test('a key that is none fails alone', async (t) => {
  const sealer = new Sealer()
  t.teardown(() => sealer.close())
  const none = Buffer.alloc(publicKey.length)
  const order = { head: encodeHead({ ...HEAD, task: 't' }), value: randomBytes(5), signer }
  await t.rejects(sealer.try(none), { code: 'seal-failed' })
  await t.rejects(sealer.seal({ ...order, publicKey: none }), { code: 'seal-failed' })
  await t.resolves(sealer.seal({ ...order, publicKey }))
})

t.test('what nobody wants any more is not sealed, unless a thread has it', async (t) => {
  const sealer = new Sealer({ atATime: 1 })
  t.teardown(() => sealer.close())
  const order = {
    head: encodeHead({ ...HEAD, task: 't' }),
    value: randomBytes(5),
    signer,
    publicKey,
  }
  const [unwanted, late] = [new AbortController(), new AbortController()]
  const first = sealer.seal(order, late.signal)
  const dropped = [1, 2].map(() => sealer.seal(order, unwanted.signal))
  const last = sealer.seal(order)
  unwanted.abort()
  late.abort()
  for (const one of dropped) await t.rejects(one, { code: 'seal-failed', message: /nobody wants/ })
  await t.resolves(first)
  await t.resolves(last)
})

t.test(
  'without memory for a thread a value fails alone, or waits for the thread that is there',
  async (t) => {
    const room = { threads: 0 }
    const newWorker = (): Worker => {
      if (room.threads === 0) throw new Error('ERR_WORKER_INIT_FAILED')
      room.threads -= 1
      return new Worker(sealProgram())
    }
    const sealer = new Sealer({ newWorker })
    t.teardown(() => sealer.close())
    await t.rejects(sealer.try(publicKey), { code: 'seal-failed', message: /no thread begins/ })
    room.threads = 1
    await t.resolves(Promise.all([sealer.try(publicKey), sealer.try(publicKey)]))
    t.equal(sealer.size, 1)
  },
)

t.test('whoever waits when it stops is told so', async (t) => {
  const sealer = new Sealer()
  const order = { head: encodeHead({ ...HEAD, task: 't' }), value: randomBytes(5), signer }
  const all = Array.from({ length: 6 }, () => sealer.seal({ ...order, publicKey }))
  const ends = Promise.allSettled(all)
  await sealer.close()
  for (const { status } of await ends) t.equal(status, 'rejected')
  await t.rejects(sealer.try(publicKey), { code: 'seal-failed', message: /stops/ })
})

t.test('the key that signs is made once, and is its owner’s alone', (t) => {
  const folder = join(t.testdir(), 'security')
  mkdirSync(folder)
  const seed = loadSealKey(folder)
  t.equal(seed.length, 32)
  const path = join(folder, SEAL_KEY)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.same(Buffer.from(loadSealKey(folder)), Buffer.from(seed))
  writeFileSync(path, readFileSync(path, 'utf8').slice(4))
  t.throws(() => loadSealKey(folder), { code: 'security-broken' })
  t.end()
})
