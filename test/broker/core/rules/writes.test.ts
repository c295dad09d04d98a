import t from 'tap'
import type { GatewayEffect } from '../../../../broker/core/effects.ts'
import { WriteLog } from '../../../../broker/core/state/write-log.ts'
import { packTiles, unpackTiles } from '../../../../shared/operations/columns.ts'
import {
  ADD,
  EMPTY_STORE,
  GatewayBench,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

t.test(
  'the progress of a task is published now and then, and no more once it has ended',
  async (t) => {
    const bench = new GatewayBench()
    bench.join('a', 'b')
    const states = () =>
      bench.effects.flatMap((effect) =>
        effect.type === 'publish' && effect.topic.kind === 'task-state'
          ? [JSON.parse(String(effect.payload)).shards]
          : [],
      )
    const region = { x: 0, y: 0, w: 16, h: 8 }
    for (const id of ['one', 'two']) bench.submit({ id, ...ADD, region })
    bench.hello('a')
    const toA = bench.entriesTo('a')
    t.equal(toA.length, 2)
    bench.apply('a', toA.slice(0, 1))
    t.same(states(), [], 'not at once')
    bench.apply('a', toA.slice(1))
    bench.wait(500)
    t.same(states(), [
      { total: 2, done: 1, failed: 0 },
      { total: 2, done: 1, failed: 0 },
    ])
    bench.wait(1000)
    t.same(states(), [], 'once')
    bench.hello('b')
    bench.apply('b', bench.entriesTo('b'))
    t.match(bench.task('two'), { state: 'completed' })
    bench.wait(1000)
    t.same(states(), [], 'the end was published')
  },
)

t.test('a write goes to all holders, and is done when those in sync have it', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  t.match([toA, toB], [[{ seq: 2, position: 2 }], [{ seq: 2, position: 2 }]])
  bench.apply('b', toB)
  t.match(bench.task('w'), { state: 'running', effect: 'pending' })
  bench.apply('a', toA)
  t.match(bench.task('w'), { state: 'completed', effect: 'done' })
  t.match(bench.ledger.count('write'), 0)
  t.match(bench.ledger.count('body'), 0)
  const ends = bench.effects.filter(({ type }) => type === 'announce-end')
  t.equal(ends.length, 1)
})

t.test('the end is persisted first, then the result, then its announcement', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.apply('a', toA)
  bench.apply('b', toB)
  const seen = bench.effects.map((effect) =>
    effect.type === 'publish' ? effect.topic.kind : effect.type,
  )
  const ordered = ['persist', 'task-result', 'task-result-json', 'announce-end', 'task-state']
  t.same(
    seen.filter((what) => ordered.includes(what)),
    ordered,
  )
})

t.test('nothing is done on an empty in-sync set', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.close('a')
  bench.close('b')
  t.equal(bench.task('w')?.state, 'running')
  bench.hello('a')
  bench.apply('a', bench.entriesTo('a'))
  t.equal(bench.task('w')?.state, 'completed')
})

t.test('a write needs as many copies as minInSync says', async (t) => {
  const bench = settledPair({ minInSync: 2 })
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.close('b')
  bench.apply('a', toA)
  t.equal(bench.task('w')?.state, 'running', 'one is not enough')
  bench.submit({ id: 'x', ...ADD, region: TILE_0 })
  t.equal(bench.task('x')?.state, 'accepted', 'and none begins on one')
  bench.hello('b')
  bench.apply('b', toB)
  t.equal(bench.task('w')?.state, 'completed')
  t.equal(bench.task('x')?.state, 'running')
})

t.test('a write that lost a copy is kept for the new one, and done with it', async (t) => {
  const bench = settledPair({ minInSync: 2 })
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.apply('a', bench.entriesTo('a'))
  bench.close('b')
  bench.hello('b', EMPTY_STORE)
  t.equal(bench.task('w')?.state, 'running', 'one copy is not enough')
  t.equal(bench.ledger.count('write'), 1)
  bench.wait(bench.options.settleMs)
  const [copy] = bench.sent('copy', bench.node('a').connection)
  const page = { tile: copy!.tile, at: 2, digest: new Uint8Array(8).fill(2) }
  bench.say('b', { t: 'staged', move: copy!.move, ...page })
  const toB = bench.entriesTo('b')
  t.match(toB, [{ op: '$adopt', position: 1 }], 'the page has the write')
  bench.apply('b', toB)
  t.match(bench.task('w'), { state: 'completed', effect: 'done' })
  for (const table of ['write', 'body', 'control', 'move'] as const) {
    t.equal(bench.ledger.count(table), 0, table)
  }
})

