/** The bridge to another broker, as the options have it. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ANYONE } from '../shared/protocol/access.ts'
import { filterMatches } from '../shared/protocol/topic-filters.ts'
import { buildTopic } from '../shared/protocol/topics.ts'
import { allSound, ConfigError, fileFault } from '../shared/runtime/config.ts'
import type { Logger } from '../shared/runtime/logger.ts'
import { readPrivate, replacePrivate } from '../shared/runtime/private-folder.ts'
import type { BridgeEnd } from './adapters/bridge-end.ts'
import type { BridgeMessage } from './adapters/bridge-queue.ts'
import { MqttBridge, type MqttBridgeOptions } from './adapters/mqtt-bridge.ts'
import type { MqttBroker } from './adapters/mqtt-broker.ts'
import type { BridgeMarks } from './adapters/mqtt-options.ts'
import type { PublishedMessage } from './adapters/mqtt-topic-views.ts'
import type { Clearings } from './clearings.ts'
import type { GatewayConfig } from './config.ts'
import type { Notices } from './notices.ts'

/** Below the base: what gateway and nodes publish for everybody. */
const OUT = [
  ...['gateway/+', 'node/+/state', 'node/+/info', 'node/+/event', 'node/+/telemetry/json'],
  ...['task/+/state', 'task/+/result', 'task/+/result/json', 'task/rejected'],
  'cell/+/+/+/value',
]
/** What is for the gateway. */
const IN = ['task/submit', 'task/+/cancel', 'cell/#']

/** In the data directory, and not in the ledger: that is copied for anybody, where nobody is asked who he is. */
const SECRET_FILE = 'bridge-secret'
const SECRET = /^[0-9a-f]{32}$/

const NOTHING = new Uint8Array()
const ANY_DISCOVERY = '+/device/+/config'

export interface BridgeEnds {
  readonly far: BridgeEnd
  /** Of the user `bridge`, at a gateway that is secured. */
  readonly token: string | undefined
}

export interface BridgeParts {
  readonly broker: MqttBroker
  /** Undefined without a bridge, as what follows. */
  readonly ends: BridgeEnds | undefined
  /** As the broker was told. */
  readonly marks: BridgeMarks | undefined
  /** Undefined as long as nobody knows which fleet it is. */
  readonly view: { readonly fleetId: string | undefined }
  /** The authority of a secured gateway. */
  readonly ca: string | undefined
  readonly notices: Pick<Notices, 'take'>
  readonly clearings: Clearings
}

/**
 * Undefined without a bridge. The loop filter is the same after a restart: a gateway that was killed leaves it in its
 * session over there, and takes it out when it is back. Who could guess it could end the bridge.
 */
export function bridgeMarks(
  config: Pick<GatewayConfig, 'data' | 'topicBase' | 'bridgeUrl'>,
): BridgeMarks | undefined {
  const { data, topicBase, bridgeUrl } = config
  if (bridgeUrl === undefined) return undefined
  return {
    clientId: `bridge-${randomBytes(8).toString('hex')}`,
    // Of those that come in: who may subscribe to them may to this.
    loopFilter: `${topicBase}/task/${secretIn(data)}/cancel`,
  }
}

function secretIn(data: string): string {
  const known = readPrivate(join(data, SECRET_FILE))
  if (known !== undefined && SECRET.test(known)) return known
  const secret = randomBytes(16).toString('hex')
  replacePrivate(data, SECRET_FILE, secret)
  return secret
}

/**
 * The other broker keeps what waits for the gateway by the name of its fleet, whatever process that is. By any other name
 * what is taken now would come a second time by that one, and later: so it begins once the fleet is known.
 */
export class FleetBridge {
  readonly #parts: BridgeParts
  readonly #log: Logger
  /** Undefined where there is to be no bridge any more. */
  #options: MqttBridgeOptions | undefined
  #bridge: MqttBridge | undefined

  constructor(config: GatewayConfig, parts: BridgeParts, log: Logger) {
    this.#parts = parts
    this.#log = log
    this.#options = optionsOf(config, parts)
    this.begin()
  }

