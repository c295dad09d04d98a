/** Writes that read neighbours: a barrier, what lies around the tiles, and the write with that in its arguments. */
import t from 'tap'
import { BARRIER_MS, RETRY_MS } from '../../../../broker/core/rules/edge-reads.ts'
import { BARRIERS_MAX } from '../../../../broker/core/state/barriers.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import { unpackTiles } from '../../../../shared/operations/columns.ts'
import { OSL_EDGES } from '../../../../shared/operations/osl-edges.ts'
import { OSL_NEAR } from '../../../../shared/operations/osl-near.ts'
import type { Down } from '../../../../shared/protocol/messages.ts'
import {
  ADD,
  BENCH_OPTIONS,
  GatewayBench,
  GET,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'
import { Pages } from '../../../support/operation-parts.ts'

type Read = Extract<Down, { t: 'read' }>

const SHIFT = { op: 'program', args: { source: 'value = coalesce(value[1,0], 0)' } }
/** Inside tile 1, and read by `SHIFT` over tile 0; far from it. */
const BESIDE = { x: 4, y: 0, w: 1, h: 1 }
const BEHIND = { x: 5, y: 0, w: 1, h: 1 }

/** What the last step asked of whom. */
function asked(bench: GatewayBench): [name: string, read: Read][] {
  return [...bench.nodes.keys()].flatMap((name) =>
    bench.readsTo(name).map((read): [string, Read] => [name, read]),
  )
}

/** The nodes answer what lies around: zeros, and 7 in tile 1. */
function answer(bench: GatewayBench, reads: readonly [string, Read][]): void {
  const pages = new Pages(bench.options.grid)
  pages.page(1).fill(0, 7)
  for (const [name, read] of reads) {
    const [x, y, w, h] = read.grid!.region
    const tiles = unpackTiles(Buffer.concat([read.grid!.tiles, read.grid!.unborn])).sort()
    const value = pages.partial(OSL_EDGES, read.args, { x, y, w, h }, tiles)
    bench.answer(name, read, { value })
  }
}

const stateOf = (bench: GatewayBench, id: string): string => bench.task(id)!.state
const reasonOf = (bench: GatewayBench, id: string): unknown =>
  (bench.task(id) as { waiting_for?: unknown }).waiting_for

t.test('nobody writes what it reads, until it has its place behind that', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'near', ...SHIFT, region: TILE_0 })
  t.same(bench.entriesTo('a'), [])
  const reads = asked(bench)
  t.ok(reads.length > 0)
  for (const [name, read] of reads) {
    t.match(read, { op: OSL_EDGES, after: bench.node(name).position })
    t.same(read.grid!.region, [0, 0, 5, 5])
  }
  t.match([stateOf(bench, 'near'), reasonOf(bench, 'near')], ['accepted', 'neighbours'])
  bench.submit({ id: 'beside', ...ADD, region: BESIDE }, { client: 'other' })
  t.match([stateOf(bench, 'beside'), reasonOf(bench, 'beside')], ['accepted', 'neighbours'])
  bench.submit({ id: 'behind', ...ADD, region: BEHIND }, { client: 'third' })
  t.equal(stateOf(bench, 'behind'), 'running', 'nobody reads that')
  const before = bench.entriesTo('a')
  bench.apply('a', before)
  bench.apply('b', before)
  answer(bench, reads)
  t.equal(stateOf(bench, 'near'), 'running')
  t.equal(stateOf(bench, 'beside'), 'running', 'the barrier fell')
  const entries = bench.entriesTo('a')
  t.match(
    entries.map(({ op, seq }) => [op, seq]),
    [
      [OSL_NEAR, 3],
      ['add', 4],
    ],
  )
  const { halos, region } = entries[0]!.args as { halos: Uint8Array[]; region: number[] }
  t.same(region, [0, 0, 4, 4])
  t.same(
    [...new Float64Array(Uint8Array.from(halos[0]!).buffer)],
    [7, 7, 7, 7, 0, 0, 0, 0, 0],
    'one column to the right, and the row below',
  )
  for (const name of ['a', 'b']) bench.apply(name, entries)
  t.match(bench.task('near'), { state: 'completed', effect: 'done' })
  t.equal(bench.ledger.count('body'), 0)
})