t.test('at its deadline a write without a sequence ends without effect', async (t) => {
  const bench = settledPair()
  bench.close('a')
  bench.close('b')
  bench.submit({ id: 'w', ...ADD, region: TILE_0, deadline_ms: 500 })
  bench.wait(499)
  t.equal(bench.task('w')?.state, 'accepted')
  bench.wait(1)
  t.match(bench.task('w'), { state: 'expired', effect: 'none', error: { code: 'deadline' } })
  bench.hello('a')
  t.same(bench.entriesTo('a'), [])
})

t.test('at its deadline a sequenced write is pending, and is done later', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0, deadline_ms: 500 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.wait(500)
  t.match(bench.task('w'), { state: 'expired', effect: 'pending' })
  bench.apply('a', toA)
  bench.apply('b', toB)
  t.match(bench.task('w'), { state: 'expired', effect: 'done' })
  t.match(bench.notices('effect-done'), [{ task: 'w' }])
  t.notOk(
    bench.effects.some(({ type }) => type === 'announce-end'),
    'that is no second end',
  )
  t.equal(bench.ledger.count('body'), 0)
})

t.test('a replica that gets on holds a write up for longer than the lag', async (t) => {
  const bench = settledPair()
  const [toA, toB]: ReturnType<typeof bench.entriesTo>[] = [[], []]
  for (let at = 0; at < 4; at++) {
    bench.submit({ id: `w${at}`, ...ADD, region: TILE_0 })
    toA!.push(...bench.entriesTo('a'))
    toB!.push(...bench.entriesTo('b'))
  }
  bench.apply('a', toA!)
  for (const [at, entry] of toB!.entries()) {
    bench.live(0.75 * bench.options.lagMs)
    t.equal(bench.task(`w${at}`)?.state, 'running', 'it has done something meanwhile')
    bench.apply('b', [entry])
    t.equal(bench.task(`w${at}`)?.state, 'completed')
  }
})

t.test('a replica that lags leaves in-sync, and returns at the head', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.apply('a', toA)
  bench.wait(bench.options.lagMs)
  t.match(bench.notices('replica-lagging'), [{ node: 'b' }])
  t.match(bench.task('w'), { state: 'completed' })
  bench.submit({ id: 'x', ...ADD, region: TILE_0 })
  const nextToB = bench.entriesTo('b')
  bench.apply('a', bench.entriesTo('a'))
  t.equal(bench.task('x')?.state, 'completed', 'it holds up nobody')
  bench.live(bench.options.lagMs, ['a', 'b'])
  bench.apply('b', toB)
  t.same(bench.notices('replica-in-sync'), [])
  bench.apply('b', nextToB)
  t.match(bench.notices('replica-in-sync'), [{ node: 'b' }])
})

t.test('a replica that lagged is in sync again although something is always written', async (t) => {
  const bench = settledPair()
  const { lagMs } = bench.options
  const toB: ReturnType<typeof bench.entriesTo> = []
  const write = (id: string): void => {
    bench.submit({ id, ...ADD, region: TILE_0 })
    toB.push(...bench.entriesTo('b'))
    bench.apply('a', bench.entriesTo('a'))
  }
  const applyNext = (): void => {
    bench.apply('b', toB.splice(0, 1))
  }
  write('w0')
  bench.wait(lagMs)
  t.match(bench.notices('replica-lagging'), [{ node: 'b' }])
  // From now on it is as fast as the other, but a write is always under way.
  bench.live(lagMs, ['a', 'b'])
  write('w1')
  write('w2')
  applyNext()
  t.same(bench.notices('replica-in-sync'), [], 'what it has is all that there was, but long ago')
  write('w3')
  applyNext()
  t.same(bench.notices('replica-in-sync'), [], 'it has not reached the head of just now')
  write('w4')
  applyNext()
  t.match(bench.notices('replica-in-sync'), [{ node: 'b' }])
  bench.submit({ id: 'last', ...ADD, region: TILE_0 })
  toB.push(...bench.entriesTo('b'))
  bench.apply('a', bench.entriesTo('a'))
  t.equal(bench.task('last')?.state, 'running', 'it counts again')
  bench.apply('b', toB)
  t.equal(bench.task('last')?.state, 'completed')
})

t.test('what is not acknowledged is sent again, also after a gap', async (t) => {
  const bench = settledPair({ lagMs: 60_000, suspectAfterMs: 60_000 })
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const first = bench.entriesTo('a')
  bench.wait(2 * bench.options.resendMs)
  t.same(bench.entriesTo('a'), first)
  bench.submit({ id: 'x', ...ADD, region: TILE_0 })
  const { connection, session, position, chain } = bench.node('a')
  bench.receive(connection, 'a', { t: 'gap', session, position, chain })
  t.same(
    bench.entriesTo('a').map((entry) => entry.position),
    [2, 3],
  )
})

