/** Which moves begin, when and how many at a time. */
import t from 'tap'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { ADD, GatewayBench } from '../../../support/gateway-bench.ts'
import { ended } from '../../../support/slices.ts'

const WHOLE = { x: 0, y: 0, w: 16, h: 8 }
const TILES = 8
const DIGEST = new Uint8Array(8)

/** `a` and `b` hold all tiles; `c` has joined after that. */
function written(options: Partial<GatewayBench['options']> = {}): GatewayBench {
  const bench = new GatewayBench({ copyTimeoutMs: 600_000, moveDeadlineMs: 600_000, ...options })
  bench.join('a', 'b')
  bench.submit({ id: 'first', ...ADD, region: WHOLE })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.apply('a', toA)
  bench.apply('b', toB)
  bench.join('c')
  return bench
}

function drain(bench: GatewayBench, node: string): void {
  bench.step({ type: 'drain-requested', node: node as NodeId, isWanted: true })
  bench.wait(bench.options.settleMs)
}

/** Carries the copies that were asked for, and those that follow, to their end; returns how many. */
function carry(bench: GatewayBench, to: string): number {
  const copies = bench.sent('copy')
  let carried = 0
  for (let copy = copies.shift(); copy !== undefined; copy = copies.shift()) {
    const { move, tile } = copy
    bench.say(to, { t: 'staged', move, tile, at: 1, digest: new Uint8Array(8).fill(tile) })
    bench.apply(to, bench.entriesTo(to))
    copies.push(...bench.sent('copy'))
    carried += 1
  }
  return carried
}

t.test('no more moves are under way than may be, and the next begin when they end', async (t) => {
  const bench = written({ movesMax: 3 })
  drain(bench, 'a')
  t.equal(bench.sent('copy').length, 3)
  const copies = bench.sent('copy')
  t.match(bench.view.counts(), { movesOpen: 3, movesPlanned: TILES - 3 })
  const { move, tile } = copies[0]!
  bench.say('c', { t: 'staged', move, tile, at: 1, digest: DIGEST })
  bench.apply('c', bench.entriesTo('c'))
  t.equal(bench.sent('copy').length, 1)
  t.match(bench.view.counts(), { movesOpen: 3, movesPlanned: TILES - 4, movesEnded: 1 })
})

t.test('pages go no faster than the pace allows', async (t) => {
  // A page of 16 LSUs takes more than this, so that each second brings one: its debt is not carried.
  const bench = written({ movesMax: TILES, moveBytesPerSecond: 100 })
  drain(bench, 'a')
  const counts = [bench.sent('copy').length]
  for (let second = 0; second < 4; second++) counts.push(copiesIn(bench, 1000))
  t.equal(counts[0], 1, 'one at once')
  t.ok(Math.max(...counts) <= 1, `${counts} begin in each second`)
  t.ok(
    counts.slice(1).some((count) => count > 0),
    'and it goes on',
  )
  t.equal(bench.view.counts().movesPlanned, TILES - counts.reduce((sum, count) => sum + count))
})

function copiesIn(bench: GatewayBench, ms: number): number {
  bench.live(ms)
  return bench.sent('copy').length
}

t.test(
  'a drained node leaves when all of its tiles are elsewhere, and its drops applied',
  async (t) => {
    const bench = written()
    drain(bench, 'a')
    t.equal(carry(bench, 'c'), TILES)
    for (let tile = 0; tile < TILES; tile++) {
      t.same([...bench.view.holdersOf(tile)].sort(), ['b', 'c'])
    }
    bench.wait(bench.options.settleMs)
    t.same(bench.notices('node-left'), [], 'it still has pages')
    bench.hello('a')
    const drops = bench.entriesTo('a')
    t.equal(drops.length, TILES)
    t.ok(drops.every(({ op }) => op === '$drop'))
    bench.apply('a', drops)
    bench.wait(bench.options.settleMs)
    t.match(bench.notices('node-left'), [{ node: 'a' }])
  },
)

t.test('a drained node that is slow to apply its drops leaves when it has', async (t) => {
  const bench = written()
  drain(bench, 'a')
  t.equal(carry(bench, 'c'), TILES)
  const last = bench.entriesTo('a')
  t.match(last, [{ op: '$drop' }])
  bench.live(3 * bench.options.settleMs)
  t.same(bench.notices('node-left'), [], 'it still has its pages')
  bench.apply('a', last)
  bench.live(bench.options.settleMs)
  t.match(bench.notices('node-left'), [{ node: 'a' }])
})

t.test('a drained node that stops before its last drop leaves', async (t) => {
  const bench = written()
  drain(bench, 'a')
  t.equal(carry(bench, 'c'), TILES)
  bench.live(3 * bench.options.settleMs)
  t.same(bench.notices('node-left'), [], 'it still has its pages')
  const { position } = bench.node('a')
  bench.say('a', { t: 'stopped', position, code: 'disk-failed', message: 'it cannot be written' })
  bench.live(bench.options.settleMs)
  t.match(bench.notices('node-left'), [{ node: 'a' }])
})

