/** Copies that are looked at: what is damaged, gone, or not as the others. */
import t from 'tap'
import { packTiles } from '../../../../shared/operations/columns.ts'
import { ADD, GatewayBench, settledPair, TILE_0 } from '../../../support/gateway-bench.ts'

const SCRUB_MS = 500

interface Copy {
  readonly at: number
  readonly value: number
}

function examined(bench: GatewayBench, name: string, { at, value }: Copy): void {
  const digests = new Uint8Array(8).fill(value)
  bench.say(name, { t: 'examined', tiles: packTiles([0]), ats: [at], digests })
}

/** All holders are asked about tile 0. */
function looked(): { bench: GatewayBench; first: string; second: string } {
  const bench = settledPair({ scrubMs: SCRUB_MS })
  bench.wait(SCRUB_MS)
  const [first, second] = bench.view.holdersOf(0).map(String)
  return { bench, first: first!, second: second! }
}

t.test('holders that are at their head are asked about the tiles that they hold', async (t) => {
  const { bench } = looked()
  const expected = { t: 'examine', tiles: packTiles([0]) }
  t.match(bench.sent('examine'), [expected, expected])
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const toA = bench.entriesTo('a')
  bench.apply('a', toA)
  bench.wait(SCRUB_MS)
  t.equal(bench.sent('examine', bench.node('a').connection).length, 1)
  t.same(
    bench.sent('examine', bench.node('b').connection),
    [],
    'b has not applied what it was sent',
  )
})

t.test('equal copies, and copies at different places, are no trouble', async (t) => {
  const { bench, first, second } = looked()
  examined(bench, first, { at: 1, value: 1 })
  examined(bench, second, { at: 1, value: 1 })
  t.same(bench.notices('drift'), [])
  bench.wait(SCRUB_MS)
  examined(bench, first, { at: 1, value: 1 })
  examined(bench, second, { at: 2, value: 2 })
  t.same(bench.notices('drift'), [])
  t.equal(bench.view.holdersOf(0).length, 2)
})

for (const order of ['the first speaks first', 'the second speaks first']) {
  t.test(`of two that differ the first in ring order wins: ${order}`, async (t) => {
    const { bench, first, second } = looked()
    const say = [
      () => examined(bench, first, { at: 1, value: 1 }),
      () => examined(bench, second, { at: 1, value: 2 }),
    ]
    if (order.startsWith('the second')) say.reverse()
    for (const one of say) one()
    t.match(bench.notices('drift'), [{ node: second, tile: 0 }])
    t.same(bench.view.holdersOf(0), [first])
    t.match(bench.entriesTo(second), [{ op: '$drop', tiles: packTiles([0]) }])
    bench.apply(second, bench.entriesTo(second))
    bench.wait(bench.options.settleMs)
    t.match(bench.sent('copy', bench.node(first).connection), [{ tile: 0 }])
    const { move } = bench.sent('copy')[0]!
    bench.say(second, { t: 'staged', move, tile: 0, at: 1, digest: new Uint8Array(8).fill(1) })
    bench.apply(second, bench.entriesTo(second))
    t.same(bench.view.holdersOf(0), [first, second], 'it is made anew from the winner')
  })
}

t.test('a page that is gone is none', async (t) => {
  const { bench, first, second } = looked()
  examined(bench, first, { at: 0, value: 0 })
  t.match(bench.notices('page-damaged'), [{ node: first, tile: 0 }])
  examined(bench, second, { at: 1, value: 1 })
  t.same(bench.view.holdersOf(0), [second])
})

t.test('a page that is there since is not gone', async (t) => {
  const bench = new GatewayBench({ replicas: 1, scrubMs: SCRUB_MS })
  bench.join('a')
  bench.submit({ id: 'v', ...ADD, region: TILE_0 })
  bench.apply('a', bench.entriesTo('a'))
  bench.wait(SCRUB_MS)
  const { position, chain } = bench.node('a')
  const broken = packTiles([0])
  bench.say('a', { t: 'applied', position, chain, results: [], broken })
  bench.step({ type: 'recreate-requested' })
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  examined(bench, 'a', { at: 0, value: 0 })
  t.same(bench.notices('page-damaged'), [])
  t.same(bench.view.holdersOf(0), ['a'])
})

t.test('what nobody asked for, or is not whole, is no evidence', async (t) => {
  const bench = settledPair({ scrubMs: SCRUB_MS })
  examined(bench, 'a', { at: 0, value: 0 })
  bench.wait(SCRUB_MS)
  bench.say('a', { t: 'examined', tiles: packTiles([0]), ats: [], digests: new Uint8Array(8) })
  bench.say('a', { t: 'examined', tiles: packTiles([0]), ats: [0], digests: new Uint8Array(7) })
  bench.say('a', { t: 'examined', tiles: packTiles([1]), ats: [0], digests: new Uint8Array(8) })
  t.equal(bench.view.holdersOf(0).length, 2)
})
