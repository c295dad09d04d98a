import t from 'tap'
import type { Moves, NodeRow } from '../../../../broker/dashboard/answers.ts'
import { Drains, waitingWords } from '../../../../broker/dashboard/fleet/drains.ts'

function row(id: string, tiles: number, more: Partial<NodeRow> = {}): NodeRow {
  const figures = { weight: 1, tiles_written: tiles, incarnation: 1 }
  return { id, state: 'alive', connected: true, draining: true, tiles, ...figures, ...more }
}

const MOVE = { tile: 1, reason: 'drain', from: 'a', to: 'b', stage: 'copying' } as const
const NONE: Moves = {
  ...{ open: [], planned: [], planned_tiles: 0, planned_bytes: 0, waiting: {}, stalled: [] },
}

t.test(
  'how far a node is emptied is counted from what it held when that was first seen',
  async (t) => {
    const drains = new Drains()
    t.same(drains.look([row('a', 100)], undefined).get('a'), { moved: 0, total: 100 })
    t.match(drains.look([row('a', 60)], { ...NONE, eta_seconds: 20 }).get('a'), {
      ...{ moved: 40, total: 100, etaSeconds: 20 },
    })
    t.equal(drains.look([row('a', 60, { state: 'left' })], NONE).size, 0)
    t.match(drains.look([row('a', 60)], NONE).get('a'), { total: 60 }, 'another time begins anew')
  },
)

t.test(
  'moves, which come more often, say it first while they are of this node alone',
  async (t) => {
    const drains = new Drains()
    const moves = { ...NONE, open: [MOVE, { ...MOVE, tile: 2 }], planned_tiles: 28 }
    t.match(drains.look([row('a', 100)], moves).get('a'), { moved: 70, total: 100 })
    const mixed = { ...moves, open: [MOVE, { ...MOVE, reason: 'repair' as const }] }
    t.match(drains.look([row('a', 100)], mixed).get('a'), { moved: 0 })
    const two = drains.look([row('a', 100), row('b', 50)], moves)
    t.match(two.get('a'), { moved: 0 })
    t.match(two.get('b'), { moved: 0, total: 50 })
  },
)

t.test('why it stands still is said', async (t) => {
  const stall = { node: 'a', reason: 'too-few-nodes', tiles: 3, message: '3 tiles of a stay' }
  const found = new Drains().look([row('a', 9)], { ...NONE, stalled: [stall] })
  t.match(found.get('a'), { stalledFor: '3 tiles of a stay' })
})

t.test('why moves wait is said in words', async (t) => {
  const waiting = { 'target-full': 12, paced: 3 }
  t.same(waitingWords({ ...NONE, waiting }), [
    '12 wait: target full',
    '3 wait: one after the other',
  ])
})
