import { connectAsync, type MqttClient } from 'mqtt'
import t from 'tap'
import { MqttBroker } from '../../../broker/adapters/mqtt-broker.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { Random } from '../../../shared/core/random.ts'
import { filterMatches } from '../../../shared/protocol/topic-filters.ts'
import { nodeClientId } from '../../../shared/protocol/topics.ts'
import { brokerBench as bench, Gateway, listen } from '../../support/broker-bench.ts'
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

const BASE = 'obelisk/v1'
const SUBMIT = `${BASE}/task/submit`
const MIB = 1024 * 1024
const NODE = 'node-1' as NodeId

function closing(client: MqttClient): Promise<void> {
  return new Promise((resolve) => client.once('close', () => resolve()))
}

t.test('a PUBACK leaves when the submission is answered, and not before', async (t) => {
  const { gateway, raw, mqtt } = await bench(t)
  gateway.answersAtOnce = false
  const client = await raw({ clientId: 'me' })
  const other = await mqtt()
  const heard = listen(other)
  await other.subscribeAsync(SUBMIT)

  client.send(publishPacket(SUBMIT, 'one', { qos: 1, id: 11 }))
  client.send(publishPacket(SUBMIT, 'two', { qos: 1, id: 12, flags: 8 | 1 }))
  await until(() => gateway.submissions.length === 2)
  await client.ping()
  t.same(client.received, [], 'the client is served, but not acknowledged')
  t.same(
    gateway.submissions.map(({ submission }) => submission.submitter),
    [
      { via: 'mqtt', client: 'me', packetId: 11, isDuplicate: false },
      { via: 'mqtt', client: 'me', packetId: 12, isDuplicate: true },
    ],
  )
  for (const { done } of gateway.submissions) done()
  gateway.submissions[0]!.done()
  t.same((await client.next(4)).body, Buffer.from([0, 11]))
  t.same((await client.next(4)).body, Buffer.from([0, 12]))
  await until(() => heard.length === 2)
  t.same(heard, [`${SUBMIT} one`, `${SUBMIT} two`], 'subscribers see it then, never retained')
  await client.ping()
  t.same(client.received, [], 'answered twice is acknowledged once')
})

t.test(
  'a PUBREC leaves when the submission is answered, and a repetition is not new',
  async (t) => {
    const { gateway, raw } = await bench(t)
    gateway.answersAtOnce = false
    const client = await raw()
    client.send(publishPacket(SUBMIT, 'one', { qos: 2, id: 5 }))
    await until(() => gateway.submissions.length === 1)
    await client.ping()
    t.same(client.received, [])
    gateway.submissions[0]!.done()
    t.same((await client.next(5)).body, Buffer.from([0, 5]))
    client.send(publishPacket(SUBMIT, 'one', { qos: 2, id: 5, flags: 8 }))
    t.same((await client.next(5)).body, Buffer.from([0, 5]))
    client.send(packet(6, 2, Uint8Array.of(0, 5)))
    t.same((await client.next(7)).body, Buffer.from([0, 5]))
    t.equal(gateway.submissions.length, 1)
  },
)

t.test('a submission at QoS 0 is taken without an answer', async (t) => {
  const { gateway, raw } = await bench(t)
  const client = await raw({ clientId: 'zero' })
  client.send(publishPacket(SUBMIT, 'one'))
  await client.ping()
  t.same(gateway.submissions[0]!.submission.submitter, { via: 'mqtt', client: 'zero' })
})

t.test('a submission above the limit is acknowledged without being kept', async (t) => {
  const { broker, gateway, mqtt } = await bench(t)
  const client = await mqtt()
  const other = await mqtt()
  const heard = listen(other)
  await other.subscribeAsync('#')
  let peakBytes = 0
  const watch = setInterval(() => {
    peakBytes = Math.max(peakBytes, broker.counters().bufferedBytes)
  }, 1)
  for (const [qos, bytes] of [
    [1, MIB + 1],
    [2, 16 * MIB],
    [0, 3 * MIB],
  ] as const) {
    await client.publishAsync(SUBMIT, Buffer.alloc(bytes), { qos })
  }
  await until(() => gateway.submissions.length === 3)
  clearInterval(watch)
  t.same(
    gateway.submissions.map(({ submission }) => [
      submission.payload.length,
      submission.skippedBytes,
      submission.submitter.packetId !== undefined,
    ]),
    [
      [0, MIB + 1, true],
      [0, 16 * MIB, true],
      [0, 3 * MIB, false],
    ],
  )
  t.ok(peakBytes < 200_000, `at most ${peakBytes} bytes were kept`)
  await client.publishAsync(SUBMIT, Buffer.alloc(MIB), { qos: 1 })
  await until(() => heard.length > 0)
  t.same(heard, [`${SUBMIT} ${MIB}`], 'what was skipped reaches nobody')
})

