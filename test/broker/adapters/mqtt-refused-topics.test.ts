/** What the log says of publishes whose topic is none that they may have. */
import t from 'tap'
import { brokerBench } from '../../support/broker-bench.ts'

const BASE = 'obelisk/v1'

t.test('a mistyped topic is told once of a client, with the one that was meant', async (t) => {
  const { broker, warnings, mqtt } = await brokerBench(t)
  const cases = [
    ['tsk/submit', 'task/submit'],
    ['Task/Submit', 'task/submit'],
    ['task', 'task/submit'],
    ['task/submit/', 'task/submit'],
    ['task/t1/cancle', 'task/t1/cancel'],
    ['cells/temp/3/4', 'cell/temp/3/4'],
    ['cells/temp', 'cell/temp'],
    ['task/t1', undefined],
    ['cell', undefined],
    ['anything/else', undefined],
    [`tsk/${'x'.repeat(900)}`, undefined],
  ] as const
  for (const [end, meant] of cases) {
    const client = await mqtt()
    const topic = `${BASE}/${end}`
    for (const qos of [0, 1, 2] as const) await client.publishAsync(topic, '{}', { qos })
    const { clientId } = client.options
    const help = meant === undefined ? '' : `, did you mean ${BASE}/${meant}?`
    const message = `what ${clientId} publishes to ${topic} is dropped: there is no such topic${help}`
    const fields = { client: clientId, topic, reason: 'topic-not-allowed' }
    t.same(warnings.splice(0), [{ fields: { code: 'publish-refused', ...fields }, message }])
  }
  t.same(broker.counters().dropped, { 'topic-not-allowed': 3 * cases.length }, 'each counts')
})

t.test('so is each other reason, and a client that comes again is known', async (t) => {
  const { warnings, mqtt } = await brokerBench(t)
  for (const _ of [1, 2]) {
    const client = await mqtt({ clientId: 'plug' })
    for (const topic of [
      `${BASE}/gateway/state`,
      `${BASE}/task/t1/state`,
      '$SYS/broker/version',
      'a/'.repeat(20),
      'outside/base',
      `${BASE}/cell/temp/1`,
    ]) {
      await client.publishAsync(topic, '1', { qos: 1 })
    }
    await client.endAsync()
  }
  t.match(
    warnings.map(({ message }) => message),
    [/gateway\/state .* not for it/, /\$SYS.* begins with \$/, /a\/a\/.* too many levels$/],
  )
  t.equal(warnings.length, 3)
})
