/** What is left to do when a ledger, a log or a write cannot go on: rebuild, give up, void. */
import t from 'tap'
import { newIdentity } from '../../../../broker/core/coordinator.ts'
import type { CoordinatorOptions } from '../../../../broker/core/state/coordinator-context.ts'
import { ShardStream } from '../../../../firmware-agent/core/shard-stream.ts'
import { effectsOfOrder } from '../../../../firmware-agent/core/store-orders.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import { packTiles, unpackNumbers } from '../../../../shared/operations/columns.ts'
import { MESSAGE_BYTES_MAX } from '../../../../shared/protocol/limits.ts'
import { decodeDown, encodeMessage } from '../../../../shared/protocol/messages.ts'
import {
  ADD,
  BENCH_OPTIONS,
  EMPTY_STORE,
  GatewayBench,
  GET,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

const CHAIN = new Uint8Array(8).fill(7)

/** Its store is of a ledger that is lost. */
function hello(bench: GatewayBench, name: string, position: number, ledgerId = 'lost'): string {
  bench.hello(name, { ledgerId, position, chain: CHAIN, seq: 10 * position })
  return `${name}-${bench.connections}`
}

function held(
  bench: GatewayBench,
  connection: string,
  { position, tiles, ats }: { position: number; tiles: number[]; ats: number[] },
  from = 0,
  next: number | null = null,
): void {
  const node = connection.replace(/-\d+$/, '')
  bench.receive(connection, node, {
    t: 'held',
    storeId: `store-${node}`,
    position,
    from,
    tiles: packTiles(tiles),
    ats,
    next,
  })
}

function recovering(nodes: number, options: Partial<CoordinatorOptions> = {}): GatewayBench {
  const bench = new GatewayBench({ ...options, recoverNodes: nodes })
  const identity = { ...newIdentity(bench.options, 'rebuilt'), isRecovering: true }
  bench.ledger.write([{ table: 'meta', key: 'identity', value: identity }])
  bench.start()
  return bench
}

t.test('a new ledger gives each tile to those with its highest `at`', async (t) => {
  const bench = recovering(2)
  t.match(bench.submit({ ...GET }), { refusal: { code: 'recovering' } })
  const a = hello(bench, 'a', 3)
  t.same(bench.sent('list-tiles', a), [{ t: 'list-tiles', from: 0 }])
  held(bench, a, { position: 3, tiles: [0, 1], ats: [20, 30] })
  t.same(bench.sent('rebase'), [], 'nothing is decided before all have come')
  const b = hello(bench, 'b', 2)
  held(bench, b, { position: 2, tiles: [0, 1], ats: [20, 25] })
  t.match(bench.notices('recovered'), [{ nodes: 2, tiles: 2, missing: 6 }])
  const keep = (connection: string) => bench.sent('rebase', connection).map((order) => order.keep)
  t.same(keep(a).map(Buffer.from), [Buffer.from(packTiles([0, 1]))])
  t.same(keep(b).map(Buffer.from), [Buffer.from(packTiles([0]))])
  t.ok(bench.view.counts().sequence! >= 30)

  bench.start()
  bench.hello('a', { ledgerId: 'lost', position: 3, chain: CHAIN })
  t.equal(bench.sent('rebase').length, 1, 'it is told again when it did not hear')
  bench.hello('b', { ledgerId: 'lost', position: 1, chain: CHAIN })
  t.equal(bench.sent('wipe').length, 1, 'not the store that was counted on')
  bench.hello('a', { ledgerId: 'rebuilt' })
  t.equal(bench.sent('welcome').length, 1)
  bench.wait(bench.options.graceMs + bench.options.settleMs)
  t.match(bench.submit({ ...GET, region: { x: 12, y: 4, w: 4, h: 4 } }), {
    refusal: { code: 'tile-missing' },
  })
  bench.step({ type: 'recreate-requested' })
  t.match(bench.notices('tiles-recreated'), [{ tiles: 6 }])
  t.ok(bench.submit({ ...GET, region: { x: 12, y: 4, w: 4, h: 4 } }).ok)
})

t.test('the copy of a store counts as no node of its own', async (t) => {
  const bench = recovering(2)
  const a = hello(bench, 'a', 3)
  held(bench, a, { position: 3, tiles: [0], ats: [5] })
  const copy = { ledgerId: 'lost', position: 3, chain: CHAIN, storeId: 'store-a' }
  bench.hello('copy', copy)
  t.match(bench.sent('refused'), [{ code: 'store-cloned', message: /copy of that of node a$/ }])
  t.same(bench.notices('recovered'), [])
  const b = hello(bench, 'b', 2)
  held(bench, b, { position: 2, tiles: [1], ats: [4] })
  t.match(bench.notices('recovered'), [{ nodes: 2 }])
  bench.hello('copy', copy)
  t.match(bench.sent('refused'), [{ code: 'store-cloned' }], 'nor when it comes late')
})

t.test('a board with an empty store counts as no node that is waited for', async (t) => {
  const bench = recovering(2)
  held(bench, hello(bench, 'b', 2), { position: 2, tiles: [0], ats: [20] })
  bench.hello('new', EMPTY_STORE)
  t.match(bench.notices('recovered'), [])
  held(bench, hello(bench, 'a', 3), { position: 3, tiles: [0], ats: [30] })
  t.match(bench.notices('recovered'), [{ nodes: 2 }])
  t.same(bench.view.holdersOf(0), ['a'])
})

t.test('no other device takes the place of one that has shown what it holds', async (t) => {
  const bench = recovering(2)
  held(bench, hello(bench, 'a', 3), { position: 3, tiles: [0], ats: [30] })
  bench.hello('a', { ...EMPTY_STORE, storeId: 'another' })
  t.match(bench.sent('refused'), [{ code: 'id-taken' }])
  held(bench, hello(bench, 'b', 2), { position: 2, tiles: [1], ats: [20] })
  t.match(bench.notices('recovered'), [{ nodes: 2, tiles: 2 }])
  bench.hello('a', { ledgerId: 'lost', position: 9, chain: CHAIN, storeId: 'third' })
  t.match(bench.sent('refused'), [{ code: 'id-taken' }], 'and none loses its store for that')
  t.same(bench.sent('wipe'), [])
})

t.test('a node that gets another name while the fleet is waited for is the same', async (t) => {
  const bench = recovering(2)
  const a = hello(bench, 'a', 3)
  held(bench, a, { position: 3, tiles: [0], ats: [30] })
  bench.step({ type: 'connection-closed', connection: a })
  bench.hello('c', { ledgerId: 'lost', position: 3, chain: CHAIN, storeId: 'store-a' })
  t.same(bench.sent('refused'), [])
  bench.receive(`c-${bench.connections}`, 'c', {
    ...{ t: 'held', storeId: 'store-a', position: 3, from: 0, next: null },
    tiles: packTiles([0]),
    ats: [30],
  })
  held(bench, hello(bench, 'b', 2), { position: 2, tiles: [1], ats: [20] })
  t.same(bench.view.holdersOf(0), ['c'])
})

t.test('a node of the lost ledger that comes late gives what nobody has', async (t) => {
  const bench = recovering(1)
  held(bench, hello(bench, 'a', 3), { position: 3, tiles: [0], ats: [20] })
  const late = hello(bench, 'b', 2)
  held(bench, late, { position: 2, tiles: [0, 5], ats: [19, 7] })
  t.match(bench.notices('recovered-late'), [{ node: 'b', tiles: 1 }])
  const [order] = bench.sent('rebase', late)
  t.same(Buffer.from(order!.keep), Buffer.from(packTiles([5])))
  hello(bench, 'c', 1, 'another')
  t.match(bench.notices('node-refused'), [{ node: 'c', reason: 'ledger-mismatch' }])
})

for (const isWritten of [false, true]) {
  const name = isWritten ? 'no older copy of what was written since' : 'what nobody wrote since'
  t.test(`a late node gives ${name}`, async (t) => {
    const bench = recovering(1, { replicas: 1 })
    held(bench, hello(bench, 'a', 3), { position: 3, tiles: [0, 1], ats: [20, 20] })
    bench.hello('a', { ledgerId: 'rebuilt' })
    if (isWritten) {
      bench.submit({ id: 'w', ...ADD, region: TILE_0 })
      bench.apply('a', bench.entriesTo('a'))
      t.match(bench.task('w'), { state: 'completed' })
    }
    bench.start()
    bench.hello('a', { ledgerId: 'rebuilt', broken: packTiles([0]) })
    t.same(bench.view.holdersOf(0), [])
    held(bench, hello(bench, 'b', 2), { position: 2, tiles: [0], ats: [20] })
    t.same(bench.view.holdersOf(0), isWritten ? [] : ['b'])
  })
}

t.test('a node that does not come back after a recovery is dead in its time', async (t) => {
  const bench = recovering(3, { reconnectMs: 65_000 })
  const names = ['a', 'b', 'c']
  const [, , c] = names.map((name) => {
    const connection = hello(bench, name, 3)
    held(bench, connection, { position: 3, tiles: [0], ats: [20] })
    return connection
  })
  bench.step({ type: 'connection-closed', connection: c! })
  const here = ['a', 'b']
  for (const name of here) bench.hello(name, { ledgerId: 'rebuilt' })
  held(bench, hello(bench, 'late', 3), { position: 3, tiles: [5], ats: [20] })
  const states = () => bench.view.nodes().map(({ id, state }) => `${id} ${state}`)
  bench.live(65_000 + bench.options.deadAfterMs - bench.options.heartbeatMs, here)
  t.same(states(), ['a alive', 'b alive', 'c suspect', 'late suspect'])
  bench.live(2 * bench.options.heartbeatMs, here)
  t.same(states(), ['a alive', 'b alive', 'c dead', 'late dead'])
  t.equal(bench.view.removalProblem('c' as NodeId), undefined, 'the others have what it has')
  bench.wait(bench.options.settleMs)
  const back = hello(bench, 'c', 3)
  t.equal(bench.sent('wipe', back).length, 1, 'it begins anew: the log went on without it')
  t.same(bench.sent('refused', back), [])
})

t.test('another device joins as a node that is showing what it holds', async (t) => {
  const bench = recovering(1)
  held(bench, hello(bench, 'a', 3), { position: 3, tiles: [0], ats: [20] })
  const late = hello(bench, 'n', 2)
  held(bench, late, { position: 2, tiles: [1], ats: [9] }, 0, 4)
  bench.hello('n', { ...EMPTY_STORE, process: 'other' })
  t.equal(bench.sent('welcome').length, 1)
  t.same(bench.disconnects(), [`${late} id-taken`])
  held(bench, late, { position: 2, tiles: [5], ats: [7] }, 4)
  t.same(bench.effects, [], 'its id is not its own any more')
  const former = { ledgerId: 'lost', position: 2, storeId: 'store-n', process: 'process-n' }
  bench.hello('n', { ...former, chain: CHAIN, seq: 20 })
  t.match(bench.notices('node-refused'), [{ node: 'n', reason: 'id-taken' }])
  t.same(bench.sent('wipe'), [], 'what it has may be the last copy')
})

t.test('a connection that ends takes a late inventory with it', async (t) => {
  const bench = recovering(1)
  held(bench, hello(bench, 'a', 3), { position: 3, tiles: [0], ats: [20] })
  const late = hello(bench, 'b', 2)
  held(bench, late, { position: 2, tiles: [1], ats: [9] }, 0, 4)
  bench.step({ type: 'connection-closed', connection: late })
  held(bench, late, { position: 2, tiles: [5], ats: [7] }, 4)
  t.same(bench.effects, [])
  const again = hello(bench, 'b', 2)
  held(bench, again, { position: 2, tiles: [1, 5], ats: [9, 7] })
  t.match(bench.notices('recovered-late'), [{ node: 'b', tiles: 2 }])
})

t.test('an order to keep fits into a message, however large the slice', async (t) => {
  const geometry = new Geometry({ width: 2560, height: 2560, tile: 4 })
  const bench = recovering(1, { grid: { ...BENCH_OPTIONS.grid, geometry }, replicas: 1 })
  const a = hello(bench, 'a', 3)
  const PAGE = 50_000
  const tiles = Array.from({ length: geometry.tiles }, (_, tile) => tile).filter((tile) => tile % 7)
  t.ok(tiles.length > 278_528)
  for (let from = 0; from < tiles.length; from += PAGE) {
    const some = tiles.slice(from, from + PAGE)
    const page = { position: 3, tiles: some, ats: some.map(() => 20) }
    held(bench, a, page, from, from + PAGE < tiles.length ? from + PAGE : null)
  }
  const [order] = bench.sent('rebase', a)
  const payload = encodeMessage(order!)
  t.ok(payload.length <= MESSAGE_BYTES_MAX, `${payload.length} bytes`)
  const decoded = decodeDown(payload)
  if (!decoded.ok) return t.fail(decoded.problem)
  const mark = { position: 3, chain: CHAIN, seq: 30 }
  const stream = new ShardStream(mark, [])
  const effects = effectsOfOrder(
    decoded.message as typeof order & { t: 'rebase' },
    'store-a',
    stream,
  )
  const rebase = effects.find((effect) => effect.type === 'rebase')
  t.ok(rebase?.type === 'rebase' && Buffer.from(rebase.keep.buffer).equals(packTiles(tiles)))
})

t.test('what is written after a late node came stands above all that it brought', async (t) => {
  const bench = recovering(1)
  held(bench, hello(bench, 'a', 3), { position: 3, tiles: [0], ats: [20] })
  const late = hello(bench, 'b', 2)
  held(bench, late, { position: 2, tiles: [1, 5], ats: [4000, 7] })
  t.match(bench.notices('recovered-late'), [{ node: 'b', tiles: 2 }])
  bench.hello('b', { ledgerId: 'rebuilt' })
  bench.submit({ id: 'w', ...ADD, region: { x: 4, y: 0, w: 4, h: 4 } })
  const [entry] = bench.entriesTo('b')
  t.equal(entry?.op, 'add')
  t.ok(entry!.seq > 4000, 'else the node would skip it and acknowledge')
  bench.start()
  t.ok(bench.view.counts().sequence! > 4000, 'and the ledger knows')
})

t.test('a reading that comes with the recovery counts, and not that of the copy', async (t) => {
  const bench = new GatewayBench({ reconnectMs: 1000 })
  const restored = { ts: 0, seq: 5, nodes: ['a'] }
  const identity = { ...newIdentity(bench.options, 'rebuilt'), isRecovering: true, restored }
  bench.ledger.write([
    { table: 'meta', key: 'identity', value: identity },
    { table: 'cell', key: 'value/1', value: { value: 3, upTo: 50 } },
  ])
  bench.start()
  held(bench, hello(bench, 'a', 3), { position: 3, tiles: [0], ats: [20] })
  // The step that recovers is the one that brings the reading.
  bench.nowMs = bench.options.reconnectMs
  bench.read([[1, 0, 9]])
  t.match(bench.notices('recovered'), [{ readings: 1 }])
  bench.hello('a', { ledgerId: 'rebuilt' })
  bench.wait(bench.options.cellsWindowMs)
  const [entry] = bench.entriesTo('a')
  t.same(unpackNumbers((entry!.args as { values: Uint8Array }).values), [9])
})

t.test('a write that no replica can apply is voided, and the streams go on', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.submit({ id: 'x', ...ADD, region: TILE_0 })
  const trouble = { t: 'stopped', code: 'entry-invalid', message: 'no sense' } as const
  bench.say('a', { ...trouble, position: 1 })
  t.match(bench.task('w'), { state: 'running' }, 'the other may still apply it')
  bench.say('b', { ...trouble, position: 1 })
  t.match(bench.task('w'), { state: 'failed', effect: 'none', error: { code: 'write-voided' } })
  t.equal(bench.disconnects().length, 2)
  for (const name of ['a', 'b']) {
    bench.hello(name)
    const entries = bench.entriesTo(name)
    t.same(
      entries.map(({ position, op }) => [position, op]),
      [
        [2, '$void'],
        [3, 'add'],
      ],
    )
    bench.apply(name, entries)
  }
  t.match(bench.task('x'), { state: 'completed', effect: 'done' })
})

t.test('a write is voided where the last that could apply it has lost its store', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.say('a', { t: 'stopped', position: 1, code: 'entry-invalid', message: 'no sense' })
  bench.close('b')
  t.match(bench.task('w'), { state: 'running' }, 'the other may still apply it')
  bench.hello('b', { ...EMPTY_STORE })
  t.match(bench.task('w'), { state: 'failed', effect: 'none', error: { code: 'write-voided' } })
  bench.hello('a')
  t.match(bench.entriesTo('a'), [{ op: '$void' }])
})

t.test('a write that one replica lacks room for is not voided', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.say('a', { t: 'stopped', position: 1, code: 'store-full', message: 'full' })
  bench.say('b', { t: 'stopped', position: 1, code: 'entry-invalid', message: 'no sense' })
  t.match(bench.task('w'), { state: 'running', effect: 'pending' })
})