t.test('a submission beyond all measure ends the connection', async (t) => {
  const { broker, gateway, raw } = await bench(t)
  const client = await raw()
  client.send(publishPacket(SUBMIT, Buffer.alloc(16 * MIB + 1), { qos: 1 }).subarray(0, 100))
  await client.closed
  t.same(broker.counters().refused, { 'packet-too-large': 1 })
  t.equal(gateway.submissions.length, 0)
})

t.test('one client that submits much is read no further than its answers', async (t) => {
  const { broker, gateway, raw } = await bench(t)
  gateway.answersAtOnce = false
  const client = await raw()
  const payload = Buffer.alloc(MIB)
  for (let id = 1; id <= 10; id++) client.send(publishPacket(SUBMIT, payload, { qos: 1, id }))
  await until(() => gateway.submissions.length >= 4)
  const another = await raw({ clientId: 'another' })
  await another.ping()
  t.ok(gateway.submissions.length <= 5, `${gateway.submissions.length} were let in`)
  while (gateway.submissions.length < 10) {
    for (const { done } of gateway.submissions) done()
    await new Promise(setImmediate)
  }
  for (const { done } of gateway.submissions) done()
  for (let id = 1; id <= 10; id++) t.equal((await client.next(4)).body.readUInt16BE(0), id)
  t.equal(broker.counters().bufferedBytes, 0)
})

t.test('what may not be published is acknowledged, dropped and counted', async (t) => {
  const { broker, gateway, mqtt } = await bench(t)
  const client = await mqtt({ clientId: 'stranger' })
  const heard = listen(client)
  await client.subscribeAsync(['#', '$SYS/#'], { qos: 1 })
  for (const topic of [
    `${BASE}/gateway/state`,
    `${BASE}/task/t1/state`,
    `${BASE}/task/rejected`,
    `${BASE}/node/${NODE}/state`,
    `${BASE}/node/${NODE}/up`,
    `${BASE}/node/${NODE}/down`,
    `${BASE}/anything`,
    BASE,
    '$SYS/broker/version',
    '$other',
  ]) {
    await client.publishAsync(topic, 'forged', { qos: 1, retain: true })
    await client.publishAsync(topic, 'forged', { qos: 2 })
    await client.publishAsync(topic, 'forged', { qos: 0 })
  }
  await client.publishAsync('outside/base', 'fine', { qos: 1 })
  await until(() => heard.includes('outside/base fine'))
  t.same(
    heard.filter((line) => line.includes('forged')),
    [],
  )
  t.same(broker.counters().dropped, { 'topic-not-allowed': 24, 'topic-reserved': 6 })
  t.equal(gateway.nodeMessages.length, 0)
  t.equal(client.connected, true)
})

t.test('a task can be cancelled by anyone', async (t) => {
  const { gateway, mqtt } = await bench(t)
  const client = await mqtt()
  await client.publishAsync(`${BASE}/task/task_001/cancel`, '', { qos: 1 })
  t.same(gateway.cancels, ['task_001'])
})

t.test('a cancel that is repeated at QoS 2 is told once', async (t) => {
  const { gateway, raw } = await bench(t)
  const client = await raw()
  const cancel = (flags: number): Buffer =>
    publishPacket(`${BASE}/task/task_001/cancel`, '', { qos: 2, id: 7, flags })
  client.send(cancel(0))
  await client.next(5)
  client.send(cancel(8))
  await client.next(5)
  t.same(gateway.cancels, ['task_001'])
})

t.test('a node speaks for itself, and beyond its messages only while it is admitted', async (t) => {
  const { broker, gateway, mqtt } = await bench(t)
  const watcher = await mqtt()
  const heard = listen(watcher)
  await watcher.subscribeAsync(`${BASE}/node/#`, { qos: 1 })
  const connection = nodeClientId(NODE, 'a')
  const node = await mqtt({ clientId: connection })
  const own = `${BASE}/node/${NODE}`

  await node.publishAsync(`${own}/up`, 'hello')
  await node.publishAsync(`${own}/state`, 'too early', { qos: 1, retain: true })
  t.same(gateway.nodeMessages, [`${NODE} hello`])
  broker.admit(connection, 'node-2' as NodeId)
  await node.publishAsync(`${own}/state`, 'not as another', { qos: 1, retain: true })
  broker.admit(connection, NODE)
  await node.publishAsync(`${own}/state`, 'online', { qos: 1, retain: true })
  await node.publishAsync(`${own}/info`, '{}', { qos: 1, retain: true })
  await node.publishAsync(`${own}/telemetry`, 'cbor', { qos: 0, retain: true })
  await node.publishAsync(`${own}/event`, 'event', { qos: 1, retain: true })
  await node.publishAsync(`${own}/info`, Buffer.alloc(65 * 1024), { qos: 1 })
  await node.publishAsync(`${own}/down`, 'x', { qos: 1 })
  await node.publishAsync(`${BASE}/node/node-2/state`, 'x', { qos: 1 })
  await node.publishAsync(SUBMIT, 'x', { qos: 1 })
  await node.publishAsync('elsewhere', 'x', { qos: 1 })
  await until(() => heard.length === 4)
  t.same(heard.toSorted(), [
    `${own}/event event`,
    `${own}/info {}`,
    `${own}/state online`,
    `${own}/telemetry cbor`,
  ])
  t.same(gateway.reports, [`${NODE} node-info {}`, `${NODE} node-telemetry cbor`])
  t.same(broker.counters().dropped, {
    'node-not-admitted': 2,
    'node-payload-too-large': 1,
    'topic-not-allowed': 4,
  })
  const late = await mqtt()
  const heardLate = listen(late)
  await late.subscribeAsync(`${BASE}/node/#`)
  await until(() => heardLate.length === 2)
  t.same(heardLate.toSorted(), [`${own}/info {} R`, `${own}/state online R`])
})

