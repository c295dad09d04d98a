import t from 'tap'
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
      publishPacket('obelisk/task/submit', '{}', { qos: 1 }),
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
