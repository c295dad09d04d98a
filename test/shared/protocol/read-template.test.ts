import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { encodeMessage, type Read } from '../../../shared/protocol/messages.ts'
import { ReadTemplate } from '../../../shared/protocol/read-template.ts'
import { check } from '../../support/property.ts'

/** All sizes of a head, and what no head of 32 bits has room for. */
const count = fc.oneof(
  fc.integer({ min: 0, max: 30 }),
  fc.integer({ min: 0, max: 2 ** 17 }),
  fc.integer({ min: 0, max: 2 ** 32 }),
  fc.maxSafeNat(),
)

const own = fc.record({
  session: count,
  after: count,
  digest: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  tiles: fc.uint32Array({ maxLength: 300 }),
  /** Before the part's own, in the array of all. */
  before: fc.nat(5),
  unborn: fc.oneof(fc.boolean(), fc.array(fc.boolean(), { minLength: 300, maxLength: 300 })),
})

const forAll = fc.record({
  task: fc.stringMatching(/^[a-z0-9-]{1,40}$/),
  part: fc.stringMatching(/^[0-9a-f-]{0,30}$/),
  attempt: fc.integer({ min: 1, max: 300 }),
  leaseMs: count,
  op: fc.constantFrom('stat', 'get'),
  args: fc.record({ field: fc.nat(300), range: fc.array(fc.double(), { maxLength: 3 }) }),
  region: fc.tuple(count, count, count, count),
})

const bytesOf = (tiles: number[]): Uint8Array => new Uint8Array(Uint32Array.from(tiles).buffer)

t.test('each message is, byte for byte, the one that is encoded by itself', async (t) => {
  const property = fc.property(
    forAll,
    fc.array(own, { minLength: 1, maxLength: 5 }),
    (all, owns) => {
      const template = new ReadTemplate(all)
      const { task, part, attempt, leaseMs, op, args, region } = all
      for (const { session, after, digest, tiles, before, unborn } of owns) {
        const flags = (at: number): boolean => (typeof unborn === 'boolean' ? unborn : unborn[at]!)
        const inAll = Uint32Array.from([...new Uint32Array(before).fill(7), ...tiles])
        const isUnborn = typeof unborn === 'boolean' ? unborn : new Uint8Array(inAll.length)
        if (typeof isUnborn !== 'boolean')
          tiles.forEach((_, at) => {
            isUnborn[before + at] = flags(at) ? 1 : 0
          })
        const message: Read = {
          t: 'read',
          ...{ session, task, part: part + Buffer.from(digest).toString('hex') },
          ...{ attempt, leaseMs, after, op, args },
          grid: {
            region,
            tiles: bytesOf([...tiles].filter((_, at) => !flags(at))),
            unborn: bytesOf([...tiles].filter((_, at) => flags(at))),
          },
        }
        const made = template.encode({
          ...{ session, after, digests: new Uint32Array(digest.slice().buffer), digestAt: 0 },
          ...{ tiles: inAll, from: before, to: inAll.length, unborn: isUnborn },
        })
        assert.equal(
          Buffer.from(made).toString('hex'),
          Buffer.from(encodeMessage(message)).toString('hex'),
        )
      }
    },
  )
  check(t, property, 500)
})
