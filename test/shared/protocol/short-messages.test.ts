/** What is read at once is what is read of any message, and what nodes send is read at once. */
import fc from 'fast-check'
import t from 'tap'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'
import { encodeMessage } from '../../../shared/protocol/messages.ts'
import { readShort, writeBeat } from '../../../shared/protocol/short-messages.ts'
import { check } from '../../support/property.ts'

const count = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
)
const heartbeat = fc.record({ t: fc.constant('heartbeat' as const), session: count, beat: count })
const applied = fc.record({
  t: fc.constant('applied' as const),
  session: count,
  position: count,
  chain: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  results: fc.array(fc.record({ position: count, lsus: count }), { maxLength: 23 }),
})
const short = fc.oneof(heartbeat, applied)

t.test('what nodes send most is read', async (t) => {
  check(
    t,
    fc.property(short, fc.nat(9), (message, offset) => {
      const bytes = encodeMessage(message)
      const payload = new Uint8Array(bytes.length + 20).subarray(offset, offset + bytes.length)
      payload.set(bytes)
      return Buffer.compare(encodeMessage(readShort(payload)!), bytes) === 0
    }),
  )
})

t.test('what is read of other bytes is what they say', async (t) => {
  const edit = fc.tuple(fc.nat(60), fc.nat(255))
  let read = 0
  const other = fc.property(
    short,
    fc.array(edit, { maxLength: 3 }),
    fc.nat(12),
    (one, edits, cut) => {
      const whole = encodeMessage(one)
      const payload = Uint8Array.from(whole).subarray(0, whole.length - (cut > 3 ? 0 : cut))
      for (const [at, byte] of edits) if (at < payload.length) payload[at] = byte
      const found = readShort(payload)
      if (found === undefined) return true
      read += 1
      const decoded = decodeCbor(payload, MESSAGE_LIMITS)
      return decoded.ok && Buffer.compare(encodeCbor(decoded.value), encodeCbor(found)) === 0
    },
  )
  check(t, other)
  t.ok(read > 0)
})

t.test('what is more, or not as nodes write it, is left', async (t) => {
  const beat = { t: 'heartbeat', session: 7, beat: 8 }
  const results = [{ position: 3, lsus: 9 }]
  const had = { t: 'applied', session: 7, position: 3, chain: new Uint8Array(8), results }
  const left = [
    { ...beat, shed: 1 },
    { t: 'heartbeat', beat: 8, session: 7 },
    { ...beat, t: 'gap' },
    { ...beat, beat: -1 },
    { ...beat, beat: 1.5 },
    { ...beat, beat: 2 ** 53 },
    { ...beat, session: Number.NaN },
    { ...beat, session: '7' },
    { t: 'heartbeat', session: 7 },
    { ...had, broken: new Uint8Array(4) },
    { ...had, chain: new Uint8Array(9) },
    { ...had, position: -1 },
    { ...had, results: 0 },
    { ...had, results: [{ position: 3 }] },
    { ...had, results: [{ lsus: 9, position: 3 }] },
    { ...had, results: new Array(24).fill(results[0]) },
  ]
  for (const message of left) t.equal(readShort(encodeCbor(message)), undefined)
  for (const whole of [beat, had]) {
    const bytes = encodeCbor(whole)
    t.equal(readShort(Buffer.concat([bytes, Buffer.of(0)])), undefined)
    for (let cut = 0; cut < bytes.length; cut++)
      t.equal(readShort(bytes.subarray(0, cut)), undefined)
  }
})

t.test('an answer is written as any other message is', async (t) => {
  const answer = fc.record(
    { session: count, beat: count, ts: count, confirmed: count, pages: fc.nat(300) },
    { requiredKeys: ['session', 'beat', 'ts', 'confirmed'] },
  )
  check(
    t,
    fc.property(answer, (numbers) => {
      const { session, beat, ts, confirmed, ...more } = numbers
      const message = { t: 'beat', session, beat, ts, confirmed, ...more } as const
      return Buffer.compare(writeBeat(message), encodeCbor(message)) === 0
    }),
  )
})
