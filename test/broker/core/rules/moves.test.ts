/** Tiles on their way to other nodes: hand-off, and what may go wrong in it. */
import t from 'tap'
import type { NodeId } from '../../../../shared/core/ids.ts'
import {
  ADD,
  EMPTY_STORE,
  GatewayBench,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'
import {
  type Asked,
  asked,
  catchingUp,
  DIGEST,
  drain,
  draining,
  holdersOf,
  opsOf,
  page,
} from '../../../support/moving-tile.ts'

t.test('a tile moves under a write that comes between copy and adoption', async (t) => {
  const { bench, move, source } = draining()
  t.match(bench.sent('copy'), [{ tile: 0, after: 1 }], 'of the stream as it stands')
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  t.same(bench.entriesTo('c'), [], 'it is not parked on the target')
  bench.apply('a', toA)
  bench.apply('b', toB)
  t.equal(bench.task('w')?.state, 'completed', 'and waits for no move')
  t.equal(bench.ledger.count('write'), 1, 'the gateway keeps it meanwhile')

  const piece = { t: 'chunk', move, ...page(1), index: 0, of: 1, bytes: DIGEST } as const
  bench.say(source, piece)
  t.match(bench.sent('chunk', bench.node('c').connection), [{ move, bytes: DIGEST }])
  bench.say('c', { t: 'staged', move, ...page(1) })
  const toC = bench.entriesTo('c')
  t.same(opsOf(toC), ['1 $adopt 3', '2 add 2'], 'what the page does not have follows it')
  t.same(toC[0]!.args, { at: 1, digest: DIGEST })
  t.equal(bench.ledger.count('move'), 1)

  bench.submit({ id: 'x', ...ADD, region: TILE_0 })
  const later = ['a', 'b', 'c'].map((name) => bench.entriesTo(name))
  t.same(opsOf(later[2]!), ['3 add 4'], 'from now on it gets what the holders get')
  bench.apply('c', toC.slice(0, 1))
  t.same(holdersOf(bench), ['a', 'b'], 'it lacks what was shown as done')
  bench.apply('c', toC.slice(1))
  t.same(holdersOf(bench), ['b', 'c'])
  const drop = bench.entriesTo('a')
  t.same(opsOf(drop), ['4 $drop 5'], 'the old copy goes in the order of its own stream')
  bench.apply('b', later[1]!)
  t.equal(bench.task('x')?.state, 'running', 'the new holder counts')
  bench.apply('c', later[2]!)
  bench.apply('a', later[0]!)
  t.match(bench.task('x'), { state: 'completed', effect: 'done' })
  bench.apply('a', drop)
  bench.wait(bench.options.settleMs)
  t.match(bench.notices('node-left'), [{ node: 'a' }])
  t.match(bench.sent('refused'), [{ code: 'node-left' }])
  t.match(bench.disconnects(), [/ node-left$/], 'its will is void')
  for (const table of ['write', 'body', 'control', 'move'] as const) {
    t.equal(bench.ledger.count(table), 0, `nothing is kept as ${table}`)
  }
  bench.hello('a')
  t.match(bench.sent('refused'), [{ code: 'node-left' }], 'and it stays away')
})

t.test('a write that the page has comes with its adoption', async (t) => {
  const { bench, move } = draining()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const toB = bench.entriesTo('b')
  bench.say('c', { t: 'staged', move, ...page(2) })
  const toC = bench.entriesTo('c')
  t.same(opsOf(toC), ['1 $adopt 3'])
  bench.close('a')
  bench.apply('b', toB)
  t.equal(bench.task('w')?.state, 'running', 'which is waited for as a part of it')
  bench.apply('c', toC)
  t.equal(bench.task('w')?.state, 'completed')
  t.same(holdersOf(bench), ['b', 'c'])
})

t.test('when the source goes, the page is asked of another holder', async (t) => {
  const { bench, move, source } = draining()
  bench.close(source)
  const again = asked(bench)
  t.equal(again.move, move)
  t.not(again.source, source)
  bench.close(again.source)
  t.same(bench.sent('copy'), [], 'nobody is left')
  bench.hello(source)
  t.equal(asked(bench).source, source, 'until one comes back')
})

t.test('a page that does not arrive is asked for again, at last given up', async (t) => {
  const { bench, move, source } = draining({ moveDeadlineMs: 3000 })
  bench.wait(bench.options.copyTimeoutMs)
  t.match(asked(bench), { move })
  t.not(asked(bench).source, source, 'of the other one')
  bench.wait(bench.options.copyTimeoutMs)
  bench.wait(bench.options.copyTimeoutMs)
  t.match(bench.notices('move-rolled-back'), [{ tile: 0, node: 'c', reason: 'too-slow' }])
  t.match(bench.sent('discard', bench.node('c').connection), [{ move, tile: 0 }])
  bench.say('c', { t: 'staged', move, ...page(1) })
  t.same(bench.entriesTo('c'), [], 'what comes too late is not adopted')
})

t.test('a move has no more time where somebody comes and goes all the time', async (t) => {
  const { bench } = draining({ moveDeadlineMs: 5000 })
  bench.join('d')
  bench.close('c')
  for (let ms = 0; ms < 8000; ms += 500) {
    bench.close('d')
    bench.hello('d')
    bench.live(500, ['a', 'b'])
    if (bench.notices('move-rolled-back').length > 0) break
  }
  t.match(bench.notices('move-rolled-back'), [{ tile: 0, node: 'c', reason: 'target-away' }])
})

t.test('a target that is full is not asked at once again', async (t) => {
  const { bench, move } = draining()
  const full = { code: 'store-full', message: 'the slice has reached its bytes' }
  bench.say('c', { t: 'copy-failed', move, tile: 0, ...full })
  t.match(bench.notices('move-rolled-back'), [{ tile: 0, node: 'c', reason: 'store-full' }])
  t.same(holdersOf(bench), ['a', 'b'])
  bench.live(2 * bench.options.copyTimeoutMs)
  t.same(bench.sent('copy'), [])
  bench.live(2 * bench.options.copyTimeoutMs)
  t.not(asked(bench).move, move, 'later it is another move')
})

t.test('a source that cannot give the page is no end of the move', async (t) => {
  const { bench, move, source } = draining()
  const missing = { code: 'tile-missing', message: 'tile 0 is not held here' }
  bench.say('c', { t: 'copy-failed', move: move + 1, tile: 0, ...missing })
  bench.say(source, { t: 'copy-failed', move, tile: 0, ...missing })
  t.match(bench.notices('copy-failed'), [{ node: source, tile: 0, error: 'tile-missing' }])
  bench.wait(bench.options.copyTimeoutMs)
  t.not(asked(bench).source, source)
})

t.test('a target that dies while it catches up is to hold nothing', async (t) => {
  const { bench } = catchingUp()
  bench.close('c')
  bench.live(bench.options.deadAfterMs, ['a', 'b'])
  t.match(bench.notices('node-dead'), [{ node: 'c' }])
  t.match(bench.notices('move-rolled-back'), [{ tile: 0, node: 'c', reason: 'target-dead' }])
  t.same(holdersOf(bench), ['a', 'b'])
  t.equal(bench.ledger.count('move'), 0)
  bench.live(bench.options.heartbeatMs, ['a', 'b'])
  t.match(bench.view.nodes()[2], { id: 'c', state: 'dead' })
  t.equal(bench.ledger.count('control'), 0, 'its stream has ended with it')
  bench.hello('c', { position: 0 })
  t.match(bench.sent('wipe'), [{ storeId: 'store-c', position: 0 }], 'it may be writing the page')
  bench.hello('c', EMPTY_STORE)
  t.equal(bench.sent('welcome').length, 1)
  t.same(bench.entriesTo('c'), [])
})

t.test('a target that catches up has as long as it gets on, and no longer', async (t) => {
  const { bench, move } = draining({ moveDeadlineMs: 60_000 })
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.say('c', { t: 'staged', move, ...page(1) })
  const toC = bench.entriesTo('c')
  t.same(opsOf(toC), ['1 $adopt 3', '2 add 2'])
  bench.live(50_000)
  bench.apply('c', toC.slice(0, 1))
  bench.live(50_000)
  t.same(bench.notices('move-rolled-back'), [])
  bench.live(11_000)
  t.match(bench.notices('move-rolled-back'), [{ tile: 0, node: 'c', reason: 'no-progress' }])
  t.equal(bench.ledger.count('move'), 0)
  t.same(holdersOf(bench), ['a', 'b'])
})

t.test('a start of the gateway gives a move that catches up no time without an end', async (t) => {
  const { bench } = catchingUp({ moveDeadlineMs: 60_000 })
  bench.start()
  for (const name of ['a', 'b', 'c']) bench.hello(name)
  bench.live(70_000)
  t.match(bench.notices('move-rolled-back'), [{ tile: 0, node: 'c', reason: 'no-progress' }])
})

t.test('a target that stops makes room for other moves at once', async (t) => {
  const full = { t: 'stopped', code: 'disk-full', message: 'no room', position: 0 } as const
  for (const begin of [draining, catchingUp]) {
    const { bench } = begin()
    bench.say('c', full)
    t.match(bench.notices('move-rolled-back'), [{ node: 'c', reason: 'target-stopped' }])
    t.equal(bench.ledger.count('move'), 0)
    t.same(holdersOf(bench), ['a', 'b'])
  }
})

t.test('a move that ends after the adoption is followed by a drop', async (t) => {
  const { bench, toC } = catchingUp()
  drain(bench, 'c')
  const drop = bench.entriesTo('c')
  t.same(opsOf([...toC, ...drop]), ['1 $adopt 2', '2 $drop 3'])
  bench.apply('c', [...toC, ...drop])
  t.same(holdersOf(bench), ['a', 'b'])
  for (const table of ['control', 'move', 'write'] as const) t.equal(bench.ledger.count(table), 0)
})

t.test(
  'a move that caught up with a write leaves nobody waiting when it is given up',
  async (t) => {
    const { bench, toC } = catchingUp()
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
    const all = [...toC, ...bench.entriesTo('c')]
    bench.apply('a', toA)
    bench.apply('b', toB)
    t.equal(bench.task('w')?.state, 'running')
    drain(bench, 'c')
    bench.apply('c', [...all, ...bench.entriesTo('c')])
    t.match(bench.task('w'), { state: 'completed', effect: 'done' })
    t.equal(bench.ledger.count('write'), 0)
  },
)

t.test('a restart of the gateway begins copies anew, and goes on with catching up', async (t) => {
  t.test('copying', async (t) => {
    const { bench, move } = draining()
    t.equal(bench.ledger.count('move'), 0)
    bench.start()
    for (const name of ['a', 'b', 'c']) bench.hello(name)
    bench.wait(bench.options.settleMs)
    t.ok(asked(bench).move > move, 'under a number that was never used')
  })

  t.test('catching up', async (t) => {
    const { bench, toC } = catchingUp()
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    const all = [...toC, ...bench.entriesTo('c')]
    const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
    bench.start()
    for (const name of ['a', 'b']) bench.hello(name)
    bench.apply('a', toA)
    bench.apply('b', toB)
    t.equal(bench.task('w')?.state, 'running')
    bench.hello('c')
    t.same(bench.entriesTo('c'), all, 'the very same')
    t.same(holdersOf(bench), ['a', 'b'])
    bench.apply('c', all)
    t.equal(bench.task('w')?.state, 'completed')
    t.same(holdersOf(bench), ['b', 'c'])
    t.same(opsOf(bench.entriesTo('a')), ['3 $drop 4'])
    t.equal(bench.ledger.count('move'), 0)
  })
})

t.test('what a dead node held is copied from the others, and it holds nothing then', async (t) => {
  const bench = settledPair()
  bench.join('c')
  bench.close('a')
  bench.live(bench.options.deadAfterMs, ['b', 'c'])
  const copies = bench.sent('copy', bench.node('b').connection)
  t.ok(copies.length > 0, 'of the holder that is left')
  bench.say('c', { t: 'staged', move: copies.at(-1)!.move, ...page(1) })
  bench.apply('c', bench.entriesTo('c'))
  t.same(holdersOf(bench), ['b', 'c'])
  bench.live(bench.options.heartbeatMs, ['b', 'c'])
  t.match(bench.view.nodes()[0], { id: 'a', state: 'dead' })
  bench.hello('a')
  t.match(bench.sent('wipe'), [{ storeId: 'store-a' }], 'what it has is none of the state')
})

t.test('a drain that is taken back ends when it does', async (t) => {
  const { bench, move } = draining()
  drain(bench, 'a', false)
  bench.say('c', { t: 'staged', move, ...page(1) })
  bench.apply('c', bench.entriesTo('c'))
  t.same(holdersOf(bench), ['b', 'c'], 'the move that was under way has ended')
  t.match(bench.view.nodes()[0], { id: 'a', state: 'alive' })
})

t.test(
  'a write whose last copy of one tile is lost still follows another tile that moves',
  async (t) => {
    const bench = new GatewayBench({ replicas: 1, probationMs: 0, movesMax: 100 })
    bench.join('a', 'b')
    bench.submit({ id: 'first', ...ADD })
    for (const [name, entries] of ['a', 'b'].map(
      (name) => [name, bench.entriesTo(name)] as const,
    )) {
      bench.apply(name, entries)
    }
    bench.join('c')
    drain(bench, 'a')
    bench.wait(bench.options.settleMs)
    const copies = bench.sent('copy', bench.node('a').connection)
    bench.submit({ id: 'w', ...ADD })
    bench.apply('a', bench.entriesTo('a'))
    bench.hello('b', EMPTY_STORE)
    t.match(bench.task('w'), { state: 'failed', error: { code: 'tile-missing' } })
    const copy = copies.find(({ tile, move }) => {
      return bench.say('c', { t: 'staged', move, ...page(1), tile }).length > 0
    })!
    t.same(
      bench.entriesTo('c').map(({ op }) => op),
      ['$adopt', 'add'],
    )
    bench.start()
    bench.hello('c')
    bench.apply('c', bench.entriesTo('c'))
    t.ok(
      bench.view.holdersOf(copy.tile).includes('c' as NodeId),
      'a start of the gateway takes it up',
    )
  },
)

t.test('a tile whose copies are lost while it moves, and is to begin anew', async (t) => {
  const lone = { replicas: 1, probationMs: 0 }
  /** The only holder of tile 0 comes with an empty card. */
  const alone = (): Asked => {
    const bench = new GatewayBench(lone)
    bench.join('a')
    bench.submit({ id: 'first', ...ADD, region: TILE_0 })
    bench.apply('a', bench.entriesTo('a'))
    bench.join('c')
    drain(bench, 'a')
    bench.wait(bench.options.settleMs)
    return { bench, ...asked(bench) }
  }
  t.test('does not, once the target has adopted its page', async (t) => {
    const { bench, move } = alone()
    bench.say('c', { t: 'staged', move, ...page(1) })
    const toC = bench.entriesTo('c')
    bench.hello('a', EMPTY_STORE)
    bench.step({ type: 'recreate-requested' })
    t.same(bench.notices('tiles-recreated'), [])
    bench.apply('c', toC)
    t.same(holdersOf(bench), ['c'])
  })
  t.test('does, before that, and the page is wanted no more', async (t) => {
    const { bench, move } = alone()
    bench.hello('a', EMPTY_STORE)
    bench.step({ type: 'recreate-requested' })
    t.match(bench.notices('tiles-recreated'), [{ tiles: 1 }])
    t.match(bench.notices('move-rolled-back'), [{ tile: 0, node: 'c', reason: 'recreated' }])
    bench.say('c', { t: 'staged', move, ...page(1) })
    bench.submit({ id: 'again', ...ADD, region: TILE_0 })
    bench.apply('c', bench.entriesTo('c'))
    t.equal(bench.task('again')?.state, 'completed')
  })
})

t.test(
  'a write that names LSUs all around a tile that moves has nothing to do with it',
  async (t) => {
    const { bench } = draining()
    const around = { field: 'value', x: [5, 1], y: [0, 5], values: [1, 2] }
    bench.submit({ id: 's', op: 'scatter', args: around })
    const later = ['a', 'b', 'c'].map((name) => [name, bench.entriesTo(name)] as const)
    for (const [name, entries] of later) if (entries.length > 0) bench.apply(name, entries)
    t.match(bench.task('s'), { state: 'completed', effect: 'done' })
    t.equal(bench.ledger.count('write'), 0, 'no move has to catch up with it')
  },
)
