import t from 'tap'
import { TaskRetention } from '../../../broker/adapters/task-retention.ts'
import type { TaskId } from '../../../shared/core/ids.ts'
import type { TaskView } from '../../../shared/protocol/views.ts'
import { brokerBench, listen } from '../../support/broker-bench.ts'
import { until } from '../../support/raw-mqtt-client.ts'

const BASE = 'obelisk/v1'

/** Two tasks without a result; counts how often all are asked for. */
function retentionOf(): { retention: TaskRetention; walks: () => number } {
  const tasks = new Map(['t1', 't2'].map((id) => [id as TaskId, { id } as TaskView]))
  let walks = 0
  const source = {
    task: (id: TaskId) => tasks.get(id),
    tasks: () => {
      walks++
      return [...tasks.values()]
    },
    taskIds: () => tasks.keys(),
  }
  return {
    retention: new TaskRetention(BASE, source, { result: () => undefined }),
    walks: () => walks,
  }
}

t.test('only a filter that means any task looks at all of them', (t) => {
  const { retention, walks } = retentionOf()
  const topics = (filter: string): string[] => [...retention.match(filter)].map((one) => one.topic)
  const state1 = `${BASE}/task/t1/state`
  for (const [filter, expected] of [
    [state1, [state1]],
    [`${BASE}/task/t1/+`, [state1]],
    [`${BASE}/task/t1/#`, [state1]],
    ['+/+/task/t1/state', [state1]],
    [`${BASE}/task/none/+`, []],
    [`${BASE}/task/t1/+/more`, []],
    [`${BASE}/task/+`, []],
    [`${BASE}/node/#`, []],
    ['home/#', []],
  ] as const) {
    t.same(topics(filter), expected, filter)
    t.equal(walks(), 0, filter)
  }
  for (const filter of ['#', `${BASE}/#`, `${BASE}/task/#`, `${BASE}/task/+/#`, `+/+/+/+/state`]) {
    t.same(topics(filter), [state1, `${BASE}/task/t2/state`], filter)
  }
  t.equal(walks(), 5)
  t.end()
})

t.test('topics are named without a look at what they hold', (t) => {
  const { retention, walks } = retentionOf()
  const topics = (filter: string): string[] => [...retention.topics(filter)]
  const of = (task: string) =>
    ['state', 'result', 'result/json'].map((kind) => `${BASE}/task/${task}/${kind}`)
  t.same(topics(`${BASE}/task/+/state`), [`${BASE}/task/t1/state`, `${BASE}/task/t2/state`])
  t.same(topics('#'), [...of('t1'), ...of('t2')])
  t.same(topics(`${BASE}/task/t1/state`), [`${BASE}/task/t1/state`])
  t.same([...topics(`${BASE}/node/#`), ...topics(`${BASE}/node/a/state`), ...topics('home')], [])
  t.equal(walks(), 0)
  t.end()
})

t.test('what several filters of one SUBSCRIBE match is sent once', async (t) => {
  const { retention } = retentionOf()
  const { mqtt } = await brokerBench(t, { retainedSource: retention })
  const reader = await mqtt()
  const heard = listen(reader)
  await reader.subscribeAsync([`${BASE}/task/t1/state`, `${BASE}/task/+/state`, `${BASE}/task/#`], {
    qos: 1,
  })
  await until(() => heard.length >= 2)
  await reader.publishAsync('end', 'x', { qos: 1, retain: true })
  await reader.subscribeAsync('end')
  await until(() => heard.includes('end x R'))
  t.equal(heard.length, 3)
})
