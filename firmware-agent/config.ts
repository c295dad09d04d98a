import { hostname } from 'node:os'
import { join } from 'node:path'
import { isNodeId, type NodeId } from '../shared/core/ids.ts'
import { TOPIC_BASE_DEFAULT } from '../shared/protocol/topics.ts'
import { brokerUrl } from '../shared/runtime/broker-url-option.ts'
import type { Program } from '../shared/runtime/config.ts'
import { LOG_LEVELS } from '../shared/runtime/logger.ts'
import { type DefaultContext, stateDirectory, type Values } from '../shared/runtime/option-table.ts'
import {
  boolean,
  choice,
  duration,
  integer,
  malformed,
  number,
  text,
} from '../shared/runtime/option-types.ts'
import { topicBase } from '../shared/runtime/topic-base-option.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** The host's name as an id: what an id may not have becomes "-". */
export function idFromHostname(name: string): NodeId {
  const id = name
    .split('.')[0]!
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 64)
  return (isNodeId(id) ? id : 'node') as NodeId
}

/** Names that systems give to every machine. */
const COMMON_NAMES = ['localhost', 'raspberrypi']

/** What is wrong with an id that nobody gave: others may have the same. */
export function idDoubt(name: string): string | undefined {
  const id = idFromHostname(name)
  if (COMMON_NAMES.includes(id)) return `many machines are named "${id}"`
  return id === name ? undefined : `of the host name "${name}" only "${id}" is taken`
}

const nodeId = text<NodeId>({
  placeholder: '<id>',
  range: '1 to 64 letters, digits, "_" or "-"',
  parse: (given) =>
    isNodeId(given)
      ? { ok: true, value: given }
      : malformed(`"${given}" is not an id of 1 to 64 letters, digits, "_" or "-"`),
})

/** Every option of the agent. */
export const AGENT_OPTIONS = {
  id: {
    type: nodeId,
    default: (_context: DefaultContext) => idFromHostname(hostname()),
    defaultText: 'the host name',
    about: 'Name of this node in the fleet.',
  },
  url: {
    type: brokerUrl,
    default: 'mqtt://127.0.0.1:1883',
    about: 'The gateway; one on another machine is spoken to over mqtts:// alone.',
  },
  data: {
    type: text({ placeholder: '<directory>' }),
    default: ({ environment, values }: DefaultContext) =>
      stateDirectory(environment) ?? `./obelisk-agent-${values.id}`,
    defaultText: '`$STATE_DIRECTORY`, else `./obelisk-agent-<id>`',
    about: 'Directory of the slice and the outbox.',
  },
  identity: {
    type: text({ placeholder: '<directory>' }),
    default: ({ values }: DefaultContext) => join(`${values.data}`, 'identity'),
    defaultText: '`identity` in the data',
    about: 'Directory of the key and certificate that a secured gateway knows this node by.',
  },
  enrollTokenFile: {
    type: text({ placeholder: '<file>' }),
    about: 'File with the token for a first identity; else the credential enroll-token.',
  },
  telemetryIntervalSeconds: {
    type: duration({ min: 1, max: 3600, unit: 's' }),
    default: 10,
    about: 'How often telemetry is published.',
    flag: 'telemetry-interval',
  },
  weight: {
    type: number({ min: 0.01, max: 100 }),
    default: 1,
    about: 'Share of the grid that this node takes, compared with the others.',
  },
  topicBase: {
    type: topicBase,
    default: TOPIC_BASE_DEFAULT,
    about: "Topic that all topics of the fleet stand below; the gateway's.",
  },
  keepaliveSeconds: {
    type: duration({ min: 1, max: 3600, unit: 's' }),
    default: 10,
    about: 'Keepalive of the MQTT connection.',
  },
  sliceBytesMax: {
    type: integer({ min: MIB, max: 64 * 1024 * MIB, unit: 'bytes' }),
    default: 64 * MIB,
    about: 'The largest that the store of the slice may grow, with the room to rewrite its tiles.',
  },
  outboxBytesMax: {
    type: integer({ min: 64 * KIB, max: 1024 * MIB, unit: 'bytes' }),
    default: 4 * MIB,
    about: 'Answers that wait on disk for the gateway.',
  },
  upgrade: {
    type: boolean(),
    default: true,
    about:
      'Whether the gateway may bring this board to another version, where it was installed so.',
  },
  logLevel: {
    type: choice(LOG_LEVELS),
    default: 'info' as const,
    about: 'The least that is logged.',
  },
} as const

export type AgentConfig = Values<typeof AGENT_OPTIONS>

const NO_USER_NAME =
  'agents have no user name any more: sudo obelisk install --role agent takes it out; a secured gateway gives tokens (obelisk token create)'

export const AGENT: Program<typeof AGENT_OPTIONS> = {
  name: 'agent',
  about: 'Runs the agent: holds a slice of the grid and works on it for the gateway.',
  options: AGENT_OPTIONS,
  gone: {
    username: NO_USER_NAME,
    password_file: NO_USER_NAME,
  },
  relations: [
    {
      of: ['sliceBytesMax'],
      check: ({ sliceBytesMax }) =>
        sliceBytesMax > MIB ? undefined : '--slice-bytes-max: must be more than 1 MiB',
    },
  ],
}
