import t from 'tap'
import type { NodeRow } from '../../../../broker/dashboard/answers.ts'
import { progressOf, waitingWords } from '../../../../broker/dashboard/fleet/drains.ts'

function row(more: Partial<NodeRow>): NodeRow {
  const figures = { weight: 1, tiles: 60, tiles_written: 60, incarnation: 1 }
  return { id: 'a', state: 'alive', connected: true, ...figures, ...more }
}

t.test('how far a node is emptied is counted from what it had at the beginning', async (t) => {
  const drain = { draining: true, drain_tiles: 100 } as const
  t.same(progressOf(row(drain)), { moved: 40, total: 100 })
  t.same(progressOf(row({ ...drain, rate: 4.1, eta_seconds: 15 })), {
    ...{ moved: 40, total: 100, rate: 4.1, etaSeconds: 15 },
  })
  t.match(progressOf(row({ ...drain, waits_for: 'too-few-nodes' })), {
    stalledFor: 'too few nodes',
  })
  t.same(progressOf(row({ draining: true })), { moved: 0, total: 60 }, 'of which nothing is known')
})

t.test('who stays, or has left, is not being emptied', async (t) => {
  t.equal(progressOf(row({})), undefined)
  t.equal(progressOf(row({ draining: true, state: 'left' })), undefined)
})

t.test('why moves wait is said in words', async (t) => {
  const moves = {
    ...{ open: [], planned: [], planned_tiles: 15, planned_bytes: 0, stalled: [] },
    waiting: { 'target-full': 12, paced: 3 },
  }
  t.same(waitingWords(moves), ['12 wait: target full', '3 wait: one after the other'])
})
