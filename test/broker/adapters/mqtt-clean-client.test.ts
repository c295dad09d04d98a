import t from 'tap'
import { HELD_BOUNDS } from '../../../broker/adapters/mqtt-connection.ts'
import { KeepAlives } from '../../../broker/adapters/mqtt-keep-alives.ts'
import { brokerBench } from '../../support/broker-bench.ts'
import {
  connectPacket,
  field,
  packet,
  publishPacket,
  RawMqttClient,
  subscribePacket,
  unsubscribePacket,
  until,
} from '../../support/raw-mqtt-client.ts'
import { SecuredBench } from '../../support/secured-bench.ts'

const CLEAN = 2
const WILL = 4
const PUBREC = 5
const PUBREL = 6
const PUBCOMP = 7
const SUBACK = 9
const UNSUBACK = 11
const DISCONNECT = packet(14, 0)
const withWill = {
  flags: CLEAN | WILL,
  rest: Buffer.concat([field('wills/raw'), field('gone')]),
}

/** An acknowledgement towards the broker. */
const acknowledge = (type: number, id: number): Buffer =>
  packet(type, type === PUBREL ? 2 : 0, Uint8Array.of(id >> 8, id & 0xff))

t.test('who is silent for one and a half keep alives is gone, with his will', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t)
  const heard: string[] = []
  const other = await mqtt()
  other.on('message', (topic, payload) => heard.push(`${topic} ${payload}`))
  await other.subscribeAsync('wills/#')
  const client = await RawMqttClient.open(
    broker.port,
    connectPacket({ clientId: 'silent', keepalive: 1, ...withWill }),
  )
  const lively = await raw({ clientId: 'lively', keepalive: 1 })
  const startMs = performance.now()
  const pings = setInterval(() => void lively.ping(), 300)
  t.teardown(() => clearInterval(pings))
  await client.closed
  const silentMs = performance.now() - startMs
  t.ok(silentMs >= 1400, `${silentMs} ms`)
  t.equal(broker.counters().refused['keepalive-timeout'], 1)
  await until(() => heard.length === 1)
  t.same(heard, ['wills/raw gone'])
  await lively.ping()
  t.notOk(lively.isClosed, 'a ping is no silence')
})

t.test('one timer looks at all, and at nobody when nobody is left', async (t) => {
  const kept = new KeepAlives()
  const ended: string[] = []
  const client = (name: string, heardMs: number) => {
    const one = {
      ...{ heardMs, silentMsMax: 10_000 },
      keepAliveEnded: () => {
        ended.push(name)
        kept.delete(one)
      },
    }
    return one
  }
  const late = client('late', performance.now() - 20_000)
  const inTime = client('in time', performance.now())
  kept.add(late)
  kept.add(inTime)
  await until(() => ended.length > 0)
  t.same(ended, ['late'])
  kept.delete(inTime)
  t.notOk(process.getActiveResourcesInfo().includes('Timeout'))
})

t.test('who says good-bye has no will [MQTT-3.14.4-3]', async (t) => {
  const { broker, mqtt } = await brokerBench(t)
  const heard: string[] = []
  const other = await mqtt()
  other.on('message', (topic) => heard.push(topic))
  await other.subscribeAsync('wills/#')
  const client = await RawMqttClient.open(broker.port, connectPacket(withWill))
  client.send(DISCONNECT)
  await client.closed
  await other.publishAsync('wills/last', '', { qos: 1 })
  await until(() => heard.includes('wills/last'))
  t.same(heard, ['wills/last'])
})

t.test('nothing behind a CONNECT that is refused is looked at', async (t) => {
  const bench = await SecuredBench.start(t)
  const answer = await bench.say(
    Buffer.concat([
      connectPacket(),
      publishPacket('obelisk/v1/task/submit', '{}', { qos: 1 }),
      subscribePacket(['#']),
      packet(12, 0),
    ]),
  )
  t.same(answer, [0x20, 2, 0, 4], 'a CONNACK, and no more')
  t.same(bench.gateway.submissions, [])
  t.same(bench.dropped, {})
  t.equal(bench.broker.counters().subscriptions, 0)
})

t.test('each filter has its answer, also one that comes twice [MQTT-3.8.4-5]', async (t) => {
  const { broker, raw } = await brokerBench(t)
  const client = await raw()
  const filters = Array.from({ length: 200 }, (_, index) => `f/${index % 100}`)
  client.send(subscribePacket(filters, 1, 258))
  const { body } = await client.next(SUBACK)
  t.equal(body.readUInt16BE(0), 258)
  t.same([...body.subarray(2)], Array(200).fill(1))
  t.equal(broker.counters().subscriptions, 100)
  client.send(unsubscribePacket(['f/1', 'f/2', 'none'], 3))
  t.equal((await client.next(UNSUBACK)).body.readUInt16BE(0), 3)
  t.equal(broker.counters().subscriptions, 98)
})

