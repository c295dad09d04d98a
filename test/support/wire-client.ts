/**
 * A user of the wire as any MQTT and HTTP client could be one: it knows wire.md and nothing of our
 * code. CBOR is read and written by another implementation than ours.
 */
import cbor from 'cbor'
import { connect, type MqttClient } from 'mqtt'
import { eventually, LIMIT_MS } from './processes.ts'

export const BASE = 'obelisk/v1'

export type Format = 'json' | 'cbor'
// biome-ignore lint/suspicious/noExplicitAny: a test looks at the members that it expects
export type Json = Record<string, any>

export interface Message {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: number
  readonly retain: boolean
  readonly atMs: number
}

/** Largest text that is encoded here; the encoder wants to know before it begins. */
const ENCODED_BYTES_MAX = 32 * 1024 * 1024

export function encode(value: unknown, format: Format): Buffer {
  if (format === 'json') return Buffer.from(JSON.stringify(value))
  return cbor.encodeOne(value, { highWaterMark: ENCODED_BYTES_MAX } as object)
}

export function decode(bytes: Uint8Array, format: Format): Json {
  if (format === 'json') return JSON.parse(Buffer.from(bytes).toString('utf8')) as Json
  return cbor.decodeFirstSync(Buffer.from(bytes)) as Json
}

export function isEnd(state: unknown): boolean {
  return ['completed', 'failed', 'expired', 'cancelled'].includes(String(state))
}

/** An MQTT client that keeps everything it receives. */
export class WireClient {
  readonly client: MqttClient
  readonly messages: Message[] = []
  readonly closed: Promise<void>
  #isClosed = false

  static async connect(url: string, ...filters: readonly string[]): Promise<WireClient> {
    const clientId = `test-${Math.random().toString(36).slice(2, 12)}`
    const client = connect(url, { clientId, reconnectPeriod: 0, keepalive: 0 })
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve())
      client.once('error', reject)
      // The library's own promise waits for ever when a server goes away before it has answered.
      client.once('close', () => reject(new Error(`${url} closed the connection at once`)))
    })
    const wire = new WireClient(client)
    for (const filter of filters) await wire.subscribe(filter)
    return wire
  }

  private constructor(client: MqttClient) {
    this.client = client
    client.on('message', (topic, payload, { qos, retain }) => {
      this.messages.push({ topic, payload, qos, retain, atMs: performance.now() })
    })
    client.on('error', () => {})
    this.closed = new Promise((resolve) => {
      client.once('close', () => {
        this.#isClosed = true
        resolve()
      })
    })
  }

  get id(): string {
    return this.client.options.clientId!
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  async subscribe(filter: string): Promise<void> {
    const subscribed = this.client.subscribeAsync(filter, { qos: 1 }).then(() => true)
    if (await Promise.race([subscribed, this.closed.then(() => false)])) return
    throw new Error(`the connection was closed before ${filter} was subscribed to`)
  }

  /** True once it was acknowledged, false if the connection closed before that. */
  async publish(topic: string, payload: Buffer | string, retain = false): Promise<boolean> {
    if (this.#isClosed) return false
    const acknowledged = new Promise<boolean>((resolve) => {
      this.client.publish(topic, payload, { qos: 1, retain }, (error) => resolve(!error))
    })
    return await Promise.race([acknowledged, this.closed.then(() => false)])
  }

  async submit(task: Json, format: Format = 'json'): Promise<boolean> {
    return await this.publish(`${BASE}/task/submit`, encode(task, format))
  }

  async cancel(task: string): Promise<boolean> {
    return await this.publish(`${BASE}/task/${task}/cancel`, '')
  }

  /** The first message below the base that fits, of those received already and of those to come. */
  async next(
    topic: string,
    fits: (message: Message) => boolean = () => true,
    limitMs = LIMIT_MS,
  ): Promise<Message> {
    return await eventually(
      `a message on ${topic} that fits ${fits}`,
      () => this.of(topic).find(fits),
      limitMs,
    )
  }

  of(topic: string): Message[] {
    return this.messages.filter((message) => message.topic === `${BASE}/${topic}`)
  }

  /** The JSON messages of a topic below the base, oldest first. */
  jsonOf(topic: string): Json[] {
    return this.of(topic).map(({ payload }) => decode(payload, 'json'))
  }

  async nextJson(
    topic: string,
    fits: (value: Json) => boolean = () => true,
    limitMs = LIMIT_MS,
  ): Promise<Json> {
    return await eventually(
      `JSON on ${topic} that fits ${fits}`,
      () => this.jsonOf(topic).find(fits),
      limitMs,
    )
  }

  /** The state in which the task ended. */
  async end(task: string, limitMs = LIMIT_MS): Promise<Json> {
    return await this.nextJson(`task/${task}/state`, ({ state }) => isEnd(state), limitMs)
  }

  async close(): Promise<void> {
    await this.client.endAsync(true)
  }
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  /** Decoded by its type. */
  readonly body: Json
}

/** The HTTP door. */
export class HttpClient {
  readonly #base: string
  readonly #limitMs: number

  constructor(base: string, limitMs = 2 * LIMIT_MS) {
    this.#base = base
    this.#limitMs = limitMs
  }

  async request(
    path: string,
    options: { method?: string; headers?: Record<string, string>; body?: Buffer } = {},
  ): Promise<HttpAnswer> {
    const { body, ...rest } = options
    const response = await fetch(`${this.#base}${path}`, {
      ...rest,
      ...(body === undefined ? {} : { body: new Uint8Array(body) }),
      signal: AbortSignal.timeout(this.#limitMs),
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    const type = response.headers.get('content-type') ?? ''
    const body_: Json = type.startsWith('application/cbor')
      ? decode(bytes, 'cbor')
      : type.includes('json')
        ? decode(bytes, 'json')
        : { text: bytes.toString('utf8') }
    return { status: response.status, headers: response.headers, bytes, body: body_ }
  }

  async get(path: string): Promise<Json> {
    const { status, body } = await this.request(path)
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`)
    return body
  }

  async post(task: unknown, query = '', format: Format = 'json'): Promise<HttpAnswer> {
    return await this.request(`/process${query}`, {
      method: 'POST',
      headers: { 'content-type': `application/${format}`, accept: `application/${format}` },
      body: Buffer.isBuffer(task) ? task : encode(task, format),
    })
  }

  /** Submits and waits for the result. */
  async run(task: Json, format: Format = 'json'): Promise<Json> {
    const { status, body } = await this.post(task, '?wait=60s', format)
    if (status !== 200) throw new Error(`${JSON.stringify(body).slice(0, 500)}`)
    return body
  }

  async cancel(task: string): Promise<HttpAnswer> {
    return await this.request(`/api/tasks/${task}`, { method: 'DELETE' })
  }

  async node(id: string): Promise<Json> {
    return await this.get(`/api/nodes/${id}`)
  }

  /** The sum of a metric over its labels that contain `label`. */
  async metric(name: string, label = ''): Promise<number> {
    const { text } = await this.get('/metrics')
    const lines = String(text)
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => line.includes(label))
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }
}
