import t from 'tap'
import { summaryOf } from '../../broker/summary.ts'

t.test('a summary is flat, of numbers, and null for what is not known', async (t) => {
  const countByState = () => ({ alive: 3, suspect: 1, dead: 2, left: 9 })
  const counts = () => ({ tilesMissing: 4, doubts: 1, writesWaiting: 5, recovering: 0 })
  const summary = summaryOf({ countByState, counts }, undefined, 7)
  t.match(summary, {
    ...{ nodes_alive: 3, nodes_suspect: 1, nodes_dead: 2, tiles_missing: 4, doubts: 1 },
    ...{ writes_waiting: 5, recovering: 0, moves_open: null, disk_free_bytes: null, ts: 7 },
  })
  t.ok(Object.values(summary).every((value) => value === null || typeof value === 'number'))
})
