import { scryptSync } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  headOf,
  openSealed,
  passphraseFault,
  sealFile,
} from '../../../shared/runtime/sealed-file.ts'
import { checkAsync } from '../../support/property.ts'
import { quickly } from '../../support/quick-derivation.ts'

const HEAD = { ts: 1_800_000_000_000, pin: 'a'.repeat(52) }
const PASSPHRASE = 'correct horse battery'
const PIECE = 64 * 1024
const SEALED = PIECE + 16

const open = (file: Uint8Array, passphrase = PASSPHRASE) => openSealed(file, passphrase, quickly)
const seal = (...content: Uint8Array[]) => sealFile(HEAD, PASSPHRASE, content, quickly)

/** Where the pieces begin. */
const bodyAt = (file: Buffer): number => file.indexOf(0x0a) + 1 + 32

t.test('what is sealed is opened, whatever its parts were', async (t) => {
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.constantFrom(PIECE - 1, PIECE, PIECE + 1, 3 * PIECE).map((n) => Buffer.alloc(n, 7)),
  )
  const property = fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
    const file = await seal(...parts)
    const { head, content } = await open(file)
    return content.equals(Buffer.concat(parts)) && head.pin === HEAD.pin && head.ts === HEAD.ts
  })
  await checkAsync(t, property, 100)
})

t.test('a file that was changed anywhere, or cut, is refused', async (t) => {
  const content = Buffer.alloc(2 * PIECE + 5, 'a secret')
  const file = await seal(content)
  const codes = ['backup-malformed', 'backup-newer', 'backup-damaged', 'backup-passphrase']
  const at = fc.oneof(fc.nat(file.length - 1), fc.nat(bodyAt(file)))
  const change = fc.oneof(
    fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(([where, bits]) => {
      const changed = Buffer.from(file)
      changed[where]! ^= bits
      return changed
    }),
    at.map((where) => file.subarray(0, where)),
    fc.uint8Array({ minLength: 1, maxLength: 40 }).map((more) => Buffer.concat([file, more])),
  )
  const property = fc.asyncProperty(change, async (changed) => {
    const error = await open(changed).then(
      () => undefined,
      (reason) => reason as { code?: string },
    )
    return codes.includes(error?.code ?? 'taken')
  })
  await checkAsync(t, property, 500)
})

t.test('pieces stand where they were, and the last is the last', async (t) => {
  const file = await seal(Buffer.alloc(PIECE, 1), Buffer.alloc(PIECE, 2), Buffer.alloc(PIECE, 3))
  const start = bodyAt(file)
  const pieces = [0, 1, 2].map((n) => file.subarray(start + n * SEALED, start + (n + 1) * SEALED))
  const of = (...order: number[]) =>
    open(Buffer.concat([file.subarray(0, start), ...order.map((n) => pieces[n]!)]))
  t.equal((await of(0, 1, 2)).content.length, 3 * PIECE)
  const damaged = { code: 'backup-damaged', exitCode: 65 }
  for (const order of [[0, 1], [0], [], [1, 0, 2], [0, 2], [2], [0, 1, 2, 2], [0, 0, 1, 2]]) {
    await t.rejects(of(...order), damaged, order.join())
  }
})

t.test('each kind of trouble is told apart', async (t) => {
  const file = await seal(Buffer.from('content'))
  const head = JSON.parse(file.subarray(0, file.indexOf(0x0a)).toString()) as object
  const like = (more: object): Buffer =>
    Buffer.concat([Buffer.from(`${JSON.stringify({ ...head, ...more })}\n`), Buffer.alloc(99)])
  const wrong = { code: 'backup-passphrase', exitCode: 77 }
  await t.rejects(open(file, 'another horse'), wrong)
  await t.rejects(open(like({ ts: 1 })), wrong, 'the line is vouched for, too')
  await t.rejects(open(like({ v: 2 })), { code: 'backup-newer', exitCode: 65 })
  await t.rejects(open(like({ pin: '../..' })), { code: 'backup-damaged' })
  await t.rejects(open(like({ salt: 'AAAA' })), { code: 'backup-damaged' })
  for (const none of ['', '\n', 'null\n', '{}\n', '{"obelisk":1}\n', 'x'.repeat(5000)]) {
    const malformed = { code: 'backup-malformed', exitCode: 65 }
    await t.rejects(open(Buffer.from(none)), malformed, none.slice(0, 20))
  }
  t.same(headOf(file), HEAD)
  t.throws(() => headOf(Buffer.from('{}\n')), { code: 'backup-malformed' })
})

t.test('a passphrase costs what it should, and is the same from any keyboard', async (t) => {
  const file = await sealFile(HEAD, 'Übel & gefährlich', [Buffer.from('content')])
  const opened = await openSealed(file, 'Übel & gefährlich'.normalize('NFD'))
  t.equal(opened.content.toString(), 'content')
  // The format as it is written down: another program could open it.
  const { salt } = JSON.parse(file.subarray(0, file.indexOf(0x0a)).toString()) as { salt: string }
  const cost = { N: 65_536, r: 8, p: 2, maxmem: 2 ** 28 }
  const derived = scryptSync('Übel & gefährlich', Buffer.from(salt, 'base64'), 64, cost)
  t.equal((await openSealed(file, '', async () => derived)).content.length, 7)
  t.match(passphraseFault('short'), /12 to 1024 bytes/)
  t.match(passphraseFault('x'.repeat(1025)), /12 to 1024 bytes/)
  t.equal(passphraseFault(PASSPHRASE), undefined)
})
