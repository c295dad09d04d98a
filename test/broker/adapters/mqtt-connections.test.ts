import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { brokerBench } from '../../support/broker-bench.ts'
import {
  connectPacket,
  packet,
  publishPacket,
  RawMqttClient,
  subscribePacket,
  until,
} from '../../support/raw-mqtt-client.ts'

const CLEAN = 2
const PERSISTENT = 0
const DISCONNECT = packet(14, 0)

t.test('clean and persistent sessions fight over one id: one is left, and counted', async (t) => {
  const { broker, raw } = await brokerBench(t)
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed} npx tap run test/broker/adapters/mqtt-connections.test.ts`)
  const random = new Random(seed)
  for (let round = 0; round < 30; round++) {
    const clients: RawMqttClient[] = []
    for (let n = 0; n < 20; n++) {
      const flags = random.integer(2) === 0 ? CLEAN : PERSISTENT
      const filters = ['a', 'b', `c/${random.integer(3)}`]
      const start = [connectPacket({ clientId: 'one', flags }), subscribePacket(filters, 1)]
      const client = await RawMqttClient.open(broker.port, Buffer.concat(start))
      t.teardown(() => client.end())
      clients.push(client)
      if (random.integer(3) === 0) client.end()
    }
    const last = await raw({ clientId: 'one', flags: CLEAN })
    last.send(subscribePacket(['x', 'y'], 1))
    await last.next(9)
    await until(() => clients.every(({ isClosed }) => isClosed))
    await until(() => broker.counters().clientsConnected === 1)
    if (broker.counters().subscriptions !== 2) {
      t.equal(broker.counters().subscriptions, 2, `round ${round}`)
      break
    }
    last.send(DISCONNECT)
    await last.closed
  }
  await until(() => broker.counters().clientsConnected === 0)
  await until(() => broker.counters().subscriptions === 0)
  t.equal(broker.counters().clientsTotal, 0, 'the clean one discarded what the others left')
})

const idIs = ({ body }: { readonly body: Buffer }, id: number): boolean =>
  body.readUInt16BE(0) === id
const idOf = ({ body }: { readonly body: Buffer }): number => body.readUInt16BE(3)

t.test('packet ids count from 1, and none is given twice at a time', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t)
  const publisher = await mqtt()
  const options = { clientId: 'reader', flags: PERSISTENT }
  const first = await raw(options)
  first.send(subscribePacket(['a'], 1))
  await first.next(9)
  for (const n of [1, 2, 3]) {
    await publisher.publishAsync('a', `${n}`, { qos: 1 })
    t.equal(idOf(await first.next(3)), n)
  }
  first.send(packet(4, 0, Uint8Array.of(0, 1)), packet(4, 0, Uint8Array.of(0, 3)))
  await first.ping()
  first.end()

  const second = await RawMqttClient.open(broker.port, connectPacket(options))
  t.teardown(() => second.end())
  t.equal(idOf(await second.next(3)), 2, 'sent again under the id it had')
  const ids: number[] = []
  for (let n = 0; n < 3; n++) {
    await publisher.publishAsync('a', 'new', { qos: 1 })
    ids.push(idOf(await second.next(3)))
  }
  t.same(ids, [1, 3, 4])
})

t.test('a publisher at QoS 2 may have thousands under way', async (t) => {
  const { broker, raw, mqtt } = await brokerBench(t)
  const reader = await mqtt()
  const heard: number[] = []
  reader.on('message', (_topic, payload) => heard.push(Number(payload)))
  await reader.subscribeAsync('a', { qos: 1 })
  const publisher = await raw({ clientId: 'fast', flags: PERSISTENT })
  const count = 5000
  const ids = Array.from({ length: count }, (_, n) => 13 * n + 1)
  for (const id of ids) publisher.send(publishPacket('a', `${id}`, { qos: 2, id }))
  for (const id of ids) if (!idIs(await publisher.next(5), id)) t.fail(`PUBREC ${id}`)
  await until(() => heard.length === count)
  publisher.end()
  await until(() => broker.counters().clientsConnected === 1)

  const again = await raw({ clientId: 'fast', flags: PERSISTENT })
  again.send(publishPacket('a', 'again', { qos: 2, id: 1 + 13 * 4000, flags: 8 }))
  for (const id of ids) again.send(packet(6, 2, Uint8Array.of(id >> 8, id & 0xff)))
  await again.next(5)
  for (const id of ids) if (!idIs(await again.next(7), id)) t.fail(`PUBCOMP ${id}`)
  again.send(publishPacket('a', 'last', { qos: 2, id: 1 }))
  await again.next(5)
  await until(() => heard.length > count)
  t.equal(new Set(heard).size, count + 1, 'each once')
  t.equal(heard.length, count + 1)
})
