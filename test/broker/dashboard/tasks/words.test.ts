import t from 'tap'
import type { TaskRow } from '../../../../broker/dashboard/answers.ts'
import { conditionOf, isShown } from '../../../../broker/dashboard/tasks/words.ts'
import { TASK_STATES } from '../../../../shared/protocol/states.ts'

const row = (more: Partial<TaskRow>): TaskRow => ({
  ...{ id: 'a', op: 'add', state: 'running', ts: 0, shards: { total: 1, done: 0, failed: 0 } },
  ...more,
})

t.test('each state has a word', async (t) => {
  for (const state of TASK_STATES) t.equal(conditionOf(row({ state })).word, state)
  const expired = row({ state: 'expired', effect: 'pending' })
  t.equal(conditionOf(expired).word, 'expired, still at work')
})

t.test('why a task waits is said, until it has ended', async (t) => {
  const waiting_for = 'holders-away'
  t.match(conditionOf(row({ waiting_for })).word, /nodes that are away/)
  t.equal(conditionOf(row({ waiting_for, state: 'failed' })).word, 'failed')
  t.equal(conditionOf(row({ waiting_for: 'moon' })).word, 'waits: moon')
})

t.test('tasks are chosen by how they stand', async (t) => {
  const of = (filter: 'all' | 'open' | 'failed') =>
    TASK_STATES.filter((state) => isShown(row({ state }), filter))
  t.same(of('all'), TASK_STATES)
  t.same(of('open'), ['accepted', 'running'])
  t.same(of('failed'), ['failed', 'expired'])
})
