import t from 'tap'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { CHAIN_START } from '../../../../shared/protocol/stream-chain.ts'
import {
  ADD,
  EMPTY_STORE,
  GatewayBench,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

const OTHER_CHAIN = new Uint8Array(8).fill(9)

t.test('a new node is admitted, with a session of its own', async (t) => {
  const bench = new GatewayBench()
  bench.hello('a')
  t.match(bench.sent('welcome'), [{ ledgerId: 'ledger', confirmed: 0 }])
  t.same(
    bench.effects.slice(0, 3).map(({ type }) => type),
    ['persist', 'admit', 'send'],
  )
  bench.hello('b')
  t.not(bench.node('a').session, bench.node('b').session)
})

const refused: [name: string, hello: Record<string, unknown>, code: string][] = [
  ['another protocol version', { version: 2 }, 'protocol-version'],
  ['a store of another ledger', { ledgerId: 'other' }, 'ledger-mismatch'],
  [
    'a store of another grid',
    { grid: { width: 8, height: 8, tile: 4, fields: 'value:f64' } },
    'grid-mismatch',
  ],
  ['writes that the ledger does not know', { position: 3 }, 'ledger-behind'],
  ['the store of another node', { storeId: 'store-a' }, 'store-cloned'],
]
for (const [name, hello, code] of refused) {
  t.test(`${name} is refused`, async (t) => {
    const bench = new GatewayBench()
    bench.hello('a')
    bench.hello('z', hello)
    t.match(bench.sent('refused'), [{ code }])
    t.same(bench.disconnects(), [`z-2 ${code}`])
    t.equal(bench.view.nodes().length, 1)
  })
}

t.test('the ring is published soon after a change, and once a second at most', async (t) => {
  const bench = settledPair()
  const said: number[] = []
  const pass = (ms: number): void => {
    for (let step = 0; step < ms; step += 50) {
      const effects = bench.live(50)
      const isSaid = effects.some((e) => e.type === 'publish' && e.topic.kind === 'gateway-ring')
      if (isSaid) said.push(bench.nowMs)
    }
  }
  pass(2000)
  said.length = 0
  const beganMs = bench.nowMs
  for (let change = 0; change < 20; change++) {
    bench.close('b')
    pass(100)
    bench.hello('b')
    pass(100)
  }
  t.ok(said[0]! - beganMs <= 250, 'the first one is not held up')
  t.ok(said.length >= 4, `${said.length} times`)
  t.ok(
    said.every((atMs, at) => at === 0 || atMs - said[at - 1]! >= 1000),
    said.join(),
  )
  pass(2000)
  const count = said.length
  pass(5000)
  t.equal(said.length, count, 'without a change nothing is said')
})

t.test('a second device with the id of a connected one is refused', async (t) => {
  const bench = new GatewayBench()
  bench.hello('a')
  bench.hello('a', { process: 'other', storeId: 'other', ledgerId: null })
  t.match(bench.sent('refused'), [{ code: 'id-taken' }])
  bench.beat('a')
  t.equal(bench.sent('beat').length, 1, 'the first one goes on')
})

t.test('a session that fell silent gives way to another process', async (t) => {
  const bench = new GatewayBench()
  bench.hello('a')
  bench.wait(bench.options.suspectAfterMs)
  bench.hello('a', { process: 'other' })
  t.equal(bench.sent('welcome').length, 1)
  t.same(bench.disconnects(), ['a-1 superseded'])
})

t.test('the same process comes back before its old connection is known to be gone', async (t) => {
  const bench = new GatewayBench()
  bench.hello('a')
  const old = { ...bench.node('a') }
  bench.hello('a')
  t.same(bench.disconnects(), ['a-1 superseded'])
  t.not(bench.node('a').session, old.session)
  bench.receive(old.connection, 'a', { t: 'heartbeat', session: old.session, beat: 1 })
  t.same(bench.effects, [], 'the old connection speaks under an old right')
  bench.step({ type: 'connection-closed', connection: old.connection })
  t.equal(bench.view.nodes()[0]!.state, 'alive', 'and its end is nobody’s')
})

t.test('a message of another session, or for another node, is dropped', async (t) => {
  const bench = new GatewayBench()
  bench.hello('a')
  const { connection, session } = bench.node('a')
  bench.receive(connection, 'a', { t: 'heartbeat', session: session + 1, beat: 1 })
  t.same(bench.effects, [])
  bench.receive(connection, 'b', { t: 'heartbeat', session, beat: 1 })
  t.same(bench.effects, [])
})

t.test('a store that stands before what it acknowledged is wiped, then empty', async (t) => {
  const bench = settledPair()
  bench.close('a')
  bench.hello('a', { position: 0, chain: CHAIN_START, seq: 0 })
  t.match(bench.sent('wipe'), [{ storeId: 'store-a', position: 0 }])
  t.equal(bench.sent('welcome').length, 0)
  bench.hello('a', EMPTY_STORE)
  t.equal(bench.sent('welcome').length, 1)
  t.match(bench.notices('store-replaced'), [{ node: 'a', lost: 1, missing: 0 }])
  t.same(bench.view.holdersOf(0), ['b'])
})

t.test('a replaced store whose old connection is still open ends that', async (t) => {
  const bench = settledPair()
  const { connection } = bench.node('a')
  bench.wait(bench.options.suspectAfterMs)
  const empty = { position: 0, chain: CHAIN_START, seq: 0, ledgerId: null }
  bench.hello('a', { process: 'other', storeId: 'new', ...empty })
  t.same(bench.disconnects(), [`${connection} superseded`])
})

t.test('a stream that does not match the ledger is refused, never rewound', async (t) => {
  const bench = settledPair()
  bench.close('a')
  bench.hello('a', { chain: OTHER_CHAIN })
  t.match(bench.sent('refused'), [{ code: 'stream-mismatch' }])
  bench.hello('a', { position: 7 })
  t.match(bench.sent('refused'), [{ code: 'stream-mismatch' }])
})

t.test('an acknowledgement that does not match stops that stream with an alarm', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  const { connection, session } = bench.node('a')
  bench.receive(connection, 'a', {
    t: 'applied',
    session,
    position: 2,
    chain: OTHER_CHAIN,
    results: [],
  })
  t.match(bench.notices('stream-mismatch'), [{ node: 'a', position: 2 }])
  t.same(bench.disconnects(), [`${connection} stream-mismatch`])
  t.equal(bench.view.nodes()[0]!.state, 'suspect')
})

