/** What comes over a bridge from another broker, played by hand, to a real one of ours. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { bridgeClient } from '../../../broker/adapters/bridge-end.ts'
import { BridgeIntake } from '../../../broker/adapters/bridge-intake.ts'
import { type BrokerBench, brokerBench } from '../../support/broker-bench.ts'
import { packet, publishPacket, RawMqttClient, until } from '../../support/raw-mqtt-client.ts'

const CONNECT = 1
const PUBACK = 4
const PUBREC = 5
const PUBCOMP = 7
const DUPLICATE = 8

interface Bench {
  readonly near: BrokerBench
  /** What the gateway was told and has not answered, the oldest first. */
  readonly unanswered: (() => void)[]
  values(): string[]
  answer(count?: number): void
  /** The next connection of the bridge to the other broker, accepted. */
  far(): Promise<RawMqttClient>
  loseNear(): void
}

async function bench(t: Test, bounds = {}): Promise<Bench> {
  const near = await brokerBench(t)
  const unanswered: (() => void)[] = []
  near.gateway.onReadings = (message, done) => {
    near.gateway.readings.push({ message })
    if (done !== undefined) unanswered.push(done)
  }
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket))
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const at = { host: '127.0.0.1' }
  const ends = [
    bridgeClient({ ...at, port, clientId: 'far' }, { clean: false }),
    bridgeClient({ ...at, port: near.broker.port, clientId: 'near' }, { clean: true }),
  ] as const
  for (const end of ends) {
    end.on('error', () => {})
    t.teardown(() => end.endAsync(true))
  }
  const most = { messagesMax: 1000, bytesMax: 2 ** 20, ...bounds }
  const filters = { filtersIn: ['#'], filtersOut: ['out/+'] }
  const options = { ...filters, isTakeable: () => true, onLeft() {}, ...most }
  new BridgeIntake(options, ...ends)
  await new Promise((resolve) => ends[1].once('connect', resolve))
  return {
    ...{ near, unanswered },
    values: () =>
      near.gateway.readings.map(({ message }) => Buffer.from(message.payload).toString()),
    answer(count = unanswered.length) {
      for (const done of unanswered.splice(0, count)) done()
    },
    async far() {
      await until(() => sockets.length > 0)
      const far = new RawMqttClient(sockets.shift()!)
      await far.next(CONNECT)
      far.send(packet(2, 0, Uint8Array.of(1, 0)))
      return far
    },
    loseNear: () => ends[1].stream.destroy(),
  }
}

const reading = (id: number, flags = 0, qos = 1): Buffer =>
  publishPacket(`obelisk/v1/cell/value/${id}/0`, `${id}`, { qos, id, flags })

const ids = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => from + index)

/** Those of the PUBACKs that have come, once it is so many. */
async function acknowledged(far: RawMqttClient, count: number): Promise<number[]> {
  const found = (): number[] =>
    far.received.filter(({ type }) => type === PUBACK).map(({ body }) => body.readUInt16BE(0))
  await until(() => found().length >= count)
  return found()
}

t.test('many are under way, and are acknowledged in the order in which they came', async (t) => {
  const { answer, far: connected, near, unanswered, values } = await bench(t)
  const far = await connected()
  const heard: string[] = []
  const user = await near.mqtt()
  user.on('message', (topic) => heard.push(topic))
  await user.subscribeAsync('#', { qos: 1 })
  const own = publishPacket('out/state', 'x', { qos: 1, id: 501 })
  far.send(...ids(1, 250).map((id) => reading(id)), own, ...ids(251, 250).map((id) => reading(id)))
  await until(() => unanswered.length === 500)
  t.same(values(), ids(1, 500).map(String))
  answer(100)
  t.same(await acknowledged(far, 100), ids(1, 100), 'not more than the gateway has answered')
  answer()
  t.same(await acknowledged(far, 501), [...ids(1, 250), 501, ...ids(251, 250)])
  t.notOk(heard.includes('out/state'), 'what went out does not go round')
})

t.test('so many are under way, and no more are read', async (t) => {
  const { answer, far: connected, unanswered, values } = await bench(t, { messagesMax: 10 })
  const far = await connected()
  far.send(...ids(1, 200).map((id) => reading(id)))
  const most: number[] = []
  while (values().length < 200) {
    await until(() => unanswered.length > 0)
    most.push(unanswered.length)
    answer(1)
  }
  t.equal(Math.max(...most), 10)
  answer()
  t.same(await acknowledged(far, 200), ids(1, 200))
})

t.test('so many bytes are under way, and no more are read', async (t) => {
  const { answer, far: connected, unanswered, values } = await bench(t, { bytesMax: 100 })
  const far = await connected()
  const large = (id: number): Buffer =>
    publishPacket('obelisk/v1/cell/value/0/0', `${id}`.padEnd(60), { qos: 1, id })
  far.send(...ids(1, 50).map(large))
  while (values().length < 50) {
    await until(() => unanswered.length > 0)
    t.ok(unanswered.length <= 2)
    answer(1)
  }
  answer()
  t.same(await acknowledged(far, 50), ids(1, 50))
})

t.test('what the gateway had not acknowledged when it went comes to it again', async (t) => {
  const { answer, far: connected, loseNear, unanswered, values } = await bench(t)
  const far = await connected()
  far.send(...ids(1, 5).map((id) => reading(id)))
  await until(() => unanswered.length === 5)
  answer(2)
  t.same(await acknowledged(far, 2), [1, 2])
  unanswered.length = 0
  loseNear()
  far.send(reading(6), reading(7, 0, 0))
  await until(() => unanswered.length === 4)
  t.same(values(), ['1', '2', '3', '4', '5', '3', '4', '5', '6'])
  answer()
  t.same(await acknowledged(far, 6), ids(1, 6))
})

t.test(
  'what the gateway has taken of a connection that ended is not acknowledged on the next',
  async (t) => {
    const { answer, far: connected, unanswered } = await bench(t)
    const far = await connected()
    far.send(...ids(1, 3).map((id) => reading(id)))
    await until(() => unanswered.length === 3)
    far.end()
    const again = await connected()
    again.send(reading(7), reading(2, DUPLICATE))
    await until(() => unanswered.length === 5)
    answer(4)
    t.same(await acknowledged(again, 1), [7])
    answer()
    t.same(await acknowledged(again, 2), [7, 2])
  },
)

t.test('what comes at QoS 2 is told once the gateway has it, and only once', async (t) => {
  const { answer, far: connected, unanswered, values } = await bench(t)
  const far = await connected()
  const id = Uint8Array.of(0, 9)
  far.send(reading(8), reading(9, 0, 2))
  await far.next(PUBREC)
  far.send(packet(6, 2, id))
  await until(() => unanswered.length === 2)
  answer(1)
  t.same(await acknowledged(far, 1), [8])
  t.notOk(far.received.some(({ type }) => type === PUBCOMP))
  answer()
  t.same((await far.next(PUBCOMP)).body, Buffer.from(id))
  far.send(packet(6, 2, id))
  await far.next(PUBCOMP)
  t.same(values(), ['8', '9'])
})
