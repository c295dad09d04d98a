import { isIPv4 } from 'node:net'
import { TILE_SIDE_MAX, TILE_SIDE_MIN } from '../shared/grid/geometry.ts'
import { TOPIC_BASE_DEFAULT } from '../shared/protocol/topics.ts'
import type { Program, Settings } from '../shared/runtime/config.ts'
import { LOG_LEVELS } from '../shared/runtime/logger.ts'
import { type DefaultContext, stateDirectory } from '../shared/runtime/option-table.ts'
import { choice, duration, integer, number, text } from '../shared/runtime/option-types.ts'
import { topicBase } from '../shared/runtime/topic-base-option.ts'
import { BRIDGE_OPTIONS, BRIDGE_RELATIONS } from './bridge-table.ts'
import { INPUT_TABLE, WATCH_TABLE } from './cell-table.ts'
import { discoveryPrefix, fields, frameAncestors, grid, hostNames } from './option-types.ts'

const MIB = 1024 * 1024
const DAY_MS = 86_400_000

const port = integer({ min: 0, max: 65_535 })

/** Every option of the gateway. */
export const GATEWAY_OPTIONS = {
  host: {
    type: text({ placeholder: '<address>' }),
    default: '127.0.0.1',
    about:
      'Address that the MQTT port listens on; any but loopback needs a gateway that is secured.',
  },
  port: {
    type: port,
    defaultText: '`1883`, secured `8883`',
    about: 'MQTT port; 0 takes any free one.',
  },
  httpHost: {
    type: text({ placeholder: '<address>' }),
    default: '127.0.0.1',
    about:
      'Address that the HTTP port listens on; any but loopback needs a gateway that is secured.',
  },
  tlsNames: {
    type: hostNames,
    about:
      'Names and addresses that a secured gateway is reached by, besides those of this machine.',
  },
  security: {
    type: choice(['auto', 'on', 'off']),
    default: 'auto' as const,
    about: 'Whether to ask everybody who he is; `auto` does so once the gateway was secured.',
  },
  httpFrameAncestors: {
    type: frameAncestors,
    default: "'none'",
    about: 'Whose pages may show this one within them, as `frame-ancestors` of a policy says it.',
  },
  httpPort: { type: port, default: 8025, about: 'HTTP port; 0 takes any free one.' },
  data: {
    type: text({ placeholder: '<directory>' }),
    default: ({ environment }: DefaultContext) =>
      stateDirectory(environment) ?? './obelisk-gateway',
    defaultText: '`$STATE_DIRECTORY`, else `./obelisk-gateway`',
    about: 'Directory of the ledger and the event log.',
  },
  grid: {
    type: grid,
    default: Object.freeze({ width: 1024, height: 1024 }),
    about: 'Size of the grid in LSUs; of a ledger that is there, its own.',
  },
  tile: {
    type: integer({ min: TILE_SIDE_MIN, max: TILE_SIDE_MAX }),
    default: 16,
    about: 'Side of a tile in LSUs; of a ledger that is there, its own.',
  },
  replicas: {
    type: integer({ min: 1, max: 5 }),
    default: 2,
    about: 'Nodes that hold each tile; of a ledger that is there, its own.',
  },
  fields: {
    type: fields,
    default: Object.freeze([Object.freeze({ name: 'value', type: 'f64' as const })]),
    about: 'Fields of every LSU; of a ledger that is there, its own.',
  },
  topicBase: {
    type: topicBase,
    default: TOPIC_BASE_DEFAULT,
    about: 'Topic that all topics of the fleet stand below.',
  },
  homeAssistant: {
    type: discoveryPrefix,
    about:
      'Topic below which Home Assistant is told of the nodes, mostly `homeassistant`; without it, nowhere.',
  },
  ...BRIDGE_OPTIONS,
  heartbeatMs: {
    type: duration({ min: 50, max: 60_000, unit: 'ms' }),
    default: 2000,
    about: 'How often each node is to send a heartbeat.',
  },
  suspectAfterMs: {
    type: duration({ min: 100, max: 600_000, unit: 'ms' }),
    default: 6000,
    about: 'Silence after which a node is suspected at the latest; more than twice heartbeat-ms.',
  },
  deadAfterMs: {
    type: duration({ min: 200, max: DAY_MS, unit: 'ms' }),
    default: 30_000,
    about: 'Silence after which a node counts as dead; longer than a reboot.',
  },
  doubtMaxMs: {
    type: duration({ min: 1000, max: DAY_MS, unit: 'ms' }),
    default: 600_000,
    about: 'How long the gateway doubts itself at most before it blames the nodes after all.',
  },
  massSilenceShare: {
    type: number({ min: 0.05, max: 1 }),
    default: 0.4,
    about: 'Share of the nodes that may go quiet together before the gateway doubts itself.',
  },
  probationMs: {
    type: duration({ min: 0, max: DAY_MS, unit: 'ms' }),
    default: 60_000,
    about: 'How long a node that is new, or was dead, is not given tiles of others.',
  },
  lagMs: {
    type: duration({ min: 50, max: 600_000, unit: 'ms' }),
    default: 2000,
    about: 'A replica that gets on with nothing for so long no longer holds up a write.',
  },
  leaseMs: {
    type: duration({ min: 100, max: 600_000, unit: 'ms' }),
    default: 15_000,
    about: 'Time that a node has to answer its part of a read.',
  },
  minInSync: {
    type: integer({ min: 1, max: 5 }),
    default: 1,
    about: 'Copies that a write needs at least; at most replicas.',
  },
  virtualNodes: {
    type: integer({ min: 1, max: 4096 }),
    default: 128,
    about: 'Points on the hash ring for a node of weight 1.',
  },
  loadBound: {
    type: number({ min: 1.01, max: 10 }),
    default: 1.1,
    about: 'The most that a node may hold, as a multiple of its fair share.',
  },
  retentionHours: {
    type: duration({ min: 1, max: 8760, unit: 'h' }),
    default: 24,
    about: 'How long the state and result of an ended task are kept at least.',
  },
  retentionTasks: {
    type: integer({ min: 1, max: 1_000_000 }),
    default: 10_000,
    about: 'How many ended tasks are kept at least, whatever their age.',
  },
  historyBytesMax: {
    type: integer({ min: 0, max: 1024 * MIB, unit: 'bytes' }),
    default: 16 * MIB,
    about: 'What the figures of the last day that charts show take of memory; 0 keeps none.',
  },
  metricsNodesMax: {
    type: integer({ min: 0, max: 100_000 }),
    default: 1000,
    about: 'Nodes of which `/metrics` shows what they tell of themselves, as CPU and memory.',
  },
  tasksMax: {
    type: integer({ min: 100, max: 10_000_000 }),
    default: 200_000,
    about: 'Task ids that the ledger holds; beyond that new tasks are refused.',
  },
  openBytesMax: {
    type: integer({ min: MIB, max: 4096 * MIB, unit: 'bytes' }),
    default: 64 * MIB,
    about: 'Bodies of unfinished tasks, together; beyond that new tasks are refused.',
  },
  logBytesMax: {
    type: integer({ min: MIB, max: 1024 * 1024 * MIB, unit: 'bytes' }),
    default: 256 * MIB,
    about: 'Writes kept for nodes that are behind; beyond that new writes are refused.',
  },
  cellsWindowMs: {
    type: duration({ min: 50, max: 60_000, unit: 'ms' }),
    default: 1000,
    about: 'Readings of cells that come within so long become one write of each field.',
  },
  streamWindowBytes: {
    type: integer({ min: 65_536, max: 64 * MIB, unit: 'bytes' }),
    default: 262_144,
    about: 'Writes on their way to one node that it has not acknowledged.',
  },
  moveBytesPerSecond: {
    type: integer({ min: 4096, max: 1024 * MIB, unit: 'bytes' }),
    default: 4 * MIB,
    about: 'Tiles that are taken to other nodes, together, a second.',
  },
  movesMax: {
    type: integer({ min: 1, max: 1024 }),
    default: 32,
    about: 'Tiles that are on their way to other nodes at the same time.',
  },
  recoverNodes: {
    type: integer({ min: 0, max: 65_534 }),
    default: 0,
    about: 'Rebuild a lost ledger from what so many nodes hold; see operations.md.',
  },
  packagesBytesMax: {
    type: integer({ min: MIB, max: 64 * 1024 * MIB, unit: 'bytes' }),
    default: 256 * MIB,
    about: 'Packages that boards can be brought to, together.',
  },
  rotateAfterDays: {
    type: integer({ min: 1, max: 36_500 }),
    about: 'Days after which a node is to make another key; without it, never.',
  },
  connectionsMax: {
    type: integer({ min: 1, max: 100_000 }),
    default: 12_000,
    about: 'MQTT connections at the same time.',
  },
  packetsPerSecond: {
    type: integer({ min: 1, max: 1_000_000, unit: 'a second' }),
    default: 20_000,
    about: 'Packets that one MQTT client may send over time; a faster one is read more slowly.',
  },
  filtersPerClientMax: {
    type: integer({ min: 1, max: 100_000 }),
    default: 1024,
    about: 'Filters that one MQTT client may subscribe to; beyond, it is answered with 0x80.',
  },
  filtersTotalMax: {
    type: integer({ min: 1, max: 10_000_000 }),
    default: 200_000,
    about: 'Filters of all MQTT clients together.',
  },
  sessionsMax: {
    type: integer({ min: 1, max: 1_000_000 }),
    default: 10_000,
    about:
      'Persistent MQTT sessions; beyond, the one whose client is away for longest is given up.',
  },
  sessionMessagesMax: {
    type: integer({ min: 1, max: 50_000 }),
    default: 1000,
    about: 'Messages that wait for one client with a persistent session; the oldest go first.',
  },
  sessionBytesMax: {
    type: integer({ min: 65_536, max: 1024 * MIB, unit: 'bytes' }),
    default: 4 * MIB,
    about: 'The same in bytes.',
  },
  sessionsBytesMax: {
    type: integer({ min: MIB, max: 64 * 1024 * MIB, unit: 'bytes' }),
    default: 256 * MIB,
    about: 'Bytes of messages that wait for clients with persistent sessions, together.',
  },
  retainedMessagesMax: {
    type: integer({ min: 0, max: 1_000_000 }),
    default: 10_000,
    about: 'Retained MQTT messages outside the base; they are kept on disk and in memory.',
  },
  retainedBytesMax: {
    type: integer({ min: 0, max: 4096 * MIB, unit: 'bytes' }),
    default: 64 * MIB,
    about: 'The same in bytes; each counts 200 bytes besides its topic and payload.',
  },
  backlogBytesMax: {
    type: integer({ min: MIB, max: 1024 * MIB, unit: 'bytes' }),
    default: 4 * MIB,
    about: 'Bytes that one MQTT client has not taken yet before it is disconnected.',
  },
  backlogTotalMax: {
    type: integer({ min: MIB, max: 64 * 1024 * MIB, unit: 'bytes' }),
    default: 256 * MIB,
    about:
      'Bytes that all MQTT clients have not taken yet; those furthest behind are disconnected.',
  },
  bufferedBytesMax: {
    type: integer({ min: 2 * MIB, max: 4096 * MIB, unit: 'bytes' }),
    default: 64 * MIB,
    about: 'Bytes of MQTT packets that have begun to arrive, of all connections.',
  },
  logLevel: {
    type: choice(LOG_LEVELS),
    default: 'info' as const,
    about: 'The least that is logged.',
  },
} as const