t.test('a node is written to directly, and told of when its connection ends', async (t) => {
  const { broker, gateway, mqtt } = await bench(t)
  const connection = nodeClientId(NODE, 'a')
  t.equal(broker.sendToNode(connection, Buffer.from('x')), false)
  const node = await mqtt({ clientId: connection })
  const heard = listen(node)
  const large = Buffer.alloc(MIB)
  t.equal(broker.sendToNode(connection, Buffer.from('first')), true)
  t.equal(broker.sendToNode(connection, large), true)
  t.equal(broker.sendToNode(connection, new Uint8Array()), true)
  broker.disconnect(connection, 'test')
  t.equal(broker.sendToNode(connection, Buffer.from('late')), false)
  await closing(node)
  const down = `${BASE}/node/${NODE}/down`
  t.same(heard, [`${down} first`, `${down} ${MIB}`, `${down} `])
  await until(() => gateway.closed.length > 0)
  t.same(gateway.closed, [connection])

  const killed = await mqtt({ clientId: nodeClientId(NODE, 'b') })
  const stranger = await mqtt()
  killed.stream.destroy()
  stranger.stream.destroy()
  await until(() => broker.counters().clientsConnected === 0)
  t.same(gateway.closed, [connection, nodeClientId(NODE, 'b')])
})

t.test('a node that takes too little is not written to without end', async (t) => {
  const { broker } = await bench(t)
  const connection = nodeClientId(NODE, 'a')
  const node = await RawMqttClient.connected(broker.port, { clientId: connection })
  t.teardown(() => node.end())
  node.socket.pause()
  const payload = Buffer.alloc(MIB)
  let sent = 0
  while (broker.sendToNode(connection, payload)) {
    if (++sent > 100) throw new Error('there is no end')
    await new Promise(setImmediate)
  }
  t.same(broker.counters().dropped, { 'node-backlog': 1 })
})

t.test('a will speaks for a node only until another connection is admitted', async (t) => {
  const { broker, mqtt } = await bench(t)
  const state = `${BASE}/node/${NODE}/state`
  const will = { topic: state, payload: Buffer.from('offline'), qos: 1 as const, retain: true }
  const watcher = await mqtt()
  const heard = listen(watcher)
  await watcher.subscribeAsync(state)

  const first = await mqtt({ clientId: nodeClientId(NODE, 'a'), will })
  broker.admit(nodeClientId(NODE, 'a'), NODE)
  await first.publishAsync(state, 'online 1', { qos: 1, retain: true })
  const second = await mqtt({ clientId: nodeClientId(NODE, 'b'), will })
  broker.admit(nodeClientId(NODE, 'b'), NODE)
  await second.publishAsync(state, 'online 2', { qos: 1, retain: true })
  first.stream.destroy()
  await until(() => broker.counters().dropped['will-superseded'] === 1)
  second.stream.destroy()
  await until(() => heard.length === 3)
  t.same(heard, [`${state} online 1`, `${state} online 2`, `${state} offline`])

  const never = await mqtt({ clientId: nodeClientId(NODE, 'c'), will })
  never.stream.destroy()
  await until(() => broker.counters().dropped['will-superseded'] === 2)

  await mqtt({ clientId: nodeClientId(NODE, 'd'), will })
  broker.admit(nodeClientId(NODE, 'd'), NODE)
  broker.disconnect(nodeClientId(NODE, 'd'), 'node-left')
  await until(() => broker.counters().dropped['will-superseded'] === 3)
  t.equal(heard.length, 3, 'nobody hears of a node that has left')
})

