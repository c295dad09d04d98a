/**
 * The agent's link to its gateway: mqtt.js with everything off that it would do on its own. It does
 * not reconnect (session.ts does), keeps nothing for later, and starts each attempt with a new client,
 * as an old one may suppress its `connect` event for packets that were never acknowledged.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { IClientOptions } from 'mqtt'
// The client alone: the package's entry would load WebSocket and SOCKS too, 7 MB that an agent lacks.
import mqttClient from 'mqtt/lib/client'
import { assert } from '../../shared/core/assert.ts'
import { addressHint, isOfAddress, linkWords } from '../../shared/runtime/address-hint.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import { openSocket } from './gateway-socket.ts'
import type { Identity } from './identity-files.ts'
import { PacketSizeGuard } from './packet-size-guard.ts'

export interface MqttLinkOptions {
  /** `mqtt://host:port` or `mqtts://host:port`. */
  readonly url: string
  readonly clientId: string
  /** Who we are, and whom alone we take for the gateway, whatever its address is; asked for at each attempt. */
  readonly identity?: () => Identity
  readonly will: { readonly topic: string; readonly payload: string | Uint8Array }
  readonly keepaliveSeconds: number
  readonly subscriptions: readonly { readonly topic: string; readonly qos: 0 | 1 }[]
  readonly connectTimeoutMs?: number
}

export interface MqttLinkPort {
  /** Connected, and subscribed to everything. */
  onConnected(): void
  /**
   * Once for each `connect`, whether or not it ever came to `onConnected`. It is revoked if the gateway knows
   * the identity that was shown, and has taken it back.
   */
  onDisconnected(reason: string, isRevoked: boolean): void
  onMessage(topic: string, payload: Uint8Array): void
}

export interface OutgoingMessage {
  readonly topic: string
  readonly payload: string | Uint8Array
  readonly qos: 0 | 1
  readonly retain: boolean
}

const CONNECT_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 2000
/** The first byte that a broker sends [MQTT-3.2.0-1]. */
const CONNACK = 0x20
/** [MQTT-3.2.2.3]: to an identity that was shown, a gateway says it of a key that it has taken out. */
const NOT_AUTHORIZED = 5
const INCOMING_BYTES_MAX = 2 * 1024 * 1024

export class MqttLink {
  readonly #options: MqttLinkOptions
  readonly #port: MqttLinkPort
  readonly #tickets = new Tickets()
  #connection: Connection | undefined
  /** Its address is that of a gateway. */
  #hasBeenUp = false

  constructor(options: MqttLinkOptions, port: MqttLinkPort) {
    this.#options = options
    this.#port = port
  }

  get isConnected(): boolean {
    return this.#connection?.isUp === true
  }

  /** Bytes that were published and not yet taken by the system. */
  get backlogBytes(): number {
    return this.#connection?.backlogBytes ?? 0
  }

  /** Makes one attempt. The attempt before must have ended. */
  connect(): void {
    assert(this.#connection === undefined, 'one connection at a time')
    const connection: Connection = new Connection(this.#options, this.#tickets, {
      onConnected: () => {
        this.#hasBeenUp = true
        this.#port.onConnected()
      },
      onDisconnected: (reason, isRevoked) => {
        const isElsewhere = !this.#hasBeenUp && connection.isUnanswered
        const hint = isElsewhere ? `; ${addressHint(this.#options.url, 'board')}` : ''
        this.#connection = undefined
        this.#port.onDisconnected(`${reason}${hint}`, isRevoked)
      },
      onMessage: (topic, payload) => this.#port.onMessage(topic, payload),
    })
    this.#connection = connection
  }

  /** Sends a message now, or not at all: while not connected it is dropped. Says which. */
  publish(message: OutgoingMessage): boolean {
    return this.#connection?.publish(message) === true
  }

  /** Keying material of this connection alone [RFC 8446 §7.5]; nothing where it has none. */
  exported(label: string, bytes: number): Uint8Array | undefined {
    return this.#connection?.exported(label, bytes)
  }

  /** Cuts the connection; `onDisconnected` follows. */
  disconnect(reason: string): void {
    this.#connection?.destroy(reason)
  }

  /** Sends what was published and takes leave of the broker. */
  async close(): Promise<void> {
    await this.#connection?.close()
  }
}

const MqttClient = mqttClient.default

class Connection {
  readonly #client: InstanceType<typeof MqttClient>
  readonly #socket: Socket
  readonly #closed: Promise<void>
  #state: 'connecting' | 'up' | 'ending' = 'connecting'
  #reason = ''
  #isRevoked = false
  /** Something has shown that it is a gateway. */
  #isAnswered = false
  #isUnanswered = false