t.test('a barrier stands for ten seconds, falls, and is raised again', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'near', ...SHIFT, region: TILE_0 })
  const first = asked(bench)
  bench.submit({ id: 'beside', ...ADD, region: BESIDE }, { client: 'other' })
  bench.live(BARRIER_MS - 2000)
  t.equal(stateOf(bench, 'beside'), 'accepted')
  bench.live(2000)
  t.equal(stateOf(bench, 'beside'), 'running', 'others have their turn')
  t.equal(bench.sent('cancel').length > 0, true)
  const written = bench.entriesTo('a')
  for (const name of ['a', 'b']) bench.apply(name, written)
  answer(bench, first)
  t.equal(stateOf(bench, 'near'), 'accepted', 'what was read before is not taken for what is')
  bench.wait(RETRY_MS)
  const second = asked(bench)
  t.not(second[0]![1].task, first[0]![1].task)
  for (const [name, { after }] of second) t.equal(after, bench.node(name).position)
  answer(bench, first)
  t.equal(stateOf(bench, 'near'), 'accepted')
  answer(bench, second)
  t.equal(stateOf(bench, 'near'), 'running')
})

t.test('a tile that is away stops nobody', async (t) => {
  const bench = new GatewayBench({ replicas: 1 })
  bench.join('a', 'b')
  bench.submit({ id: 'first', op: 'scale' })
  const sent = ['a', 'b'].map((name) => [name, bench.entriesTo(name)] as const)
  for (const [name, entries] of sent) bench.apply(name, entries)
  const holder = bench.view.holdersOf(1)[0] as string
  bench.submit({ id: 'near', ...SHIFT, region: TILE_0 })
  bench.close(holder)
  bench.wait(1)
  bench.submit({ id: 'same', ...ADD, region: BESIDE }, { client: 'other' })
  t.match(reasonOf(bench, 'same'), 'holders-away', 'it waits for its own tile')
  bench.wait(RETRY_MS)
  t.match(reasonOf(bench, 'near'), 'holders-away')
  t.same(asked(bench), [], 'nothing is read meanwhile')
  bench.hello(holder)
  t.ok(asked(bench).length > 0)
  answer(bench, asked(bench))
  t.equal(stateOf(bench, 'near'), 'running')
})

t.test('a node that could not read is asked again after a while', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'near', ...SHIFT, region: TILE_0 })
  const error = { code: 'page-damaged', message: 'no' }
  for (let round = 0; round < 2; round++) {
    for (const [name, read] of asked(bench)) bench.answer(name, read, { error })
  }
  bench.wait(0)
  bench.submit({ id: 'beside', ...ADD, region: BESIDE }, { client: 'other' })
  t.equal(stateOf(bench, 'beside'), 'running')
  bench.wait(RETRY_MS)
  answer(bench, asked(bench))
  t.equal(stateOf(bench, 'near'), 'running')
})

t.test('what ends before its write has no effect, and holds up nobody any more', async (t) => {
  const ends: [string, (bench: GatewayBench) => void][] = [
    ['cancelled', (bench) => bench.cancel('near')],
    ['expired', (bench) => bench.wait(3000)],
  ]
  for (const [state, end] of ends) {
    const bench = settledPair()
    bench.submit({ id: 'near', ...SHIFT, region: TILE_0, deadline_ms: 3000 })
    const reads = asked(bench)
    bench.submit({ id: 'beside', ...ADD, region: BESIDE }, { client: 'other' })
    end(bench)
    t.equal(bench.sent('cancel').length, reads.length)
    t.match(bench.task('near'), { state, effect: 'none' })
    t.equal(stateOf(bench, 'beside'), 'running')
    answer(bench, reads)
    t.match(bench.task('near'), { state, effect: 'none' })
    bench.live(20_000)
    t.same(asked(bench), [])
  }
})