t.test('the same client id again: the end of the first is told before the second', async (t) => {
  const { broker, gateway, mqtt } = await bench(t)
  const clientId = nodeClientId(NODE, 'a')
  const first = await mqtt({ clientId })
  const closed = closing(first)
  const second = await mqtt({ clientId })
  await closed
  t.same(gateway.closed, [clientId])
  t.equal(broker.sendToNode(clientId, Buffer.from('x')), true, 'the second is the one')
  await second.publishAsync(`${BASE}/node/${NODE}/up`, 'hello')
  await until(() => gateway.nodeMessages.length === 1)
  t.equal(broker.counters().clientsConnected, 1)
})

t.test('wills of others follow the rules of their publishes', async (t) => {
  const { broker, gateway, mqtt } = await bench(t)
  const watcher = await mqtt()
  const heard = listen(watcher)
  await watcher.subscribeAsync('#', { qos: 1 })
  const die = async (topic: string): Promise<void> => {
    const payload = Buffer.from('gone')
    const client = await mqtt({ will: { topic, payload, qos: 1, retain: true } })
    client.stream.destroy()
  }
  await die(`${BASE}/gateway/state`)
  await until(() => broker.counters().dropped['topic-not-allowed'] === 1)
  await die('status/client')
  await until(() => heard.length === 1)
  t.same(heard, ['status/client gone'])
  await die(SUBMIT)
  await until(() => gateway.submissions.length === 1)
  const polite = await mqtt({ will: { topic: 'status/polite', payload: Buffer.from('gone') } })
  await polite.endAsync()
  await until(() => broker.counters().clientsConnected === 1)
  t.equal(
    heard.some((line) => line.startsWith('status/polite')),
    false,
  )
})

t.test('the wrong acknowledgement is none, and ends the connection', async (t) => {
  const { broker, raw, mqtt } = await bench(t)
  const options = { clientId: 'mistaken', flags: 0 }
  const reader = await raw(options)
  reader.send(subscribePacket(['one'], 1), subscribePacket(['two'], 2))
  await reader.next(9)
  await reader.next(9)
  const publisher = await mqtt()
  await publisher.publishAsync('one', '1', { qos: 1 })
  await publisher.publishAsync('two', '2', { qos: 2 })
  const ids = await Promise.all([1, 2].map(async () => (await reader.next(3)).body.subarray(5, 7)))
  const [one, two] = ids as [Buffer, Buffer]
  const again = async (after: RawMqttClient): Promise<RawMqttClient> => {
    await after.closed
    return await raw(options)
  }
  let client = reader
  const wrong = [packet(5, 0, one), packet(7, 0, one), packet(4, 0, two), packet(7, 0, two)]
  for (const packet of wrong) {
    client.send(packet)
    client = await again(client)
    t.equal((await client.next(3)).flags, 8 | 2, 'both are sent again')
    t.equal((await client.next(3)).flags, 8 | 4)
  }
  client.send(packet(5, 0, two))
  t.same((await client.next(6)).body, two)
  client.send(packet(4, 0, two))
  client = await again(client)
  t.same((await client.next(6)).body, two, 'and so is what was half done')
  client.send(packet(4, 0, one), packet(7, 0, two))
  await client.ping()
  client.end()
  client = await again(client)
  await client.ping()
  t.same(client.received, [], 'the right ones count')
  t.equal(broker.counters().refused['acknowledgement-kind'], 5)
})

t.test('a persistent session keeps a bounded rest while its client is away', async (t) => {
  const { broker, raw, mqtt } = await bench(t, { queueMessagesMax: 5 })
  const options = { clientId: 'keeps', flags: 0 }
  const first = await raw(options)
  first.send(subscribePacket(['news/#'], 1))
  await first.next(9)
  first.send(packet(14, 0))
  await first.closed
  const publisher = await mqtt()
  for (let n = 1; n <= 7; n++) await publisher.publishAsync('news/a', `${n}`, { qos: 1 })
  await publisher.publishAsync('news/a', 'not kept', { qos: 0 })
  t.equal(broker.counters().dropped['offline-queue-full'], 2, 'the oldest were given up')
  t.equal(broker.counters().clientsDisconnected, 1)
  t.ok(broker.counters().queuedBytes > 0)

  const second = await RawMqttClient.open(broker.port, connectPacket(options))
  t.teardown(() => second.end())
  t.same((await second.next(2)).body, Buffer.from([1, 0]), 'session present')
  const ids: Buffer[] = []
  for (let n = 3; n <= 7; n++) {
    const { body, flags } = await second.next(3)
    t.equal(body.subarray(-1).toString(), `${n}`)
    t.equal(flags, 2, 'QoS 1, for the first time')
    ids.push(body.subarray(8, 10))
  }
  second.send(packet(4, 0, ids[0]!))
  await second.ping()
  second.end()
  await second.closed
  const third = await RawMqttClient.open(broker.port, connectPacket(options))
  t.teardown(() => third.end())
  const again = await third.next(3)
  t.equal(again.body.subarray(-1).toString(), '4', 'what was acknowledged is not sent again')
  t.equal(again.flags, 8 | 2, 'the rest is, marked as repeated')
  t.same(again.body.subarray(8, 10), ids[1], 'under the id it had')

  const clean = await raw({ clientId: 'keeps', flags: 2 })
  await clean.ping()
  t.same(clean.received, [])
  t.equal(broker.counters().queuedBytes, 0, 'a clean session discards all of it')
})

