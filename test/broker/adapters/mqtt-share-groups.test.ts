import type { MqttClient } from 'mqtt'
import t from 'tap'
import { brokerBench, listen } from '../../support/broker-bench.ts'
import {
  packet,
  type RawMqttClient,
  subscribePacket,
  unsubscribePacket,
  until,
} from '../../support/raw-mqtt-client.ts'

const PUBLISH = 3
const PUBACK = 4
const SUBACK = 9
const UNSUBACK = 11
const PERSISTENT = 0
const DUP = 8

interface Message {
  readonly text: string
  readonly id: Buffer
  readonly isRepeated: boolean
}

/** Those that came and that nobody has asked for yet. */
function messagesTo(client: RawMqttClient): Message[] {
  const publishes = client.received.splice(0).filter(({ type }) => type === PUBLISH)
  return publishes.map(({ flags, body }) => {
    const idAt = 2 + body.readUInt16BE(0)
    const payloadAt = idAt + ((flags >> 1) & 3 ? 2 : 0)
    return {
      text: `${body.subarray(2, idAt)} ${body.subarray(payloadAt)} at QoS ${(flags >> 1) & 3}`,
      id: body.subarray(idAt, payloadAt),
      isRepeated: (flags & DUP) !== 0,
    }
  })
}

const countOf = (client: RawMqttClient): number =>
  client.received.filter(({ type }) => type === PUBLISH).length

async function subscribe(client: RawMqttClient, filters: string[], qos = 1): Promise<number[]> {
  client.send(subscribePacket(filters, qos))
  return [...(await client.next(SUBACK)).body.subarray(2)]
}

async function publishAll(publisher: MqttClient, topic: string, payloads: string): Promise<void> {
  for (const payload of payloads) await publisher.publishAsync(topic, payload, { qos: 1 })
}

t.test('each message goes to one member of a group, in turn', async (t) => {
  const { raw, mqtt } = await brokerBench(t)
  const publisher = await mqtt()
  const heard = listen(publisher)
  await publisher.subscribeAsync('work/+')
  const members: RawMqttClient[] = []
  for (const clientId of ['one', 'two', 'three']) {
    const member = await raw({ clientId })
    t.same(await subscribe(member, ['$share/g/work/+']), [1])
    members.push(member)
  }
  const alone = await raw({ clientId: 'alone' })
  await subscribe(alone, ['$share/other/work/+'], 0)
  const wider = await raw({ clientId: 'wider' })
  await subscribe(wider, ['$share/g/#'], 2)

  await publishAll(publisher, 'work/a', '123456')
  await until(() => heard.length === 6 && countOf(alone) === 6 && countOf(wider) === 6)
  await until(() => members.every((member) => countOf(member) === 2))
  t.same(
    members.map((member) => messagesTo(member).map(({ text }) => text)),
    [
      ['work/a 1 at QoS 1', 'work/a 4 at QoS 1'],
      ['work/a 2 at QoS 1', 'work/a 5 at QoS 1'],
      ['work/a 3 at QoS 1', 'work/a 6 at QoS 1'],
    ],
  )
  t.equal(messagesTo(alone)[0]!.text, 'work/a 1 at QoS 0', 'another name is another group')
  t.equal(messagesTo(wider)[0]!.text, 'work/a 1 at QoS 1', 'and so is another filter')

  const [one, two, three] = members as [RawMqttClient, RawMqttClient, RawMqttClient]
  one.send(unsubscribePacket(['$share/g/work/+']))
  await one.next(UNSUBACK)
  two.end()
  await two.closed
  await one.ping()
  await publishAll(publisher, 'work/a', '789')
  await until(() => countOf(three) === 3)
  t.equal(countOf(one), 0, 'who unsubscribes is out, and so is who goes')
})

t.test('what is retained is not sent to who shares, and what is none is denied', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t, { filtersPerClientMax: 3 })
  const publisher = await mqtt()
  await publisher.publishAsync('a', 'kept', { qos: 1, retain: true })
  const client = await raw()
  const none = ['$share/+/a', '$share//a', '$share/g', '$share/g/', '$share/#']
  for (const filter of none) {
    t.same(await subscribe(client, [filter]), [128], filter)
  }
  t.same(await subscribe(client, ['$share/g/$internal']), [128])
  const deep = Array(13).fill('a').join('/')
  t.same(await subscribe(client, [`$share/g/${deep}`]), [128])
  t.same(
    await subscribe(client, [`$share/g/${deep.slice(2)}`, '$share/g/a', 'b', 'c']),
    [1, 1, 1, 128],
  )
  t.equal(broker.counters().subscriptions, 3)
  t.same(broker.counters().refused, {
    'filter-reserved': 1,
    'filter-share': 5,
    'filter-too-deep': 1,
    'filters-full': 1,
  })
  await publisher.publishAsync('a', 'new', { qos: 1, retain: true })
  await until(() => countOf(client) > 0)
  t.same(
    messagesTo(client).map(({ text }) => text),
    ['a new at QoS 1'],
  )
})

t.test('a session that is away counts only while nobody else is there', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t)
  const publisher = await mqtt()
  const parts = { clientId: 'keeps', flags: PERSISTENT }
  const first = await raw(parts)
  await subscribe(first, ['$share/g/a'])
  first.send(packet(14, 0))
  await first.closed
  const other = await raw({ clientId: 'other' })
  await subscribe(other, ['$share/g/a'])
  await publishAll(publisher, 'a', '123')
  await until(() => countOf(other) === 3)
  t.equal(broker.counters().queuedBytes, 0)
  other.end()
  await other.closed
  await until(() => broker.counters().clientsConnected === 1)
  await publishAll(publisher, 'a', '45')
  const second = await raw(parts)
  await until(() => countOf(second) === 2)
  const waited = messagesTo(second)
  t.same(
    waited.map(({ text }) => text),
    ['a 4 at QoS 1', 'a 5 at QoS 1'],
  )
  for (const { id } of waited) second.send(packet(PUBACK, 0, id))
  await publishAll(publisher, 'a', '6')
  await until(() => countOf(second) === 1)
  t.same(messagesTo(second)[0]!.text, 'a 6 at QoS 1')
})

t.test('what a session has not acknowledged is sent to it again, beside its others', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t)
  const publisher = await mqtt()
  const parts = { clientId: 'keeps', flags: PERSISTENT }
  const first = await raw(parts)
  await subscribe(first, ['$share/g/a', 'a'])
  await publishAll(publisher, 'a', '1')
  await until(() => countOf(first) === 2)
  const before = messagesTo(first)
  t.same(
    before.map(({ text }) => text),
    ['a 1 at QoS 1', 'a 1 at QoS 1'],
    'a shared subscription is one beside the others',
  )
  first.end()
  await first.closed
  const second = await raw(parts)
  await until(() => countOf(second) === 2)
  const after = messagesTo(second)
  t.ok(after.every(({ isRepeated }) => isRepeated))
  t.same(new Set(after.map(({ id }) => id.readUInt16BE(0))), new Set([1, 2]))
  for (const { id } of after) second.send(packet(PUBACK, 0, id))
  await second.ping()
  t.equal(broker.counters().queuedBytes, 0)
})
