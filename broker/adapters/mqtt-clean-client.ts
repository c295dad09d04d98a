/**
 * A client whose session ends with its connection. There is nothing of it to keep, so its packets are worked on here, in
 * the order in which they came. Aedes' client costs several KiB and takes streams and promises for each step; those whose
 * sessions stay are Aedes' (mqtt-inlet.ts).
 */
import { randomUUID } from 'node:crypto'
import type { PublishPacket } from 'aedes'
import type { IConnectPacket, ISubscribePacket, IUnsubscribePacket } from 'mqtt-packet'
import {
  type Connection,
  encodeAcknowledgement,
  lengthBytesOf,
  writeLength,
} from './mqtt-connection.ts'
import type { BrokerClient, Delivery, Published } from './mqtt-delivery.ts'
import type { Gate } from './mqtt-gate.ts'
import type { GateClient } from './mqtt-gate-parts.ts'
import type { BrokerHooks } from './mqtt-hooks.ts'
import type { Incoming } from './mqtt-incoming.ts'
import type { KeepAlives, KeptAlive } from './mqtt-keep-alives.ts'
import { encodeOutgoing, type Outgoing } from './mqtt-outgoing.ts'
import { CONNACK, PUBCOMP, PUBREL, SUBACK, UNSUBACK } from './mqtt-packets.ts'
import type { BoundedPersistence } from './mqtt-persistence.ts'
import type { Subscribers } from './mqtt-subscribers.ts'

/** What all of them have together. */
export interface CleanClientShared {
  readonly hooks: BrokerHooks
  readonly delivery: Delivery
  readonly subscribers: Subscribers<Connection>
  readonly persistence: BoundedPersistence
  readonly keepAlives: KeepAlives
  /** A client was silent for too long. */
  readonly silent: () => void
}

type Will = NonNullable<IConnectPacket['will']>
type Passed = PublishPacket & { readonly clientId?: string }

const WELCOME = Buffer.from([CONNACK << 4, 2, 0, 0])
const NOT_AUTHORIZED = 5
const NOT_GRANTED = 128
const PINGRESP_TYPE = 13
const PINGRESP = Buffer.from([PINGRESP_TYPE << 4, 0])
const PACKET_ID_MAX = 65_535

export class CleanClient implements BrokerClient, GateClient, KeptAlive {
  readonly conn: Connection
  readonly #shared: CleanClientShared
  #id = ''
  /** `entering`: its CONNECT is judged, or was refused; nothing is read. */
  #state: 'new' | 'entering' | 'open' | 'closed' = 'new'
  #will: PublishPacket | undefined
  /** Packets that are being worked on; nothing more is read before they are done. */
  #underWay = 0
  #lastId = 0
  #waiting: (() => void)[] | undefined
  heardMs = 0
  silentMsMax = 0

  constructor(connection: Connection, shared: CleanClientShared) {
    this.conn = connection
    this.#shared = shared
  }

  get id(): string {
    return this.#id
  }

  get clean(): true {
    return true
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  readable(): void {
    if (this.#underWay > 0 || this.#state === 'entering' || this.closed) return
    const packets = this.#gate.read()
    if (packets === null) return
    if (this.silentMsMax > 0) this.heardMs = performance.now()
    this.#underWay = packets.length + 1
    for (const packet of packets) {
      // Behind a DISCONNECT nothing counts.
      if (this.closed || this.#gate.destroyed) return
      this.#take(packet)
    }
    this._nextBatch()
  }

  _nextBatch(): void {
    this.#underWay--
    this.readable()
  }

  deliver0(packet: Outgoing, done: () => void): void {
    this.deliverQoS(packet, done)
  }

  deliverQoS(packet: Outgoing, done: () => void): void {
    if (!this.#shared.hooks.mayTake(this, this.conn, packet)) {
      done()
      return
    }
    const { qos } = packet
    if (qos > 0) this.#lastId = this.#lastId === PACKET_ID_MAX ? 1 : this.#lastId + 1
    const { bytes, payload } = encodeOutgoing(packet, this.#lastId)
    let hasRoom = this.#gate.send(bytes, qos, this.#lastId)
    if (payload !== undefined) hasRoom = this.#gate.sendMore(payload)
    if (hasRoom) done()
    else {
      this.#waiting ??= []
      this.#waiting.push(done)
    }
  }

  drained(): void {
    for (const done of this.#waiting?.splice(0) ?? []) setImmediate(done)
  }

  keepAliveEnded(): void {
    // What it has sent since is not read yet.
    if (!this.#gate.isReading) {
      this.heardMs = performance.now()
      return
    }
    this.#shared.silent()
    this.#gate.destroy()
  }

  ended(): void {
    this.#close()
  }

  gone(): void {
    this.#close()
  }

  get #gate(): Gate {
    return this.conn.gate
  }

  #take(packet: Incoming): void {
    switch (packet.cmd) {
      case 'publish':
        this.#publish(packet as PublishPacket)
        return
      case 'connect':
        this.#connect(packet)
        break
      case 'subscribe':
        this.#subscribe(packet)
        break
      case 'unsubscribe':
        this.#unsubscribe(packet)
        break
      case 'pingreq':
        this.#gate.sendPacket(PINGRESP_TYPE, PINGRESP)
        break
      case 'pubrec':
        this.#acknowledge(PUBREL, packet.messageId!)
        break
      case 'pubrel':
        this.#shared.persistence.forgetIncoming(this.#id, packet.messageId!)
        this.#acknowledge(PUBCOMP, packet.messageId!)
        break
      case 'disconnect':
        // [MQTT-3.14.4-3]
        this.#will = undefined
        this.#gate.destroy()
        break
    }
    this._nextBatch()
  }

  #connect({ clientId, username, password, will, keepalive = 0 }: IConnectPacket): void {
    this.#state = 'entering'
    this.#id = clientId || `auto-${randomUUID()}`
    this.#shared.hooks.entrance.authenticate(this, username, password, (error, isIn) => {
      if (this.closed) return
      if (isIn) this.#open(will, keepalive)
      else this.#refuse(error?.returnCode ?? NOT_AUTHORIZED)
    })
  }

