import type { MqttClient } from 'mqtt'
import t from 'tap'
import type { Connection } from '../../../broker/adapters/mqtt-connection.ts'
import { Delivery } from '../../../broker/adapters/mqtt-delivery.ts'
import { Subscribers } from '../../../broker/adapters/mqtt-subscribers.ts'
import { brokerBench } from '../../support/broker-bench.ts'
import {
  packet,
  publishPacket,
  type RawMqttClient,
  type Received,
  subscribePacket,
  unsubscribePacket,
  until,
} from '../../support/raw-mqtt-client.ts'

const PUBACK = 4
const PUBREL = 6
const PUBLISH = 3
const SUBACK = 9
const UNSUBACK = 11
const PERSISTENT = 0

/** Wildcards in every combination of places: all match the topic whose levels are all `a`. */
function overlapping(levels: number): string[] {
  return Array.from({ length: 2 ** levels }, (_, number) =>
    Array.from({ length: levels }, (_, at) => ((number >> at) & 1 ? '+' : 'a')).join('/'),
  )
}

/** Aedes' client, as far as it delivers, of a connection with this much that it has not taken. */
function connectionOf(name: string, delivered: string[], backlogBytes = 0): Connection {
  const client = {
    closed: false,
    clean: true,
    deliver0: (_packet: object, done: () => void) => {
      delivered.push(`${name} at QoS 0`)
      done()
    },
    deliverQoS: ({ qos }: { qos: number }, done: () => void) => {
      delivered.push(`${name} at QoS ${qos}`)
      done()
    },
  }
  return { client, gate: { backlogBytes } } as unknown as Connection
}

function deliveryTo(subscribers: Subscribers<Connection>): Delivery {
  const mayReceive = (): boolean => true
  const kept = {
    keep: () => {},
    enqueue: () => {},
    outgoingEnqueue: async () => {},
    outgoingUpdate: async () => {},
  }
  const sessions = { groupsFor: () => [], mayReceive, ...kept }
  const onMessage = (): void => {}
  const parts = { sessions, mayReceive, behindBytes: 1000, onMessage }
  return new Delivery(subscribers, parts)
}

const MESSAGE = { cmd: 'publish', payload: Buffer.from('x'), qos: 2, retain: false } as const

t.test('a publish is handed on once to each client, however many filters match', (t) => {
  const subscribers = new Subscribers<Connection>()
  const delivered: string[] = []
  for (let n = 0; n < 15; n++) {
    const connection = connectionOf(`${n}`, delivered)
    for (const [at, filter] of overlapping(8).entries()) {
      subscribers.set(connection, filter, n === 0 || at !== 99 ? 0 : 1)
    }
  }
  const delivery = deliveryTo(subscribers)
  let calls = 0
  delivery.emit({ ...MESSAGE, topic: 'a/a/a/a/a/a/a/a' }, () => calls++)
  t.same(
    delivered.toSorted(),
    Array.from({ length: 15 }, (_, n) => `${n} at QoS ${n === 0 ? 0 : 1}`).toSorted(),
  )
  t.equal(calls, 1)
  delivery.emit({ ...MESSAGE, topic: 'a/a/a/a/a/a/a' }, () => calls++)
  t.equal(delivered.length, 15)
  t.equal(calls, 2, 'also where nobody is to get it')
  t.end()
})

t.test('of a group, one that does not keep up is passed over while another does', (t) => {
  const subscribers = new Subscribers<Connection>()
  const delivered: string[] = []
  for (const [name, backlogBytes] of [
    ['slow', 2000],
    ['one', 0],
    ['two', 1000],
  ] as const) {
    subscribers.set(connectionOf(name, delivered, backlogBytes), '$share/g/a', 1)
  }
  const lone = connectionOf('lone', delivered, 2000)
  subscribers.set(lone, '$share/h/a', 2)
  const delivery = deliveryTo(subscribers)
  for (let n = 0; n < 3; n++) delivery.emit({ ...MESSAGE, topic: 'a' }, () => {})
  t.same(
    delivered.filter((line) => !line.startsWith('lone')),
    ['one at QoS 1', 'two at QoS 1', 'one at QoS 1'],
  )
  t.equal(delivered.length, 6, 'who is alone gets all')
  t.end()
})

/** Subscribes to filters that overlap, the exact one at the lowest QoS. */
async function subscribeOverlapping(client: RawMqttClient): Promise<void> {
  client.send(
    subscribePacket(['a/b', 'end/of/test'], 0),
    subscribePacket(['a/+'], 2),
    subscribePacket(['a/#', '+/b'], 1),
  )
  for (const granted of [2, 1, 2]) {
    t.equal((await client.next(SUBACK)).body.length, 2 + granted)
  }
}

/** What has come, as `payload at QoS n`, up to a mark that is published now. */
async function heardBy(client: RawMqttClient, publisher: MqttClient): Promise<string[]> {
  const isMark = ({ type, body }: Received): boolean =>
    type === PUBLISH && body.includes('end/of/test')
  await publisher.publishAsync('end/of/test', '', { qos: 1 })
  await until(() => client.received.some(isMark))
  const publishes = client.received.splice(0).filter((one) => one.type === PUBLISH && !isMark(one))
  return publishes.map(({ flags, body }) => `${body.toString().at(-1)} at QoS ${(flags >> 1) & 3}`)
}

