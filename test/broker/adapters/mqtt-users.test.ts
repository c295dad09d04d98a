/** What users may do at a secured broker: real TLS, mqtt.js, the broker that ships. Numbers are those of the design. */
import type { MqttClient } from 'mqtt'
import t from 'tap'
import type { NodeId, TaskId } from '../../../shared/core/ids.ts'
import { nodeClientId } from '../../../shared/protocol/topics.ts'
import { listen } from '../../support/broker-bench.ts'
import { eventually } from '../../support/processes.ts'
import {
  connectPacket,
  field,
  publishPacket,
  subscribePacket,
} from '../../support/raw-mqtt-client.ts'
import { keyOf, SecuredBench } from '../../support/secured-bench.ts'

const BASE = 'obelisk/v1'
const n1 = 'n1' as NodeId
const PERSISTENT = { clean: false, resubscribe: false }

/** What CONNACK said. */
async function codeOf(connecting: Promise<MqttClient>): Promise<number> {
  return await connecting.then(
    () => 0,
    (error: { code: number }) => error.code,
  )
}

async function closeOf(client: MqttClient): Promise<void> {
  await new Promise<void>((resolve) => client.once('close', () => resolve()))
}

/** What SUBACK said of a filter. */
async function askedFor(client: MqttClient, filter: string): Promise<number> {
  return await client.subscribeAsync(filter, { qos: 1 }).then(
    ([granted]) => granted!.qos,
    () => 0x80,
  )
}

/** Says it on the way to the last one, and knows that it has come that far. */
async function publishAll(client: MqttClient, topics: readonly string[]): Promise<void> {
  for (const topic of topics) await client.publishAsync(topic, 'x', { qos: 1, retain: true })
}

function publish(bench: SecuredBench, topic: string, payload: string, retain = false): void {
  bench.broker.publish({ topic: `${BASE}/${topic}`, payload, qos: 1, retain })
}

t.test('attempt 31: nobody comes in without a name', async (t) => {
  const bench = await SecuredBench.start(t)
  t.equal(await codeOf(bench.connect()), 4)
  t.equal(await codeOf(bench.connect({ username: 'anna' })), 4)
  t.equal(bench.refused['no-identity'], 2)
  t.equal(bench.gateway.told('login-failed', 'nobody', 'no-identity'), 2)
  await eventually('they are gone', () => bench.broker.counters().clientsConnected === 0)
})

t.test('a user comes in with his password, or with his key', async (t) => {
  const bench = await SecuredBench.start(t)
  const anna = bench.user('anna', ['viewer'])
  await bench.as('anna')
  t.equal(await codeOf(bench.connect({ username: 'anna', password: 'x' })), 4)
  t.equal(await codeOf(bench.connect({ username: 'nobody', password: 'x' })), 4)
  t.equal(bench.refused['wrong-password'], 2)
  t.equal(bench.gateway.told('login-failed', 'user/anna', 'wrong-password'), 1)
  t.equal(bench.gateway.told('login-failed', 'nobody', 'wrong-password'), 1)

  const identity = await bench.identity(n1)
  bench.nodes.clear()
  bench.keys.set(identity.sha256, anna)
  const client = await bench.connect(keyOf(identity))
  t.equal(await askedFor(client, `${BASE}/node/+/state`), 1)
  bench.keys.clear()
  const refused = bench.connect({ ...keyOf(identity), username: 'anna', password: 'anna' })
  t.not(await codeOf(refused), 0, 'a certificate that is not known falls back to no password')
  t.equal(bench.refused['certificate-refused'], 1)
})

t.test('attempts 34 and 35: a client id is of one kind', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('anna', ['admin'])
  t.equal(await codeOf(bench.node(n1, { clientId: 'anna-1' })), 2)
  for (const clientId of [nodeClientId(n1, 'x'), 'obelisk-demo', 'obelisk-']) {
    t.equal(await codeOf(bench.as('anna', { clientId })), 2, clientId)
  }
  t.equal(bench.gateway.told('client-id-taken', 'node/n1', 'client-id-not-own'), 1)
  t.equal(bench.gateway.told('client-id-taken', 'user/anna', 'client-id-not-own'), 3)
  t.same(bench.gateway.closed, [])
})

