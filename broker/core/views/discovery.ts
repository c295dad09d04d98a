/**
 * What Home Assistant is told of a fleet: device-based discovery, as its MQTT integration takes it since 2024.11. One
 * retained message a device, with all its entities: each node is one, and the gateway, through which it is reached.
 *
 * - Names of devices and entities stay the same for as long as the fleet does, whatever ledger it has.
 * - What a board cannot tell is left out; what it cannot tell just now is `None`, which is shown as unknown.
 * - Nothing can be commanded: a drain by a tap that was a mistake is not worth a switch.
 */
import type { NodeId } from '../../../shared/core/ids.ts'
import type { TelemetryNumber } from '../../../shared/protocol/telemetry.ts'
import { buildTopic } from '../../../shared/protocol/topics.ts'

export interface DiscoverySite {
  /** The topic that Home Assistant looks below; one level. */
  readonly prefix: string
  /** That of the gateway's topics. */
  readonly base: string
  /** Eight characters that no other fleet has. */
  readonly fleet: string
  readonly version: string
  /** Where the page is served. */
  readonly url?: string
}

/** A cell whose number is published. */
export interface DiscoveredCell {
  readonly field: string
  readonly x: number
  readonly y: number
  readonly name?: string | undefined
  readonly unit?: string | undefined
  readonly deviceClass?: string | undefined
}

export interface DiscoveredNode {
  readonly id: NodeId
  readonly board: string
  readonly version: string
  /** What of its telemetry was a number, once at least. */
  readonly told: ReadonlySet<string>
}

interface Sensor {
  readonly key: string
  readonly name: string
  /** What it is made of. */
  readonly from: readonly TelemetryNumber[]
  /** In the language of templates, of the names in `from`; without one, the first of them. */
  readonly value?: string
  readonly unit?: string
  readonly kind?: 'temperature' | 'data_size' | 'duration'
  readonly isTotal?: boolean
  readonly digits?: number
  readonly isOffAtFirst?: boolean
}

const SENSORS: readonly Sensor[] = [
  { key: 'cpu', name: 'CPU', from: ['cpu_percent'], unit: '%', digits: 0 },
  {
    ...{ key: 'memory', name: 'Memory used', from: ['mem_available_bytes', 'mem_total_bytes'] },
    ...{ value: '100 * (1 - mem_available_bytes / mem_total_bytes)', unit: '%', digits: 0 },
  },
  {
    ...{ key: 'temp', name: 'CPU temperature', from: ['temp_celsius'] },
    ...{ kind: 'temperature', unit: '°C', digits: 1 },
  },
  {
    ...{ key: 'disk', name: 'Disk free', from: ['disk_free_bytes'] },
    ...{ value: 'disk_free_bytes / 1e9', kind: 'data_size', unit: 'GB', digits: 1 },
  },
  {
    ...{ key: 'written', name: 'Store written', from: ['store_written_bytes_total'] },
    ...{ value: 'store_written_bytes_total / 1e9', kind: 'data_size', unit: 'GB', digits: 2 },
    isTotal: true,
  },
  {
    ...{ key: 'rtt', name: 'Round trip', from: ['broker_rtt_ms'] },
    ...{ kind: 'duration', unit: 'ms', digits: 0 },
  },
  {
    ...{ key: 'uptime', name: 'Uptime', from: ['uptime_seconds'] },
    ...{ kind: 'duration', unit: 's', digits: 0, isOffAtFirst: true },
  },
  { key: 'tiles', name: 'Tiles', from: ['tiles'], digits: 0 },
  { key: 'parts', name: 'Parts done', from: ['shards_done_total'], isTotal: true, digits: 0 },
]

/** Of `gateway/summary`. */
const COUNTS: readonly { readonly key: string; readonly name: string; readonly from: string }[] = [
  { key: 'alive', name: 'Nodes alive', from: 'nodes_alive' },
  { key: 'missing', name: 'Tiles missing', from: 'tiles_missing' },
  { key: 'moves', name: 'Moves planned', from: 'moves_planned' },
  { key: 'writes', name: 'Writes waiting', from: 'writes_waiting' },
]

/** Home Assistant takes sensors of these for meters alone. */
const METERED = ['energy', 'gas', 'monetary', 'volume', 'water']

type Entity = Readonly<Record<string, unknown>>

/** Where the device of a node, or of the gateway, is told of. */
export function discoveryTopic(
  { prefix, fleet }: Pick<DiscoverySite, 'prefix' | 'fleet'>,
  node?: NodeId,
): string {
  return `${prefix}/device/${deviceId(fleet, node)}/config`
}

/** Whether this is such a topic, below whatever prefix; and of which node, if it is one's. */
export function parseDiscoveryTopic(
  fleet: string,
  topic: string,
): { readonly prefix: string; readonly node: string | undefined } | undefined {
  const match = /^([^/]+)\/device\/obelisk_([^_/]{8})_([^/]+)\/config$/.exec(topic)
  if (match === null || match[2] !== fleet) return undefined
  const [, prefix = '', , name = ''] = match
  if (name === 'gateway') return { prefix, node: undefined }
  return { prefix, node: /^_+gateway$/.test(name) ? name.slice(1) : name }
}

