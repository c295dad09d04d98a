/** The bridge between two real brokers, and to one that does not read. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import type { BridgeMessage } from '../../../broker/adapters/bridge-queue.ts'
import { MqttBridge } from '../../../broker/adapters/mqtt-bridge.ts'
import { encodeTopic } from '../../../broker/adapters/mqtt-connection.ts'
import { ANYONE } from '../../../shared/protocol/access.ts'
import { MESSAGE_BYTES_MAX } from '../../../shared/protocol/limits.ts'
import { type BrokerBench, brokerBench } from '../../support/broker-bench.ts'
import { lacksMosquitto, Mosquitto } from '../../support/mosquitto.ts'
import { Fleet } from '../../support/processes.ts'
import { packet, RawMqttClient } from '../../support/raw-mqtt-client.ts'
import { SILENT } from '../../support/security-logs.ts'
import { WireClient } from '../../support/wire-client.ts'

const MARKS = { clientId: 'near', loopFilter: 'obelisk/v1/task/nobody-knows/cancel' }

type Listener = (message: BridgeMessage) => void

interface Bridge {
  /** What the gateway says, to whoever follows it. */
  say(topic: string, payload: string | Uint8Array, qos?: 0 | 1): void
  readonly codes: readonly string[]
  until(code: string, times?: number): Promise<void>
  close(): Promise<void>
}

interface Parts {
  readonly far: number
  readonly near: BrokerBench
  readonly filtersIn?: readonly string[]
  standing?(): AsyncIterable<BridgeMessage>
}

const next = (client: MqttClient): Promise<void> =>
  new Promise((resolve) => client.once('message', () => resolve()))

const nothing = async function* (): AsyncIterable<BridgeMessage> {}

function bridgeOf(t: Test, { far, near, filtersIn = ['#'], standing = nothing }: Parts): Bridge {
  const codes: string[] = []
  const listeners: Listener[] = []
  const looks: (() => void)[] = []
  const end = { host: '127.0.0.1' }
  const bridge = new MqttBridge(
    {
      far: { ...end, port: far, clientId: 'far' },
      near: { ...end, port: near.broker.port, clientId: MARKS.clientId },
      loopFilter: MARKS.loopFilter,
      submitTopic: 'obelisk/v1/task/submit',
      prefix: '',
      filtersOut: ['out/+'],
      filtersIn,
    },
    {
      isBridgedToItself: () => near.broker.isBridgedToItself,
      follow: (listener) => {
        listeners.push(listener)
        return near.broker.topics.follow(ANYONE, 'out/+', ({ qos, ...message }) =>
          listener({ ...message, qos: qos === 0 ? 0 : 1 }),
        )
      },
      standing,
      notice: ({ code }) => {
        codes.push(code)
        for (const look of looks.splice(0)) look()
      },
      settled: (topic) => {
        codes.push(`settled ${topic}`)
        for (const look of looks.splice(0)) look()
      },
    },
    SILENT,
  )
  t.teardown(() => bridge.close())
  return {
    codes,
    close: () => bridge.close(),
    say(topic, payload, qos = 1) {
      const message = { topic, payload: Buffer.from(payload), qos, retain: true }
      for (const listener of listeners) listener(message)
    },
    async until(code, times = 1) {
      while (codes.filter((one) => one === code).length < times) {
        await new Promise<void>((resolve) => looks.push(resolve))
      }
    },
  }
}

/** Another broker, which does as it is told with whoever connects. */
async function rawBroker(
  t: Test,
  serve: (client: RawMqttClient) => Promise<void>,
): Promise<{ readonly port: number; readonly sockets: readonly Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    void serve(new RawMqttClient(socket))
  })
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return { port, sockets }
}

/** As any broker does, whatever comes afterwards. */
async function accept(client: RawMqttClient): Promise<void> {
  await client.next(1)
  client.send(packet(2, 0, Uint8Array.of(0, 0)))
  await grant(client)
}

