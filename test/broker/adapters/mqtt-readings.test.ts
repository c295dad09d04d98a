/** What a client sees that tells readings of cells. */
import t from 'tap'
import { brokerBench as bench, listen } from '../../support/broker-bench.ts'
import { publishPacket, subscribePacket, until } from '../../support/raw-mqtt-client.ts'

const CELL = 'obelisk/v1/cell/temp/3/4'

t.test(
  'a PUBACK leaves when the reading is in the ledger, in the order of what came',
  async (t) => {
    const { gateway, raw } = await bench(t)
    gateway.answersAtOnce = false
    const client = await raw({ clientId: 'thermometer' })
    client.send(publishPacket(CELL, '21.5', { qos: 1, id: 1 }))
    client.send(publishPacket('obelisk/v1/cell/temp', '[[1,2,3]]', { qos: 1, id: 2 }))
    client.send(publishPacket(CELL, '22', { qos: 2, id: 3 }))
    await until(() => gateway.readings.length === 3)
    await client.ping()
    t.same(client.received, [], 'the client is served, but not acknowledged')
    const [first, second, third] = gateway.readings
    t.match(first!.message, {
      of: { kind: 'cell-reading', field: 'temp', x: 3, y: 4 },
      topic: CELL,
      submitter: { via: 'mqtt', client: 'thermometer' },
    })
    t.match(second!.message.of, { kind: 'cell-readings', field: 'temp' })
    third!.done!()
    second!.done!()
    await client.ping()
    t.same(client.received, [])
    first!.done!()
    t.same((await client.next(4)).body, Buffer.from([0, 1]))
    t.same((await client.next(4)).body, Buffer.from([0, 2]))
    t.same((await client.next(5)).body, Buffer.from([0, 3]))
    client.send(publishPacket(CELL, '22', { qos: 2, id: 3, flags: 8 }))
    t.same((await client.next(5)).body, Buffer.from([0, 3]))
    t.equal(gateway.readings.length, 3, 'a repetition is not new')
  },
)

t.test('what reaches nobody, too, is acknowledged behind those before it', async (t) => {
  const { gateway, raw } = await bench(t)
  gateway.answersAtOnce = false
  const client = await raw({ clientId: 'thermometer' })
  const cancel = 'obelisk/v1/task/22222222-2222-4222-8222-222222222222/cancel'
  client.send(publishPacket(CELL, '21.5', { qos: 1, id: 1 }))
  client.send(publishPacket('obelisk/v1/nowhere', '', { qos: 1, id: 2 }))
  client.send(publishPacket(cancel, '', { qos: 1, id: 3 }))
  await until(() => gateway.cancels.length === 1)
  gateway.readings[0]!.done!()
  await until(() => client.received.length === 3)
  t.same(
    client.received.map(({ type, body }) => [type, body[1]]),
    [1, 2, 3].map((id) => [4, id]),
  )
})

t.test('a PUBREC leaves in the order of what came, whoever hears of it', async (t) => {
  const { raw } = await bench(t)
  const client = await raw({ clientId: 'thermometer' })
  client.send(subscribePacket(['a']))
  await client.next(9)
  client.send(
    publishPacket('a', '1', { qos: 2, id: 1 }),
    publishPacket('obelisk/v1/nowhere', '', { qos: 2, id: 2 }),
    publishPacket('a', '3', { qos: 2, id: 3 }),
  )
  await until(() => client.received.length === 5)
  const received = client.received.filter(({ type }) => type === 5)
  t.same(
    received.map(({ body }) => body[1]),
    [1, 2, 3],
  )
})

t.test('at QoS 0 nobody waits; nothing is retained, whatever the flag says', async (t) => {
  const { broker, gateway, mqtt } = await bench(t)
  const [client, other] = [await mqtt(), await mqtt()]
  const heard = listen(other)
  await client.publishAsync(CELL, '21.5', { retain: true })
  await until(() => gateway.readings.length === 1)
  t.equal(gateway.readings[0]!.done, undefined)
  await client.publishAsync(CELL, '21.5', { retain: true, qos: 1 })
  await other.subscribeAsync('#')
  await client.publishAsync(CELL, '22', { qos: 1 })
  await until(() => heard.length === 1)
  t.same(heard, [`${CELL} 22`])
  await client.publishAsync(`${CELL}/value`, '22', { qos: 1 })
  t.same(broker.counters().dropped, { 'topic-not-allowed': 1 }, 'that is the gateway’s to say')
  t.equal(gateway.readings.length, 3)
})

