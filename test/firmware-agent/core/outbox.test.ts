import t from 'tap'
import { AgentBench, GRID, readOf, SESSION } from '../../support/agent-bench.ts'

t.test('an answer is sent, kept in memory, and forgotten when it was received', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  bench.receive(readOf('r'))
  bench.finish(readOf('r'))
  t.same(bench.of('store-answers'), [], 'a healthy fleet writes nothing to its cards')
  t.equal(bench.agent.counts.outbox.records, 1)
  bench.receive({ t: 'received', session: SESSION, answers: [{ task: 'r', part: '0-1' }] })
  t.same(bench.effects, [])
  t.equal(bench.agent.counts.outbox.records, 0)
})

t.test('it goes to disk when the connection goes, and is sent again after the next', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  bench.receive(readOf('early'))
  bench.receive(readOf('late'))
  bench.finish(readOf('early'))
  bench.disconnect()
  t.match(bench.of('store-answers'), [{ answers: [{ task: 'early' }] }])
  bench.finish(readOf('late'))
  t.match(bench.of('store-answers'), [{ answers: [{ task: 'late' }] }])
  t.same(bench.of('send'), [])
  bench.wait(3000)
  bench.admit({ session: 43 })
  t.match(bench.sent('answer'), [{ task: 'early' }, { task: 'late' }])
  const answers = [{ task: 'early', part: '0-1' }]
  bench.receive({ t: 'received', session: 43, answers })
  t.match(bench.of('forget-answers'), [{ answers }])
  bench.disconnect()
  t.same(bench.of('store-answers'), [], 'what is there is not written again')
})

t.test('answers of an earlier process are sent after the welcome', async (t) => {
  const answer = {
    t: 'answer',
    task: 'old',
    part: '0-1',
    attempt: 1,
    position: 0,
    seq: 0,
    ms: 1,
    value: {},
  } as const
  const bench = new AgentBench({ ledgerId: 'ledger', grid: GRID, answers: [answer] })
  bench.admit()
  t.match(bench.sent('answer'), [{ task: 'old' }])
})

t.test('beyond its bound the oldest is shed, counted, and taken from disk', async (t) => {
  const bench = new AgentBench({}, { outboxBytesMax: 2500 })
  bench.admit()
  const value = { column: new Uint8Array(1000) }
  for (const task of ['one', 'two']) {
    bench.receive(readOf(task))
    bench.finish(readOf(task), { value })
  }
  bench.disconnect()
  t.match(bench.of('store-answers'), [{ answers: [{ task: 'one' }, { task: 'two' }] }])
  bench.finish(readOf('three'), { value })
  t.match(bench.of('forget-answers'), [{ answers: [{ task: 'one' }] }])
  t.match(bench.agent.counts.outbox, { records: 2, shedTotal: 1 })
  bench.finish(readOf('huge'), { value: { column: new Uint8Array(9000) } })
  t.match(bench.agent.counts.outbox, { records: 1, shedTotal: 3 })
})
