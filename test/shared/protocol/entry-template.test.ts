import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { beginEntries, EntryTemplate } from '../../../shared/protocol/entry-template.ts'
import { MessageBytes } from '../../../shared/protocol/message-bytes.ts'
import { type Entry, encodeMessage } from '../../../shared/protocol/messages.ts'
import { check } from '../../support/property.ts'

/** All sizes of a head, and what no head of 32 bits has room for. */
const count = fc.oneof(
  fc.integer({ min: 0, max: 30 }),
  fc.integer({ min: 0, max: 2 ** 17 }),
  fc.integer({ min: 0, max: 2 ** 32 }),
  fc.maxSafeNat(),
)
const eight = fc.uint8Array({ minLength: 8, maxLength: 8 })
const args = fc.record({ field: fc.nat(300), values: fc.uint8Array({ maxLength: 300 }) })

const forAll = fc.record({
  seq: count,
  op: fc.constantFrom('scale', 'put', '$drop'),
  region: fc.tuple(count, count, count, count),
  args,
  body: eight,
})

const own = fc.record({
  position: count,
  chain: eight,
  tiles: fc.uint32Array({ maxLength: 300 }),
  /** Before the entry's own, in the arrays of all. */
  before: fc.nat(5),
  args: fc.option(args, { nil: undefined }),
})

t.test('a message is, byte for byte, the one that is encoded by itself', async (t) => {
  const bytes = new MessageBytes()
  const property = fc.property(
    count,
    count,
    fc.array(fc.tuple(forAll, fc.array(own, { maxLength: 4 })), { maxLength: 3 }),
    (session, confirmed, writes) => {
      const entries: Entry[] = writes.flatMap(([all, owns]) =>
        owns.map(({ position, chain, tiles, args }) => ({
          ...{ position, seq: all.seq, chain, op: all.op, region: all.region },
          args: args ?? all.args,
          tiles: new Uint8Array(tiles.slice().buffer),
          body: all.body,
        })),
      )
      beginEntries(bytes, { session, confirmed, entries: entries.length })
      for (const [all, owns] of writes) {
        const template = new EntryTemplate(all)
        for (const { position, chain, tiles, before, args } of owns) {
          template.encode(bytes, {
            position,
            chains: Int32Array.of(
              ...new Uint32Array(before),
              ...new Int32Array(chain.slice().buffer),
            ),
            chainAt: before,
            tiles: Uint32Array.of(...new Uint32Array(before), ...tiles),
            from: before,
            to: before + tiles.length,
            args: args ?? all.args,
          })
        }
      }
      assert.equal(
        Buffer.from(bytes.take()).toString('hex'),
        Buffer.from(encodeMessage({ t: 'entries', session, confirmed, entries })).toString('hex'),
      )
    },
  )
  check(t, property, 500)
})

t.test('arguments of which each node gets its own are not kept once more', async (t) => {
  let made = 0
  const args = {
    get values() {
      made += 1
      return new Uint8Array(1024 * 1024)
    },
  }
  const region: [number, number, number, number] = [0, 0, 4, 4]
  const template = new EntryTemplate({ seq: 1, op: 'put', region, args, body: new Uint8Array(8) })
  const tiles = Uint32Array.of(1, 2)
  const chains = new Int32Array(2)
  const bytes = new MessageBytes()
  const own = { position: 1, chains, chainAt: 0, tiles, from: 0, to: 2 }
  template.encode(bytes, { ...own, args: { values: new Uint8Array(16) } })
  t.equal(made, 0)
  for (let entry = 0; entry < 3; entry++) template.encode(bytes, { ...own, args })
  t.equal(made, 1, 'those of all are encoded once')
})
