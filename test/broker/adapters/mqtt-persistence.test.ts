import t from 'tap'
import { brokerBench } from '../../support/broker-bench.ts'
import {
  connectPacket,
  packet,
  RawMqttClient,
  type Received,
  subscribePacket,
  until,
} from '../../support/raw-mqtt-client.ts'

const PERSISTENT = 0
const PUBLISH = 3
const SUBACK = 9

const payloadOf = ({ body }: Received): string =>
  body.subarray(2 + body.readUInt16BE(0) + 2).toString()

t.test('what a session keeps outlives a connection that ends while it is sent', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t)
  const parts = { clientId: 'keeps', flags: PERSISTENT }
  const first = await raw(parts)
  first.send(subscribePacket(['a'], 1))
  await first.next(SUBACK)
  first.send(packet(14, 0))
  await first.closed
  const publisher = await mqtt()
  const payloads = Array.from({ length: 500 }, (_, n) => `${n}`)
  for (const payload of payloads) publisher.publish('a', payload, { qos: 1 })
  await publisher.publishAsync('b', '', { qos: 2 })
  for (let round = 0; round < 5; round++) {
    const cut = await RawMqttClient.open(broker.port, connectPacket(parts))
    await cut.next(PUBLISH)
    cut.end()
    await cut.closed
    await until(() => broker.counters().clientsConnected === 1)
  }
  const last = await raw(parts)
  await until(() => last.received.filter(({ type }) => type === PUBLISH).length >= 500, 3000)
  t.same(last.received.filter(({ type }) => type === PUBLISH).map(payloadOf), payloads)
})

t.test('a session that was let go for not reading has lost nothing', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t, {
    backlogDropBytes: 32 * 1024,
    backlogCloseBytes: 64 * 1024,
    queueBytesMax: 64 * 1024 * 1024,
  })
  const parts = { clientId: 'keeps', flags: PERSISTENT }
  const frozen = await raw(parts)
  frozen.send(subscribePacket(['a'], 1))
  await frozen.next(SUBACK)
  frozen.socket.pause()
  const publisher = await mqtt()
  let published = 0
  const publish = (): Promise<unknown> =>
    publisher.publishAsync('a', `${published++}`.padEnd(32 * 1024), { qos: 1 })
  while (!broker.counters().refused['subscriber-backlog'] && published < 900) await publish()
  t.ok(broker.counters().refused['subscriber-backlog'], `after ${published} messages`)
  frozen.end()
  await until(() => broker.counters().clientsConnected === 1)
  await publish()
  const last = await raw(parts)
  const heard: number[] = []
  while (heard.length < published) heard.push(Number(payloadOf(await last.next(PUBLISH))))
  t.same(
    heard,
    Array.from({ length: published }, (_, n) => n),
  )
})

t.test('the filters of sessions that are away count, and make room', async (t) => {
  const { broker, raw } = await brokerBench(t, { filtersTotalMax: 5, filtersPerClientMax: 4 })
  const subscribe = async (client: RawMqttClient, filters: string[]): Promise<number[]> => {
    client.send(subscribePacket(filters, 1))
    return [...(await client.next(SUBACK)).body.subarray(2)]
  }
  const leave = async (client: RawMqttClient): Promise<void> => {
    client.end()
    await until(() => broker.counters().clientsConnected === 0)
  }
  for (const clientId of ['one', 'two']) {
    const client = await raw({ clientId, flags: PERSISTENT })
    t.same(await subscribe(client, ['a', 'b']), [1, 1])
    await leave(client)
  }
  const three = await raw({ clientId: 'three', flags: PERSISTENT })
  t.same(await subscribe(three, ['a']), [1])
  t.same(broker.counters().dropped, {})
  t.same(await subscribe(three, ['b', 'a']), [1, 1])
  t.same(broker.counters().dropped, { 'session-evicted': 1 }, 'who is away for longest')
  const clean = await raw({ clientId: 'clean' })
  t.same(await subscribe(clean, ['a', 'b', 'c', 'd']), [1, 1, 1, 128], 'all that are there')
  clean.end()
  await clean.closed
  await leave(three)

  const again = await raw({ clientId: 'two', flags: PERSISTENT })
  await again.ping()
  t.equal(broker.counters().subscriptions, 2, 'what a session has is not new')
})