t.test('attempt 36: a client id of somebody who is there', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('anna', ['viewer'])
  bench.user('bert', ['admin'])
  const first = await bench.as('anna', { clientId: 'one' })
  for (const clean of [true, false]) {
    t.equal(await codeOf(bench.as('bert', { clientId: 'one', clean })), 2)
  }
  t.equal(bench.gateway.told('client-id-taken', 'user/bert', 'client-id-taken'), 2)
  t.equal(await askedFor(first, `${BASE}/gateway/state`), 1, 'she is still there')
  const closed = closeOf(first)
  await bench.as('anna', { clientId: 'one' })
  await closed
  t.pass('her own takes its place')
})

t.test('attempt 37: a client id of somebody whose session is kept', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('anna', ['viewer'])
  bench.user('bert', ['admin'])
  const first = await bench.as('anna', { clientId: 'one', ...PERSISTENT })
  t.equal(await askedFor(first, `${BASE}/gateway/event`), 1)
  await first.endAsync()
  await eventually('she is away', () => bench.broker.counters().clientsDisconnected === 1)
  publish(bench, 'gateway/event', 'for anna')
  for (const clean of [true, false]) {
    t.equal(await codeOf(bench.as('bert', { clientId: 'one', clean })), 2)
  }
  t.equal(bench.gateway.told('client-id-taken', 'user/bert', 'client-id-taken'), 2)
  const heard: string[] = []
  await bench.as('anna', { clientId: 'one', heard, ...PERSISTENT })
  await eventually('it is hers', () => heard.length > 0)
  t.same(heard, [`${BASE}/gateway/event for anna`])
})

t.test('attempts 38 and 39: a node speaks for no other, nor does its will', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('anna', ['viewer'])
  const heard = listen(
    await bench.as('anna').then(async (client) => {
      await client.subscribeAsync('#', { qos: 1 })
      return client
    }),
  )
  const topics = ['up', 'state', 'telemetry', 'event'].map((kind) => `${BASE}/node/n2/${kind}`)
  const will = { topic: topics[1]!, payload: 'offline', qos: 1, retain: true } as const
  const node = await bench.node(n1, { will })
  await publishAll(node, topics)
  t.equal(bench.dropped['topic-not-allowed'], 4)
  t.equal(bench.gateway.told('publish-refused', 'node/n1', 'topic-not-allowed'), 4)
  node.stream.destroy()
  await eventually('its will is none', () => bench.dropped['topic-not-allowed'] === 5)
  publish(bench, 'gateway/event', 'last')
  await eventually('nothing else came', () => heard.includes(`${BASE}/gateway/event last`))
  t.equal(heard.length, 1)
  t.same(bench.gateway.nodeMessages, [])
})

t.test('attempt 40: a node hears nothing but what is for it', async (t) => {
  const bench = await SecuredBench.start(t)
  const node = await bench.node(n1)
  const filters = ['#', `${BASE}/node/+/down`, `${BASE}/node/n2/down`, `${BASE}/task/#`]
  for (const filter of filters) t.equal(await askedFor(node, filter), 0x80, filter)
  t.equal(bench.gateway.told('subscribe-refused', 'node/n1', 'filter-not-own'), 4)
})

t.test('attempt 41: a submitter hears of its own tasks alone, by each way', async (t) => {
  const state = (task: string): string => `${BASE}/task/${task}/state`
  const bench = await SecuredBench.start(t, {
    // What is not for it takes no room there.
    queueMessagesMax: 3,
    retainedSource: {
      owns: (topic) => topic.endsWith('/result'),
      match: () =>
        ['mine', 'other'].map((task) => ({
          topic: `${BASE}/task/${task}/result`,
          payload: Buffer.from(`result of ${task}`),
        })),
      topics: () => [],
    },
  })
  bench.user('me', ['submitter'])
  bench.gateway.owners.set('mine' as TaskId, 'user/me')
  bench.gateway.owners.set('other' as TaskId, 'user/other')
  publish(bench, 'task/mine/state', 'retained', true)
  publish(bench, 'task/other/state', 'retained', true)
  publish(bench, 'task/forgotten/state', 'retained', true)
  const client = await bench.as('me', { clientId: 'mine', ...PERSISTENT })
  const heard = listen(client)
  t.equal(await askedFor(client, '#'), 1)
  await eventually('what is retained', () => heard.length === 2)
  t.same(heard.sort(), [`${BASE}/task/mine/result result of mine R`, `${state('mine')} retained R`])

  heard.length = 0
  const say = (what: string): void => {
    publish(bench, 'task/other/state', what)
    publish(bench, 'node/n1/state', what)
    publish(bench, 'gateway/event', what)
    for (const owner of ['user/other', 'user/me']) {
      const payload = `${what} of ${owner}`
      bench.broker.publish({
        topic: `${BASE}/task/rejected`,
        payload,
        qos: 1,
        retain: false,
        owner,
      })
    }
    bench.broker.publish({ topic: 'home/lamp', payload: what, qos: 1, retain: false })
    publish(bench, 'gateway/state', what)
    publish(bench, 'task/mine/state', what)
  }
  const expected = (what: string): string[] => [
    `${BASE}/task/rejected ${what} of user/me`,
    `${BASE}/gateway/state ${what}`,
    `${state('mine')} ${what}`,
  ]
  say('live')
  await eventually('what is live', () => heard.length === 3)
  t.same(heard, expected('live'))

  await client.endAsync()
  await eventually('it is away', () => bench.broker.counters().clientsDisconnected === 1)
  say('queued')
  const heardAgain: string[] = []
  await bench.as('me', { clientId: 'mine', heard: heardAgain, ...PERSISTENT })
  await eventually('what was queued', () => heardAgain.length === 3)
  publish(bench, 'task/mine/state', 'last')
  await eventually('what is live again', () => heardAgain.includes(`${state('mine')} last`))
  t.same(heardAgain, [...expected('queued'), `${state('mine')} last`])
})

