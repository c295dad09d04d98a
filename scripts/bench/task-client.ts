/** A client that submits tasks over MQTT, waits for their results, and hears the gateway's events. */
import type { Region } from '../../shared/grid/geometry.ts'
import { TOPIC_BASE_DEFAULT as BASE, buildTopic, parseTopic } from '../../shared/protocol/topics.ts'
import { PacketSocket } from './light-node.ts'

export interface Task {
  readonly op: string
  readonly args: Record<string, unknown>
  readonly region?: Region
}

export interface Result {
  readonly state: string
  readonly value?: { readonly count?: number }
}

export interface GatewayNotice {
  readonly code: string
  readonly node?: string
}

const DEADLINE_MS = 60_000

export class TaskClient {
  readonly #packets: PacketSocket
  readonly #waiting = new Map<string, (result: Result) => void>()
  readonly #onNotice: (notice: GatewayNotice, readMs: number) => void
  #submitted = 0
  #subscribed: () => void = () => {}

  /** Resolves once it hears results and events. */
  static async connect(
    port: number,
    onNotice: (notice: GatewayNotice, readMs: number) => void,
  ): Promise<TaskClient> {
    const client = new TaskClient(port, onNotice)
    await new Promise<void>((resolve) => {
      client.#subscribed = resolve
    })
    return client
  }

  private constructor(port: number, onNotice: (notice: GatewayNotice, readMs: number) => void) {
    this.#onNotice = onNotice
    this.#packets = new PacketSocket(port, (packet, readMs) => {
      if (packet.cmd === 'connack') {
        const topics = [`${BASE}/task/+/result/json`, `${BASE}/task/rejected`]
        topics.push(buildTopic(BASE, { kind: 'gateway-event' }))
        const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }))
        this.#packets.send({ cmd: 'subscribe', messageId: 1, subscriptions })
      }
      if (packet.cmd === 'suback') this.#subscribed()
      if (packet.cmd === 'publish') this.#hear(packet.topic, String(packet.payload), readMs)
    })
    this.#packets.connect('bench-tasks')
  }

  get openCount(): number {
    return this.#waiting.size
  }

  /** Resolves with the result once the task has ended; one that does not complete is an error. */
  submit(task: Task): { readonly id: string; readonly ended: Promise<Result> } {
    this.#submitted += 1
    const id = `bench-${this.#submitted}`
    const ended = new Promise<Result>((resolve, reject) => {
      this.#waiting.set(id, (result) => {
        if (result.state === 'completed') resolve(result)
        else reject(new Error(`task ${id}: ${JSON.stringify(result)}`))
      })
    })
    const body = JSON.stringify({ id, ...task, deadline_ms: DEADLINE_MS })
    const messageId = (this.#submitted % 65_535) + 1
    this.#packets.publish(buildTopic(BASE, { kind: 'task-submit' }), body, { messageId })
    return { id, ended }
  }

  close(): void {
    this.#packets.socket.destroy()
  }

  #hear(text: string, payload: string, readMs: number): void {
    const topic = parseTopic(BASE, text)
    if (topic?.kind === 'gateway-event') this.#onNotice(JSON.parse(payload), readMs)
    if (topic?.kind === 'task-rejected') throw new Error(`rejected: ${payload}`)
    if (topic?.kind !== 'task-result-json') return
    this.#waiting.get(topic.task)?.(JSON.parse(payload))
    this.#waiting.delete(topic.task)
  }
}