t.test('a reading whose topic is mistyped is taken to where its sender is told', async (t) => {
  const { broker, gateway, mqtt } = await bench(t)
  const [client, other] = [await mqtt(), await mqtt()]
  const heard = listen(other)
  await other.subscribeAsync('#')
  const topics = [
    ...['temp/12,40', 'temp/a/40', 'temp/1', 'temp/12/40/', 'temp/1.5/40', 'temp/-1/40'],
    ...['Temp/12/40', 'temp/', '', 'temp/012/40'],
  ].map((end) => `obelisk/v1/cell/${end}`)
  for (const topic of topics) {
    await client.publishAsync(topic, '21.5', { qos: 1, retain: true })
  }
  const told = gateway.readings.map(({ message: { of, topic } }) => ({ of, topic }))
  t.same(
    told,
    topics.map((topic) => ({ of: { kind: 'cell-mistyped' }, topic })),
  )
  t.same(broker.counters().dropped, { 'topic-not-allowed': topics.length })
  await client.publishAsync('obelisk/v1/cell', '21.5', { qos: 1 })
  t.equal(gateway.readings.length, topics.length)
  await client.publishAsync(CELL, '22', { qos: 1 })
  await until(() => heard.includes(`${CELL} 22`))
  t.same(heard, [`${CELL} 22`], 'nobody else hears of it')
})

t.test('what an input reads is acknowledged and handed on once it is in the ledger', async (t) => {
  const { gateway, mqtt, raw } = await bench(t)
  gateway.readsAll = true
  gateway.answersAtOnce = false
  const other = await mqtt()
  const heard = listen(other)
  await other.subscribeAsync('zigbee2mqtt/#', { qos: 1 })
  const client = await raw({ clientId: 'z2m' })
  const tell = (value: number, parts: Parameters<typeof publishPacket>[2]): void =>
    client.send(publishPacket('zigbee2mqtt/kitchen', `{"t":${value}}`, parts))
  tell(1, { qos: 1, id: 1, flags: 1 })
  tell(2, { qos: 1, id: 2 })
  tell(3, { qos: 2, id: 3 })
  tell(4, {})
  await until(() => gateway.foreign.length === 4)
  await client.ping()
  t.same(client.received, [], 'the client is served, but not acknowledged')
  const [first, second, third, fourth] = gateway.foreign
  t.match(first!.message, {
    topic: 'zigbee2mqtt/kitchen',
    payload: Buffer.from('{"t":1}'),
    submitter: { via: 'mqtt', client: 'z2m' },
  })
  t.equal(fourth!.done, undefined, 'at QoS 0 nobody waits')
  third!.done!()
  second!.done!()
  await client.ping()
  t.same(heard, [], 'in the order in which they came')
  first!.done!()
  t.same((await client.next(4)).body, Buffer.from([0, 1]))
  t.same((await client.next(4)).body, Buffer.from([0, 2]))
  t.same((await client.next(5)).body, Buffer.from([0, 3]))
  await until(() => heard.length === 4)
  t.ok(heard.indexOf('zigbee2mqtt/kitchen {"t":1}') < heard.indexOf('zigbee2mqtt/kitchen {"t":2}'))
  tell(3, { qos: 2, id: 3, flags: 8 })
  t.same((await client.next(5)).body, Buffer.from([0, 3]))
  t.equal(gateway.foreign.length, 4, 'a repetition is not new')
})

t.test(
  'what an input reads is not acknowledged by another connection before it is kept',
  async (t) => {
    const { gateway, raw } = await bench(t)
    gateway.readsAll = true
    gateway.answersAtOnce = false
    const tell = (flags: number) =>
      publishPacket('zigbee2mqtt/kitchen', '{"t":3}', { qos: 2, id: 3, flags })
    const parts = { clientId: 'z2m', flags: 0 }
    ;(await raw(parts)).send(tell(0))
    await until(() => gateway.foreign.length === 1)
    const again = await raw(parts)
    again.send(tell(8))
    await again.ping()
    t.same(again.received, [])
    await until(() => gateway.foreign.length === 2)
    for (const { done } of gateway.foreign) done!()
    t.same((await again.next(5)).body, Buffer.from([0, 3]))
  },
)

t.test('inputs see what others publish outside the base, and nothing else', async (t) => {
  const { gateway, mqtt } = await bench(t)
  gateway.readsAll = true
  const client = await mqtt()
  await client.publishAsync('site/a', '1', { qos: 1, retain: true })
  await client.publishAsync(CELL, '2', { qos: 1 })
  await client.publishAsync('obelisk/v1/task/submit', '{}', { qos: 1 })
  await client.publishAsync('obelisk/v1/gateway/state', 'x', { qos: 1 })
  await client.publishAsync('$SYS/x', 'x', { qos: 1 })
  await client.publishAsync('site/b', '3', { qos: 1 })
  t.same(
    gateway.foreign.map(({ message }) => message.topic),
    ['site/a', 'site/b'],
  )
  const later = await mqtt()
  const heard = listen(later)
  await later.subscribeAsync('site/#')
  await until(() => heard.length === 1)
  t.same(heard, ['site/a 1 R'], 'it is retained as ever')
})