  /** To be called when the fleet may be known. */
  begin(): void {
    const { broker, clearings, view, notices } = this.#parts
    const fleet = view.fleetId
    if (this.#options === undefined || this.#bridge !== undefined || fleet === undefined) return
    const { far, filtersOut } = this.#options
    this.#bridge = new MqttBridge(
      { ...this.#options, far: { ...far, clientId: `${far.clientId}_${fleet}` } },
      {
        isBridgedToItself: () => broker.isBridgedToItself,
        follow: (listener) => followOut(broker, clearings, filtersOut, listener),
        standing: () => standing(broker, clearings, filtersOut),
        notice: notices.take,
        settled: (topic) => clearings.settle(topic),
      },
      this.#log,
    )
  }

  async close(): Promise<void> {
    this.#options = undefined
    await this.#bridge?.close()
    await this.#parts.clearings.close()
  }
}

/** Nothing without a bridge. */
export function filtersOut({
  bridgeUrl,
  topicBase,
  homeAssistant,
}: Pick<GatewayConfig, 'bridgeUrl' | 'topicBase' | 'homeAssistant'>): string[] {
  if (bridgeUrl === undefined) return []
  const discovery = homeAssistant === undefined ? [] : [`${homeAssistant}/device/+/config`]
  return [...OUT.map((name) => `${topicBase}/${name}`), ...discovery]
}

function optionsOf(
  config: GatewayConfig,
  { broker, ends, marks, ca }: BridgeParts,
): MqttBridgeOptions | undefined {
  const { topicBase, homeAssistant } = config
  if (ends === undefined || marks === undefined) return undefined
  const below = IN.map((name) => `${topicBase}/${name}`)
  const status = homeAssistant === undefined ? [] : [`${homeAssistant}/status`]
  const ofInputs = config.inputs.map(({ topic }) => topic)
  return {
    far: ends.far,
    near: nearEnd(
      config,
      broker.port,
      marks.clientId,
      ca === undefined ? undefined : { ca, password: ends.token ?? '' },
    ),
    prefix: config.bridgePrefixOut ?? '',
    loopFilter: marks.loopFilter,
    submitTopic: buildTopic(topicBase, { kind: 'task-submit' }),
    filtersOut: filtersOut(config),
    filtersIn: [...new Set([...below, ...status, ...(config.bridgeTopicsIn ?? []), ...ofInputs])],
  }
}

function followOut(
  { topics }: MqttBroker,
  clearings: Clearings,
  filters: readonly string[],
  listener: (message: BridgeMessage) => void,
): () => void {
  const tell = ({ topic, payload, qos, retain }: PublishedMessage): void =>
    listener({ topic, payload, qos: qos === 0 ? 0 : 1, retain })
  const unfollow = [
    ...filters.map((filter) => topics.follow(ANYONE, filter, tell)),
    // What went out before, and goes out no more but to be cleared.
    topics.follow(ANYONE, ANY_DISCOVERY, (message) => {
      const { topic, payload } = message
      const isElsewhere = !filters.some((filter) => filterMatches(filter, topic))
      if (isElsewhere && payload.length === 0 && clearings.has(topic)) tell(message)
    }),
  ]
  return () => {
    for (const end of unfollow) end()
  }
}

async function* standing(
  { topics }: MqttBroker,
  clearings: Clearings,
  filters: readonly string[],
): AsyncIterable<BridgeMessage> {
  const kept = { qos: 1, retain: true } as const
  for (const topic of clearings.topics) {
    // What is there again follows below.
    if (topics.find(topic) === undefined) yield { topic, payload: NOTHING, ...kept }
    else clearings.settle(topic)
  }
  for (const filter of filters) {
    for await (const { topic, payload } of topics.all(filter)) yield { topic, payload, ...kept }
  }
}

/** What its ends are told: throws ConfigError where that cannot be read. */
export function bridgeEnds(config: GatewayConfig, isSecured: boolean): BridgeEnds | undefined {
  const { bridgeUrl, bridgeUsername: username, bridgePasswordFile: file, bridgeCa } = config
  if (bridgeUrl === undefined) return undefined
  const url = new URL(bridgeUrl)
  const isSecure = url.protocol === 'mqtts:'
  const [password, ca = '', token] = allSound(
    () => firstLineOf('bridge-password-file', file),
    () => read('bridge-ca', bridgeCa),
    () => (isSecured ? tokenOf(config) : undefined),
  )
  const at = {
    clientId: 'obelisk',
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (isSecure ? 8883 : 1883),
  }
  const login = { ...(username !== undefined && { username }), ...(password && { password }) }
  return { far: { ...at, ...login, ...(isSecure && { ca }) }, token }
}

/** As a user `bridge`, where everybody is asked who he is. */
function nearEnd(
  { host }: GatewayConfig,
  port: number,
  clientId: string,
  asked: { readonly ca: string; readonly password: string } | undefined,
): BridgeEnd {
  const at = { host: host === '0.0.0.0' || host === '::' ? 'localhost' : host, port, clientId }
  return asked === undefined ? at : { ...at, ...asked, username: 'bridge' }
}

function tokenOf({ bridgeTokenFile }: GatewayConfig): string | undefined {
  if (bridgeTokenFile !== undefined) return firstLineOf('bridge-token-file', bridgeTokenFile)
  throw new ConfigError([
    '--bridge-token-file: a bridge of a secured gateway needs a token of its user: obelisk user token create bridge',
  ])
}

function firstLineOf(option: string, file: string | undefined): string | undefined {
  return read(option, file)?.split('\n')[0]?.trim()
}

function read(option: string, file: string | undefined): string | undefined {
  try {
    return file === undefined ? undefined : readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError([`--${option}: ${file}: ${fileFault(error)}`])
  }
}
