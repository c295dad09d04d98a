/**
 * The gateway's own MQTT client: sends a beat through the broker, over a socket as everybody does, and
 * says when it came back. It connects again by itself; that it cannot is not worse than a late beat.
 */
import { connect } from 'node:net'
import mqttClient from 'mqtt/lib/client'
import { messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { probeTopicOf } from './mqtt-access.ts'

export interface MqttProbeOptions {
  readonly host: string
  readonly port: number
  /** The client id that the broker was told. */
  readonly id: string
}

const RECONNECT_MS = 1000
const CONNECT_TIMEOUT_MS = 5000

const MqttClient = mqttClient.default

export class MqttProbe {
  readonly #client: InstanceType<typeof MqttClient>
  readonly #topic: string
  #unansweredMs: number | undefined

  constructor(options: MqttProbeOptions, log: Logger, returned: (beat: number) => void) {
    const { host, port, id } = options
    this.#topic = probeTopicOf(id)
    this.#client = new MqttClient(() => connect(port, host).setNoDelay(true), {
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
