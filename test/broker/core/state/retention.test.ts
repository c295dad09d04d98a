/** How long ended tasks are kept, whatever the clock and the nodes do. */
import t from 'tap'
import { ADD, type GatewayBench, settledPair, TILE_0 } from '../../../support/gateway-bench.ts'

const HOUR_MS = 3600 * 1000
const DAY_MS = 24 * HOUR_MS
const OPTIONS = { retentionMs: HOUR_MS, retentionTasks: 10, tasksMax: 2000 }

/** Accepts and ends reads of a tile that was never written. */
function endSome(bench: GatewayBench, prefix: string, count: number): void {
  for (let at = 0; at < count; at++) {
    bench.submit({ id: `${prefix}-${at}`, op: 'get', region: { x: 12, y: 4, w: 4, h: 4 } })
    bench.cancel(`${prefix}-${at}`)
  }
}

const kept = (bench: GatewayBench, prefix: string): number =>
  bench.view.tasks({ limit: 10_000 }).filter(({ id }) => id.startsWith(`${prefix}-`)).length

t.test('one task that ended under a clock far ahead keeps no other', async (t) => {
  const bench = settledPair(OPTIONS)
  bench.wallAheadMs = 400 * DAY_MS
  endSome(bench, 'ahead', 1)
  bench.wallAheadMs = 0
  endSome(bench, 'right', 900)
  bench.wait(HOUR_MS + 2 * 60_000)
  t.equal(kept(bench, 'ahead'), 0)
  t.equal(kept(bench, 'right'), OPTIONS.retentionTasks)
})

t.test('a clock that leaps or goes back clears nothing early, nor after a start', async (t) => {
  const bench = settledPair(OPTIONS)
  endSome(bench, 'task', 100)
  for (const days of [400, -400, 0]) {
    bench.wallAheadMs = days * DAY_MS
    bench.wait(HOUR_MS / 8)
    t.equal(kept(bench, 'task'), 100)
    bench.start()
    bench.wait(HOUR_MS / 8)
    t.equal(kept(bench, 'task'), 100)
  }
  bench.wait(HOUR_MS / 2)
  t.equal(kept(bench, 'task'), OPTIONS.retentionTasks, 'and what ran counts')
})

t.test('a write that an absent replica still needs keeps no other task', async (t) => {
  const bench = settledPair({ ...OPTIONS, retentionTasks: 0 })
  bench.close('b')
  bench.submit({ id: 'needed', ...ADD, region: TILE_0 })
  bench.apply('a', bench.entriesTo('a'))
  t.equal(bench.task('needed')?.state, 'completed')
  endSome(bench, 'later', 50)
  bench.wait(HOUR_MS + 2 * 60_000)
  t.equal(kept(bench, 'later'), 0)
  t.equal(bench.task('needed')?.state, 'completed', 'it stays, with its body')
  bench.start()
  bench.hello('b')
  t.equal(bench.entriesTo('b').length, 1)
  bench.apply('b', bench.entriesTo('b'))
  bench.wait(2 * 60_000)
  t.equal(bench.task('needed'), undefined, 'and goes when nobody needs it any more')
  t.equal(bench.ledger.count('body'), 0)
})

t.test('very many old tasks are cleared in slices', async (t) => {
  const bench = settledPair({ ...OPTIONS, retentionTasks: 0 })
  endSome(bench, 'task', 1000)
  bench.wait(HOUR_MS + 2 * 60_000)
  let most = 0
  const cleared = bench.effects.filter((effect) => {
    return effect.type === 'publish' && effect.topic.kind === 'task-state' && effect.payload === ''
  })
  for (const effect of bench.effects) {
    if (effect.type === 'persist') most = Math.max(most, effect.records.length)
  }
  t.equal(cleared.length, 1001)
  t.ok(most < 2000, `${most} records in the largest step`)
})
