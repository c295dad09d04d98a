import t from 'tap'
import { AgentBench, chainOf, readOf, SESSION } from '../../support/agent-bench.ts'

t.test('wipe', async (t) => {
  const wipe = { t: 'wipe', session: 0, storeId: 'store-a', position: 0 } as const

  t.test('it is obeyed where it was meant, and the new store is introduced', async (t) => {
    const bench = new AgentBench()
    bench.connect()
    bench.receive(wipe)
    t.equal(bench.of('wipe').length, 1)
    bench.step({ type: 'store-wiped', storeId: 'store-b', boot: 1 })
    t.match(bench.sent('hello'), [{ storeId: 'store-b', position: 0, ledgerId: null, grid: null }])
  })

  t.test(
    'it is refused for another store, another place, or while entries are applied',
    async (t) => {
      const bench = new AgentBench()
      bench.admit()
      const entries = chainOf(1)
      bench.receive({ ...wipe, storeId: 'other' })
      t.match(bench.effects, [{ type: 'log', code: 'wipe-refused' }])
      bench.receive({ ...wipe, position: 3 })
      t.match(bench.effects, [{ type: 'log', code: 'wipe-refused' }])
      bench.entries(entries)
      bench.receive(wipe)
      t.match(bench.effects, [{ type: 'log', code: 'wipe-refused' }])
      bench.applied(entries)
      bench.receive(wipe)
      t.match(bench.effects, [{ type: 'log', code: 'wipe-refused' }])
    },
  )

  t.test('with the store everything goes that was in it', async (t) => {
    const bench = new AgentBench()
    bench.admit()
    const entries = chainOf(1)
    bench.entries(entries)
    bench.applied(entries)
    bench.receive(readOf('waits', { after: 9 }))
    bench.receive(readOf('done'))
    bench.finish(readOf('done'))
    bench.disconnect()
    bench.wait(3000)
    bench.connect()
    bench.receive({ ...wipe, position: 1 })
    bench.step({ type: 'store-wiped', storeId: 'store-b', boot: 1 })
    t.match(bench.agent.counts, { outbox: { records: 0, bytes: 0 } })
    bench.admit({ session: 43 })
    t.match(bench.sent('applied'), [{ position: 0, results: [] }])
    t.same(bench.sent('answer'), [])
    t.match(bench.of('adopt'), [{ ledgerId: 'ledger' }])
  })
})

t.test('reads', async (t) => {
  t.test('a read waits until its place in the stream is on disk', async (t) => {
    const bench = new AgentBench()
    bench.admit()
    const entries = chainOf(2)
    bench.receive(readOf('r', { after: 2 }))
    t.same(bench.of('read'), [])
    bench.entries(entries.slice(0, 1))
    bench.applied(entries.slice(0, 1))
    t.same(bench.of('read'), [])
    bench.entries(entries.slice(1))
    bench.applied(entries.slice(1))
    t.match(bench.of('read'), [{ read: { task: 'r' } }])
    bench.receive(readOf('now', { after: 2 }))
    t.match(bench.of('read'), [{ read: { task: 'now' } }])
  })

  t.test('a read that waits longer than its lease is dropped; one that runs is not', async (t) => {
    const bench = new AgentBench()
    bench.admit()
    const entries = chainOf(1)
    bench.receive(readOf('runs', { leaseMs: 100 }))
    bench.receive(readOf('waits', { leaseMs: 100, after: 1 }))
    t.equal(bench.agent.nextDeadlineMs(), bench.nowMs + 100)
    bench.wait(100)
    bench.entries(entries)
    bench.applied(entries)
    t.same(bench.of('read'), [])
    bench.finish(readOf('runs'))
    t.match(bench.sent('answer'), [{ task: 'runs' }])
  })

  t.test('the same part again: a new lease while it waits, nothing while it runs', async (t) => {
    const bench = new AgentBench()
    bench.admit()
    bench.receive(readOf('r', { after: 1, leaseMs: 100 }))
    bench.wait(50)
    bench.receive(readOf('r', { after: 0, leaseMs: 100, attempt: 2 }))
    t.match(bench.of('read'), [{ read: { attempt: 2 } }])
    bench.receive(readOf('r', { attempt: 3 }))
    t.same(bench.of('read'), [])
  })

  t.test('a cancelled task is taken from the queue and from the runner', async (t) => {
    const bench = new AgentBench()
    bench.admit()
    bench.receive(readOf('r', { after: 1 }))
    bench.receive({ t: 'cancel', session: SESSION, task: 'r' })
    t.match(bench.effects, [{ type: 'cancel-reads', task: 'r' }])
    const entries = chainOf(1)
    bench.entries(entries)
    bench.applied(entries)
    t.same(bench.of('read'), [])
  })
})