async function grant(client: RawMqttClient): Promise<void> {
  const { body } = await client.next(8)
  client.send(packet(9, 0, Uint8Array.of(body[0]!, body[1]!, 0)))
}

t.test('a bridge whose other end is the gateway itself ends', async (t) => {
  const near = await brokerBench(t, { bridge: MARKS })
  const { codes, until } = bridgeOf(t, { far: near.broker.port, near })
  await until('bridge-loop')
  t.same(codes, ['bridge-loop'])
  const user = await near.mqtt()
  await user.publishAsync('obelisk/v1/task/submit', '{}', { qos: 1 })
  t.equal(near.gateway.submissions.length, 1)
})

t.test(
  'who comes to the gateway by the name of its bridge over there does not end it',
  async (t) => {
    const [far, near] = [await brokerBench(t), await brokerBench(t, { bridge: MARKS })]
    await near.mqtt({ clientId: 'far' })
    const { codes, until } = bridgeOf(t, { far: far.broker.port, near })
    await until('bridge-up')
    const mark = await near.mqtt()
    await mark.subscribeAsync('mark')
    await (await far.mqtt()).publishAsync('mark', '', { qos: 1 })
    await next(mark)
    t.same(codes, ['bridge-up'])
    const { subscriptions } = far.broker.counters()
    t.equal(subscriptions, 1, 'only what is to come in is left')
  },
)

t.test('what goes out does not go round, though everything comes in', async (t) => {
  const [far, near] = [await brokerBench(t), await brokerBench(t)]
  const user = await near.mqtt()
  const heard: string[] = []
  user.on('message', (topic) => heard.push(topic))
  await user.subscribeAsync('#', { qos: 1 })
  const { until } = bridgeOf(t, { far: far.broker.port, near })
  await until('bridge-up')
  await user.publishAsync('out/config', 'x', { qos: 1, retain: true })
  const other = await far.mqtt()
  for (const topic of ['in/mark', 'in/again']) {
    await other.publishAsync(topic, '', { qos: 1 })
    while (!heard.includes(topic)) await next(user)
  }
  t.same(heard, ['out/config', 'in/mark', 'in/again'])
})

t.test('what is to come in no more is left, though the other broker still sends it', async (t) => {
  const [far, near] = [await brokerBench(t), await brokerBench(t)]
  const [user, other] = [await near.mqtt(), await far.mqtt()]
  const heard: string[] = []
  user.on('message', (topic) => heard.push(topic))
  await user.subscribeAsync('#', { qos: 1 })
  const before = bridgeOf(t, { far: far.broker.port, near })
  await before.until('bridge-up')
  for (; heard.length === 0; ) await other.publishAsync('site/before', '', { qos: 1 })
  await before.close()
  const after = bridgeOf(t, { far: far.broker.port, near, filtersIn: ['$share/two/in/#'] })
  await after.until('bridge-up')
  heard.length = 0
  for (; !heard.includes('in/mark'); ) {
    await other.publishAsync('site/after', '', { qos: 1 })
    await other.publishAsync('in/mark', '', { qos: 1 })
  }
  t.notOk(heard.includes('site/after'))
})

t.test('what nobody keeps is not acknowledged, and holds nobody up', async (t) => {
  const [far, near] = [await brokerBench(t, { topicBase: 'far/v1' }), await brokerBench(t)]
  near.gateway.answersAtOnce = false
  const { until } = bridgeOf(t, { far: far.broker.port, near })
  await until('bridge-up')
  const sensor = await far.mqtt()
  const mark = await near.mqtt()
  await mark.subscribeAsync('mark')
  for (const value of ['1', '2', '3']) {
    await sensor.publishAsync('obelisk/v1/cell/value/1/1', value, { qos: 0 })
  }
  await sensor.publishAsync('mark', '', { qos: 0 })
  await next(mark)
  t.equal(near.gateway.readings.length, 3)
})