t.test('sessions are bounded: the one away for longest goes first', async (t) => {
  const { broker, raw } = await bench(t, { sessionsMax: 2 })
  for (const clientId of ['one', 'two', 'three']) {
    const client = await raw({ clientId, flags: 0 })
    client.send(subscribePacket(['a'], 1))
    await client.next(9)
    client.end()
    await until(() => broker.counters().clientsConnected === 0)
    await until(() => broker.counters().clientsDisconnected > 0)
  }
  await until(() => broker.counters().clientsDisconnected === 2)
  t.equal(broker.counters().dropped['session-evicted'], 1)
  const two = await raw({ clientId: 'two', flags: 0 })
  const three = await raw({ clientId: 'three', flags: 0 })
  const four = await RawMqttClient.open(broker.port, connectPacket({ clientId: 'four', flags: 0 }))
  t.same((await four.next(2)).body, Buffer.from([0, 3]), 'nobody is away: no room')
  await Promise.all([two.ping(), three.ping()])
})

t.test('subscriptions are bounded and judged one by one', async (t) => {
  const { broker, raw, mqtt } = await bench(t, { filtersPerClientMax: 3 })
  const client = await raw({ clientId: 'reader', flags: 0 })
  client.send(subscribePacket(['a', '$share/+/a', '$internal', '$SYS/broker/#', 'b', 'c'], 1))
  t.same([...(await client.next(9)).body.subarray(2)], [1, 128, 128, 1, 1, 128])
  t.same(broker.counters().refused, { 'filter-reserved': 1, 'filter-share': 1, 'filters-full': 1 })
  t.equal(broker.counters().subscriptions, 3)
  client.end()
  await until(() => broker.counters().subscriptions === 0)

  const again = await raw({ clientId: 'reader', flags: 0 })
  const publisher = await mqtt()
  await publisher.publishAsync('c', 'refused', { qos: 1 })
  await publisher.publishAsync('b', 'granted', { qos: 1 })
  const { body } = await again.next(3)
  t.equal(body.subarray(-7).toString(), 'granted', 'what was refused is not in the session')
  again.send(packet(10, 2, Buffer.concat([Uint8Array.of(0, 9), field('b')])))
  await again.next(11)
  t.equal(broker.counters().subscriptions, 2)
})

t.test('what is too many, too deep or too long is denied, and the client stays', async (t) => {
  const { broker, raw, mqtt } = await bench(t)
  const client = await raw({ clientId: 'home', flags: 0 })
  const topics = Array.from({ length: 1500 }, (_, n) => `home/${n}/state`)
  const granted: number[] = []
  for (const at of [0, 500, 1000]) {
    client.send(subscribePacket(topics.slice(at, at + 500), 1))
    granted.push(...(await client.next(9)).body.subarray(2))
  }
  t.equal(granted.indexOf(128), 1024, 'granted up to the bound')
  t.equal(granted.filter((qos) => qos === 1).length, 1024)
  t.equal(broker.counters().subscriptions, 1024)
  client.send(unsubscribePacket(topics.slice(0, 500)))
  await client.next(11)
  t.equal(broker.counters().subscriptions, 524)

  const deep = (levels: number): string => Array(levels).fill('a').join('/')
  client.send(subscribePacket([deep(12), deep(13), 'x'.repeat(1024), 'x'.repeat(1025)], 1))
  t.same([...(await client.next(9)).body.subarray(2)], [1, 128, 1, 128])
  const publisher = await mqtt()
  await publisher.publishAsync(deep(13), 'dropped', { qos: 1 })
  await publisher.publishAsync(deep(12), 'forwarded', { qos: 1 })
  t.equal((await client.next(3)).body.subarray(-9).toString(), 'forwarded')
  t.same(broker.counters().refused, {
    'filter-too-deep': 1,
    'filter-too-long': 1,
    'filters-full': 476,
  })
  t.same(broker.counters().dropped, { 'topic-too-deep': 1 })
})

