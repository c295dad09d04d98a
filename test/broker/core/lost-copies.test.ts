/** Pages that turn out to be damaged: what it means for holders, moves and those who ask. */
import t from 'tap'
import { ADD, GatewayBench, settledPair, TILE_0 } from '../../support/gateway-bench.ts'
import { asked, catchingUp, holdersOf, opsOf } from '../../support/moving-tile.ts'

t.test('a damaged page', async (t) => {
  const broken = new Uint8Array(Uint32Array.of(0).buffer)

  t.test('is known before what the hello acknowledges counts', async (t) => {
    const bench = settledPair()
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
    bench.close('a')
    bench.close('b')
    const { position, chain, seq } = toB[0]!
    bench.hello('b', { broken, position, chain, seq })
    t.match(bench.notices('page-damaged'), [{ node: 'b', tile: 0 }])
    t.equal(bench.task('w')?.state, 'running', 'a damaged page is no copy')
    t.same(holdersOf(bench), ['a'])
    bench.hello('a')
    bench.apply('a', toA)
    t.equal(bench.task('w')?.state, 'completed')
    t.same(opsOf(bench.entriesTo('b')), [])
    bench.wait(bench.options.settleMs)
    t.equal(asked(bench).source, 'a', 'and it gets a new one')
  })

  t.test('is dropped by an entry, and said again without harm', async (t) => {
    const bench = settledPair()
    const { position, chain } = bench.node('b')
    bench.say('b', { t: 'applied', position, chain, results: [], broken })
    t.same(opsOf(bench.entriesTo('b')), ['2 $drop 2'])
    bench.say('b', { t: 'applied', position, chain, results: [], broken })
    t.same(bench.entriesTo('b'), [])
    t.same(bench.notices('page-damaged'), [])
  })

  t.test('and many at once are one entry and one notice', async (t) => {
    const bench = settledPair()
    const many = new Uint8Array(Uint32Array.of(0, 1, 3, 1000).buffer)
    bench.submit({ id: 'w', ...ADD, region: { x: 0, y: 0, w: 16, h: 8 } })
    for (const name of ['a', 'b']) bench.apply(name, bench.entriesTo(name))
    bench.notices('page-damaged')
    const { position, chain } = bench.node('b')
    bench.say('b', { t: 'applied', position, chain, results: [], broken: many })
    t.same(opsOf(bench.entriesTo('b')), ['3 $drop 3'])
    t.same(bench.notices('page-damaged'), [{ node: 'b', tiles: 3, first: 0 }])
    const { position: atA, chain: chainA } = bench.node('a')
    const two = new Uint8Array(Uint32Array.of(0, 2).buffer)
    bench.say('a', { t: 'applied', position: atA, chain: chainA, results: [], broken: two })
    t.same(bench.notices('tile-lost'), [{ node: 'a', tile: 0 }], 'the last copy of one')
    t.same(bench.notices('page-damaged'), [{ node: 'a', tile: 2 }])
  })

  t.test('of the target ends the move, once it is that page', async (t) => {
    const { bench, toC } = catchingUp()
    const start = { position: 0, chain: new Uint8Array(8) }
    bench.say('c', { t: 'applied', ...start, results: [], broken })
    t.same(bench.notices('move-rolled-back'), [], 'an older one is no matter')
    const { position, chain } = toC[0]!
    bench.say('c', { t: 'applied', position, chain, results: [], broken })
    t.match(bench.notices('move-rolled-back'), [{ node: 'c', reason: 'page-damaged' }])
    t.same(holdersOf(bench), ['a', 'b'])
  })

  t.test('that was the last copy makes the tile lost, which is said and refused', async (t) => {
    const bench = new GatewayBench({ replicas: 1 })
    bench.join('a')
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    bench.apply('a', bench.entriesTo('a'))
    const { position, chain } = bench.node('a')
    bench.say('a', { t: 'applied', position, chain, results: [], broken })
    t.match(bench.notices('tile-lost'), [{ node: 'a', tile: 0 }])
    const refused = { ok: false, refusal: { code: 'tile-missing' } }
    t.match(bench.submit({ id: 'x', ...ADD, region: TILE_0 }), refused)
    t.match(bench.submit({ id: 'r', op: 'get', region: TILE_0 }), refused, 'not zeros')
  })
  t.test('and begins anew without the writes that were on their way to it', async (t) => {
    const bench = new GatewayBench({ replicas: 1 })
    bench.join('a')
    bench.submit({ id: 'v', ...ADD, region: TILE_0 })
    bench.apply('a', bench.entriesTo('a'))
    const { position, chain } = bench.node('a')
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    const toA = bench.entriesTo('a')
    bench.say('a', { t: 'applied', position, chain, results: [], broken })
    toA.push(...bench.entriesTo('a'))
    bench.step({ type: 'recreate-requested' })
    t.match(bench.task('w'), { state: 'failed', error: { code: 'tile-missing' } })
    bench.submit({ id: 'x', ...ADD, region: TILE_0 })
    toA.push(...bench.entriesTo('a'))
    t.same(opsOf(toA), ['2 add 2', '3 $drop 3', '4 add 4'])
    bench.apply('a', toA)
    t.match(bench.task('w'), { state: 'failed', effect: 'pending' })
    t.match(bench.task('x'), { state: 'completed', effect: 'done' })
    t.equal(bench.ledger.count('write'), 0)
  })
})