t.test('a shared subscription gives a message to who may have it', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('me', ['submitter'])
  bench.user('anna', ['viewer'])
  const filter = `$share/group/${BASE}/#`
  const [submitter, viewer] = [await bench.as('me'), await bench.as('anna')]
  const [heardBySubmitter, heardByViewer] = [listen(submitter), listen(viewer)]
  t.equal(await askedFor(submitter, filter), 1)
  t.equal(await askedFor(viewer, filter), 1)
  for (let n = 0; n < 6; n++) publish(bench, 'gateway/event', `${n}`)
  await eventually('all came', () => heardByViewer.length === 6)
  t.same(heardBySubmitter, [])
})

t.test('attempts 42, 44 and 46: what is not allowed to be said is not heard', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('anna', ['viewer'])
  bench.user('me', ['submitter'])
  bench.user('root', ['admin'])
  bench.gateway.owners.set('mine' as TaskId, 'user/me')
  const [viewer, submitter] = [await bench.as('anna'), await bench.as('me')]
  const root = await bench.as('root')
  await publishAll(viewer, [`${BASE}/task/submit`, `${BASE}/task/mine/cancel`])
  t.equal(bench.gateway.told('publish-refused', 'user/anna', 'topic-not-allowed'), 2)
  t.same(bench.gateway.submissions, [])
  t.same(bench.gateway.cancels, [])

  await publishAll(submitter, [`${BASE}/task/other/cancel`, `${BASE}/task/mine/cancel`])
  t.same(bench.gateway.cancels, ['mine'])
  t.equal(bench.gateway.told('publish-refused', 'user/me', 'topic-not-allowed'), 1)
  await publishAll(root, [`${BASE}/task/other/cancel`, `${BASE}/task/submit`])
  t.same(bench.gateway.cancels, ['mine', 'other'])
  t.equal(bench.gateway.submissions[0]?.submission.submitter.user?.name, 'root')

  const heard = listen(root)
  await root.subscribeAsync(['#', '$SYS/broker/version'])
  heard.length = 0
  const reserved = ['$SYS/broker/version', '$probe/x']
  const own = [`${BASE}/gateway/state`, `${BASE}/task/mine/result`, `${BASE}/node/n1/up`]
  for (const client of [root, submitter, viewer]) await publishAll(client, [...reserved, ...own])
  await root.publishAsync('last', 'x')
  await eventually('the last came', () => heard.includes('last x'))
  t.same(
    heard.filter((one) => !one.startsWith('$SYS')),
    ['last x'],
  )
  t.equal(bench.gateway.told('publish-refused', 'user/root', 'topic-reserved'), 2)
})

t.test('outside the base everybody has his own filters', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('lamp', [], ['home/+/lamp'])
  bench.user('root', ['operator'])
  const [lamp, root] = [await bench.as('lamp'), await bench.as('root')]
  const [heardByLamp, heardByRoot] = [listen(lamp), listen(root)]
  t.equal(await askedFor(lamp, '#'), 1)
  t.equal(await askedFor(lamp, 'home/1/door'), 0x80)
  t.equal(await askedFor(lamp, `${BASE}/#`), 0x80)
  t.equal(await askedFor(root, 'home/#'), 1)
  await publishAll(lamp, ['home/1/door', 'home/1/lamp'])
  await publishAll(root, ['home/2/door', 'home/2/lamp'])
  await eventually('all came', () => heardByLamp.length === 2 && heardByRoot.length === 3)
  t.same(heardByLamp, ['home/1/lamp x', 'home/2/lamp x'])
  t.same(heardByRoot, ['home/1/lamp x', 'home/2/door x', 'home/2/lamp x'])
})

