import t from 'tap'
import { CHAIN_START } from '../../../shared/protocol/stream-chain.ts'
import { AgentBench, chainOf, GRID, readOf, SESSION } from '../../support/agent-bench.ts'

t.test('entries in order are applied, acknowledged once on disk, and go on', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const entries = chainOf(5)
  bench.entries(entries.slice(0, 2))
  t.same(bench.of('apply'), [{ type: 'apply', entries: entries.slice(0, 2) }])
  t.same(bench.sent('applied'), [], 'not before the flush')
  bench.entries(entries.slice(2, 4))
  bench.entries(entries.slice(4))
  t.same(bench.of('apply'), [], 'one batch at a time')
  bench.applied(entries.slice(0, 2))
  const { position, chain } = entries[1]!
  const results = [
    { position: 1, lsus: 1 },
    { position: 2, lsus: 1 },
  ]
  t.same(bench.sent('applied'), [{ t: 'applied', session: SESSION, position, chain, results }])
  t.same(bench.of('apply'), [{ type: 'apply', entries: entries.slice(2) }])
})

t.test('a long queue is handed out in batches', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const entries = chainOf(100)
  bench.entries(entries)
  t.equal(bench.of('apply')[0]!.entries.length, 64)
  bench.applied(entries.slice(0, 64))
  t.same(bench.of('apply')[0]!.entries, entries.slice(64))
})

t.test('what is on disk is acknowledged again, with results not yet confirmed', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const entries = chainOf(3)
  bench.entries(entries)
  bench.applied(entries)
  bench.entries(entries.slice(1), { confirmed: 2 })
  t.same(bench.of('apply'), [])
  t.match(bench.sent('applied'), [{ position: 3, results: [{ position: 3 }] }])
  t.match(bench.of('forget-results'), [{ position: 2 }])
  bench.entries(entries.slice(2), { confirmed: 2 })
  t.same(bench.of('forget-results'), [], 'nothing to forget')
  t.equal(bench.sent('applied')[0]!.results.length, 1)
})

t.test('a gap is reported with where the disk stands; what fits is taken', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const entries = chainOf(4)
  bench.entries([entries[0]!, entries[3]!])
  t.match(bench.of('apply'), [{ entries: [{ position: 1 }] }])
  t.match(bench.sent('gap'), [{ session: SESSION, position: 0, chain: CHAIN_START }])
  bench.entries(entries.slice(1))
  bench.applied(entries.slice(0, 1))
  t.match(bench.of('apply'), [{ entries: [{ position: 2 }, { position: 3 }, { position: 4 }] }])
})

t.test('an entry that does not continue the chain stops the stream', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const entries = chainOf(2)
  const wrong = { ...entries[1]!, chain: new Uint8Array(8) }
  bench.entries([entries[0]!, wrong])
  t.same(bench.of('apply'), [])
  t.match(bench.sent('stopped'), [{ position: 0, code: 'chain-differs' }])
  t.match(bench.of('publish'), [{ topic: { kind: 'node-event' }, retain: false }])
  bench.entries(entries)
  t.same(bench.effects, [], 'until the next session')
  bench.disconnect()
  bench.wait(3000)
  bench.admit({ session: 43 })
  bench.entries(entries, { session: 43 })
  t.match(bench.of('apply'), [{ entries: [{ position: 1 }, { position: 2 }] }])
})

t.test('a batch that failed half way is not handed out again by itself', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const entries = chainOf(4)
  bench.entries(entries)
  bench.applied(entries.slice(0, 2))
  t.match(bench.sent('applied'), [{ position: 2 }])
  t.same(bench.of('apply'), [], 'the runner has not said yet what became of the rest')
  bench.step({ type: 'apply-failed', code: 'store-full', message: 'no room' })
  t.match(bench.sent('stopped'), [{ position: 2, code: 'store-full' }])
  bench.entries(entries.slice(2))
  t.same(bench.effects, [])
  bench.disconnect()
  bench.wait(3000)
  bench.admit({ session: 43 })
  t.match(bench.sent('applied'), [{ position: 2 }])
  bench.entries(entries.slice(2), { session: 43 })
  t.match(bench.of('apply'), [{ entries: [{ position: 3 }, { position: 4 }] }])
  t.match(bench.agent.counts, { shardsDone: 2, shardsFailed: 1 })
})

t.test('a disconnect forgets the queue, but not what is with the runner', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const entries = chainOf(4)
  bench.entries(entries.slice(0, 2))
  bench.entries(entries.slice(2))
  bench.disconnect()
  bench.wait(3000)
  bench.connect()
  t.match(bench.sent('hello'), [{ position: 0 }])
  bench.applied(entries.slice(0, 2))
  t.same(bench.effects, [], 'nobody to acknowledge to')
  bench.admit({ session: 43 })
  t.match(bench.sent('applied'), [{ position: 2, session: 43 }])
  bench.entries(entries, { session: 43 })
  t.match(bench.of('apply'), [{ entries: [{ position: 3 }, { position: 4 }] }])
})

t.test('messages of another session are dropped', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  bench.entries(chainOf(1), { session: 41 })
  bench.receive({ ...readOf('r'), session: 41 })
  t.same(bench.effects, [])
})

t.test('what the store held is where it goes on', async (t) => {
  const [first, second] = chainOf(2)
  const { position, chain, seq } = first!
  const bench = new AgentBench({
    ledgerId: 'ledger',
    grid: GRID,
    mark: { position, chain, seq },
    results: [{ position: 1, lsus: 9 }],
  })
  bench.admit()
  t.match(bench.sent('applied'), [{ position: 1, results: [{ position: 1, lsus: 9 }] }])
  bench.entries([second!])
  t.match(bench.of('apply'), [{ entries: [{ position: 2 }] }])
})
