/** Messages of other programs become readings, as the configuration says: over real sockets, and a real Mosquitto. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { lacksMosquitto, Mosquitto } from '../support/mosquitto.ts'
import { eventually, Fleet, type Gateway } from '../support/processes.ts'
import { HttpClient, type Json, WireClient } from '../support/wire-client.ts'

const SHAPE = ['--grid', '16x16', '--tile', '4', '--replicas', '1', '--fields', 'temp:f64,level:u8']

const INPUTS = `
[[input]]
topic = "zigbee2mqtt/kitchen"
pointer = "/temperature"
field = "temp"
x = 12
y = 4

[[input]]
topic = "zigbee2mqtt/kitchen"
pointer = "/linkquality"
field = "level"
x = 12
y = 4

[[input]]
topic = "hall/+/rack/+"
field = "temp"
x = "$2"
y = "$1"
scale = 0.1
`

/** As Zigbee2MQTT tells of a sensor. */
const KITCHEN =
  '{"battery":97,"humidity":48.2,"last_seen":"2026-05-01T10:00:00Z","linkquality":87,"temperature":21.5,"update":{"state":"idle"},"voltage":3000}'

interface Site {
  readonly fleet: Fleet
  readonly gateway: Gateway
  readonly http: HttpClient
}

async function site(t: Test, fleet: Fleet, ...options: readonly string[]): Promise<Site> {
  const file = join(t.testdir(), 'gateway.toml')
  writeFileSync(file, INPUTS)
  const gateway = await fleet.gateway(...SHAPE, '--config', file, ...options)
  await fleet.agent('a', gateway.url)
  return { fleet, gateway, http: new HttpClient(gateway.http) }
}

async function has(http: HttpClient, field: string, x: number, y: number, value: number) {
  await eventually(`${value} in ${field} ${x},${y}`, async () => {
    const region = { x, y, w: 1, h: 1 }
    const result = await http.run({ op: 'get', region, args: { fields: [field] } })
    return (result.value as Json).fields[field][0] === value
  })
}

t.test(
  'what Zigbee2MQTT tells comes into cells, and whoever else hears it still does',
  async (t) => {
    const { gateway, http } = await site(t, new Fleet(t))
    const wire = await WireClient.connect(gateway.url, '#')
    t.ok(await wire.publish('zigbee2mqtt/kitchen', KITCHEN))
    t.ok(await wire.publish('hall/3/rack/15', '215'))
    await has(http, 'temp', 12, 4, 21.5)
    await has(http, 'level', 12, 4, 87)
    await has(http, 'temp', 15, 3, 21.5)
    t.equal(wire.messages.filter(({ topic }) => topic === 'zigbee2mqtt/kitchen').length, 1)

    wire.client.publish('zigbee2mqtt/kitchen', '{"temperature":22}')
    await has(http, 'temp', 12, 4, 22)
    await has(http, 'level', 12, 4, 87)
    t.equal(await http.metric('obelisk_cells_refused_total'), 0, 'what is left out is nothing')

    t.ok(await wire.publish('zigbee2mqtt/kitchen', '{"temperature":"ON","linkquality":9}'))
    t.match(await wire.nextJson('task/rejected'), {
      ...{ topic: 'zigbee2mqtt/kitchen', code: 'wrong-type' },
      message: '[[input]] 1: /temperature is "ON", no number',
    })
    await has(http, 'level', 12, 4, 9)
    t.equal(await http.metric('obelisk_cells_refused_total{reason="wrong-type"}'), 1)
    await wire.close()
  },
)

t.test('an input that the grid has no cell for ends the gateway, which says so', async (t) => {
  const fleet = new Fleet(t)
  const file = join(t.testdir(), 'gateway.toml')
  writeFileSync(file, INPUTS.replaceAll('field = "temp"', 'field = "tmp"'))
  const data = join(fleet.directory, 'gateway')
  const run = fleet.start(['gateway', ...SHAPE, '--config', file, '--data', data])
  t.match(await run.exited, { code: 78 })
  for (const number of [1, 3]) {
    t.match(run.stderr, `gateway.toml: [[input]] ${number}: field: the grid has no field "tmp"`)
  }
})

t.test(
  'over a bridge topics of inputs come in by themselves, and what is retained each time it begins',
  { skip: lacksMosquitto() },
  async (t) => {
    const fleet = new Fleet(t)
    const mosquitto = await Mosquitto.start(fleet, '')
    const there = await WireClient.connect(mosquitto.url)
    const { gateway, http } = await site(t, fleet, '--bridge-url', mosquitto.url)
    await eventually('the bridge is there', () => gateway.run.stderr.includes('bridge-up'))
    t.ok(await there.publish('zigbee2mqtt/kitchen', KITCHEN, true))
    await has(http, 'temp', 12, 4, 21.5)
    const region = { x: 12, y: 4, w: 1, h: 1 }
    await http.run({ op: 'set', region, args: { fields: { temp: 0 } } })
    await gateway.run.kill()
    await gateway.restart()
    await has(http, 'temp', 12, 4, 21.5)
    const near = await WireClient.connect(gateway.url, 'hall/#')
    t.ok(await there.publish('hall/1/rack/2', '200'))
    await has(http, 'temp', 2, 1, 20)
    t.ok(await there.publish('hall/1/other', '200'))
    t.ok(await there.publish('hall/1/rack/3', '300'))
    await has(http, 'temp', 3, 1, 30)
    t.same(
      near.messages.map(({ topic }) => topic),
      ['hall/1/rack/2', 'hall/1/rack/3'],
      'and nothing else',
    )
    await near.close()
    await there.close()
  },
)