t.test('many filters in one SUBSCRIBE delay nobody', async (t) => {
  const { broker, raw, mqtt } = await bench(t)
  const publisher = await mqtt()
  for (let n = 0; n < 2000; n++) {
    publisher.publish(`keep/${n}/x`, 'x', { qos: n === 1999 ? 1 : 0, retain: true })
  }
  await until(() => broker.counters().retained > 2000)
  const reader = await raw({ clientId: 'reader', flags: 0 })
  const other = await raw({ clientId: 'other' })
  await other.ping()
  const filters = Array.from({ length: 64 }, (_, n) => `+/${n}/+/${n}/#`)
  let worstMs = 0
  for (let round = 0; round < 4; round++) {
    reader.send(subscribePacket(filters.map((filter) => `${filter}/`.replace('#/', `r${round}`))))
    worstMs = Math.max(worstMs, await other.ping())
    await reader.next(9)
    worstMs = Math.max(worstMs, await other.ping())
  }
  t.equal(broker.counters().subscriptions, 256)
  t.ok(worstMs < 500, `the other waited ${worstMs.toFixed(1)} ms`)
})

t.test('QoS is lowered to what was asked for, by a wildcard too', async (t) => {
  const { raw, mqtt } = await bench(t)
  const publisher = await mqtt()
  await publisher.publishAsync('keep/a', 'kept', { qos: 2, retain: true })
  const reader = await raw()
  reader.send(subscribePacket(['keep/+'], 0))
  t.equal((await reader.next(3)).flags, 1, 'retained, at QoS 0')
  const another = await raw({ clientId: 'another' })
  another.send(subscribePacket(['live/+'], 1))
  await another.next(9)
  await publisher.publishAsync('live/a', 'live', { qos: 2 })
  t.equal((await another.next(3)).flags, 2, 'at QoS 1')
})

t.test('retained messages outside the base are bounded', async (t) => {
  const { broker, mqtt } = await bench(t, { retainedMessagesMax: 2, retainedBytesMax: 5000 })
  const client = await mqtt()
  const before = broker.counters().retained
  const keep = (topic: string, payload: string | Buffer): Promise<unknown> =>
    client.publishAsync(topic, payload, { qos: 1, retain: true })
  await keep('a', '1')
  await keep('b', '1')
  await keep('c', 'too many')
  await keep('a', Buffer.alloc(5000))
  t.equal(broker.counters().retained, before + 1, 'what a had is not true any more')
  t.equal(broker.counters().dropped['retained-full'], 2)
  await keep('a', '2')
  await keep('b', '')
  await keep('c', 'fits now')
  const reader = await mqtt()
  const heard = listen(reader)
  await reader.subscribeAsync(['a', '+'])
  await until(() => heard.length === 2)
  t.same(heard.toSorted(), ['a 2 R', 'c fits now R'])
})

t.test('what the ledger retains is served from there to late subscribers', async (t) => {
  const ledger = new Map<string, string>()
  const isOwned = (topic: string): boolean => /\/task\/[^/]+\/(state|result)/.test(topic)
  const { broker, mqtt } = await bench(t, {
    retainedSource: {
      owns: isOwned,
      *match(filter) {
        for (const [topic, payload] of ledger) {
          if (filterMatches(filter, topic)) yield { topic, payload: Buffer.from(payload) }
        }
      },
      topics: () => ledger.keys(),
    },
  })
  const before = broker.counters().retained
  const live = await mqtt()
  const heardLive = listen(live)
  await live.subscribeAsync(`${BASE}/task/+/state`, { qos: 1 })
  for (let n = 0; n < 300; n++) {
    const topic = `${BASE}/task/t${n}/state`
    ledger.set(topic, `done ${n}`)
    broker.publish({ topic, payload: `done ${n}`, qos: 1, retain: true })
  }
  await until(() => heardLive.length === 300)
  t.equal(broker.counters().retained, before, 'none of it is kept in memory')
  const late = await mqtt()
  const heard = listen(late)
  await late.subscribeAsync([`${BASE}/task/+/state`, `${BASE}/task/t7/result`], { qos: 1 })
  await until(() => heard.length === 300)
  t.equal(heard[7], `${BASE}/task/t7/state done 7 R`)
})

t.test('a retained message never follows a newer one of its topic', async (t) => {
  const { broker, mqtt } = await bench(t)
  const topics = Array.from({ length: 200 }, (_, n) => `${BASE}/task/t${n}/state`)
  const publish = (payload: string): void => {
    for (const topic of topics) broker.publish({ topic, payload, qos: 1, retain: true })
  }
  publish('old')
  const reader = await mqtt()
  const heard = listen(reader)
  reader.subscribe(`${BASE}/task/+/state`, { qos: 1 })
  await until(() => heard.length > 20)
  publish('new')
  await until(() => heard.filter((line) => line.includes('new')).length >= 200)
  for (const topic of topics) {
    const last = heard.findLast((line) => line.startsWith(topic))
    t.match(last, / new/)
  }
})

