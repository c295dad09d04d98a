/** Attempt 70: whatever of a sealed result is changed, it does not open, and nothing of it is shown. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { encodeHead, type Sealed } from '../../../shared/protocol/sealed.ts'
import { mlDsa65 } from '../../../shared/runtime/post-quantum.ts'
import { open, seal } from '../../../shared/runtime/sealing.ts'
import { xWingPublicKey } from '../../../shared/runtime/x-wing.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/runtime/sealing.test.ts`)

const HEAD = { task: 'task_1', op: 'get', to: 'alice', ts: 1_700_000_000_000 }
const PARTS = ['head', 'kem', 'body', 'sig'] as const
const FLIPS = 12

const alice = randomBytes(32)
const gateway = randomBytes(32)
const signer = await mlDsa65().publicKeyOf(gateway)

async function sealed(value: Uint8Array, head = encodeHead(HEAD)): Promise<Sealed> {
  return await seal({ head, value, publicKey: await xWingPublicKey(alice), signer: gateway })
}

t.test('the recipient opens it, with and without the key of who signed', async (t) => {
  for (const length of [0, 1, 15, 16, 17, 65_536, 3 * 1024 * 1024 + 5]) {
    const value = randomBytes(length)
    const one = await sealed(value)
    t.equal(one.body.length, length + 16)
    const opened = await open(one, alice, signer)
    t.same(opened.head, { v: 1, ...HEAD })
    t.ok(value.equals(opened.value), `${length} bytes`)
    t.ok(value.equals((await open(one, alice)).value))
    t.ok(length < 16 || !Buffer.from(one.body).includes(value.subarray(0, 16)))
  }
})

t.test('two of one value have nothing in common but the head', async (t) => {
  const value = randomBytes(1000)
  const [one, other] = [await sealed(value), await sealed(value)]
  t.same(one.head, other.head)
  for (const part of ['kem', 'body', 'sig'] as const) {
    t.notOk(Buffer.from(one[part]).equals(other[part]), part)
  }
})

t.test('attempt 70: any bit that is changed keeps it shut', async (t) => {
  const random = new Random(seed)
  const one = await sealed(randomBytes(500))
  for (const part of PARTS) {
    for (let flip = 0; flip < FLIPS; flip++) {
      const bytes = Uint8Array.from(one[part])
      const bit = random.integer(bytes.length * 8)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      const changed = { ...one, [part]: bytes }
      const what = `bit ${bit} of ${part}`
      await t.rejects(open(changed, alice, signer), { code: 'seal-broken', exitCode: 65 }, what)
      if (part !== 'sig') await t.rejects(open(changed, alice), { code: 'seal-broken' }, what)
    }
    const cut = { ...one, [part]: one[part].subarray(0, -1) }
    await t.rejects(open(cut, alice, signer), { code: 'seal-broken' }, `${part} cut`)
    const long = { ...one, [part]: Buffer.concat([one[part], Buffer.alloc(1)]) }
    await t.rejects(open(long, alice, signer), { code: 'seal-broken' }, `${part} longer`)
    const none = { ...one, [part]: new Uint8Array() }
    await t.rejects(open(none, alice, signer), { code: 'seal-broken' }, `no ${part}`)
  }
})

t.test('parts of two do not open as one', async (t) => {
  const one = await sealed(randomBytes(500))
  const other = await sealed(randomBytes(500), encodeHead({ ...HEAD, task: 'task_2' }))
  for (let mix = 1; mix < 2 ** PARTS.length - 1; mix++) {
    const mixed = Object.fromEntries(
      PARTS.map((part, at) => [part, (mix >> at) & 1 ? one[part] : other[part]]),
    ) as unknown as Sealed
    await t.rejects(open(mixed, alice, signer), { code: 'seal-broken' }, `mix ${mix}`)
  }
})

t.test('attempt 70: another recipient, and another gateway, are refused', async (t) => {
  const one = await sealed(randomBytes(500))
  await t.rejects(open(one, randomBytes(32), signer), /this key does not open it: .* to alice/)
  const stranger = await mlDsa65().publicKeyOf(randomBytes(32))
  await t.rejects(open(one, alice, stranger), /the signature is not that of this gateway/)
  const foreign = await sealed(randomBytes(5), new TextEncoder().encode('{"v":2}'))
  await t.rejects(open(foreign, alice, signer), /its head is none of this version/)
})
