/** Pages that turn out to be damaged: what it means for holders, moves and those who ask. */
import t from 'tap'
import { ADD, GatewayBench, settledPair, TILE_0 } from '../../../support/gateway-bench.ts'
import { asked, catchingUp, holdersOf, opsOf } from '../../../support/moving-tile.ts'

/** `a` alone holds tile 0; and where its stream stands. */
function onlyCopy() {
  const bench = new GatewayBench({ replicas: 1 })
  bench.join('a')
  bench.submit({ id: 'v', ...ADD, region: TILE_0 })
  bench.apply('a', bench.entriesTo('a'))
  return { bench, ...bench.node('a') }
}

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
    const many = new Uint8Array(Uint32Array.of(0, 1, 1, 3, 1000).buffer)
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

  t.test('of the last holder loses a write that waits for more copies', async (t) => {
    const bench = settledPair({ minInSync: 2 })
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    const [[toA], [toB]] = [bench.entriesTo('a'), bench.entriesTo('b')]
    const say = (name: string, entry: typeof toA, isBroken: boolean): void => {
      const { position, chain } = entry!
      const damaged = isBroken ? { broken } : {}
      bench.say(name, { t: 'applied', position, chain, results: [], ...damaged })
    }
    say('a', toA, true)
    say('b', toB, false)
    t.equal(bench.task('w')?.state, 'running', 'one copy is too few, and another one will come')
    say('b', toB, true)
    t.match(bench.notices('tile-lost'), [{ node: 'b', tile: 0 }])
    t.match(bench.task('w'), { state: 'failed', error: { code: 'tile-missing' } })
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
    const { bench, position, chain } = onlyCopy()
    bench.say('a', { t: 'applied', position, chain, results: [], broken })
    t.match(bench.notices('tile-lost'), [{ node: 'a', tile: 0 }])
    const refused = { ok: false, refusal: { code: 'tile-missing' } }
    t.match(bench.submit({ id: 'x', ...ADD, region: TILE_0 }), refused)
    t.match(bench.submit({ id: 'r', op: 'get', region: TILE_0 }), refused, 'not zeros')
  })

  t.test('and begins anew without the writes that were on their way to it', async (t) => {
    const { bench, position, chain } = onlyCopy()
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

  t.test('that was dropped is not that of the tile that was born again', async (t) => {
    const { bench, position, chain } = onlyCopy()
    bench.say('a', { t: 'applied', position, chain, results: [], broken })
    bench.step({ type: 'recreate-requested' })
    bench.notices('tile-lost')
    bench.submit({ id: 'x', ...ADD, region: TILE_0 })
    bench.close('a')
    bench.hello('a', { broken })
    t.same(bench.notices('tile-lost'), [])
    const toA = bench.entriesTo('a')
    t.same(opsOf(toA), ['2 $drop 2', '3 add 3'])
    bench.apply('a', toA)
    t.match(bench.task('x'), { state: 'completed', effect: 'done' })
  })
})

/** `w` is on its way to `a` and `b`; a tile of it that only `a` has is damaged and begins anew. */
function givenUp(deadline_ms = 60_000) {
  const bench = new GatewayBench({ replicas: 1 })
  const whole = { x: 0, y: 0, w: 16, h: 8 }
  bench.join('a', 'b')
  bench.submit({ id: 'v', ...ADD, region: whole })
  const first = ['a', 'b'].map((name) => bench.entriesTo(name))
  bench.apply('a', first[0]!)
  bench.apply('b', first[1]!)
  bench.submit({ id: 'w', ...ADD, region: whole, deadline_ms })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  const { position, chain } = bench.node('a')
  const broken = new Uint8Array(first[0]![0]!.tiles.slice(0, 4))
  return {
    bench,
    giveUp: () => {
      bench.say('a', { t: 'applied', position, chain, results: [], broken })
      toA.push(...bench.entriesTo('a'))
      bench.step({ type: 'recreate-requested' })
    },
    toA,
    toB,
  }
}

t.test('a write that was given up', async (t) => {
  t.test('is not done after a start either', async (t) => {
    const { bench, giveUp, toA } = givenUp()
    bench.close('b')
    giveUp()
    t.match(bench.task('w'), { state: 'failed', shards: { done: 0, failed: 2 } })
    bench.apply('a', toA)
    t.match(bench.task('w'), { shards: { done: 0, failed: 2 } })
    bench.start()
    bench.hello('a')
    bench.hello('b')
    bench.apply('b', bench.entriesTo('b'))
    t.match(bench.task('w'), { state: 'failed', effect: 'pending', shards: { done: 0, failed: 2 } })
    t.equal(bench.ledger.count('write'), 0)
  })

  t.test('is said to be lost if its task has ended', async (t) => {
    const { bench, giveUp, toA, toB } = givenUp(500)
    bench.wait(500)
    t.match(bench.task('w'), { state: 'expired', effect: 'pending' })
    giveUp()
    t.match(bench.notices('effect-lost'), [{ task: 'w' }])
    bench.apply('a', toA)
    bench.apply('b', toB)
    t.match(bench.task('w'), { state: 'expired', effect: 'pending' })
    t.same(bench.notices('effect-done'), [])
    t.equal(bench.ledger.count('write'), 0)
  })

  t.test('is voided where no replica can apply it', async (t) => {
    const { bench, giveUp } = givenUp()
    const stop = (name: string): void => {
      const { position } = bench.node(name)
      bench.say(name, { t: 'stopped', position, code: 'entry-invalid', message: 'no' })
    }
    stop('b')
    giveUp()
    stop('a')
    t.match(bench.notices('write-voided'), [{ task: 'w' }])
    bench.hello('b')
    t.match(bench.entriesTo('b'), [{ op: '$void' }])
  })
})