t.test('a subscriber that stopped reading delays nobody else', async (t) => {
  const { broker, raw, mqtt } = await bench(t, { drainHoldMs: 20 })
  const frozen = await raw({ clientId: 'frozen' })
  frozen.send(subscribePacket(['load/#'], 1))
  await frozen.next(9)
  frozen.socket.pause()
  const publishers = await Promise.all([0, 1, 2, 3, 4].map(() => mqtt()))
  const payload = Buffer.alloc(32 * 1024)
  let isOver = false
  const load = publishers.map(async (publisher, n) => {
    while (!isOver) {
      publisher.publish(`load/${n}`, payload)
      await publisher.publishAsync(`load/${n}`, payload, { qos: 1 })
    }
  })
  const sender = await raw({ clientId: 'sender' })
  const receiver = await raw({ clientId: 'receiver' })
  receiver.send(subscribePacket(['pair']))
  await receiver.next(9)
  let worstMs = 0
  for (let n = 0; n < 30_000 && !frozen.isClosed; n++) {
    const startMs = performance.now()
    sender.send(publishPacket('pair', `${n}`))
    await receiver.next(3)
    worstMs = Math.max(worstMs, performance.now() - startMs)
    const { dropped, refused } = broker.counters()
    if (dropped['subscriber-backlog'] && refused['subscriber-backlog']) break
  }
  isOver = true
  await Promise.all(load)
  t.ok(broker.counters().dropped['subscriber-backlog'], 'QoS 0 was dropped for it')
  t.equal(broker.counters().refused['subscriber-backlog'], 1, 'and then it was let go')
  t.ok(worstMs < 1000, `the pair waited ${worstMs.toFixed(1)} ms`)
})

t.test('who reads gets all that is sent at once: it had no time to fall behind', async (t) => {
  const { broker, raw } = await bench(t)
  const payload = Buffer.alloc(60_000)
  for (const qos of [0, 1] as const) {
    const client = await raw({ clientId: `reader ${qos}` })
    client.send(subscribePacket(['#'], qos))
    await client.next(9)
    // More than all buffers of a kernel take, and than a client may be behind.
    for (let n = 0; n < 500; n++) broker.publish({ topic: 'a', payload, qos, retain: false })
    await until(() => client.received.length === 500 || client.isClosed)
    t.equal(client.received.length, 500)
    client.end()
    await client.closed
  }
  const { dropped, refused } = broker.counters()
  t.same({ dropped, refused }, { dropped: {}, refused: {} })
})

t.test('sockets before CONNECT have a pool of their own', async (t) => {
  const limits = { preConnectMax: 3, preConnectGraceMs: 50, connectionsMax: 2 }
  const { broker, raw } = await bench(t, limits)
  const silent = await Promise.all([0, 1, 2].map(() => RawMqttClient.open(broker.port)))
  const startMs = performance.now()
  await until(() => performance.now() - startMs > limits.preConnectGraceMs)
  const one = await raw({ clientId: 'one' })
  await Promise.race(silent.map(({ closed }) => closed))
  t.equal(silent.filter(({ isClosed }) => isClosed).length, 1, 'one silent socket made room')
  t.equal(silent[0]!.isClosed, true, 'the oldest')
  const two = await raw({ clientId: 'two' })
  const three = await RawMqttClient.open(broker.port, connectPacket({ clientId: 'three' }))
  t.same((await three.next(2)).body, Buffer.from([0, 3]))
  await Promise.all([one.ping(), two.ping()])
  t.match(broker.counters().refused, { 'connections-full': 1 })
  for (const client of silent) client.end()
})

t.test('the figures have the names that mosquitto gave them', async (t) => {
  const { broker, mqtt } = await bench(t, { version: '1.2.3' })
  const client = await mqtt()
  const heard = listen(client)
  await client.subscribeAsync('$SYS/#')
  await until(() => heard.some((line) => line.includes('retained messages/count')))
  const names = heard.map((line) => line.replace(/ \S+( seconds| version \S+)? R$/, ''))
  for (const name of [
    'clients/connected',
    'clients/total',
    'clients/disconnected',
    'messages/received',
    'messages/sent',
    'bytes/received',
    'bytes/sent',
    'shared_subscriptions/available',
    'subscriptions/count',
    'retained messages/count',
    'uptime',
    'version',
  ]) {
    t.ok(names.includes(`$SYS/broker/${name}`), name)
  }
  t.ok(heard.includes('$SYS/broker/version obelisk version 1.2.3 R'))
  const another = await mqtt({ clientId: 'another' })
  await another.subscribeAsync('private')
  await another.endAsync()
  await client.publishAsync('x', '', { qos: 1 })
  t.equal(
    heard.every((line) => line.startsWith('$SYS/broker/')),
    true,
    'nobody hears of the others',
  )
  const everything = await mqtt()
  const heardAll = listen(everything)
  await everything.subscribeAsync('#')
  await everything.publishAsync('y', 'y', { qos: 1 })
  await until(() => heardAll.length > 0)
  t.same(heardAll, ['y y'], '`#` leaves `$` topics out [MQTT-4.7.2-1]')
  t.equal(broker.counters().clientsConnected, 2)
})