t.test('a window of bytes bounds what is on its way to a node', async (t) => {
  const bench = settledPair({ streamWindowBytes: 400 })
  const sent: number[] = []
  for (const id of ['u', 'v', 'w', 'x']) {
    bench.submit({ id, ...ADD, region: TILE_0 })
    sent.push(bench.entriesTo('a').length)
  }
  t.same(sent, [1, 1, 0, 0])
})

t.test('a node that stopped by itself is not waited for, until it comes anew', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const toA = bench.entriesTo('a')
  const { connection, session } = bench.node('b')
  const trouble = { code: 'store-full', message: 'no room' }
  bench.receive(connection, 'b', { t: 'stopped', session, position: 1, ...trouble })
  t.match(bench.notices('replica-stopped'), [{ node: 'b', error: 'store-full' }])
  bench.apply('a', toA)
  t.equal(bench.task('w')?.state, 'completed')
  bench.hello('b')
  t.equal(bench.entriesTo('b').length, 1)
})

t.test('a write waits for an operation that a holder has not announced', async (t) => {
  const bench = settledPair()
  bench.close('b')
  bench.hello('b', { operations: ['get'] })
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  t.equal(bench.task('w')?.state, 'accepted')
  bench.hello('b')
  t.equal(bench.task('w')?.state, 'running')
})

t.test('tiles are born only once the fleet has settled', async (t) => {
  const bench = new GatewayBench()
  bench.hello('a')
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.hello('b')
  t.equal(bench.task('w')?.state, 'accepted')
  bench.wait(bench.options.settleMs)
  t.equal(bench.task('w')?.state, 'running')
  t.same([...bench.view.holdersOf(0)].sort(), ['a', 'b'])
})

t.test('thousands of writes say now and then that their node is away, or back', async (t) => {
  const bench = new GatewayBench({ replicas: 1 })
  bench.join('a')
  for (let write = 0; write < 1000; write++)
    bench.submit({ id: `w${write}`, ...ADD, region: TILE_0 })
  const states = (effects: readonly GatewayEffect[]): number =>
    effects.filter((effect) => effect.type === 'publish' && effect.topic.kind === 'task-state')
      .length
  t.equal(states(bench.close('a')), 0)
  t.match(bench.task('w999'), { waiting_for: 'holders-away' })
  t.equal(states(bench.wait(500)), 100)
  t.equal(states(bench.hello('a')), 0)
})

t.test('a node that catches up and says so by a gap lets others go on', async (t) => {
  const bench = new GatewayBench({ replicas: 1 })
  bench.join('a')
  bench.submit({ id: 'v', ...ADD, region: TILE_0 })
  bench.apply('a', bench.entriesTo('a'))
  bench.submit({ id: 'p', ...ADD, region: TILE_0 })
  const [first] = bench.entriesTo('a')
  bench.live(3 * bench.options.lagMs)
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  t.match(bench.task('w'), { state: 'accepted', waiting_for: 'holders-away' })
  bench.say('a', { t: 'gap', position: first!.position, chain: first!.chain })
  t.equal(bench.task('p')?.state, 'completed')
  t.equal(bench.task('w')?.state, 'running')
})

t.test(
  'a write that lacks a copy, and waits for nobody, does not say that somebody is away',
  async (t) => {
    const bench = settledPair({ minInSync: 2 })
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    bench.apply('a', bench.entriesTo('a'))
    bench.close('b')
    bench.hello('b', EMPTY_STORE)
    t.equal(bench.task('w')?.state, 'running')
    t.notMatch(bench.task('w'), { waiting_for: 'holders-away' })
  },
)

t.test(
  'the state of a write says what it touches, to its end; that of a read does not',
  async (t) => {
    const bench = settledPair()
    const touches = (effects: readonly GatewayEffect[]): unknown[] =>
      effects.flatMap((effect) =>
        effect.type === 'publish' && effect.topic.kind === 'task-state' ? [effect.touches] : [],
      )
    const submit = (task: {
      id: string
      op: string
      args?: object
      region?: object
    }): unknown[] => {
      bench.submit(task)
      return touches(bench.effects)
    }
    t.same(submit({ id: 'w', ...ADD, region: TILE_0 }), [{ region: TILE_0, seq: 2 }])
    const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
    const ended = [...bench.apply('a', toA), ...bench.apply('b', toB)]
    t.same(touches(ended), [{ region: TILE_0, seq: 2 }])
    t.equal(bench.task('w')?.state, 'completed')
    t.same(submit({ id: 'r', op: 'get', region: TILE_0 }), [undefined])
  },
)