t.test('attempt 48: who is out has no last word', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('lamp', [], ['home/#'])
  bench.user('anna', ['operator'])
  const heard = listen(
    await bench.as('anna').then(async (client) => {
      await client.subscribeAsync('#', { qos: 1 })
      return client
    }),
  )
  const will = (topic: string): object => ({
    will: { topic, payload: 'gone', qos: 1, retain: true },
  })
  const state = `${BASE}/node/n1/state`
  await bench.as('lamp', will('home/lamp'))
  const node = await bench.node(n1, will(state))
  bench.broker.admit(nodeClientId(n1, 'x'), n1)
  await node.publishAsync(state, 'online', { qos: 1, retain: true })
  bench.broker.endIdentity('user/lamp')
  bench.broker.endConnectionsOf(n1)
  await eventually('both are none', () => bench.dropped['will-revoked'] === 2)
  await eventually('the gateway says it', () => heard.includes(`${state} offline`))
  t.same(heard, [`${state} online`, `${state} offline`])
})

t.test('attempt 49: rights that are less, while connected and while away', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('anna', ['viewer'])
  bench.user('bert', ['viewer'])
  const here = await bench.as('anna', { clientId: 'here' })
  const away = await bench.as('anna', { clientId: 'away', ...PERSISTENT })
  const bert = await bench.as('bert')
  t.equal(await askedFor(here, '#'), 1)
  t.equal(await askedFor(away, '#'), 1)
  await away.endAsync()
  await eventually('one is away', () => bench.broker.counters().clientsDisconnected === 1)
  publish(bench, 'gateway/event', 'before')
  await eventually('it waits', () => bench.broker.counters().queuedBytes > 0)
  const closed = closeOf(here)
  bench.user('anna', ['submitter'])
  const startMs = performance.now()
  bench.broker.endIdentity('user/anna')
  await closed
  t.ok(performance.now() - startMs < 100, 'at once')
  t.equal(bench.broker.counters().queuedBytes, 0)
  t.equal(bench.broker.counters().clientsDisconnected, 0)
  const again = await bench.as('anna', { clientId: 'away', ...PERSISTENT })
  const heard = listen(again)
  t.equal(await askedFor(again, '#'), 1)
  publish(bench, 'gateway/event', 'after')
  publish(bench, 'gateway/state', 'after')
  await eventually('the rest is heard', () => heard.length > 0)
  t.same(heard, [`${BASE}/gateway/state after`])
  t.equal(await askedFor(bert, '#'), 1, 'others stay')
})

t.test('attempt 50: names and passwords that are none', async (t) => {
  const bench = await SecuredBench.start(t)
  const connecting = (name: Uint8Array, password: Uint8Array): Buffer =>
    connectPacket({
      ...{ clientId: 'x', flags: 0xc2 },
      rest: Buffer.concat([field(name), field(password)]),
    })
  const wrong = [0x20, 2, 0, 4]
  const text = (value: string): Buffer => Buffer.from(value)
  t.same(await bench.say(connecting(text('a\0b'), text('x'))), [], 'NUL in a name')
  t.same(await bench.say(connecting(Buffer.from([0xff, 0xfe]), text('x'))), [], 'no UTF-8')
  t.same(await bench.say(connecting(Buffer.alloc(5000, 97), text('x'))), [], 'long name')
  t.same(await bench.say(connecting(text('a'), Buffer.alloc(5000, 97))), [], 'long password')
  t.same(await bench.say(connecting(text('a'), Buffer.from([0, 0xff, 0xfe]))), wrong)
  t.same(await bench.say(connecting(text('__proto__'), text('constructor'))), wrong)
  t.same(await bench.say(connecting(text(''), text(''))), wrong)
  t.equal(bench.refused['wrong-password'], 3)
})