  constructor(options: MqttLinkOptions, tickets: Tickets, port: MqttLinkPort) {
    this.#socket = dial(options, tickets)
    this.#socket.setNoDelay(true)
    this.#guard()
    this.#client = new MqttClient(() => this.#socket, clientOptions(options))
    this.#client.on('error', (error) => {
      const code = (error as { code?: unknown }).code
      this.#isRevoked = options.identity !== undefined && code === NOT_AUTHORIZED
      this.destroy(linkWords(error), isOfAddress(error))
    })
    this.#client.on('connect', () => this.#subscribe(options, port))
    this.#client.on('message', (topic, payload) => {
      if (this.#state === 'up') port.onMessage(topic, payload)
    })
    this.#socket.on('error', (error) => this.#note(linkWords(error), isOfAddress(error)))
    this.#socket.once('secureConnect', () => {
      this.#isAnswered = true
    })
    this.#closed = new Promise((resolve) => {
      this.#socket.once('close', () => {
        this.#note('connection closed', true)
        this.#client.end(true)
        port.onDisconnected(this.#reason, this.#isRevoked)
        resolve()
      })
    })
  }

  get isUp(): boolean {
    return this.#state === 'up'
  }

  /** It ended as it does where no gateway listens, or another kind. */
  get isUnanswered(): boolean {
    return this.#isUnanswered
  }

  get backlogBytes(): number {
    return this.#socket.writableLength
  }

  exported(label: string, bytes: number): Uint8Array | undefined {
    const socket = this.#socket
    if (this.#state !== 'up' || !(socket instanceof TLSSocket) || socket.destroyed) return undefined
    return socket.exportKeyingMaterial(bytes, label, Buffer.alloc(0))
  }

  publish({ topic, payload, qos, retain }: OutgoingMessage): boolean {
    if (this.#state !== 'up' || this.#socket.destroyed) return false
    const bytes =
      typeof payload === 'string'
        ? payload
        : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    this.#client.publish(topic, bytes, { qos, retain }, () => {})
    return true
  }

  destroy(reason: string, mayBeElsewhere = false): void {
    this.#note(reason, mayBeElsewhere)
    this.#socket.destroy()
  }

  async close(): Promise<void> {
    if (this.#state !== 'up') {
      this.destroy('closed')
    } else {
      this.#note('closed')
      const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS)
      this.#client.end(false)
      await this.#closed
      clearTimeout(timer)
    }
    await this.#closed
  }

  /** The first trouble is the reason; afterwards nothing is sent or handed over. */
  #note(reason: string, mayBeElsewhere = false): void {
    if (this.#state === 'ending') return
    this.#state = 'ending'
    this.#reason = reason
    this.#isUnanswered = mayBeElsewhere && !this.#isAnswered
  }

  #subscribe({ subscriptions }: MqttLinkOptions, port: MqttLinkPort): void {
    const topics = Object.fromEntries(subscriptions.map(({ topic, qos }) => [topic, { qos }]))
    this.#client.subscribe(topics, (error) => {
      if (this.#state !== 'connecting') return
      if (error) {
        this.destroy(`not subscribed: ${messageOf(error)}`)
      } else {
        this.#state = 'up'
        port.onConnected()
      }
    })
  }

  #guard(): void {
    const guard = new PacketSizeGuard({ bytesMax: INCOMING_BYTES_MAX })
    this.#socket.once('data', (chunk: Buffer) => {
      if (chunk[0] !== CONNACK) this.destroy('what answers there is no MQTT broker', true)
      else this.#isAnswered = true
    })
    this.#socket.on('data', (chunk: Buffer) => {
      if (!guard.accepts(chunk)) this.destroy(`a packet of more than ${INCOMING_BYTES_MAX} bytes`)
    })
  }
}

/** What makes the next handshake with the same gateway cheaper, for both. In memory only. */
class Tickets {
  #last: Buffer | undefined
  /** It stands for this one: another is to be shown, not the ticket. */
  #identity: Identity | undefined

  of(identity: Identity): Buffer | undefined {
    return this.#identity === identity ? this.#last : undefined
  }

  keep(identity: Identity, ticket: Buffer | undefined): void {
    this.#identity = identity
    this.#last = ticket
  }
}

function dial({ url, identity: own }: MqttLinkOptions, tickets: Tickets): Socket {
  const identity = own?.()
  const session = identity && tickets.of(identity)
  const socket = openSocket(url, { identity, protocol: 'mqtt', session })
  if (identity === undefined) return socket
  socket.on('session', (ticket: Buffer) => {
    tickets.keep(identity, ticket)
  })
  // One that came to nothing may be why.
  socket.on('error', () => {
    tickets.keep(identity, undefined)
  })
  return socket
}

function clientOptions(options: MqttLinkOptions): IClientOptions {
  const { clientId, will } = options
  return {
    clientId,
    protocolVersion: 4,
    clean: true,
    keepalive: options.keepaliveSeconds,
    connectTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    writeCache: false,
    will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true },
  }
}
