/**
 * A bridge to another broker, a mosquitto most of the time: the gateway is a client there. What gateway and nodes say
 * goes out with the retain flag that it has here; what is for the gateway comes in through its own port, as from any
 * user, and is acknowledged over there once the gateway has acknowledged it: then it is durable.
 *
 * What goes out is left where it is when it comes in, whoever asked for it: nothing goes round.
 */
import { MESSAGE_BYTES_MAX, SUBMISSION_BYTES_SKIPPED_MAX } from '../../shared/protocol/limits.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { GatewayNotice } from '../core/effects.ts'
import { type BridgeClient, type BridgeEnd, bridgeClient } from './bridge-end.ts'
import { BridgeIntake } from './bridge-intake.ts'
import { type BridgeMessage, BridgeQueue } from './bridge-queue.ts'
import { HELD_BOUNDS } from './mqtt-connection.ts'
import { topicProblem } from './mqtt-packets.ts'

export interface MqttBridgeOptions {
  readonly far: BridgeEnd
  /** The gateway's own port. */
  readonly near: BridgeEnd
  /** Before each topic that goes out. */
  readonly prefix: string
  readonly filtersOut: readonly string[]
  readonly filtersIn: readonly string[]
  /** Of it more bytes are taken than of others. */
  readonly submitTopic: string
  /** Nobody else subscribes to it: by this the gateway knows itself over there. */
  readonly loopFilter: string
}

export interface MqttBridgePort {
  /** Whether the gateway itself was asked for the loop filter. */
  isBridgedToItself(): boolean
  /** What is to go out is told from now on; returns what ends that. */
  follow(listener: (message: BridgeMessage) => void): () => void
  /** How it is to be over there: what is to be gone, and then what is retained now. */
  standing(): AsyncIterable<BridgeMessage>
  notice(notice: GatewayNotice): void
  /** Of this topic the other end has the last that was retained here, or knows that nothing is. */
  settled(topic: string): void
}

/** Sent and not acknowledged. */
const UNDER_WAY_MAX = 64
const CLOSING_MS = 1000
const QUEUE_BOUNDS = { messagesMax: 10_000, bytesMax: 8 * 1024 * 1024 }

export class MqttBridge {
  readonly #options: MqttBridgeOptions
  readonly #port: MqttBridgePort
  readonly #log: Logger
  readonly #far: BridgeClient
  readonly #near: BridgeClient
  readonly #queue = new BridgeQueue(QUEUE_BOUNDS)
  readonly #unfollow: () => void
  #state: 'beginning' | 'up' | 'down' | 'closed' = 'beginning'
  #underWay = 0
  /** Of those, at QoS 0: with the connection they end, and nobody is told. */
  #fleeting = 0
  /** Of those, what is the last that was said of each topic that is retained. */
  readonly #newest = new Map<string, BridgeMessage>()
  /** Connections that have ended. */
  #ended = 0
  /** What is retained goes first, or it would come after what has followed it. */
  #isCatchingUp = false
  #roomWanted: (() => void) | undefined