t.test('close lets out what was published, and leaves nothing behind', async (t) => {
  const gateway = new Gateway()
  const broker = await MqttBroker.start({ port: 0 }, gateway)
  const { port } = broker
  const clients = await Promise.all(
    [0, 1, 2].map((n) => RawMqttClient.connected(port, { clientId: `c${n}` })),
  )
  for (const client of clients) {
    client.send(subscribePacket(['last', `${BASE}/#`]))
    await client.next(9)
  }
  const node = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 4,
    writeCache: false,
    reconnectPeriod: 0,
    clientId: nodeClientId(NODE, 'a'),
    will: { topic: `${BASE}/node/${NODE}/state`, payload: Buffer.from('offline') },
  })
  t.teardown(() => node.end(true))
  broker.admit(nodeClientId(NODE, 'a'), NODE)
  const silent = await RawMqttClient.open(port)
  broker.publish({ topic: 'last', payload: 'word', qos: 1, retain: false })
  await Promise.all([broker.close(), broker.close()])
  await Promise.all([silent.closed, ...clients.map(({ closed }) => closed)])
  for (const client of clients) {
    const publishes = client.received.filter(({ type }) => type === 3)
    t.equal(publishes.length, 1, 'no will is published for those that the gateway left')
    t.equal(publishes[0]!.body.subarray(-4).toString(), 'word')
  }
  t.same(gateway.closed, [nodeClientId(NODE, 'a')])
  t.equal(broker.counters().clientsConnected, 0)
  await t.rejects(RawMqttClient.open(port))
})

t.test('a port that is taken is said', async (t) => {
  const { broker } = await bench(t)
  await t.rejects(MqttBroker.start({ port: broker.port }, new Gateway()), {
    code: 'mqtt-listen-failed',
    message: /^MQTT 127\.0\.0\.1:\d+: listen EADDRINUSE.*--port$/,
  })
})

t.test('whatever bytes come, the others are served', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed} npx tap run test/broker/adapters/mqtt-broker.test.ts`)
  const random = new Random(seed)
  const { broker, raw } = await bench(t)
  const healthy = await raw({ clientId: 'healthy' })
  const samples = [
    connectPacket({ clientId: '__proto__', flags: 0xce, rest: joined('w/t', 'gone', 'u', 'p') }),
    connectPacket({ clientId: 'constructor', flags: 0 }),
    publishPacket('__proto__/toString', 'x', { qos: 2, id: 3 }),
    publishPacket(SUBMIT, '{"op":"stat"}', { qos: 1, id: 4, flags: 1 }),
    subscribePacket(['#', '+/+', 'constructor', '$SYS/#'], 2),
    packet(10, 2, Buffer.concat([Uint8Array.of(0, 9), field('#')])),
    packet(5, 0, Uint8Array.of(0, 1)),
    packet(6, 2, Uint8Array.of(0, 3)),
    packet(7, 0, Uint8Array.of(0, 1)),
    packet(4, 0, Uint8Array.of(0, 1)),
    packet(12, 0),
    packet(14, 0),
  ]
  let worstMs = 0
  for (let round = 0; round < 150; round++) {
    const client = await RawMqttClient.open(broker.port)
    const isSound = random.unit() < 0.7
    if (isSound) client.send(samples[random.integer(2)]!)
    for (let count = random.integer(12); count > 0 && !client.isClosed; count--) {
      const bytes = Buffer.from(samples[random.integer(samples.length)]!)
      for (let change = random.integer(4); change > 0; change--) {
        if (random.unit() < 0.5) bytes[random.integer(bytes.length)] = random.integer(256)
      }
      client.send(random.unit() < 0.1 ? bytes.subarray(0, random.integer(bytes.length)) : bytes)
    }
    if (random.unit() < 0.5) await new Promise(setImmediate)
    client.end()
    if (round % 10 === 0) worstMs = Math.max(worstMs, await healthy.ping())
  }
  worstMs = Math.max(worstMs, await healthy.ping())
  t.ok(worstMs < 1000, `a ping took ${worstMs.toFixed(1)} ms`)
  await until(() => broker.counters().clientsConnected === 1)
  await until(() => broker.counters().subscriptions === 0)
  await until(() => broker.counters().bufferedBytes === 0)
  t.comment(JSON.stringify(broker.counters().refused))
})

function joined(...fields: string[]): Buffer {
  return Buffer.concat(fields.map((one) => field(one)))
}
