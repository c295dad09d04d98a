/** What is read at once is what is read of any message, and what nodes send is read at once. */
import fc from 'fast-check'
import t from 'tap'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { readHeartbeat, writeBeat } from '../../../shared/protocol/heartbeat-bytes.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'
import { encodeMessage } from '../../../shared/protocol/messages.ts'
import { check } from '../../support/property.ts'

const count = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
)
const heartbeat = fc.record({ session: count, beat: count })

t.test('a heartbeat as nodes send it is read', async (t) => {
  check(
    t,
    fc.property(heartbeat, fc.nat(9), ({ session, beat }, offset) => {
      const message = { t: 'heartbeat', session, beat } as const
      const bytes = encodeMessage(message)
      const payload = new Uint8Array(bytes.length + 20).subarray(offset, offset + bytes.length)
      payload.set(bytes)
      const read = readHeartbeat(payload)!
      return read.session === session && read.beat === beat && Object.keys(read).length === 3
    }),
  )
})

t.test('what is read of other bytes is what they say', async (t) => {
  const edit = fc.tuple(fc.nat(60), fc.nat(255))
  let read = 0
  const other = fc.property(
    heartbeat,
    fc.array(edit, { maxLength: 3 }),
    fc.nat(12),
    (one, edits, cut) => {
      const whole = encodeMessage({ t: 'heartbeat', ...one })
      const payload = Uint8Array.from(whole).subarray(0, whole.length - (cut > 3 ? 0 : cut))
      for (const [at, byte] of edits) if (at < payload.length) payload[at] = byte
      const found = readHeartbeat(payload)
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
  const whole = { t: 'heartbeat', session: 7, beat: 8 }
  const left = [
    { ...whole, shed: 1 },
    { t: 'heartbeat', beat: 8, session: 7 },
    { ...whole, t: 'gap' },
    { ...whole, beat: -1 },
    { ...whole, beat: 1.5 },
    { ...whole, beat: 2 ** 53 },
    { ...whole, session: Number.NaN },
    { ...whole, session: '7' },
    { t: 'heartbeat', session: 7 },
  ]
  for (const message of left) t.equal(readHeartbeat(encodeCbor(message)), undefined)
  const bytes = encodeCbor(whole)
  t.equal(readHeartbeat(Buffer.concat([bytes, Buffer.of(0)])), undefined)
  for (let cut = 0; cut < bytes.length; cut++)
    t.equal(readHeartbeat(bytes.subarray(0, cut)), undefined)
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
