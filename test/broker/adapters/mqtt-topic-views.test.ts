import fc from 'fast-check'
import t from 'tap'
import { RetainedStore } from '../../../broker/adapters/mqtt-retained.ts'
import { Rights } from '../../../broker/adapters/mqtt-rights.ts'
import { type PublishedMessage, TopicViews } from '../../../broker/adapters/mqtt-topic-views.ts'
import { ANYONE, type Principal } from '../../../shared/protocol/access.ts'
import { filterMatches } from '../../../shared/protocol/topic-filters.ts'
import { brokerBench } from '../../support/broker-bench.ts'
import { eventually } from '../../support/processes.ts'
import { checkAsync } from '../../support/property.ts'

const BASE = 'obelisk/v1'
const HERE = (): boolean => false
const VIEWER: Principal = { kind: 'user', name: 'v', roles: ['viewer'], topics: ['home/#'] }

function viewsOf(stored: readonly string[], ofTasks: readonly string[] = []) {
  const store = new RetainedStore({ foreignMessagesMax: 10_000, foreignBytesMax: 10_000_000 })
  for (const topic of stored)
    store.store({ topic, payload: Buffer.from(topic), qos: 1, isForeign: false })
  const source = {
    owns: (topic: string) => ofTasks.includes(topic),
    topics: () => ofTasks,
    match: (filter: string) =>
      ofTasks
        .filter((topic) => topic === filter)
        .map((topic) => ({ topic, payload: Buffer.from('task') })),
  }
  return new TopicViews(store, source, new Rights(BASE, () => undefined))
}

t.test('pages together are all that a filter matches, once and in order', async (t) => {
  const topic = fc.array(fc.constantFrom('a', 'b', 'c', 'ab'), { minLength: 1, maxLength: 3 })
  const topics = fc.array(
    topic.map((levels) => levels.join('/')),
    { maxLength: 80 },
  )
  const filter = fc.constantFrom('#', 'a/#', '+', '+/b', 'a/b', 'ab/+/c')
  await checkAsync(
    t,
    fc.asyncProperty(
      topics,
      topics,
      filter,
      fc.integer({ min: 1, max: 9 }),
      async (one, other, filter, limit) => {
        const views = viewsOf(one, other)
        const found: string[] = []
        for (let after = ''; ; after = found.at(-1)!) {
          const page = await views.page(ANYONE, { filter, after, limit }, HERE)
          found.push(...page.map((message) => message.topic))
          if (page.length < limit) break
        }
        const all = [...new Set([...one, ...other])].filter((name) => filterMatches(filter, name))
        return `${found}` === `${all.sort()}`
      },
    ),
  )
})

t.test('one sees what he may receive, and nothing else takes room on a page', async (t) => {
  const hidden = Array.from({ length: 600 }, (_, n) => `garden/${n}`)
  const views = viewsOf(
    [...hidden, 'home/door', `${BASE}/node/a/state`, `${BASE}/node/a/up`, '$SYS/broker/version'],
    [`${BASE}/task/t1/state`],
  )
  const names = async (who: Principal, filter: string) =>
    (await views.page(who, { filter, after: '', limit: 5 }, HERE)).map(({ topic }) => topic)
  t.same(await names(VIEWER, '#'), ['home/door', `${BASE}/node/a/state`, `${BASE}/task/t1/state`])
  t.same(await names(VIEWER, '$SYS/#'), ['$SYS/broker/version'])
  t.same(await names({ ...VIEWER, roles: ['submitter'] }, `${BASE}/#`), [])
  t.equal((await names(ANYONE, '#')).length, 5)
  t.same(
    await views.page(ANYONE, { filter: '#', after: '', limit: 5 }, () => true),
    [],
    'nobody waits',
  )
})

t.test('what a broker hands on is told to those who follow, by filter', async (t) => {
  const { broker, mqtt } = await brokerBench(t)
  const client = await mqtt()
  const told: PublishedMessage[] = []
  const end = broker.topics.follow(ANYONE, 'home/#', (message) => told.push(message))
  await client.publishAsync('garden/door', 'no', { qos: 1 })
  await client.publishAsync('home/door', 'open', { qos: 1, retain: true })
  broker.publish({ topic: `${BASE}/gateway/state`, payload: 'online', qos: 1, retain: true })
  await client.publishAsync('home/light', 'on', { qos: 0 })
  await eventually('both', () => told.length >= 2)
  t.match(told, [
    { topic: 'home/door', payload: Buffer.from('open'), retain: true },
    { topic: 'home/light', payload: Buffer.from('on'), retain: false },
  ])
  end()
  await client.publishAsync('home/door', 'shut', { qos: 1, retain: true })
  t.equal(told.length, 2)
  const page = await broker.topics.page(ANYONE, { filter: 'home/#', after: '', limit: 9 }, HERE)
  t.match(page, [{ topic: 'home/door', payload: Buffer.from('shut') }])
})
