import t from 'tap'
import { newIdentity } from '../../../../broker/core/coordinator.ts'
import { CoordinatorContext } from '../../../../broker/core/state/coordinator-context.ts'
import { nodeViewOf } from '../../../../broker/core/views/node-views.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { Random } from '../../../../shared/core/random.ts'
import {
  ADD,
  BENCH_OPTIONS,
  GatewayBench,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

t.test(
  'it is told when a node was last heard, how far it is behind, and who is in trouble',
  async (t) => {
    const bench = settledPair()
    const viewOf = (name: string) => bench.view.node(name as NodeId)
    bench.wait(500)
    bench.beat('a')
    const heardTs = 1_750_000_000_000 + bench.nowMs
    bench.wait(700)
    bench.submit({ id: 'second', ...ADD, region: TILE_0 })
    t.match(viewOf('a'), { heard_ts: heardTs, behind: 1, troubled: undefined })
    bench.close('b')
    t.match(viewOf('b'), { behind: 1, troubled: true })
    bench.start()
    t.match(viewOf('a'), { heard_ts: undefined, troubled: true }, 'not since the gateway started')
    t.equal(bench.view.stateOf('a' as NodeId), 'suspect')
    t.equal(bench.view.stateOf('z' as NodeId), undefined)
  },
)

t.test('one node is shown without a look at all others', async (t) => {
  const { view } = settledPair()
  const nodesFrom = (): never => t.fail('all were looked at') as never
  Object.assign(view, { nodesFrom })
  t.match(view.node('b' as NodeId), { id: 'b', state: 'alive' })
  t.equal(view.node('z' as NodeId), undefined)
})

t.test('nodes come in slices, each once, also when another joins between two', async (t) => {
  const bench = new GatewayBench()
  const names = Array.from({ length: 450 }, (_, at) => `n-${at}`)
  for (const name of names) bench.hello(name)
  const slices: string[][] = []
  for (const some of bench.view.nodesInSlices()) {
    slices.push(some.map(({ id }) => id))
    bench.hello(`late-${slices.length}`)
  }
  t.ok(slices.length > 2, `${slices.length} slices`)
  t.same(slices.flat(), names)
})

t.test('who goes before it is his turn is in no slice, also if his name comes again', async (t) => {
  const bench = new GatewayBench()
  const names = Array.from({ length: 450 }, (_, at) => `n-${at}`)
  for (const name of names) bench.hello(name)
  for (const name of ['n-300', 'n-301']) {
    bench.close(name)
    bench.step({ type: 'node-revoked', node: name as NodeId })
  }
  const told: string[] = []
  let slices = 0
  for (const some of bench.view.nodesInSlices()) {
    told.push(...some.map(({ id }) => id))
    slices += 1
    if (slices > 1) continue
    for (const name of ['n-300', 'n-301']) {
      bench.step({ type: 'removal-requested', node: name as NodeId })
      t.equal(bench.view.node(name as NodeId), undefined)
    }
    bench.hello('n-301', { storeId: 'another' })
  }
  t.equal(bench.view.stateOf('n-301' as NodeId), 'alive')
  t.same(told, [...names.slice(0, 300), ...names.slice(302)])
})

t.test('who has left is in no trouble, whoever else is away is', async (t) => {
  const identity = newIdentity(BENCH_OPTIONS, 'ledger')
  const context = new CoordinatorContext(BENCH_OPTIONS, new Random(1), identity)
  const joined = { joinedTs: 1, storeId: 'store' }
  const member = context.members.add('a' as NodeId, joined)
  const troubled = () => nodeViewOf(context, member, { tiles: 0, written: 0 }).troubled
  t.equal(troubled(), true)
  member.state = 'left'
  t.equal(troubled(), undefined)
  context.members.open(member, 'a-1', 'process', 1)
  t.equal(troubled(), undefined)
  member.stopReason = { code: 'store-full', message: 'no room' }
  t.equal(troubled(), true)
})