  constructor(options: MqttBridgeOptions, port: MqttBridgePort, log: Logger) {
    this.#options = options
    this.#port = port
    this.#log = log
    this.#near = bridgeClient(options.near, { clean: true })
    this.#far = bridgeClient(options.far, { clean: false })
    for (const client of [this.#near, this.#far]) {
      client.on('error', (error) => log.debug({}, `the bridge: ${messageOf(error)}`))
    }
    const intake = {
      // As many as the gateway holds of one client.
      ...{ filtersIn: options.filtersIn, filtersOut: options.filtersOut, ...HELD_BOUNDS },
      isTakeable: (topic: string, bytes: number) => isTakeable(options.submitTopic, topic, bytes),
      onLeft: (topic: string, bytes: number) => this.#left(topic, bytes),
    }
    new BridgeIntake(intake, this.#far, this.#near)
    this.#far.on('connect', () => void this.#connected())
    this.#far.on('close', () => this.#closed())
    this.#unfollow = port.follow((message) => {
      if (message.qos === 0 && !message.retain && this.#state !== 'up') return
      // Whatever becomes of it: there may be no room.
      if (message.retain) this.#newest.delete(message.topic)
      this.#queue.add(message)
      this.#pump()
    })
  }

  /** What waits here, and what was given up since ever. */
  get counts(): { readonly waiting: number; readonly bytes: number; readonly dropped: number } {
    const { size, bytes, dropped } = this.#queue
    return { waiting: size, bytes, dropped }
  }

  /** What went to the other end has a second to be acknowledged: what it has would be owed to it again. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    const wasUp = this.#state === 'up'
    this.#state = 'closed'
    this.#roomWanted?.()
    this.#unfollow()
    if (wasUp) await this.#acknowledged(AbortSignal.timeout(CLOSING_MS))
    await Promise.all([this.#far.endAsync(true), this.#near.endAsync(true)])
  }

  async #connected(): Promise<void> {
    const { far, filtersIn, loopFilter } = this.#options
    const ended = this.#ended
    await new Promise((answered) => this.#far.subscribe(loopFilter, { qos: 0 }, answered))
    if (this.#state === 'closed' || this.#ended !== ended) return
    if (this.#port.isBridgedToItself()) {
      const message = 'the other end of the bridge is this gateway: the bridge ends'
      this.#port.notice({ level: 'error', code: 'bridge-loop', message })
      await this.close()
      return
    }
    const message = `the bridge to ${far.host}:${far.port} is there`
    this.#port.notice({ level: 'info', code: 'bridge-up', message })
    this.#state = 'up'
    this.#far.unsubscribe(loopFilter, () => {})
    this.#far.subscribe([...filtersIn], { qos: 1 }, (error) => {
      if (error) this.#log.debug({}, `the bridge: ${messageOf(error)}`)
    })
    // The other side may have lost what it had.
    const isUp = (): boolean => this.#state === 'up' && this.#ended === ended
    this.#isCatchingUp = true
    for await (const message of this.#port.standing()) {
      while (isUp() && this.#underWay >= UNDER_WAY_MAX) await this.#room()
      if (!isUp()) return
      this.#send(message)
    }
    if (!isUp()) return
    this.#isCatchingUp = false
    this.#pump()
  }

  #closed(): void {
    this.#ended++
    if (this.#state === 'closed' || this.#state === 'down') return
    this.#state = 'down'
    this.#underWay -= this.#fleeting
    this.#fleeting = 0
    this.#roomWanted?.()
    const { host, port } = this.#options.far
    const message = `the bridge to ${host}:${port} is away: it tries again`
    this.#port.notice({ level: 'warn', code: 'bridge-down', message })
  }

  #left(topic: string, bytes: number): void {
    const message = `messages that come over the bridge are left: "${topic.slice(0, 100)}" of ${bytes} bytes is too large, or its topic is none that the gateway takes`
    this.#port.notice({ level: 'warn', code: 'bridge-left', message })
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#roomWanted = resolve
    })
  }

  async #acknowledged(late: AbortSignal): Promise<void> {
    const ended = this.#ended
    late.addEventListener('abort', () => this.#roomWanted?.(), { once: true })
    while (this.#underWay > 0 && this.#ended === ended && !late.aborted) await this.#room()
  }

  #pump(): void {
    if (this.#isCatchingUp) return
    while (this.#state === 'up' && this.#underWay < UNDER_WAY_MAX) {
      const message = this.#queue.next()
      if (message === undefined) return
      this.#send(message)
    }
  }

  /** Where the connection ends meanwhile, the client sends it again with the next one. */
  #send(message: BridgeMessage): void {
    const { topic, payload, qos, retain } = message
    const ended = this.#ended
    this.#underWay++
    const isToStay = retain && qos === 1
    if (isToStay) this.#newest.set(topic, message)
    if (qos === 0) this.#fleeting++
    const bytes = Buffer.from(payload)
    this.#far.publish(`${this.#options.prefix}${topic}`, bytes, { qos, retain }, (error) => {
      if (qos === 0) {
        if (ended !== this.#ended) return
        this.#fleeting--
      }
      this.#underWay--
      if (isToStay && this.#newest.get(topic) === message) {
        this.#newest.delete(topic)
        if (!error && !this.#queue.hasRetained(topic)) this.#port.settled(topic)
      }
      this.#roomWanted?.()
      this.#pump()
    })
  }
}

/** What is beyond it the gateway's gate ends a connection for (mqtt-frames.ts, mqtt-packets.ts). */
function isTakeable(submitTopic: string, topic: string, payloadBytes: number): boolean {
  const bytesMax = topic === submitTopic ? SUBMISSION_BYTES_SKIPPED_MAX : MESSAGE_BYTES_MAX
  return payloadBytes <= bytesMax && topicProblem(topic) === undefined
}