t.test('a publish at QoS 2 is had once, both ways', async (t) => {
  const { raw } = await brokerBench(t)
  const client = await raw()
  client.send(subscribePacket(['a'], 2))
  await client.next(SUBACK)
  const message = publishPacket('a', 'x', { qos: 2, id: 9 })
  client.send(message, publishPacket('a', 'x', { qos: 2, id: 9, flags: 8 }))
  await client.next(PUBREC)
  const { body } = await client.next(3)
  await client.next(PUBREC)
  client.send(acknowledge(PUBREL, 9))
  t.equal((await client.next(PUBCOMP)).body.readUInt16BE(0), 9)
  const id = body.readUInt16BE(3)
  t.same(body.subarray(5), Buffer.from('x'))
  client.send(acknowledge(PUBREC, id))
  t.equal((await client.next(PUBREL)).body.readUInt16BE(0), id)
  client.send(acknowledge(PUBCOMP, id), publishPacket('a', 'last', { qos: 0 }))
  t.same((await client.next(3)).body.subarray(3), Buffer.from('last'), 'and no other before it')
})

for (const [kind, flags] of [
  ['clean', CLEAN],
  ['kept', 0],
] as const) {
  t.test(`nothing behind a DISCONNECT is looked at, of a session that is ${kind}`, async (t) => {
    const { broker, raw, mqtt } = await brokerBench(t)
    const heard: string[] = []
    const other = await mqtt()
    other.on('message', (topic) => heard.push(topic))
    await other.subscribeAsync('a/#')
    const client = await raw({ clientId: kind, flags })
    client.send(publishPacket('a/before', ''), DISCONNECT, publishPacket('a/behind', ''))
    await client.closed
    await until(() => broker.counters().clientsConnected === 1)
    await other.publishAsync('a/last', '', { qos: 1 })
    await until(() => heard.includes('a/last'))
    t.same(heard, ['a/before', 'a/last'])
  })
}

// At QoS 0 nothing waits behind submissions that are not answered yet.
for (const qos of [1, 0]) {
  t.test(`who publishes waits for who is slow, at QoS ${qos}`, async (t) => {
    const { broker, gateway, raw } = await brokerBench(t, { drainHoldMs: 60_000 })
    const slow = await raw({ clientId: 'slow' })
    slow.send(subscribePacket(['a'], qos))
    await slow.next(SUBACK)
    slow.socket.pause()
    const client = await raw()
    const count = 400
    if (qos === 0) {
      gateway.answersAtOnce = false
      const ids = Array.from({ length: count }, (_, index) => index + 1)
      client.send(...ids.map((id) => publishPacket('obelisk/v1/task/submit', '{}', { qos: 1, id })))
      await until(() => gateway.submissions.length === count)
    }
    const large = Buffer.alloc(60 * 1024)
    for (let id = 1; id <= count; id++) {
      client.send(publishPacket('a', large, { qos, id }))
      await new Promise(setImmediate)
      gateway.submissions.shift()?.done()
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
    slow.socket.resume()
    await until(() => slow.received.length === count || slow.isClosed)
    const { dropped, refused } = broker.counters()
    t.same({ ...dropped, ...refused }, {}, 'it has all that there was')
  })
}

t.test('whom we do not read is not silent', async (t) => {
  const { broker, gateway, raw } = await brokerBench(t)
  gateway.answersAtOnce = false
  const client = await raw({ clientId: 'full', keepalive: 1 })
  const submissions = Array.from({ length: HELD_BOUNDS.messagesMax }, (_, index) =>
    publishPacket('obelisk/v1/task/submit', '{}', { qos: 1, id: index + 1 }),
  )
  client.send(...submissions)
  const pings = setInterval(() => client.send(packet(12, 0)), 300)
  t.teardown(() => clearInterval(pings))
  await until(() => gateway.submissions.length === submissions.length)
  await new Promise((resolve) => setTimeout(resolve, 2500))
  t.notOk(client.isClosed)
  for (const { done } of gateway.submissions) done()
  await until(() => client.received.filter(({ type }) => type === 4).length === submissions.length)
  clearInterval(pings)
  await client.closed
  t.equal(broker.counters().refused['keepalive-timeout'], 1, 'but then he is')
})
