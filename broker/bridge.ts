/** The bridge to another broker, as the options have it. */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ANYONE } from '../shared/protocol/access.ts'
import { buildTopic } from '../shared/protocol/topics.ts'
import { ConfigError } from '../shared/runtime/config.ts'
import { messageOf } from '../shared/runtime/errors.ts'
import type { Logger } from '../shared/runtime/logger.ts'
import type { BridgeEnd } from './adapters/bridge-end.ts'
import type { BridgeMessage } from './adapters/bridge-queue.ts'
import { MqttBridge } from './adapters/mqtt-bridge.ts'
import type { MqttBroker } from './adapters/mqtt-broker.ts'
import type { BridgeMarks } from './adapters/mqtt-options.ts'
import type { GatewayConfig } from './config.ts'
import type { GatewayDriver } from './driver.ts'
import type { Notices } from './notices.ts'

const WATCHES = 'cell/+/+/+/value'
/** Below the base: what gateway and nodes publish for everybody. */
const OUT = [
  ...['gateway/+', 'node/+/state', 'node/+/info', 'node/+/event', 'node/+/telemetry/json'],
  ...['task/+/state', 'task/+/result', 'task/+/result/json', 'task/rejected'],
  WATCHES,
]
/** What is for the gateway. */
const IN = ['task/submit', 'task/+/cancel', 'cell/#']

export interface BridgeParts {
  readonly broker: MqttBroker
  /** As the broker was told. */
  readonly marks: BridgeMarks
  /** Of the fleet: the other broker keeps what waits for its gateway, whatever process that is. */
  readonly fleet: string
  /** The authority of a secured gateway. */
  readonly ca: string | undefined
  readonly notices: Pick<Notices, 'take'>
  readonly driver: Pick<GatewayDriver, 'watchesCleared'>
}

/**
 * The loop filter is the same after a restart: a gateway that was killed leaves it in its session over there, and takes
 * it out when it is back. On a gateway that is secured nobody can guess it; whoever reaches another may end its bridge.
 */
export function bridgeMarks(
  config: Pick<GatewayConfig, 'topicBase' | 'bridgeUrl' | 'bridgeTokenFile'>,
  fleet: string,
): BridgeMarks {
  const { topicBase, bridgeUrl, bridgeTokenFile: file } = config
  const hasToken = bridgeUrl !== undefined && file !== undefined
  const token = hasToken ? firstLineOf('bridge-token-file', file) : ''
  const secret = createHash('sha256').update(`loop of a bridge/${fleet}/${token}`).digest('hex')
  return {
    clientId: `bridge-${randomBytes(8).toString('hex')}`,
    // Of those that come in: who may subscribe to them may to this.
    loopFilter: `${topicBase}/task/${secret.slice(0, 32)}/cancel`,
  }
}

/** Undefined without one. */
export function startBridge(
  config: GatewayConfig,
  { broker, marks, fleet, ca, notices, driver }: BridgeParts,
  log: Logger,
): MqttBridge | undefined {
  const { bridgeUrl, topicBase, homeAssistant } = config
  if (bridgeUrl === undefined) {
    driver.watchesCleared()
    return undefined
  }
  const below = (names: readonly string[]): string[] => names.map((name) => `${topicBase}/${name}`)
  const discovery = homeAssistant === undefined ? [] : [`${homeAssistant}/device/+/config`]
  const status = homeAssistant === undefined ? [] : [`${homeAssistant}/status`]
  const ofInputs = config.inputs.map(({ topic }) => topic)
  return new MqttBridge(
    {
      far: farEnd(config, bridgeUrl, `obelisk_${fleet}`),
      near: nearEnd(config, broker.port, marks.clientId, ca),
      prefix: config.bridgePrefixOut ?? '',
      loopFilter: marks.loopFilter,
      submitTopic: buildTopic(topicBase, { kind: 'task-submit' }),
      watchFilter: `${topicBase}/${WATCHES}`,
      filtersOut: [...below(OUT), ...discovery],
      filtersIn: [
        ...new Set([...below(IN), ...status, ...(config.bridgeTopicsIn ?? []), ...ofInputs]),
      ],
    },
    {
      isBridgedToItself: () => broker.isBridgedToItself,
      follow: (filter, listener) =>
        broker.topics.follow(ANYONE, filter, ({ topic, payload, qos, retain }) =>
          listener({ topic, payload, qos: qos === 0 ? 0 : 1, retain }),
        ),
      retained: (filter) => retained(broker, filter),
      notice: notices.take,
      cleared: () => driver.watchesCleared(),
    },
    log,
  )
}

async function* retained(broker: MqttBroker, filter: string): AsyncIterable<BridgeMessage> {
  for await (const { topic, payload } of broker.topics.all(filter)) {
    yield { topic, payload, qos: 1, retain: true }
  }
}

function farEnd(config: GatewayConfig, address: string, clientId: string): BridgeEnd {
  const url = new URL(address)
  const isSecure = url.protocol === 'mqtts:'
  const { bridgeUsername: username, bridgePasswordFile: file, bridgeCa } = config
  return {
    ...{
      clientId,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port) || (isSecure ? 8883 : 1883),
    },
    ...(username !== undefined && { username }),
    ...(file !== undefined && { password: firstLineOf('bridge-password-file', file) }),
    ...(isSecure && { ca: bridgeCa === undefined ? '' : read('bridge-ca', bridgeCa) }),
  }
}

/** As a user `bridge`, where everybody is asked who he is. */
function nearEnd(
  { host, bridgeTokenFile }: GatewayConfig,
  port: number,
  clientId: string,
  ca: string | undefined,
): BridgeEnd {
  const at = { host: host === '0.0.0.0' || host === '::' ? 'localhost' : host, port, clientId }
  if (ca === undefined) return at
  if (bridgeTokenFile === undefined) {
    throw new ConfigError([
      '--bridge-token-file: a bridge of a secured gateway needs a token of its user: obelisk user token create bridge',
    ])
  }
  const password = firstLineOf('bridge-token-file', bridgeTokenFile)
  return { ...at, ca, username: 'bridge', password }
}

function firstLineOf(option: string, file: string): string {
  return read(option, file).split('\n')[0]!.trim()
}

function read(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError([`--${option}: ${messageOf(error)}`])
  }
}