t.test('a drain goes on while the node that takes its tiles is behind', async (t) => {
  const bench = written({ movesMax: 1 })
  drain(bench, 'a')
  const [first] = bench.sent('copy')
  bench.say('c', { t: 'staged', move: first!.move, tile: first!.tile, at: 1, digest: DIGEST })
  bench.apply('c', bench.entriesTo('c'))
  const [second] = bench.sent('copy')
  bench.submit({ id: 'slow', ...ADD, region: WHOLE })
  bench.apply('a', bench.entriesTo('a'))
  bench.apply('b', bench.entriesTo('b'))
  bench.live(bench.options.lagMs)
  t.match(bench.notices('replica-lagging'), [{ node: 'c' }])
  const { move, tile } = second!
  bench.say('c', { t: 'copy-failed', move, tile, code: 'page-damaged', message: 'it is damaged' })
  t.match(bench.notices('move-rolled-back'), [{ reason: 'page-damaged' }])
  t.equal(bench.sent('copy').length, 1, 'the next has begun')
})

t.test('moves to a node that fell silent begin when it is heard again', async (t) => {
  const bench = written({ movesMax: TILES })
  const { suspectAfterMs, settleMs } = bench.options
  bench.live(2 * suspectAfterMs, ['a', 'b'])
  t.match(bench.notices('node-suspect'), [{ node: 'c' }])
  drain(bench, 'a')
  t.match(bench.view.counts(), { movesOpen: 0 }, 'there is nobody to take them')
  bench.beat('c')
  bench.live(settleMs)
  t.match(bench.view.counts(), { movesOpen: TILES, movesPlanned: 0 })
})

t.test('a node that is new gets nothing by balance before its probation is over', async (t) => {
  const bench = written({ probationMs: 5000, movesMax: 1 })
  bench.live(4000)
  t.same(bench.sent('copy'), [])
  const probation = [{ node: 'c', seconds: 1 }]
  t.match(bench.view.moves(), { planned_tiles: 0, probation })
  t.match(ended(bench.view.plan({ join: [], leave: [] })), { tiles: 0, probation })
  t.match(bench.view.node('c' as NodeId), { tiles: 0, probation_seconds: 1 })
  bench.live(2000)
  t.equal(bench.sent('copy').length, 1)
  t.same(bench.view.moves().probation, [])
  t.equal(bench.view.node('c' as NodeId)?.probation_seconds, undefined)
  t.match(bench.view.counts(), { movesOpen: 1 })
})

t.test(
  'a node that comes while a plan is made is not taken for one that was asked about',
  async (t) => {
    const bench = written()
    const slices = bench.view.plan({ join: ['d'], leave: ['a'] })
    slices.next()
    bench.hello('e')
    const { moves } = ended(slices)
    t.ok(
      moves.some(({ to }) => to === 'd'),
      JSON.stringify(moves),
    )
    t.notOk(
      moves.some(({ to }) => to === 'e'),
      JSON.stringify(moves),
    )
  },
)

t.test(
  'a drain that can never end says so before and at once, and ends when a node joins',
  async (t) => {
    const bench = new GatewayBench()
    bench.join('a', 'b')
    t.equal(bench.view.drainProblem('b' as NodeId), undefined, 'it holds nothing')
    bench.submit({ id: 'first', ...ADD, region: WHOLE })
    const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
    bench.apply('a', toA)
    bench.apply('b', toB)
    const message =
      '8 tiles of node b cannot leave it: 2 replicas need 2 other nodes, and 1 is left'
    const stall = { node: 'b', reason: 'too-few-nodes', tiles: TILES, message }
    t.equal(bench.view.drainProblem('b' as NodeId), message)
    t.same(ended(bench.view.plan({ join: [], leave: ['b'] })).stalled, [stall])
    t.same(ended(bench.view.plan({ join: ['d'], leave: ['b'] })).stalled, [])
    t.same(bench.view.moves().stalled, [])
    drain(bench, 'b')
    t.match(bench.notices('moves-stalled'), [{ node: 'b', reason: 'too-few-nodes', tiles: TILES }])
    t.same(bench.view.moves().stalled, [stall])
    const still = { stands_still: 'too-few-nodes', eta_seconds: undefined }
    t.match(bench.view.moves(), { ...still, waiting: { 'too-few-nodes': TILES } })
    t.match(bench.view.node('b' as NodeId), { waits_for: 'too-few-nodes', drain_tiles: TILES })
    bench.live(60_000)
    t.same(bench.notices('moves-stalled'), [], 'once')
    bench.hello('c')
    bench.wait(bench.options.settleMs)
    t.same(bench.view.moves().stalled, [])
    carry(bench, 'c')
    bench.live(bench.options.settleMs)
    bench.apply('b', bench.entriesTo('b'))
    t.match(bench.view.counts(), { movesEnded: TILES })
  },
)

