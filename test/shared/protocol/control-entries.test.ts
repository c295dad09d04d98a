import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { OPERATION_NAMES } from '../../../shared/operations/catalog.ts'
import { packTiles } from '../../../shared/operations/columns.ts'
import {
  bodyOf,
  type ControlOrder,
  entryOf,
  isControl,
  orderOf,
} from '../../../shared/protocol/control-entries.ts'
import { decodeDown, type Entry, encodeMessage } from '../../../shared/protocol/messages.ts'
import { check } from '../../support/property.ts'

const PLACE = { position: 3, seq: 9, chain: new Uint8Array(8).fill(4) }
const DIGEST = new Uint8Array(8).fill(7)

const order: fc.Arbitrary<ControlOrder> = fc.oneof(
  fc.record({
    op: fc.constant('$adopt' as const),
    tile: fc.nat(2 ** 32 - 1),
    at: fc.maxSafeNat(),
    digest: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  }),
  fc.record({
    op: fc.constant('$drop' as const),
    tiles: fc
      .uniqueArray(fc.nat(2 ** 32 - 1), { maxLength: 40 })
      .map((ids) => Uint32Array.from(ids)),
  }),
  fc.constant({ op: '$void' as const }),
)

/** As it comes out of a message, where nothing is aligned. */
function overTheWire(entry: Entry): Entry {
  const message = { t: 'entries' as const, session: 1, confirmed: 0, entries: [entry] }
  const decoded = decodeDown(Buffer.from(encodeMessage(message)))
  assert(decoded.ok && decoded.message.t === 'entries')
  return decoded.message.entries[0]!
}

/** Byte strings of every class as one. */
function plain(one: ControlOrder | undefined): unknown {
  if (one?.op === '$adopt') return { ...one, digest: Buffer.from(one.digest).toString('hex') }
  return one?.op === '$drop' ? { ...one, tiles: [...one.tiles] } : one
}

t.test('an order comes back from its entry as it was', (t) => {
  check(
    t,
    fc.property(order, (one) => {
      const entry = overTheWire(entryOf(one, PLACE))
      assert(isControl(entry.op))
      assert.deepEqual(plain(orderOf(entry)), plain(one))
      assert.deepEqual([...entry.body], [...bodyOf(one)])
    }),
    300,
  )
  t.end()
})

t.test('the body tells orders apart in all that the chain does not know otherwise', (t) => {
  const adopt = { op: '$adopt', tile: 1, at: 5, digest: DIGEST } as const
  const bodies = [
    bodyOf(adopt),
    bodyOf({ ...adopt, at: 6 }),
    bodyOf({ ...adopt, digest: new Uint8Array(8) }),
    bodyOf({ op: '$drop', tiles: Uint32Array.of(1) }),
    bodyOf({ op: '$void' }),
  ]
  t.equal(new Set(bodies.map((body) => Buffer.from(body).toString('hex'))).size, bodies.length)
  t.end()
})

t.test('what is malformed is no order', (t) => {
  const sound = { op: '$adopt', args: { at: 5, digest: DIGEST }, tiles: packTiles([1]) }
  t.ok(orderOf(sound))
  const wrong: Record<string, Partial<typeof sound> & { args?: Record<string, unknown> }> = {
    'no tile': { tiles: packTiles([]) },
    'two tiles': { tiles: packTiles([1, 2]) },
    'a tile that is cut off': { tiles: packTiles([1]).subarray(0, 3) },
    'no place': { args: { digest: DIGEST } as never },
    'a place that is no whole number': { args: { at: 1.5, digest: DIGEST } },
    'a place that is text': { args: { at: '5', digest: DIGEST } as never },
    'a short digest': { args: { at: 5, digest: DIGEST.subarray(1) } },
    'a digest that is text': { args: { at: 5, digest: '77777777' } as never },
    'an order of another version': { op: '$move' },
    'a write': { op: 'add' },
  }
  for (const [name, change] of Object.entries(wrong)) {
    t.equal(orderOf({ ...sound, ...change }), undefined, name)
  }
  t.notOk(OPERATION_NAMES.some(isControl), 'no operation is taken for one')
  t.end()
})