/** One LSU in tile 0 and two in tile 3; the box around them has the tiles 1 and 2, too. */
const SCATTER = {
  op: 'scatter',
  args: { field: 'value', x: [1, 12, 13], y: [2, 0, 3], values: [5, 6, 7] },
}

t.test('LSUs that are named one by one take only their own tiles along', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 's', ...SCATTER })
  const toA = bench.entriesTo('a')
  t.match(toA, [{ op: 'scatter', region: [1, 0, 13, 4] }])
  t.same(unpackTiles(toA[0]!.tiles), Uint32Array.of(0, 3))
  bench.submit({ id: 'between', ...ADD, region: { x: 4, y: 0, w: 4, h: 4 } })
  const toB = bench.entriesTo('b')
  bench.apply('a', [...toA, ...bench.entriesTo('a')])
  bench.apply('b', toB)
  t.match(bench.task('between'), { state: 'completed' })
})

t.test(
  'a result counts the LSUs that were named, and a node must have written as many',
  async (t) => {
    const bench = settledPair()
    bench.submit({ id: 's', ...SCATTER })
    const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
    const applied = (
      name: string,
      { position, chain }: { position: number; chain: Uint8Array },
      lsus: number,
    ) => bench.say(name, { t: 'applied', position, chain, results: [{ position, lsus }] })
    applied('a', toA[0]!, 3)
    t.same(bench.notices('drift'), [])
    applied('b', toB[0]!, 52)
    t.match(bench.notices('drift'), [{ node: 'b' }])
    const shown = bench.effects.flatMap((effect) =>
      effect.type === 'publish' && effect.topic.kind === 'task-result-json' ? [effect.payload] : [],
    )
    t.match(JSON.parse(String(shown[0])), { value: { lsus: 3 }, lsus: 3, copies: 2 })
  },
)

t.test('a task that names its LSUs takes no region; the same ones are the same task', async (t) => {
  const bench = settledPair()
  const outcome = bench.submit({ id: 's', ...SCATTER, region: TILE_0 })
  t.match(outcome, { refusal: { code: 'not-allowed', errors: [{ path: 'region' }] } })
  t.ok(bench.submit({ id: 's', ...SCATTER }).ok)
  const { width } = bench.options.grid.geometry
  const ids = [3 * width + 13, 2 * width + 1, 12]
  const again = { op: 'scatter', args: { field: 'value', ids, values: [7, 5, 6] } }
  t.ok(bench.submit({ id: 's', ...again }).ok)
  const other = { ...again, args: { ...again.args, values: [7, 5, 8] } }
  t.match(bench.submit({ id: 's', ...other }), { refusal: { code: 'task-id-conflict' } })
})

t.test('after a restart a part has what it had before', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 's', ...SCATTER })
  bench.start()
  bench.hello('a')
  const again = bench.entriesTo('a')
  t.same(unpackTiles(again[0]!.tiles), Uint32Array.of(0, 3), 'its own tiles')
  t.same(again[0]!.args, { field: 0, ids: packTiles([33, 12, 61]), values: again[0]!.args.values })
})

t.test('what a node tells of an entry is looked at once', async (t) => {
  const bench = settledPair()
  for (const id of ['v', 'w']) bench.submit({ id, ...ADD, region: TILE_0 })
  const { connection, session, position, chain } = bench.node('a')
  const results = [2, 2, 3, 2, 3].map((at) => ({ position: at, lsus: 7 }))
  bench.receive(connection, 'a', { t: 'applied', session, position, chain, results })
  t.match(bench.notices('drift'), [{ seq: 2 }, { seq: 3 }])
  t.equal(bench.notices('drift').length, 2)
})

t.test('copies are not counted for a node that is gone while others are awaited', async (t) => {
  const bench = new GatewayBench({ replicas: 4, minInSync: 2 })
  bench.join('a', 'b', 'c', 'd')
  bench.submit({ id: 'w', op: 'scale' })
  for (const name of ['a', 'b', 'c', 'd']) bench.close(name)
  const counted = t.capture(WriteLog.prototype, 'copiesOf', WriteLog.prototype.copiesOf)
  for (const name of ['b', 'c', 'd']) {
    bench.hello(name, { ...EMPTY_STORE, storeId: `new-${name}`, process: `new-${name}` })
  }
  t.equal(counted().length, 0)
  bench.hello('a', { ...EMPTY_STORE, storeId: 'new-a', process: 'new-a' })
  t.ok(counted().length > 0, 'for the last one they are')
  t.match(bench.task('w'), { state: 'failed', error: { code: 'tile-missing' } })
})
