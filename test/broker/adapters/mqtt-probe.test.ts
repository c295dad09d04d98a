import { connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { MqttBroker } from '../../../broker/adapters/mqtt-broker.ts'
import type { MqttBrokerOptions } from '../../../broker/adapters/mqtt-options.ts'
import { MqttProbe } from '../../../broker/adapters/mqtt-probe.ts'
import { freePort } from '../../support/processes.ts'
import {
  connectPacket,
  RawMqttClient,
  subscribePacket,
  until,
} from '../../support/raw-mqtt-client.ts'

const ID = 'probe-of-this-test'

const nobody = {
  onSubmission: (_submission: unknown, done: () => void) => done(),
  onReadings: (_message: unknown, done?: () => void) => done?.(),
  onCancel() {},
  onNodeMessage() {},
  onReport() {},
  onNodeConnectionClosed() {},
}
const silent = { debug() {}, info() {}, warn() {}, error() {} }

async function start(t: Test, options: MqttBrokerOptions): Promise<MqttBroker> {
  const broker = await MqttBroker.start({ probeId: ID, ...options }, nobody)
  t.teardown(() => broker.close())
  return broker
}

function probeOf(t: Test, port: number): { probe: MqttProbe; returned: number[] } {
  const returned: number[] = []
  const at = { host: '127.0.0.1', port, id: ID }
  const probe = new MqttProbe(at, silent, (beat) => returned.push(beat))
  t.teardown(() => probe.close())
  return { probe, returned }
}

/** Beats until one is back. */
async function comesBack(probe: MqttProbe, returned: number[], beat: number): Promise<void> {
  await until(() => {
    probe.send(beat)
    return returned.includes(beat)
  })
}

t.test('beats come back through the broker, and nobody else hears of them', async (t) => {
  const broker = await start(t, { port: 0 })
  const user = await connectAsync(`mqtt://127.0.0.1:${broker.port}`, { protocolVersion: 4 })
  t.teardown(() => user.endAsync(true))
  const heard: string[] = []
  user.on('message', (topic) => heard.push(topic))
  await user.subscribeAsync(['#', '+/+', '$SYS/broker/x'])
  const { probe, returned } = probeOf(t, broker.port)
  await comesBack(probe, returned, 7)
  await user.publishAsync('end', '', { qos: 1 })
  await until(() => heard.includes('end'))
  t.same(
    heard.filter((topic) => topic !== 'end'),
    [],
  )
  const { clientsConnected, clientsMaximum, subscriptions, dropped } = broker.counters()
  t.same(
    { clientsConnected, clientsMaximum, subscriptions, dropped },
    {
      clientsConnected: 1,
      clientsMaximum: 1,
      subscriptions: 3,
      dropped: {},
    },
  )
})

t.test('it takes nobody’s place, and finds one in a full broker', async (t) => {
  const broker = await start(t, { port: 0, connectionsMax: 1 })
  const one = await RawMqttClient.connected(broker.port, { clientId: 'one' })
  t.teardown(() => one.end())
  const { probe, returned } = probeOf(t, broker.port)
  await comesBack(probe, returned, 1)
  const two = await RawMqttClient.open(broker.port, connectPacket({ clientId: 'two' }))
  t.same((await two.next(2)).body, Buffer.from([0, 3]), 'others are refused')
})

t.test('nobody else may use its topic', async (t) => {
  const broker = await start(t, { port: 0 })
  const spy = await RawMqttClient.connected(broker.port, { clientId: 'probe-of-another' })
  t.teardown(() => spy.end())
  spy.send(subscribePacket([`$probe/${ID}`]))
  t.same((await spy.next(9)).body.subarray(2), Buffer.from([128]))
})

t.test('it connects again when its connection or the broker was gone', async (t) => {
  const port = await freePort()
  const { probe, returned } = probeOf(t, port)
  probe.send(1)
  const first = await MqttBroker.start({ probeId: ID, port }, nobody)
  await comesBack(probe, returned, 2)
  await first.close()
  probe.send(3)
  await start(t, { port })
  await comesBack(probe, returned, 4)
  t.notOk(returned.includes(1) || returned.includes(3), 'what it could not send is not kept')
})