/** What its file may say several times. */
export const GATEWAY_TABLES = { inputs: INPUT_TABLE, watches: WATCH_TABLE } as const

export type GatewayConfig = Settings<typeof GATEWAY_OPTIONS, typeof GATEWAY_TABLES>

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

function openOnLoopbackOnly(
  flag: string,
  host: string,
  security: GatewayConfig['security'],
): string | undefined {
  if (security !== 'off' || isLoopback(host)) return undefined
  return `--${flag}: "${host}" is not a loopback address, and with --security off everyone who reaches it could command the fleet`
}

export function minInSyncProblem({
  minInSync,
  replicas,
}: Pick<GatewayConfig, 'minInSync' | 'replicas'>): string | undefined {
  if (minInSync <= replicas) return undefined
  return `--min-in-sync: ${minInSync} must be at most --replicas (${replicas})`
}

export const GATEWAY: Program<typeof GATEWAY_OPTIONS, typeof GATEWAY_TABLES> = {
  name: 'gateway',
  about: 'Runs the gateway: the MQTT broker, the coordinator of the fleet, and the HTTP door.',
  words: {
    recover: 'Runs the gateway, and rebuilds a lost ledger from what the nodes hold.',
    secure: 'Makes the keys with which a gateway may listen beyond this machine.',
    trust: 'Tells a gateway that runs that what it sees of the fleet is true.',
  },
  options: GATEWAY_OPTIONS,
  tables: GATEWAY_TABLES,
  relations: [
    {
      of: ['host', 'security'],
      check: ({ host, security }) => openOnLoopbackOnly('host', host, security),
    },
    {
      of: ['httpHost', 'security'],
      check: ({ httpHost, security }) => openOnLoopbackOnly('http-host', httpHost, security),
    },
    {
      of: ['port', 'httpPort', 'host', 'httpHost'],
      check: (values) =>
        values.port !== 0 && values.port === values.httpPort && values.host === values.httpHost
          ? `--http-port: ${values.httpPort} is the MQTT port already`
          : undefined,
    },
    {
      of: ['suspectAfterMs', 'heartbeatMs'],
      check: ({ suspectAfterMs, heartbeatMs }) =>
        suspectAfterMs > 2 * heartbeatMs
          ? undefined
          : `--suspect-after-ms: ${suspectAfterMs} must be more than twice --heartbeat-ms (${heartbeatMs})`,
    },
    {
      of: ['deadAfterMs', 'suspectAfterMs'],
      check: ({ deadAfterMs, suspectAfterMs }) =>
        deadAfterMs > suspectAfterMs
          ? undefined
          : `--dead-after-ms: ${deadAfterMs} must be more than --suspect-after-ms (${suspectAfterMs})`,
    },
    {
      of: ['minInSync', 'replicas'],
      // A ledger that is there may have more; main.ts looks again when it knows.
      check: (values, isGiven) => (isGiven('replicas') ? minInSyncProblem(values) : undefined),
    },
    ...BRIDGE_RELATIONS,
    {
      of: ['retentionTasks', 'tasksMax'],
      check: ({ retentionTasks, tasksMax }) =>
        retentionTasks <= tasksMax
          ? undefined
          : `--retention-tasks: ${retentionTasks} must be at most --tasks-max (${tasksMax})`,
    },
  ],
}