t.test('what somebody says behind a CONNECT that is refused is not heard', async (t) => {
  const bench = await SecuredBench.start(t)
  bench.user('anna', ['admin'])
  const packets = [
    connectPacket({
      ...{ clientId: 'x', flags: 0xc6 },
      rest: Buffer.concat(['home/will', 'last', 'anna', 'wrong'].map((text) => field(text))),
    }),
    publishPacket(`${BASE}/task/submit`, '{}'),
    publishPacket('home/lamp', 'on', { flags: 1 }),
    subscribePacket(['#']),
  ]
  const heard: string[] = []
  const anna = await bench.as('anna', { heard })
  t.equal(await askedFor(anna, '#'), 1)
  t.same(await bench.say(Buffer.concat(packets)), [0x20, 2, 0, 4])
  await eventually('it is gone', () => bench.broker.counters().clientsConnected === 1)
  await anna.publishAsync('last', 'x')
  await eventually('the last is heard', () => heard.length > 0)
  t.same(heard, ['last x'])
  t.same(bench.gateway.submissions, [])
})

t.test('nobody takes a part of what a group of somebody else shares', async (t) => {
  const bench = await SecuredBench.start(t)
  for (const name of ['anna', 'eve']) bench.user(name, ['viewer'])
  const heard: Record<string, string[]> = { anna: [], away: [], eve: [] }
  const filter = `$share/pool/${BASE}/gateway/event`
  const anna = await bench.as('anna', { heard: heard.anna! })
  await anna.subscribeAsync(filter, { qos: 1 })
  const eve = await bench.as('eve', { heard: heard.eve! })
  await eve.subscribeAsync(filter, { qos: 1 })
  const away = { clientId: 'away', ...PERSISTENT }
  const early = await bench.as('eve', away)
  await early.subscribeAsync(filter, { qos: 1 })
  await early.endAsync()
  for (let number = 0; number < 10; number++) publish(bench, 'gateway/event', `${number}`)
  await eventually('each has all', () => heard.anna!.length === 10 && heard.eve!.length === 10)
})

t.test('no user takes all connections, sessions or filters', async (t) => {
  const bench = await SecuredBench.start(t, {
    ...{ connectionsMax: 8, sessionsMax: 6, filtersTotalMax: 20 },
  })
  for (const name of ['eve', 'olga']) bench.user(name, ['operator'])
  const olga = await bench.as('olga', { clientId: 'olga', ...PERSISTENT })
  await olga.subscribeAsync(`${BASE}/gateway/event`, { qos: 1 })
  await olga.endAsync()
  for (let number = 0; number < 9; number++) {
    const session = await bench.as('eve', { clientId: `eve-${number}`, ...PERSISTENT })
    await session.subscribeAsync(`${BASE}/gateway/state`, { qos: 1 })
    await session.endAsync()
  }
  publish(bench, 'gateway/event', 'kept')
  const heard: string[] = []
  const back = await bench.as('olga', { clientId: 'olga', ...PERSISTENT, heard })
  await eventually('her session has it', () => heard.length === 1)

  const eves: MqttClient[] = []
  for (let number = 0; number < 3; number++) {
    eves.push(await bench.as('eve', { clientId: `eve-${number}`, ...PERSISTENT }))
  }
  t.equal(
    await codeOf(bench.as('eve', { clientId: 'eve-3', ...PERSISTENT })),
    3,
    'her sessions are here',
  )
  eves.push(await bench.as('eve', { clientId: 'eve-3' }))
  t.equal(await codeOf(bench.as('eve', { clientId: 'eve-4' })), 3)
  t.equal(bench.refused['connections-of-one'], 1)
  eves[3] = await bench.as('eve', { clientId: 'eve-3' })
  const asked = Array.from({ length: 15 }, (_, number) => `x/${number}`)
  const granted = await Promise.all(asked.map((filter) => askedFor(eves[0]!, filter)))
  t.ok(granted.includes(0x80) && granted.includes(1), granted.join())
  t.equal(await askedFor(back, 'y'), 1)
  const plain = await Promise.all(asked.map((filter) => askedFor(eves[3]!, filter)))
  t.ok(plain.includes(0x80), plain.join())
  t.equal(await askedFor(await bench.as('olga'), 'y'), 1)
})

t.test('of more connections than a node needs the oldest ends', async (t) => {
  const bench = await SecuredBench.start(t)
  const identity = await bench.identity(n1)
  const as = (nonce: string) =>
    bench.connect({ ...keyOf(identity), clientId: nodeClientId(n1, nonce) })
  const first = await as('0')
  const closed = closeOf(first)
  for (const nonce of ['1', '2', '3', '4']) t.equal(await codeOf(as(nonce)), 0)
  await closed
  await eventually('four are left', () => bench.broker.counters().clientsConnected === 4)
})
