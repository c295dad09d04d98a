import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { brokerBench } from '../../support/broker-bench.ts'
import {
  connectPacket,
  packet,
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