t.test('a gateway that starts again reads anew, and keeps what has its place', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'near', ...SHIFT, region: TILE_0 })
  const first = asked(bench)
  bench.start()
  // Each start of the bench draws the same ids.
  bench.look(GET)
  bench.hello('a')
  bench.hello('b')
  const second = asked(bench)
  t.not(second[0]?.[1].task, first[0]![1].task)
  answer(bench, first)
  t.equal(stateOf(bench, 'near'), 'accepted')
  answer(bench, second)
  t.equal(stateOf(bench, 'near'), 'running')
  const [entry] = bench.entriesTo('a')
  bench.start()
  for (const name of ['a', 'b']) bench.hello(name)
  const again = bench.entriesTo('b')
  t.match(again, [{ op: OSL_NEAR, seq: entry!.seq }])
  t.same(again[0]!.args, entry!.args)
  t.same(again[0]!.chain, entry!.chain)
  bench.apply('b', again)
  bench.hello('a')
  bench.apply('a', bench.entriesTo('a'))
  t.match(bench.task('near'), { state: 'completed', effect: 'done' })
  bench.submit({ id: 'near', ...SHIFT, region: TILE_0 })
  t.equal(stateOf(bench, 'near'), 'completed', 'it is known by what was asked')
})

t.test('those whose regions touch go one after the other, and so do very many', async (t) => {
  const bench = settledPair()
  for (const id of ['one', 'two'])
    bench.submit({ id, ...SHIFT, region: TILE_0 }, { client: id, connection: id as never })
  const reads = asked(bench)
  t.same(reads, [], 'the second reads nothing yet')
  t.equal(reasonOf(bench, 'two'), 'neighbours')
  bench.cancel('one')
  answer(bench, asked(bench))
  t.equal(stateOf(bench, 'two'), 'running')

  const geometry = new Geometry({ width: 256, height: 8, tile: 4 })
  const wide = settledPair({ grid: { ...BENCH_OPTIONS.grid, geometry } })
  const begun: string[] = []
  for (let index = 0; index < BARRIERS_MAX + 4; index++) {
    const id = `n${index}`
    wide.submit({ id, ...SHIFT, region: { x: 8 * index, y: 0, w: 1, h: 1 } }, { client: id })
    if (asked(wide).length > 0) begun.push(id)
  }
  t.equal(begun.length, BARRIERS_MAX)
  wide.cancel('n0')
  t.ok(asked(wide).length > 0, 'one more has room')
})

t.test('writes of one submitter keep their order with what it reads', async (t) => {
  const bench = settledPair()
  const me = { client: 'me', connection: 'mine' as never }
  bench.submit({ id: 'near', ...SHIFT, region: TILE_0 }, me)
  const reads = asked(bench)
  bench.submit({ id: 'after', ...ADD, region: BEHIND }, me)
  t.equal(reasonOf(bench, 'after'), 'earlier-write', 'over a tile that it reads')
  answer(bench, reads)
  t.same([stateOf(bench, 'near'), stateOf(bench, 'after')], ['running', 'running'])
})

t.test('readings of cells that are read wait as well', async (t) => {
  const bench = settledPair({ cellsWindowMs: 100 })
  bench.submit({ id: 'near', ...SHIFT, region: TILE_0 })
  const reads = asked(bench)
  bench.read([[4, 0, 5]])
  bench.wait(150)
  t.same(bench.entriesTo('a'), [])
  answer(bench, reads)
  const near = bench.entriesTo('a')
  bench.wait(150)
  t.match([...near, ...bench.entriesTo('a')], [{ op: OSL_NEAR }, { op: 'scatter' }])
})

t.test(
  'a task whose edges have no room is refused, and one that is forgotten gives it back',
  async (t) => {
    const bench = settledPair({ openBytesMax: 1800 })
    const edges = { id: 'near', ...SHIFT, region: { x: 0, y: 0, w: 16, h: 8 } }
    t.match(bench.submit({ ...edges, id: 'wide', args: { ...SHIFT.args, steps: 2 } }), {
      ok: true,
    })
    t.match(bench.submit({ ...edges, id: 'more' }), { ok: false, refusal: { code: 'overloaded' } })
    bench.cancel('wide')
    t.match(bench.submit(edges), { ok: true })
  },
)