for (const [name, flags] of [
  ['clean', 2],
  ['persistent', PERSISTENT],
] as const) {
  t.test(
    `a ${name} client with overlapping filters gets one message, at the highest QoS`,
    async (t) => {
      const { raw, mqtt } = await brokerBench(t)
      const publisher = await mqtt()
      const reader = await raw({ clientId: 'reader', flags })
      await subscribeOverlapping(reader)
      const heard: string[] = []
      const publish = async (payload: string, qos: 0 | 1 | 2): Promise<void> => {
        await publisher.publishAsync('a/b', payload, { qos })
        // What is behind it for the publisher is behind it for the reader.
        if (qos === 0) await publisher.publishAsync('elsewhere', '', { qos: 1 })
        heard.push(...(await heardBy(reader, publisher)))
      }
      const unsubscribe = async (...filters: string[]): Promise<void> => {
        reader.send(unsubscribePacket(filters))
        await reader.next(UNSUBACK)
      }
      for (const qos of [0, 1, 2] as const) await publish(`${qos}`, qos)
      await unsubscribe('a/+')
      await publish('3', 2)
      await unsubscribe('a/#', '+/b')
      await publish('4', 2)
      await unsubscribe('a/b')
      await publish('5', 2)
      const at = ['0 at QoS 0', '1 at QoS 1', '2 at QoS 2', '3 at QoS 1', '4 at QoS 0']
      t.same(heard, at)
    },
  )
}

t.test('one that is away has one message waiting, and gives back all that it took', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t)
  const publisher = await mqtt()
  const parts = { clientId: 'reader', flags: PERSISTENT }
  const first = await raw(parts)
  await subscribeOverlapping(first)
  first.send(packet(14, 0))
  await first.closed
  await publisher.publishAsync('a/b', '2', { qos: 2 })
  t.ok(broker.counters().queuedBytes > 0)
  const second = await raw(parts)
  const { flags, body } = await second.next(PUBLISH)
  t.equal(flags, 2 << 1)
  const id = body.subarray(5, 7)
  second.send(packet(5, 0, id))
  await second.next(PUBREL)
  second.send(packet(7, 0, id))
  t.same(await heardBy(second, publisher), [])
  t.equal(broker.counters().queuedBytes, 0)
})

const BRIDGE = 0x84
const RETAIN = 1

for (const [name, flags] of [
  ['clean', 2],
  ['persistent', PERSISTENT],
] as const) {
  t.test(
    `a ${name} bridge gets the retain flag as published, and nothing of its own`,
    async (t) => {
      const { broker, raw, mqtt } = await brokerBench(t)
      const publisher = await mqtt()
      const bridge = await raw({ clientId: 'bridge', flags, level: BRIDGE })
      const other = await raw({ clientId: 'other', flags })
      for (const client of [bridge, other]) {
        client.send(subscribePacket(['#'], 1))
        await client.next(SUBACK)
      }
      const taken = async (client: RawMqttClient): Promise<string> => {
        const { flags, body } = await client.next(PUBLISH)
        const topicEnd = 2 + body.readUInt16BE(0)
        const isKept = (flags & RETAIN) !== 0 ? ' kept' : ''
        const qos = (flags >> 1) & 3
        if (qos > 0) client.send(packet(PUBACK, 0, body.subarray(topicEnd, topicEnd + 2)))
        return `${body.subarray(2, topicEnd)} at QoS ${qos}${isKept}`
      }
      const heardBy = async (client: RawMqttClient, ...topics: string[]): Promise<string[]> => {
        const heard: string[] = []
        for (const _topic of topics) heard.push(await taken(client))
        return heard
      }
      await publisher.publishAsync('site/a', '1', { qos: 1, retain: true })
      await publisher.publishAsync('site/b', '2', { qos: 1 })
      publisher.publish('site/c', '3', { qos: 0, retain: true })
      await publisher.publishAsync('site/d', '4', { qos: 2, retain: true })
      const all = ['a', 'b', 'c', 'd']
      t.same(
        await heardBy(bridge, ...all),
        ['a at QoS 1 kept', 'b at QoS 1', 'c at QoS 0 kept', 'd at QoS 1 kept'].map(
          (line) => `site/${line}`,
        ),
      )
      t.same(
        await heardBy(other, ...all),
        ['a at QoS 1', 'b at QoS 1', 'c at QoS 0', 'd at QoS 1'].map((line) => `site/${line}`),
      )
      await until(() => broker.counters().queuedBytes === 0)

      bridge.send(publishPacket('site/own', 'x', { qos: 1 }))
      t.equal(await taken(other), 'site/own at QoS 1')
      await publisher.publishAsync('site/e', '5', { qos: 1 })
      t.equal(await taken(bridge), 'site/e at QoS 1', 'its own did not come back')
      t.equal(await taken(other), 'site/e at QoS 1')
      await until(() => broker.counters().queuedBytes === 0)
    },
  )
}

t.test('what waited for a bridge that was away has its retain flag', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t)
  const publisher = await mqtt()
  const parts = { clientId: 'bridge', flags: PERSISTENT, level: BRIDGE }
  const first = await raw(parts)
  first.send(subscribePacket(['site/#'], 1))
  await first.next(SUBACK)
  // One that was sent and is not acknowledged, one that comes while it is away.
  await publisher.publishAsync('site/a', '', { qos: 1, retain: true })
  await publisher.publishAsync('site/b', '1', { qos: 1, retain: true })
  await first.next(PUBLISH)
  first.end()
  await until(() => broker.counters().clientsConnected === 1)
  await publisher.publishAsync('site/c', '2', { qos: 1 })
  const second = await raw(parts)
  const flags: number[] = []
  for (let n = 0; n < 3; n++) flags.push((await second.next(PUBLISH)).flags & RETAIN)
  t.same(flags, [RETAIN, RETAIN, 0])
  second.end()
  await until(() => broker.counters().clientsConnected === 1)
  const third = await raw({ ...parts, level: 4 })
  t.equal((await third.next(PUBLISH)).flags & RETAIN, 0, 'a client that is none does not get it')
})
