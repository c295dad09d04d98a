/** Members that are forgotten: when they may be, and that nothing of them is left. */
import t from 'tap'
import { newIdentity } from '../../../../broker/core/coordinator.ts'
import { removalProblem, soleTiles } from '../../../../broker/core/rules/removal.ts'
import { CoordinatorContext } from '../../../../broker/core/state/coordinator-context.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { Random } from '../../../../shared/core/random.ts'
import { CHAIN_START } from '../../../../shared/protocol/stream-chain.ts'
import { ADD, BENCH_OPTIONS, GatewayBench } from '../../../support/gateway-bench.ts'
import { ended } from '../../../support/slices.ts'

const WHOLE = { x: 0, y: 0, w: 16, h: 8 }
const TILES = 8
const B = 'b' as NodeId

/** All of `names` hold tiles, as many as there are replicas of each. */
function written(names: readonly string[], options: Partial<GatewayBench['options']> = {}) {
  const bench = new GatewayBench(options)
  bench.join(...names)
  bench.submit({ id: 'first', ...ADD, region: WHOLE })
  const entries = names.map((name) => bench.entriesTo(name))
  names.forEach((name, index) => {
    bench.apply(name, entries[index]!)
  })
  return bench
}

function remove(bench: GatewayBench, node: string): void {
  bench.step({ type: 'removal-requested', node: node as NodeId })
}

function die(bench: GatewayBench, node: string, others: readonly string[]): void {
  bench.close(node)
  bench.live(2 * bench.options.deadAfterMs, others)
}

t.test('one that is alive, or may come back, is not forgotten', async (t) => {
  const bench = written(['a', 'b'])
  t.match(bench.view.removalProblem(B), { reason: 'node-alive', message: /is alive/ })
  remove(bench, 'b')
  t.equal(bench.view.nodes().length, 2)
  bench.close('b')
  t.match(bench.view.removalProblem(B), { reason: 'node-alive', message: /suspect/ })
  remove(bench, 'b')
  t.equal(bench.view.nodes().length, 2)
})

t.test('only a holder that is in sync can give a tile in the place of another', async (t) => {
  const context = new CoordinatorContext(
    BENCH_OPTIONS,
    new Random(1),
    newIdentity(BENCH_OPTIONS, 'ledger'),
  )
  const [a, b] = ['a', 'b'].map((name) => {
    const id = name as NodeId
    const member = context.members.add(id, { joinedTs: 1, storeId: `store-${name}` })
    context.members.open(member, `${name}-1`, 'process', 1)
    return member
  })
  context.placement.setMembers(() => context.members.placeable)
  context.placement.bear(Uint32Array.of(2, 5))
  t.same([...soleTiles(context)], [])
  context.placement.dropHolder(5, a!.index)
  t.same([...soleTiles(context)], [[b!.index, 1]])
  context.members.close(a!)
  t.same([...soleTiles(context)], [[b!.index, 2]])
  context.members.close(b!)
  const ofBoth = [
    [a!.index, 1],
    [b!.index, 2],
  ]
  t.same([...soleTiles(context)].sort(), ofBoth, 'a holder that is away gives nothing either')
  b!.state = 'dead'
  t.match(removalProblem(context, b!), { reason: 'node-holds-tiles', message: /has 2 tiles/ })
})

t.test('one that has the only copies is not forgotten', async (t) => {
  const bench = written(['a', 'b'], { replicas: 1 })
  die(bench, 'b', ['a'])
  t.match(bench.view.removalProblem(B), { reason: 'node-holds-tiles' })
  remove(bench, 'b')
  t.match(bench.view.node(B), { state: 'dead' })
})

t.test('copies of one that is away do not stand for those of a dead one', async (t) => {
  const bench = written(['a', 'b'])
  die(bench, 'b', ['a'])
  bench.close('a')
  t.match(bench.view.removalProblem(B), { reason: 'node-holds-tiles' })
  bench.hello('a')
  t.equal(bench.view.removalProblem(B), undefined)
})