t.test(
  'what the gateway takes from nobody holds up nothing',
  { skip: lacksMosquitto() },
  async (t) => {
    const near = await brokerBench(t)
    const heard: string[] = []
    const user = await near.mqtt()
    user.on('message', (topic, payload) => heard.push(`${topic.slice(0, 9)} ${payload.length}`))
    await user.subscribeAsync('#', { qos: 1 })
    const fleet = new Fleet(t)
    const mosquitto = await Mosquitto.start(fleet, '')
    const { codes, until } = bridgeOf(t, { far: mosquitto.port, near })
    await until('bridge-up')
    const other = await WireClient.connect(mosquitto.url)
    const most = MESSAGE_BYTES_MAX
    for (const [topic, bytes] of [
      ['in/most', most],
      ['in/more', most + 1],
      [`in/${'long'.repeat(300)}`, 1],
      [`in${'/deep'.repeat(100)}`, 1],
      ['obelisk/v1/task/submit', most + 1],
      ['in/mark', 1],
    ] as const) {
      t.ok(await other.publish(topic, Buffer.alloc(bytes)))
    }
    while (!heard.includes('in/mark 1')) await next(user)
    t.same(heard, [`in/most ${most}`, 'in/mark 1'])
    t.equal(near.gateway.submissions[0]!.submission.skippedBytes, most + 1)
    t.same(codes, ['bridge-up', 'bridge-left'])
    await other.close()
  },
)

t.test(
  'a topic that another broker lets through and the gateway refuses holds up nothing',
  async (t) => {
    const near = await brokerBench(t)
    const { port, sockets } = await rawBroker(t, async (client) => {
      await accept(client)
      await grant(client)
      const topics = ['in/\u0001', 'in/+', 'in/\u0085', 'in/mark']
      for (const [n, topic] of topics.entries()) {
        client.send(packet(3, 2, Buffer.concat([encodeTopic(topic), Uint8Array.of(0, n + 1)])))
      }
      for (const [n] of topics.entries()) t.same([...(await client.next(4)).body], [0, n + 1])
      sockets[0]!.destroy()
    })
    const user = await near.mqtt()
    await user.subscribeAsync('in/#', { qos: 1 })
    const heard: string[] = []
    user.on('message', (topic) => heard.push(topic))
    const { until } = bridgeOf(t, { far: port, near })
    await until('bridge-down')
    while (heard.length === 0) await next(user)
    t.same(heard, ['in/mark'])
  },
)

t.test('what is retained does not come after what has followed it', async (t) => {
  const [far, near] = [await brokerBench(t), await brokerBench(t)]
  const user = await far.mqtt()
  const heard: string[] = []
  user.on('message', (topic, payload) => heard.push(`${topic}=${payload}`))
  await user.subscribeAsync('out/#', { qos: 1 })
  const standing = async function* (): AsyncIterable<BridgeMessage> {
    const kept = { payload: Buffer.from('old'), qos: 1, retain: true } as const
    yield { topic: 'out/first', ...kept }
    bridge.say('out/state', 'new')
    while (heard.length < 1) await next(user)
    yield { topic: 'out/state', ...kept }
  }
  const bridge = bridgeOf(t, { far: far.broker.port, near, standing })
  while (heard.length < 3) await next(user)
  t.same(heard, ['out/first=old', 'out/state=old', 'out/state=new'])
})