export function nodeDiscovery(site: DiscoverySite, node: DiscoveredNode): object {
  const device = deviceId(site.fleet, node.id)
  const state = buildTopic(site.base, { kind: 'node-state', node: node.id })
  const isTold = ({ from }: Sensor): boolean => from.every((name) => node.told.has(name))
  const entities = SENSORS.filter(isTold).map(({ key, name, from, ...sensor }): Entity => {
    const value = sensor.value ?? from[0]!
    return {
      ...{ platform: 'sensor', unique_id: `${device}_${key}`, name },
      ...(sensor.kind && { device_class: sensor.kind }),
      ...(sensor.unit && { unit_of_measurement: sensor.unit }),
      state_class: sensor.isTotal ? 'total_increasing' : 'measurement',
      suggested_display_precision: sensor.digits,
      ...(sensor.isOffAtFirst && { enabled_by_default: false }),
      entity_category: 'diagnostic',
      value_template: templateOf(from, value),
    }
  })
  const connected: Entity = {
    ...{ platform: 'binary_sensor', unique_id: `${device}_connected`, name: 'Connected' },
    ...{ device_class: 'connectivity', entity_category: 'diagnostic' },
    // It says so while all else of a node that is away is not available.
    ...{ state_topic: state, payload_on: 'online', payload_off: 'offline' },
    availability: [gatewayState(site)],
  }
  const page = site.url === undefined ? {} : pageOf(`${site.url}/#fleet/${node.id}`)
  return {
    device: {
      ...{ identifiers: [device], name: `Obelisk ${node.id}`, manufacturer: 'Obelisk' },
      ...{ model: node.board, sw_version: node.version },
      ...{ via_device: deviceId(site.fleet), ...page },
    },
    origin: originOf(site),
    availability: [gatewayState(site), { topic: state }],
    availability_mode: 'all',
    state_topic: buildTopic(site.base, { kind: 'node-telemetry-json', node: node.id }),
    components: byKey(device, [...entities, connected]),
  }
}

export function gatewayDiscovery(site: DiscoverySite, cells: readonly DiscoveredCell[]): object {
  const device = deviceId(site.fleet)
  const counts = COUNTS.map(({ key, name, from }): Entity => {
    return {
      ...{ platform: 'sensor', unique_id: `${device}_${key}`, name, state_class: 'measurement' },
      ...{ suggested_display_precision: 0, entity_category: 'diagnostic' },
      value_template: templateOf([from], from),
    }
  })
  const doubts: Entity = {
    ...{ platform: 'binary_sensor', unique_id: `${device}_doubts`, name: 'Doubts its view' },
    ...{ device_class: 'problem', entity_category: 'diagnostic' },
    value_template: templateOf(['doubts'], "'ON' if doubts else 'OFF'"),
  }
  return {
    device: {
      ...{ identifiers: [device], name: 'Obelisk gateway', manufacturer: 'Obelisk' },
      ...{ model: 'gateway', sw_version: site.version },
      ...(site.url === undefined ? {} : pageOf(`${site.url}/`)),
    },
    origin: originOf(site),
    availability: [gatewayState(site)],
    state_topic: buildTopic(site.base, { kind: 'gateway-summary' }),
    components: byKey(device, [...counts, doubts, ...cells.map((cell) => cellEntity(site, cell))]),
  }
}

function cellEntity(
  site: DiscoverySite,
  { field, x, y, name, unit, deviceClass }: DiscoveredCell,
): Entity {
  const isMeter = deviceClass !== undefined && METERED.includes(deviceClass)
  return {
    ...{ platform: 'sensor', unique_id: `${deviceId(site.fleet)}_cell_${field}_${x}_${y}` },
    name: name ?? `${field} ${x},${y}`,
    ...(deviceClass !== undefined && { device_class: deviceClass }),
    ...(unit !== undefined && { unit_of_measurement: unit }),
    state_class: isMeter ? 'total' : 'measurement',
    state_topic: buildTopic(site.base, { kind: 'cell-value', field, x, y }),
  }
}

/** A node may have the gateway's name: it gets a sign that ids of others cannot come to have by this. */
function deviceId(fleet: string, node?: NodeId): string {
  const name = node === undefined ? 'gateway' : /^_*gateway$/.test(node) ? `_${node}` : node
  return `obelisk_${fleet}_${name}`
}

function gatewayState({ base }: DiscoverySite): object {
  return { topic: buildTopic(base, { kind: 'gateway-state' }) }
}

function originOf({ version }: DiscoverySite): object {
  return { name: 'Obelisk', sw_version: version }
}

function pageOf(url: string): object {
  return { configuration_url: url }
}

function byKey(device: string, entities: readonly Entity[]): Readonly<Record<string, Entity>> {
  const keyOf = ({ unique_id }: Entity): string => String(unique_id).slice(device.length + 1)
  return Object.fromEntries(entities.map((entity) => [keyOf(entity), entity]))
}

/** `None` where one of the numbers is null. */
function templateOf(from: readonly string[], value: string): string {
  const sets = from.map((name) => `{% set ${name} = value_json.${name} %}`).join('')
  const known = from.map((name) => `${name} is not none`).join(' and ')
  return `${sets}{{ (${value}) if ${known} else none }}`
}