  #refuse(returnCode: number): void {
    this.#gate.sendPacket(CONNACK, Buffer.from([CONNACK << 4, 2, 0, returnCode]))
    // Once that has left [MQTT-3.2.2-5].
    setImmediate(() => this.#close())
  }

  #open(will: IConnectPacket['will'], keepaliveSeconds: number): void {
    const { hooks, keepAlives, persistence } = this.#shared
    this.#state = 'open'
    this.#will = will && willOf(will)
    persistence.endSession(this.#id)
    if (keepaliveSeconds > 0) {
      this.heardMs = performance.now()
      this.silentMsMax = keepaliveSeconds * 1500
      keepAlives.add(this)
    }
    hooks.registered(this, this.conn)
    this.#gate.sendPacket(CONNACK, WELCOME)
  }

  /** Goes on by itself where the client is there; of one that is gone, a will and what was held are left to be published. */
  #publish(packet: PublishPacket): void {
    const { delivery, hooks } = this.#shared
    hooks.publishes.authorize(this, packet, (error) => {
      if (error) this.#gate.destroy()
      else delivery.publish(publishedOf(packet), () => {})
    })
  }

  #subscribe({ messageId, subscriptions }: ISubscribePacket): void {
    const { hooks } = this.#shared
    const codes = subscriptions.map((one) =>
      hooks.authorizeSubscribe(this, one) ? one.qos : NOT_GRANTED,
    )
    const granted = subscriptions.filter((_one, index) => codes[index] !== NOT_GRANTED)
    const bodyBytes = 2 + codes.length
    const head = Buffer.alloc(1 + lengthBytesOf(bodyBytes) + 2)
    head[0] = SUBACK << 4
    writeLength(head, bodyBytes)
    head.writeUInt16BE(messageId!, head.length - 2)
    this.#gate.sendPacket(SUBACK, Buffer.concat([head, Uint8Array.from(codes)]))
    hooks.subscribed(this, granted)
  }

  #unsubscribe({ messageId, unsubscriptions }: IUnsubscribePacket): void {
    for (const filter of unsubscriptions) this.#shared.subscribers.delete(this.conn, filter)
    this.#acknowledge(UNSUBACK, messageId!)
  }

  #acknowledge(type: number, id: number): void {
    this.#gate.sendPacket(type, encodeAcknowledgement(type, id), type === PUBREL ? id : 0)
  }

  #close(): void {
    if (this.closed) return
    const wasOpen = this.#state === 'open'
    this.#state = 'closed'
    const { hooks, keepAlives, persistence, subscribers } = this.#shared
    keepAlives.delete(this)
    this.drained()
    this.#gate.destroy()
    if (!wasOpen) return
    // Before its will, which is not for itself.
    subscribers.clear(this.conn)
    if (this.#will !== undefined) this.#publish(this.#will)
    this.#will = undefined
    persistence.forgetAllIncoming(this.#id)
    hooks.gone(this.conn)
  }
}

function willOf({ topic, payload, qos = 0, retain = false }: Will): PublishPacket {
  // A copy: the bytes of the whole CONNECT would be kept with it.
  const bytes = Buffer.from(payload as Buffer)
  return { cmd: 'publish', topic, payload: bytes, qos, retain, dup: false }
}

function publishedOf({ topic, payload, qos, retain, clientId }: Passed): Published {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  return { topic, payload: bytes, qos, retain, clientId }
}
