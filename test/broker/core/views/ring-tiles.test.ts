/** The packed picture of who holds what, against the placement asked tile by tile. */
import fc from 'fast-check'
import t from 'tap'
import { newIdentity } from '../../../../broker/core/coordinator.ts'
import { CoordinatorContext } from '../../../../broker/core/state/coordinator-context.ts'
import {
  readRingHolders,
  readRingTiles,
  type TileArea,
} from '../../../../broker/core/views/ring-tiles.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { Random } from '../../../../shared/core/random.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import { TILES_SHOWN_MAX } from '../../../../shared/protocol/ring-tiles.ts'
import type { RingTilesView } from '../../../../shared/protocol/views.ts'
import { BENCH_OPTIONS } from '../../../support/gateway-bench.ts'
import { areSame } from '../../../support/large-values.ts'

function contextOf(geometry: Geometry, nodes: number, replicas: number): CoordinatorContext {
  const options = { ...BENCH_OPTIONS, replicas, grid: { ...BENCH_OPTIONS.grid, geometry } }
  const context = new CoordinatorContext(options, new Random(1), newIdentity(options, 'ledger'))
  for (let index = 0; index < nodes; index++) {
    const id = `n${index}` as NodeId
    const member = context.members.add(id, { joinedTs: 1, storeId: `store-${index}` })
    context.members.open(member, `c-${index}`, 'process', 1)
  }
  context.placement.setMembers(() => context.members.placeable)
  return context
}

/** Also counts the slices. */
function read(context: CoordinatorContext, area: TileArea, between = (): void => {}) {
  const tiles = readRingTiles(context, area)
  if (!tiles.ok) throw new Error(tiles.problem.message)
  for (let slices = 1; ; slices++) {
    const slice = tiles.slices.next()
    if (slice.done === true) return { view: slice.value, slices }
    between()
  }
}

/** By the names of nodes. */
function holdersIn({ holders, members, replicas }: RingTilesView, at: number): string[] {
  const { buffer, byteOffset } = holders
  const slots = new DataView(buffer, byteOffset)
  return Array.from({ length: replicas }, (_, slot) =>
    slots.getUint32((at * replicas + slot) * 4, true),
  )
    .filter((place) => place > 0)
    .map((place) => members[place - 1]!)
}

t.test('it says of each tile what the placement says', async () => {
  const cases = fc.record({
    nodes: fc.integer({ min: 0, max: 5 }),
    replicas: fc.integer({ min: 1, max: 3 }),
    born: fc.array(fc.integer({ min: 0, max: 34 })),
    lost: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    x: fc.integer({ min: 0, max: 6 }),
    y: fc.integer({ min: 0, max: 4 }),
    w: fc.option(fc.integer({ min: 1, max: 7 }), { nil: undefined }),
    h: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  })
  fc.assert(
    fc.property(cases, ({ nodes, replicas, born, lost, ...area }) => {
      // 7 × 5 tiles, clipped at both edges.
      const context = contextOf(new Geometry({ width: 26, height: 18, tile: 4 }), nodes, replicas)
      const { placement, members } = context
      placement.bear(Uint32Array.from(born))
      for (const index of lost) placement.removeHolder(index)
      const { x, y, w = 7 - x, h = 5 - y } = area
      fc.pre(x + w <= 7 && y + h <= 5)
      const { view } = read(context, area)
      const names = new Set<string>()
      for (let at = 0; at < w * h; at++) {
        const tile = (y + Math.floor(at / w)) * 7 + x + (at % w)
        const expected = placement.holdersOf(tile).map((index) => members.at(index).id)
        for (const name of expected) names.add(name)
        const isMissing = expected.length === 0
        const state = placement.isBorn(tile) ? (isMissing ? 2 : 1) : 0
        if (view.state[at] !== state || `${holdersIn(view, at)}` !== `${expected}`) return false
      }
      const { epoch } = placement
      const shape = { epoch, x, y, w, h, replicas }
      return (
        Object.entries(shape).every(([key, value]) => Reflect.get(view, key) === value) &&
        view.state.length === w * h &&
        view.holders.length === 4 * replicas * w * h &&
        `${view.members}` === `${[...names].sort()}`
      )
    }),
  )
})

t.test('it is of one moment, whatever happens between its slices', async (t) => {
  const context = contextOf(new Geometry({ width: 1024, height: 1024, tile: 4 }), 3, 2)
  const calm = read(context, {})
  t.ok(calm.slices > 2, `${calm.slices} slices`)
  const stirred = read(context, {}, () => {
    context.placement.bear(Uint32Array.of(1, 2, 3))
    context.placement.removeHolder(1)
  })
  areSame(t, stirred.view, calm.view)
  t.ok(context.placement.missingTiles().length === 0 && context.placement.isBorn(2))
})

t.test('holders in lists are of one moment, too, and those that the placement has', async (t) => {
  const context = contextOf(new Geometry({ width: 1024, height: 512, tile: 4 }), 3, 2)
  const { placement, members } = context
  const expected = Array.from({ length: 32_768 }, (_, tile) => placement.holdersOf(tile))
  const slices = readRingHolders(context, members.all)
  const { value: first } = slices.next()
  placement.bear(Uint32Array.of(30_000))
  placement.removeHolder(1)
  areSame(t, [first, ...slices].flat(), expected)
  t.not(first!.length, expected.length, 'others have turns between its slices')
})

t.test('what is not in the grid, or too much, is refused in words', async (t) => {
  const small = contextOf(new Geometry({ width: 26, height: 18, tile: 4 }), 1, 1)
  for (const area of [{ x: 7 }, { y: 5 }, { w: 8 }, { h: 0 }, { x: 3, w: 5 }, { y: 4, h: 2 }]) {
    t.match(readRingTiles(small, area), {
      ok: false,
      problem: { code: 'outside-grid', message: /the grid has 7 × 5 tiles/ },
    })
  }
  const large = contextOf(new Geometry({ width: 8192, height: 8192, tile: 8 }), 0, 1)
  t.match(readRingTiles(large, {}), {
    ok: false,
    problem: { code: 'out-of-range', message: /1048576 tiles/ },
  })
  t.ok(readRingTiles(large, { w: 1024, h: TILES_SHOWN_MAX / 1024 }).ok)
})
