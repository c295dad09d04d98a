/**
 * The gateway's own MQTT client: sends a beat through the broker, over a socket as everybody does, and
 * says when it came back. It connects again by itself; that it cannot is not worse than a late beat.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import mqttClient from 'mqtt/lib/client'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { Certified } from './fleet-keys.ts'
import { probeTopicOf } from './mqtt-access.ts'

export interface MqttProbeOptions {
  readonly host: string
  readonly port: number
  /** The client id that the broker was told. */
  readonly id: string
  /** Where the gateway is secured: how it knows this client, and the client it. */
  readonly identity?: Certified & { readonly ca: string }
}

const RECONNECT_MS = 1000
const CONNECT_TIMEOUT_MS = 5000

const MqttClient = mqttClient.default

export class MqttProbe {
  readonly #client: InstanceType<typeof MqttClient>
  readonly #topic: string
  #unansweredMs: number | undefined

  constructor(options: MqttProbeOptions, log: Logger, returned: (beat: number) => void) {
    const { id } = options
    this.#topic = probeTopicOf(id)
    this.#client = new MqttClient(() => openSocket(options), {
      clientId: id,
      protocolVersion: 4,
      clean: true,
      keepalive: 30,
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectPeriod: RECONNECT_MS,
      resubscribe: false,
      queueQoSZero: false,
      writeCache: false,
    })
    this.#client.on('connect', () => this.#client.subscribe(this.#topic, { qos: 0 }, () => {}))
    this.#client.on('message', (_topic, payload) => {
      this.#unansweredMs = undefined
      returned(Number(payload.toString()))
    })
    this.#client.on('error', (error) => log.debug({}, `the probe: ${messageOf(error)}`))
  }

  /** Since when no beat came back though one was sent, monotonic ms. */
  get unansweredSinceMs(): number | undefined {
    return this.#unansweredMs
  }

  /** Sends a beat now, or not at all while it is not connected. */
  send(beat: number): void {
    this.#unansweredMs ??= performance.now()
    this.#client.publish(this.#topic, String(beat), { qos: 0 }, () => {})
  }

  async close(): Promise<void> {
    await this.#client.endAsync(true)
  }
}

function openSocket({ host, port, identity }: MqttProbeOptions): Socket {
  if (identity === undefined) return connect(port, host).setNoDelay(true)
  const { key, certificate: cert, ca } = identity
  const servername = GATEWAY_SERVER_NAME
  const options = { host, port, key, cert, ca, servername, ALPNProtocols: ['mqtt'] }
  return connectTls(options).setNoDelay(true)
}
