import t from 'tap'
import { packInteger } from '../../../shared/operations/exact-sums.ts'
import {
  ADD,
  cells,
  GatewayBench,
  GET,
  readerOf,
  settledPair,
  TILE_0,
} from '../../support/gateway-bench.ts'

t.test('an open write goes on where each replica stands', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.start()
  const { position, chain, seq } = toA[0]!
  bench.hello('a', { position, chain, seq })
  t.same(bench.entriesTo('a'), [], 'it has all')
  bench.hello('b')
  t.same(bench.entriesTo('b'), toB, 'it lacks one, the very same')
  bench.apply('b', toB)
  t.equal(bench.ledger.count('write'), 0)
})

t.test('a write that some replica had is done, and its deadline is no second end', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.apply('a', bench.entriesTo('a'))
  bench.start()
  t.equal(bench.task('w')?.state, 'running', 'the other may be back soon')
  bench.wait(bench.options.returnGraceMs)
  t.equal(bench.task('w')?.state, 'completed')
  bench.wait(120_000)
  t.equal(bench.task('w')?.state, 'completed')
})

t.test('a waiting write, its deadline and its place in the line are kept', async (t) => {
  const bench = settledPair()
  bench.close('a')
  bench.close('b')
  bench.submit({ id: 'w', ...ADD, region: TILE_0, deadline_ms: 5000 })
  bench.submit({ id: 'x', ...ADD, region: TILE_0, deadline_ms: 50_000 })
  bench.start()
  bench.wait(5000)
  t.equal(bench.task('w')?.state, 'expired')
  bench.hello('a')
  t.match(bench.entriesTo('a'), [{ seq: 2 }])
})

t.test('an answer that waited at a node still finds its part', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'r', ...GET })
  const { reader, other } = readerOf(bench)
  const [read] = bench.readsTo(reader)
  bench.start()
  bench.hello(other)
  t.same(bench.readsTo(other), [], 'the one that was asked may be back soon')
  bench.hello(reader)
  bench.answer(reader, read!, { value: cells(0, 1) })
  t.equal(bench.task('r')?.state, 'completed')
})

t.test(
  'an answer of a later round counts only for the arguments that it was asked with',
  async (t) => {
    const bench = settledPair()
    bench.submit({ id: 'h', op: 'stat', region: TILE_0, args: { field: 'value', bins: 2 } })
    const { reader } = readerOf(bench)
    const toMax = (max: number) => ({
      tiles: new Uint8Array(4),
      count: 16,
      min: 0,
      max,
      sum: packInteger(BigInt(max) << 1074n),
      squares: packInteger(BigInt(max * max) << 2148n),
    })
    bench.answer(reader, bench.readsTo(reader)[0]!, { value: toMax(8) })
    const [old] = bench.readsTo(reader)
    t.match(old, { args: { range: [0, 8] } })
    bench.start()
    bench.hello(reader)
    bench.answer(reader, bench.readsTo(reader)[0]!, { value: toMax(9) })
    const [current] = bench.readsTo(reader)
    t.match(current, { args: { range: [0, 9] } })
    const counts = new Uint8Array(Float64Array.of(8, 8).buffer)
    bench.answer(reader, old!, { value: { counts } })
    t.equal(bench.task('h')?.state, 'running')
    bench.answer(reader, current!, { value: { counts } })
    t.equal(bench.task('h')?.state, 'completed')
  },
)

t.test('a read does not wait long for a node that does not come back', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'r', ...GET })
  const { other } = readerOf(bench)
  bench.start()
  bench.hello(other)
  bench.wait(bench.options.returnGraceMs)
  t.equal(bench.readsTo(other).length, 1)
})

t.test('members are offline, suspect and then dead, until they are heard', async (t) => {
  const bench = settledPair()
  bench.start()
  const offline = bench.effects.filter(
    (effect) => effect.type === 'publish' && effect.topic.kind === 'node-state',
  )
  t.match(offline, [{ payload: 'offline' }, { payload: 'offline' }])
  t.match(bench.view.nodes(), [{ state: 'suspect' }, { state: 'suspect' }])
  bench.hello('a')
  bench.wait(bench.options.suspectAfterMs)
  bench.beat('a')
  bench.wait(bench.options.deadAfterMs - bench.options.suspectAfterMs)
  t.match(bench.notices('node-dead'), [{ node: 'b' }])
  bench.hello('b')
  t.equal(bench.view.nodes()[1]!.state, 'alive')
})

t.test('sessions are never given twice', async (t) => {
  const bench = settledPair()
  const before = bench.node('a').session
  bench.start()
  bench.hello('a')
  t.ok(bench.node('a').session > before)
})

t.test('what was kept long enough is cleared, and its id is still known', async (t) => {
  const bench = settledPair({ retentionTasks: 1 })
  for (const id of ['u', 'v']) {
    bench.submit({ id, ...GET })
    bench.cancel(id)
  }
  const made = bench.submit(GET)
  bench.cancel(made.task!)
  bench.submit({ id: 'w', ...GET })
  bench.cancel('w')
  bench.start()
  bench.nowMs += 24 * 3600 * 1000
  const known = bench.ledger.count('task')
  bench.wait(60_000)
  t.equal(bench.task('first'), undefined)
  t.equal(bench.ledger.count('result'), 1)
  t.equal(bench.ledger.count('task'), known - 1, 'an id that the gateway made is forgotten already')
  const again = bench.submit({ id: 'first', ...ADD, region: TILE_0 })
  t.match(again, { ok: true, task: 'first', state: 'completed' })
  bench.nowMs += 7 * 24 * 3600 * 1000
  bench.wait(60_000)
  t.notOk(bench.view.counts().tasksKnown! > 1, 'a week later it is forgotten')
})

t.test('the ring says what cells have, and who says it', async (t) => {
  const { view } = new GatewayBench()
  const said = { fields: [{ name: 'value', type: 'f64' }], version: '1.2.3' }
  t.match(view.ring(), said)
})
