import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  type DiscoveredNode,
  type DiscoverySite,
  discoveryTopic,
  gatewayDiscovery,
  nodeDiscovery,
  parseDiscoveryTopic,
} from '../../../../broker/core/views/discovery.ts'
import { summaryOf } from '../../../../broker/summary.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { TELEMETRY_NUMBERS } from '../../../../shared/protocol/telemetry.ts'
import { parseTopic } from '../../../../shared/protocol/topics.ts'

type Json = Record<string, unknown>

/** Frozen: it says what is taken, not what we send. */
const TAKEN = JSON.parse(
  readFileSync(new URL('../../../fixtures/home-assistant-2024.11.json', import.meta.url), 'utf8'),
)
const SITE: DiscoverySite = {
  ...{ prefix: 'homeassistant', base: 'obelisk/v1', fleet: 'a1b2c3d4', version: '0.1.0' },
  url: 'https://gw.local:8025',
}
const BOARD: DiscoveredNode = {
  ...{ id: 'edge-1' as NodeId, board: 'Raspberry Pi Zero W', version: '0.1.0' },
  told: new Set<string>(TELEMETRY_NUMBERS),
}

const asJson = (payload: object): Json => JSON.parse(JSON.stringify(payload))

function onlyHas(t: Test, what: string, object: object, ...known: readonly string[][]): void {
  t.same(
    Object.keys(object).filter((key) => !known.flat().includes(key)),
    [],
    `${what} has nothing else`,
  )
}

/** The names that a template looks up, and those it may find. */
function looksUp(template: string): string[] {
  return [...template.matchAll(/value_json\.(\w+)/g)].map(([, name]) => name!)
}

function checkMessage(t: Test, payload: Json, names: readonly string[]): void {
  onlyHas(t, 'the message', payload, TAKEN.message)
  const device = payload.device as Json
  onlyHas(t, 'the device', device, TAKEN.device)
  t.match(device.configuration_url, /^https:\/\//)
  onlyHas(t, 'the origin', payload.origin as Json, TAKEN.origin)
  t.type((payload.origin as Json).name, 'string')
  t.ok(
    payload.availability_mode === undefined ||
      TAKEN.availabilityModes.includes(payload.availability_mode),
  )
  const entities = Object.entries(payload.components as Record<string, Json>)
  t.ok(entities.length > 0)
  const ids = new Set<unknown>()
  for (const [key, entity] of entities) {
    const platform = entity.platform as 'sensor' | 'binary_sensor'
    onlyHas(t, key, entity, TAKEN.entity, TAKEN[platform])
    ids.add(entity.unique_id)
    const category = entity.entity_category
    t.ok(
      category === undefined || TAKEN.entityCategories.includes(category),
      `${key}: its category`,
    )
    for (const place of [payload.availability, entity.availability ?? []] as Json[][]) {
      for (const one of place) {
        onlyHas(t, `${key}'s availability`, one, TAKEN.availability)
        t.ok(parseTopic(SITE.base, String(one.topic)), `${one.topic} is one of ours`)
      }
    }
    t.ok(parseTopic(SITE.base, String(entity.state_topic ?? payload.state_topic)))
    for (const name of looksUp(String(entity.value_template ?? ''))) {
      t.ok(names.includes(name), `${key}: ${name} is told`)
    }
    if (platform === 'binary_sensor') {
      t.ok(TAKEN.binaryClasses.includes(entity.device_class), `${key}: its class`)
      continue
    }
    t.ok(TAKEN.stateClasses.includes(entity.state_class), `${key}: its state class`)
    const isMeter = TAKEN.meterClasses.includes(entity.device_class)
    t.notOk(isMeter && entity.state_class === 'measurement', `${key}: it fits its class`)
    if (entity.device_class === undefined) continue
    const units = TAKEN.sensorUnits[String(entity.device_class)]
    t.ok(units?.includes(entity.unit_of_measurement), `${key}: its unit fits its class`)
  }
  t.equal(ids.size, entities.length, 'each has an id of its own')
}

t.test('a node is told of as Home Assistant takes it', async (t) => {
  const payload = asJson(nodeDiscovery(SITE, BOARD))
  checkMessage(t, payload, TELEMETRY_NUMBERS)
  t.match(payload, {
    device: { via_device: 'obelisk_a1b2c3d4_gateway', identifiers: ['obelisk_a1b2c3d4_edge-1'] },
    components: {
      temp: { value_template: /is not none else none/, unit_of_measurement: '°C' },
      uptime: { enabled_by_default: false },
    },
  })
  t.ok(JSON.stringify(payload).length < 6000, 'one small message')
})

t.test('the gateway is told of as Home Assistant takes it', async (t) => {
  const fleet = {
    countByState: () => ({ alive: 1, suspect: 0, dead: 0, left: 0 }),
    counts: () => ({}),
  }
  const names = Object.keys(summaryOf(fleet, 1, 1))
  checkMessage(t, asJson(gatewayDiscovery(SITE, [])), names)
  const cells = [
    { field: 'temp', x: 12, y: 40, name: 'Kitchen', unit: '°C', deviceClass: 'temperature' },
    { field: 'water', x: 0, y: 0, unit: 'L', deviceClass: 'water' },
    { field: 'level', x: 12, y: 40 },
  ]
  const payload = asJson(gatewayDiscovery(SITE, cells))
  checkMessage(t, payload, names)
  t.match(payload.components, {
    cell_temp_12_40: { name: 'Kitchen', state_topic: 'obelisk/v1/cell/temp/12/40/value' },
    cell_water_0_0: { state_class: 'total' },
    cell_level_12_40: { name: 'level 12,40', state_class: 'measurement' },
  })
})

t.test('what a board cannot tell is left out', async (t) => {
  const told = new Set([...BOARD.told].filter((name) => !/temp_celsius|mem_total/.test(name)))
  const { components } = asJson(nodeDiscovery(SITE, { ...BOARD, told })) as { components: Json }
  t.notOk('temp' in components || 'memory' in components)
  t.ok('cpu' in components)
  const { url: _url, ...site } = SITE
  t.notOk('configuration_url' in (asJson(nodeDiscovery(site, BOARD)).device as Json), 'nor a page')
})

t.test('each node has a topic of its own, which says whose it is', async (t) => {
  const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
  const gateways = fc.stringMatching(/^_{0,3}gateway$/)
  fc.assert(
    fc.property(fc.oneof(id, gateways), (node) => {
      const topic = discoveryTopic(SITE, node as NodeId)
      t.match(topic.split('/')[2], new RegExp(TAKEN.objectId))
      if (topic === discoveryTopic(SITE)) throw new Error(`${node} is told of as the gateway`)
      const parsed = parseDiscoveryTopic(SITE.fleet, topic)
      if (parsed?.node !== node || parsed.prefix !== SITE.prefix) throw new Error(topic)
    }),
  )
  t.same(parseDiscoveryTopic(SITE.fleet, discoveryTopic(SITE)), {
    prefix: SITE.prefix,
    node: undefined,
  })
  t.equal(parseDiscoveryTopic('other678', discoveryTopic(SITE)), undefined)
  t.equal(parseDiscoveryTopic(SITE.fleet, 'homeassistant/device/zigbee/config'), undefined)
})