t.test('tiles whose only holder is away are said to stay where they are', async (t) => {
  const bench = new GatewayBench({ replicas: 1, reconnectMs: 0 })
  bench.join('a', 'b')
  bench.submit({ id: 'first', ...ADD, region: WHOLE })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.apply('a', toA)
  bench.apply('b', toB)
  bench.close('b')
  bench.live(2 * bench.options.deadAfterMs, ['a'])
  const tiles = toB.length > 0 ? bench.view.node('b' as NodeId)!.tiles : 0
  t.ok(tiles > 0)
  t.match(bench.notices('moves-stalled'), [{ node: 'b', reason: 'no-source', tiles }])
  t.match(bench.view.moves().stalled, [{ node: 'b', reason: 'no-source', tiles }])
})

t.test(
  'how long moves take is told by those that ended, and not where nothing gets on',
  async (t) => {
    const bench = written({ movesMax: 1 })
    drain(bench, 'a')
    const node = () => bench.view.node('a' as NodeId)
    t.match(bench.view.moves(), { eta_seconds: 1, stands_still: undefined, rate: 0 })
    t.match(node(), { eta_seconds: 1, waits_for: undefined, drain_tiles: node()!.tiles_written })
    bench.live(40_000)
    t.match(bench.view.moves(), { eta_seconds: undefined, stands_still: 'copying' }, 'none ended')
    t.match(node(), { eta_seconds: undefined, waits_for: 'copying', troubled: true })
    const [copy] = bench.sent('copy')
    const { move, tile } = copy ?? { move: 0, tile: 0 }
    bench.say('c', { t: 'copy-failed', move, tile, code: 'store-full', message: 'it is full' })
    t.equal(ended(bench.view.plan({ join: [], leave: [] })).seconds, 1)
  },
)

t.test('what was given up waits for the reason of that', async (t) => {
  const bench = written({ movesMax: 1 })
  drain(bench, 'a')
  const [{ move, tile } = { move: 0, tile: 0 }] = bench.sent('copy')
  bench.say('c', { t: 'copy-failed', move, tile, code: 'store-full', message: 'it is full' })
  bench.live(bench.options.settleMs)
  bench.close('b')
  const [next] = bench.sent('copy')
  t.equal(next, undefined)
  t.match(bench.view.moves().waiting, { paced: TILES - 2 })
  bench.hello('b')
  bench.wait(bench.options.settleMs)
  t.match(bench.view.moves().waiting, { 'store-full': 1 })
})

t.test('a node that is away for a moment moves nothing, one that is dead does', async (t) => {
  const bench = written({ probationMs: 600_000 })
  bench.close('b')
  bench.live(bench.options.deadAfterMs - bench.options.heartbeatMs, ['a', 'c'])
  t.same(bench.sent('copy'), [])
  bench.live(2 * bench.options.heartbeatMs, ['a', 'c'])
  t.match(bench.notices('moves-planned'), [{ tiles: TILES, repair: TILES }])
  t.ok(bench.sent('copy', bench.node('a').connection).length > 0, 'which is worth the risk')
})

t.test('thousands that are dead and hold nothing are let go some at a time', async (t) => {
  const bench = new GatewayBench({ massSilenceShare: 1 })
  const names = Array.from({ length: 600 }, (_, count) => `n${count}`)
  bench.join(...names)
  for (const name of names) bench.close(name)
  const closed: number[] = []
  for (let nextMs = bench.nextDeadlineMs()!; nextMs < 40_000; nextMs = bench.nextDeadlineMs()!) {
    bench.wait(nextMs - bench.nowMs)
    const count = bench.notices('stream-closed').length
    if (count > 0) closed.push(count)
  }
  t.same(closed, [256, 256, 88])
})

t.test(
  'a write is recorded once in a step, however many are let go that had parts of it',
  async (t) => {
    const bench = new GatewayBench({ replicas: 6, massSilenceShare: 1, movesMax: 0 })
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    bench.join(...names)
    const { width, height } = bench.options.grid.geometry
    bench.submit({ id: 'w', ...ADD, region: { x: 0, y: 0, w: width, h: height } })
    const [stays, ...away] = names.map((name) => ({ name, entries: bench.entriesTo(name) }))
    const all = Uint32Array.from({ length: TILES }, (_, tile) => tile)
    for (const { name } of away) {
      const { position, chain } = bench.node(name)
      const broken = new Uint8Array(all.buffer)
      bench.say(name, { t: 'applied', position, chain, results: [], broken })
      bench.close(name)
    }
    bench.apply(stays!.name, stays!.entries)
    t.match(bench.task('w'), { state: 'completed' })
    t.equal(bench.ledger.count('write'), 1, 'it is kept for those who are away')
    while (bench.notices('stream-closed').length === 0) {
      bench.beat(stays!.name)
      bench.wait(bench.nextDeadlineMs()! - bench.nowMs)
    }
    t.equal(bench.notices('stream-closed').length, away.length)
    const records = bench.effects.flatMap((effect) => {
      return effect.type === 'persist'
        ? effect.records.filter(({ table }) => table === 'write')
        : []
    })
    t.match(records, [{ value: undefined }], 'nobody needs it any more')
    t.equal(records.length, 1)
  },
)
