import { connect, type MqttClient } from 'mqtt'
import { buildTopic, parseTopic, TOPIC_BASE_DEFAULT } from '../../shared/protocol/topics.ts'

const BASE = TOPIC_BASE_DEFAULT
const CONNECT_TIMEOUT_MS = 30_000

const FILTERS = [`${BASE}/task/+/result`, `${BASE}/task/rejected`, `${BASE}/gateway/+`]

export interface Notice {
  readonly code: string
  readonly message: string
  readonly node?: string
  readonly task?: string
}

export interface GatewayNews {
  onResult(payload: Buffer): void
  onRejection(payload: Buffer): void
  onNotice(notice: Notice): void
  /** The ring was published: who is there may have changed. */
  onRing(): void
  onClosed(): void
}

/** One connection to the gateway, as any MQTT client has it; when it closes it is not opened again. */
export class GatewayLink {
  readonly #client: MqttClient
  readonly #news: GatewayNews

  private constructor(client: MqttClient, news: GatewayNews) {
    this.#client = client
    this.#news = news
    client.on('message', (topic, payload) => this.#onMessage(topic, payload))
    client.on('close', () => news.onClosed())
  }

  /** Resolves once it is subscribed to everything that the demo follows. */
  static async open(port: number, news: GatewayNews): Promise<GatewayLink> {
    const client = connect(`mqtt://127.0.0.1:${port}`, {
      protocolVersion: 4,
      writeCache: false,
      clean: true,
      reconnectPeriod: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      clientId: 'obelisk-demo',
    })
    await new Promise<void>((resolve, reject) => {
      client.on('connect', () => resolve())
      client.on('error', reject)
      client.on('close', () => reject(new Error('the gateway closed the connection')))
    })
    const link = new GatewayLink(client, news)
    await client.subscribeAsync(FILTERS, { qos: 1 })
    return link
  }

  /** Publishes a submission; `onAcknowledged` is called at its PUBACK, and never if there is none. */
  submit(payload: string, onAcknowledged: () => void): void {
    const topic = buildTopic(BASE, { kind: 'task-submit' })
    this.#client.publish(topic, payload, { qos: 1 }, (error) => {
      if (!error) onAcknowledged()
    })
  }

  async close(): Promise<void> {
    await this.#client.endAsync(true)
  }

  #onMessage(text: string, payload: Buffer): void {
    switch (parseTopic(BASE, text)?.kind) {
      case 'task-result':
        this.#news.onResult(payload)
        break
      case 'task-rejected':
        this.#news.onRejection(payload)
        break
      case 'gateway-event':
        this.#news.onNotice(JSON.parse(payload.toString()) as Notice)
        break
      case 'gateway-ring':
        this.#news.onRing()
        break
    }
  }
}