t.test('a dead one goes with all that stood of it, and another gets its place later', async (t) => {
  const bench = written(['a', 'b'])
  die(bench, 'b', ['a'])
  remove(bench, 'b')
  t.match(bench.notices('node-removed'), [{ node: 'b' }])
  const cleared = bench.effects.flatMap((effect) =>
    effect.type === 'publish' && effect.retain && effect.payload === '' ? [effect.topic] : [],
  )
  t.same(
    cleared.map(({ kind }) => kind),
    ['node-state', 'node-info', 'node-telemetry-json'],
  )
  t.equal(bench.view.node(B), undefined)
  t.equal(bench.ledger.get('member', 'b'), undefined)
  for (let tile = 0; tile < TILES; tile++) t.same(bench.view.holdersOf(tile), ['a'])
  bench.live(bench.options.deadAfterMs, ['a'])
  t.same(bench.view.moves().stalled, [])

  bench.hello('c')
  bench.wait(bench.options.settleMs)
  t.equal(bench.ledger.get<{ index: number }>('member', 'c')?.index, 2, 'not yet')
  bench.start()
  t.same(
    bench.view.nodes().map(({ id }) => id),
    ['a', 'c'],
  )
  bench.hello('d')
  t.equal(bench.ledger.get<{ index: number }>('member', 'd')?.index, 1)
  bench.hello('a')
  bench.hello('c')
  bench.live(2000, ['a', 'c', 'd'])
  const { members } = bench.view.ring()
  const holders = [...bench.view.ringHolders()].flat()
  t.same(
    members.map(({ id }) => id),
    ['a', 'd', 'c'],
  )
  for (const tile of holders) t.equal(members[tile[0]!]!.id, 'a')
  t.match(ended(bench.view.plan({ join: ['e'], leave: ['a'] })).stalled, [])
  const outcome = bench.submit({ id: 'second', ...ADD, region: WHOLE })
  t.match(outcome, { ok: true })
  bench.apply('a', bench.entriesTo('a'))
  t.match(bench.task('second'), { state: 'completed' })
})

t.test(
  'its tiles are made anew on others, and it comes back only with an empty store',
  async (t) => {
    const bench = written(['a', 'b', 'c'], { probationMs: 0 })
    die(bench, 'b', ['a', 'c'])
    const { position, chain, seq, storeId } = bench.node('b')
    remove(bench, 'b')
    bench.hello('b', { storeId, position, chain, seq, ledgerId: 'ledger' })
    t.match(bench.sent('refused'), [
      { code: 'ledger-behind', message: /forgotten .* give it an empty data directory$/ },
    ])
    const empty = { storeId: 'new', position: 0, chain: CHAIN_START, seq: 0, ledgerId: null }
    bench.hello('b', empty)
    t.equal(bench.sent('welcome').length, 1)
    t.match(bench.view.node(B), { state: 'alive', tiles: 0 })
  },
)

t.test('one that is dead and holds nothing leaves when it is drained', async (t) => {
  const bench = new GatewayBench()
  bench.join('a', 'b')
  die(bench, 'b', ['a'])
  bench.step({ type: 'drain-requested', node: B, isWanted: true })
  bench.live(bench.options.settleMs, ['a'])
  t.match(bench.view.node(B), { state: 'left' })
  t.equal(bench.view.node(B)?.draining, undefined)
  bench.start()
  t.match(bench.view.node(B), { state: 'left' }, 'after a start, too')
  remove(bench, 'b')
  t.equal(bench.view.node(B), undefined)
})

t.test('a drained node that has stopped leaves when it holds nothing', async (t) => {
  const bench = written(['a', 'b'])
  bench.join('c')
  bench.say('b', { t: 'stopped', position: 1, code: 'store-full', message: 'it is full' } as never)
  bench.step({ type: 'drain-requested', node: B, isWanted: true })
  bench.wait(bench.options.settleMs)
  const copies = bench.sent('copy')
  for (let copy = copies.shift(); copy !== undefined; copy = copies.shift()) {
    const { move, tile } = copy
    bench.say('c', { t: 'staged', move, tile, at: 1, digest: new Uint8Array(8) })
    bench.apply('c', bench.entriesTo('c'))
    copies.push(...bench.sent('copy'))
  }
  bench.wait(bench.options.settleMs)
  t.match(bench.view.node(B), { state: 'left' })
})