t.test('a topic is settled once the other end has the last that was said of it', async (t) => {
  const [far, near] = [await brokerBench(t), await brokerBench(t)]
  Object.assign(far.gateway, { readsAll: true, answersAtOnce: false })
  const { say, codes, until } = bridgeOf(t, { far: far.broker.port, near })
  say('out/a', '')
  say('out/b', '1')
  const { foreign } = far.gateway
  while (foreign.length < 2) await setImmediate()
  t.same(codes, ['bridge-up'], 'nothing is acknowledged')
  foreign[0]!.done!()
  await until('settled out/a')
  t.same(codes, ['bridge-up', 'settled out/a'], 'others are on their way')
  for (const payload of ['2', '']) say('out/b', payload)
  while (foreign.length < 4) await setImmediate()
  for (const { done } of foreign.slice(0, 3)) done!()
  // More than may be under way: the last one waits.
  for (let count = 0; count < 64; count++) say(`out/${count}`, '')
  say('out/9', 'x')
  while (foreign.length < 66) await setImmediate()
  t.same(codes, ['bridge-up', 'settled out/a'], 'of b the last is under way')
  far.gateway.answersAtOnce = true
  for (const { done } of foreign.slice(3)) done!()
  await until('settled out/9')
  t.equal(codes.indexOf('settled out/9'), codes.lastIndexOf('settled out/9'))
  t.ok(codes.indexOf('settled out/10') < codes.indexOf('settled out/9'), 'one of it waited')
  t.equal(codes.filter((code) => code === 'settled out/b').length, 1)
})

t.test('what is acknowledged while the bridge closes is settled', async (t) => {
  const [far, near] = [await brokerBench(t), await brokerBench(t)]
  Object.assign(far.gateway, { readsAll: true, answersAtOnce: false })
  const { foreign } = far.gateway
  const { codes, say, close } = bridgeOf(t, { far: far.broker.port, near })
  say('out/a', '')
  while (foreign.length < 1) await setImmediate()
  const closed = close()
  foreign[0]!.done!()
  await closed
  t.same(codes, ['bridge-up', 'settled out/a'])
})

t.test('nobody who acknowledges nothing holds up the end of the bridge', async (t) => {
  const [far, near] = [await brokerBench(t), await brokerBench(t)]
  Object.assign(far.gateway, { readsAll: true, answersAtOnce: false })
  const { codes, say, close } = bridgeOf(t, { far: far.broker.port, near })
  say('out/a', '')
  while (far.gateway.foreign.length < 1) await setImmediate()
  await close()
  t.same(codes, ['bridge-up'])
})

t.test('what was given up for want of room is not settled by what was under way', async (t) => {
  const [far, near] = [await brokerBench(t), await brokerBench(t)]
  Object.assign(far.gateway, { readsAll: true, answersAtOnce: false })
  const { foreign } = far.gateway
  const { codes, say, until } = bridgeOf(t, { far: far.broker.port, near })
  await until('bridge-up')
  for (let count = 0; count < 64; count++) say(`out/${count}`, 'x')
  while (foreign.length < 64) await setImmediate()
  say('out/0', '')
  const isTooMuch = Buffer.alloc(512 * 1024)
  for (let count = 0; count < 17; count++) say(`out/large${count}`, isTooMuch)
  far.gateway.answersAtOnce = true
  for (const { done } of foreign) done!()
  await until('settled out/large16')
  t.ok(codes.includes('settled out/1'))
  t.notOk(codes.includes('settled out/0'), 'it is to be cleared still')
})

t.test('what was on its way at QoS 0 when the connection ended holds nothing up', async (t) => {
  const near = await brokerBench(t)
  const { port, sockets } = await rawBroker(t, accept)
  const { say, until } = bridgeOf(t, { far: port, near })
  await until('bridge-up')
  sockets[0]!.removeAllListeners('data').pause()
  // More than the system takes of one that is not read.
  const large = Buffer.alloc(512 * 1024)
  for (let count = 0; count < 70; count++) say('out/large', large, 0)
  sockets[0]!.destroy()
  await until('bridge-up', 2)
  say('out/after', 'x', 0)
  let came = ''
  for await (const chunk of sockets[1]!) {
    came += chunk.toString('latin1')
    if (came.includes('out/after')) break
  }
  t.match(came, 'out/after')
})