t.test('a node that joins after the first write gets none of its tiles by that', async (t) => {
  const bench = settledPair()
  bench.hello('c')
  bench.wait(bench.options.settleMs)
  t.same([...bench.view.holdersOf(0)].sort(), ['a', 'b'])
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  t.same(bench.entriesTo('c'), [])
})

t.test('a dead member keeps no tile from being born, a suspect one does', async (t) => {
  const bench = new GatewayBench()
  bench.join('a', 'b', 'c')
  bench.close('c')
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  t.equal(bench.task('w')?.state, 'accepted', 'it may only be away for a moment')
  for (let ms = 0; ms < bench.options.deadAfterMs; ms += bench.options.heartbeatMs) {
    for (const name of ['a', 'b']) bench.beat(name)
    bench.wait(bench.options.heartbeatMs)
  }
  t.match(bench.view.nodes()[2], { id: 'c', state: 'dead' })
  t.equal(bench.task('w')?.state, 'running')
  t.same([...bench.view.holdersOf(0)].sort(), ['a', 'b'])
})

t.test('a revoked member is dead at once, and that is no silence', async (t) => {
  const bench = settledPair()
  bench.hello('c')
  bench.hello('d')
  bench.wait(bench.options.settleMs)
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  for (const name of ['a', 'b']) bench.apply(name, bench.entriesTo(name))
  const { connection } = bench.node('a')
  bench.step({ type: 'node-revoked', node: 'a' as NodeId })
  t.match(bench.view.nodes()[0], { id: 'a', state: 'dead', draining: true })
  t.match(bench.notices('node-dead'), [{ node: 'a', reason: 'revoked' }])
  t.same(bench.notices('node-suspect'), [])
  t.same(bench.disconnects(), [`${connection} revoked`])
  bench.step({ type: 'node-revoked', node: 'a' as NodeId })
  t.same(bench.effects, [], 'once')
  bench.close('c')
  bench.step({ type: 'node-revoked', node: 'c' as NodeId })
  t.match(bench.view.nodes()[2], { id: 'c', state: 'dead' }, 'away or not')
  bench.step({ type: 'node-revoked', node: 'nobody' as NodeId })
  t.same(bench.notices('doubt-began'), [])
  t.same(bench.view.detector().doubts, [])
  const { reconnectMs, suspectAfterMs } = bench.options
  bench.live(reconnectMs + suspectAfterMs, ['b', 'd'])
  t.same(bench.notices('doubt-began'), [])
})
