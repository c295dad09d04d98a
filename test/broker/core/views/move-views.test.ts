import t from 'tap'
import { newIdentity } from '../../../../broker/core/coordinator.ts'
import { MovePace } from '../../../../broker/core/rules/move-pace.ts'
import type { Moves, PlannedMove } from '../../../../broker/core/rules/moves.ts'
import type { Rebalancer } from '../../../../broker/core/rules/rebalancer.ts'
import { CoordinatorContext } from '../../../../broker/core/state/coordinator-context.ts'
import { departuresOf, movesViewOf } from '../../../../broker/core/views/move-views.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { Random } from '../../../../shared/core/random.ts'
import { BENCH_OPTIONS } from '../../../support/gateway-bench.ts'

/** Three members, of which `a` and `b` are drained, and these planned moves. */
function parts(planned: readonly { from: number; waitsFor: string }[]) {
  const identity = newIdentity(BENCH_OPTIONS, 'ledger')
  const context = new CoordinatorContext(BENCH_OPTIONS, new Random(1), identity)
  for (const name of ['a', 'b', 'c']) {
    const joined = { joinedTs: 1, storeId: `store-${name}` }
    const member = context.members.add(name as NodeId, joined)
    if (name !== 'c') member.leaving = 'draining'
  }
  const counters = { ended: 0, rolledBack: 0, copiedBytes: 0 }
  const moves = { pace: new MovePace(BENCH_OPTIONS), pageBytes: () => 10, counters }
  const rebalancer = {
    eachPlanned(visit: (move: PlannedMove, waitsFor: string) => void) {
      planned.forEach(({ from, waitsFor }, tile) => {
        visit({ tile, from, to: 2, reason: 'drain' }, waitsFor)
      })
    },
    plannedCount: planned.length,
    stalls: [],
    stallsFor: () => [],
    pausedFor: undefined,
  }
  return {
    context,
    moves: moves as unknown as Moves,
    rebalancer: rebalancer as unknown as Rebalancer,
  }
}

function departures(some: ReturnType<typeof parts>, written: [number, number][] = []) {
  return [...departuresOf(some, some.context.members.all, new Map(written))]
}

t.test(
  'a node waits for those that are planned before its last tile, and for no others',
  async (t) => {
    const turn = (from: number) => ({ from, waitsFor: 'paced' })
    // By round trips: four at a time, 60 ms each.
    const some = parts([...Array.from({ length: 200 }, () => turn(0)), ...[turn(1), turn(1)]])
    t.match(departures(some), [
      [0, { eta_seconds: 3 }],
      [1, { eta_seconds: 4 }],
    ])
    const [, second] = some.context.members.all
    t.match([...departuresOf(some, [second!], new Map())], [[1, { eta_seconds: 4 }]], 'alone, too')
    t.match(movesViewOf(some, []), { planned_tiles: 202, planned_bytes: 2020, eta_seconds: 4 })
  },
)

t.test('one that is held up is told why, while the others get on', async (t) => {
  const held = ['target-away', 'no-source', 'target-away'].map((waitsFor) => ({
    from: 0,
    waitsFor,
  }))
  const some = parts([...held, { from: 1, waitsFor: 'paced' }])
  t.match(departures(some), [
    [0, { waits_for: 'target-away', eta_seconds: undefined }],
    [1, { eta_seconds: 1, waits_for: undefined }],
  ])
  t.match(movesViewOf(some, []), { eta_seconds: 1, waiting: { 'target-away': 2, paced: 1 } })
  t.match(movesViewOf(parts(held), []), { stands_still: 'target-away', eta_seconds: undefined })
})

t.test('an empty one waits for its stream, and one that has tiles for the next plan', async (t) => {
  const none = parts([])
  t.same(departures(none, [[0, 3]]), [], 'they leave at once')
  Object.assign(none.rebalancer, { pausedFor: 'unsettled' })
  t.match(departures(none, [[0, 3]]), [[0, { waits_for: 'unsettled' }]])
})
