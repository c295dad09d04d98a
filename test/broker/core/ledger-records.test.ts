/** What columns of the ledger hold, and that a ledger of an earlier version goes on. */
import fc from 'fast-check'
import t from 'tap'
import type { LedgerRecord } from '../../../broker/core/ledger-records.ts'
import { EntryParts } from '../../../broker/core/state/entry-parts.ts'
import { packParts, unpackParts } from '../../../broker/core/state/part-records.ts'
import { CHUNK_MEMBERS, StreamRecords } from '../../../broker/core/state/stream-records.ts'
import { packTiles } from '../../../shared/operations/columns.ts'
import { ADD, settledPair, TILE_0 } from '../../support/gateway-bench.ts'
import { rowsOf } from '../../support/part-rows.ts'
import { check } from '../../support/property.ts'

t.test('parts of a write come out of the ledger as they went in', async (t) => {
  const part = fc.record({
    member: fc.nat({ max: 131_071 }),
    position: fc.integer({ min: 1, max: 2 ** 50 }),
    tiles: fc
      .uniqueArray(fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 2 ** 31 - 1 })), { maxLength: 40 })
      .map((tiles) => Uint32Array.from(tiles).sort()),
  })
  check(
    t,
    fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
      t.same(rowsOf(unpackParts(packParts(EntryParts.of(parts)))), parts)
    }),
  )
})

t.test('a stream is found where it was put, in records as short as may be', async (t) => {
  const streams = new StreamRecords()
  const mark = (head: number) => ({
    ...{ head, acked: head - 1, ackedSeq: 2 ** 40 + head },
    ackedChain: new Uint8Array(8).fill(head),
  })
  const put = (to: StreamRecords, index: number, head: number): number => {
    const { ackedChain, ...rest } = mark(head)
    const [ackedLeft, ackedRight] = new Int32Array(ackedChain.buffer)
    return to.put(index, { ...rest, ackedLeft: ackedLeft!, ackedRight: ackedRight! })
  }
  for (const index of [0, 3, CHUNK_MEMBERS - 1, CHUNK_MEMBERS + 5]) put(streams, index, index + 1)
  t.equal(put(streams, 3, 9), 0)
  t.equal(put(streams, CHUNK_MEMBERS + 5, 7), 1)
  t.equal(streams.record(1).chains.length, 6 * 8)
  const restored = new StreamRecords()
  for (const key of [0, 1]) restored.restore(key, streams.record(key))
  t.same(restored.get(3), mark(9))
  t.same(restored.get(CHUNK_MEMBERS - 1), mark(CHUNK_MEMBERS))
  t.same(restored.get(CHUNK_MEMBERS + 5), mark(7))
  t.equal(restored.get(CHUNK_MEMBERS + 6), undefined)
  t.equal(restored.get(5 * CHUNK_MEMBERS), undefined)
  put(restored, CHUNK_MEMBERS + 90, 2)
  t.same(restored.get(CHUNK_MEMBERS + 5), mark(7), 'also when there are more')
})

t.test('a ledger of an earlier version goes on, and is of this one from then on', async (t) => {
  const bench = settledPair()
  bench.submit({ ...ADD, region: TILE_0, id: 'before' })
  const first = ['a', 'b'].map((name) => [name, bench.entriesTo(name)] as const)
  for (const [name, entries] of first) bench.apply(name, entries)
  bench.submit({ ...ADD, region: TILE_0, id: 'open' })
  const sent = { a: bench.entriesTo('a'), b: bench.entriesTo('b') }
  bench.ledger.write(asBefore(bench))
  t.same(bench.ledger.disk.keys('stream'), ['a', 'b'])
  bench.start()
  t.same(bench.ledger.disk.keys('stream'), [0])
  for (const name of ['a', 'b'] as const) {
    bench.hello(name)
    t.same(bench.entriesTo(name), sent[name], `node ${name} gets what it does not have`)
    bench.apply(name, sent[name])
  }
  t.match(bench.task('open'), { state: 'completed', effect: 'done' })
  t.same(bench.notices('stream-mismatch'), [])
})

/** Its streams and its log, as an earlier version wrote them. */
function asBefore({ ledger }: ReturnType<typeof settledPair>): LedgerRecord[] {
  const { stream, write } = ledger.load()
  const names = ['a', 'b']
  const streams = new StreamRecords()
  const records: LedgerRecord[] = []
  for (const { key, value } of stream) {
    if ('marks' in value) streams.restore(Number(key), value)
    records.push({ table: 'stream', key, value: undefined })
  }
  names.forEach((name, index) => {
    const value = { storeId: `store-${name}`, ...streams.get(index)! }
    records.push({ table: 'stream', key: name, value })
  })
  for (const { key, value } of write) {
    if (Array.isArray(value.parts)) continue
    const parts = rowsOf(unpackParts(value.parts as Parameters<typeof unpackParts>[0])).map(
      ({ member, position, tiles }) => ({
        node: names[member]!,
        position,
        tiles: packTiles(tiles),
      }),
    )
    records.push({ table: 'write', key, value: { ...value, parts } })
  }
  return records
}
