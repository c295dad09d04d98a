/**
 * Stands where Aedes has its emitter and its way there: it would copy and hand on a message once for each filter that
 * matches. Here it goes to each client once, at the highest QoS that it was granted [MQTT-3.3.5-1].
 */
import type { Connection } from './mqtt-connection.ts'
import type { Gate } from './mqtt-gate.ts'
import type { BoundedPersistence, StoredPacket } from './mqtt-persistence.ts'
import type { Qos, Subscribers } from './mqtt-subscribers.ts'

/** Aedes' name of its process, by which it tells itself what it says below `$SYS`. */
export const BROKER_ID = 'gateway'

export type Done = (error?: Error) => void

export type Published = Pick<StoredPacket, 'topic' | 'payload' | 'qos' | 'retain'> & {
  /** Of whom it came, where that is a bridge. */
  readonly clientId?: string | undefined
}

/** A client as the parts of the broker know it: our own (mqtt-clean-client.ts), or Aedes', which has these names. */
export interface BrokerClient {
  readonly id: string
  /** Its session ends with its connection. */
  readonly clean: boolean
  readonly closed: boolean
  readonly conn: { readonly gate: Gate }
  deliver0(packet: object, done: () => void): void
  deliverQoS(packet: object, done: () => void): void
  /** One packet less is under way; more are read when there are none. */
  _nextBatch(): void
  /** Where it is not clean: the next packet id; see mqtt-entrance.ts. */
  _nextId?: number
}

type ThereConnection = Connection & { readonly client: BrokerClient }

export interface DeliveryParts {
  readonly sessions: Pick<
    BoundedPersistence,
    'enqueue' | 'groupsFor' | 'keep' | 'mayReceive' | 'outgoingEnqueue' | 'outgoingUpdate'
  >
  readonly mayReceive: (connection: Connection, packet: StoredPacket) => boolean
  /** Who has not taken this much is passed over where others share a subscription with it. */
  readonly behindBytes: number
  /** Is told of each message that is handed on. */
  readonly onMessage: (packet: StoredPacket) => void
}

export class Delivery {
  readonly #subscribers: Subscribers<Connection>
  readonly #parts: DeliveryParts
  /** Of the last message: a session tells one from another by it. */
  #number = 0
  #isClosed = false

  constructor(subscribers: Subscribers<Connection>, parts: DeliveryParts) {
    this.#subscribers = subscribers
    this.#parts = parts
  }

  /** Aedes' listeners are not called: the hooks tell `Subscribers`, and other brokers there are none. */
  on(_filter: string, _listener: unknown, done?: Done): void {
    done?.()
  }

  removeListener(_filter: string, _listener: unknown, done?: Done): void {
    done?.()
  }

  /** As `emit`, of a message that is to be retained, and to wait for sessions that are away. */
  publish(message: Published, done: Done): void {
    const brokerCounter = ++this.#number
    const packet = { cmd: 'publish', brokerId: BROKER_ID, brokerCounter, ...message }
    if (packet.retain) this.#parts.sessions.keep(packet)
    if (packet.qos > 0) this.#parts.sessions.enqueue(packet)
    this.emit(packet, done)
  }

  /** Calls `done` once each client has taken the message, or will not. */
  emit(packet: StoredPacket, done: Done): void {
    if (this.#isClosed) {
      done(new Error('the broker is closed'))
      return
    }
    this.#parts.onMessage(packet)
    let waiting = 1
    const delivered = (): void => {
      if (--waiting === 0) done()
    }
    const copies: object[] = []
    for (const [connection, granted] of this.#subscribers.matching(packet.topic)) {
      // For one that comes or goes, what its session keeps is sent to it when it is there.
      if (!isThere(connection)) continue
      const qos = Math.min(granted, packet.qos) as Qos
      if (connection.gate.isBridge) {
        if (packet.clientId === connection.client.id) continue
        waiting++
        this.#pass(connection, packet, qos, delivered)
        continue
      }
      const { client } = connection
      // Without a `brokerId` Aedes does not take it for a repetition when a later one has overtaken it.
      copies[qos] ??= { ...packet, qos, retain: false, brokerId: null }
      waiting++
      if (qos === 0) client.deliver0(copies[qos], delivered)
      else client.deliverQoS(copies[qos], delivered)
    }
    this.#share(packet, (connection, qos) => {
      waiting++
      this.#give(connection, packet, qos, delivered)
    })
    delivered()
  }

  /** To another broker, with the retain flag as published. */
  #pass({ client }: ThereConnection, packet: StoredPacket, qos: Qos, done: () => void): void {
    const copy = { ...packet, qos, brokerId: null }
    if (qos === 0) client.deliver0(copy, done)
    else if (client.clean || !copy.retain) client.deliverQoS(copy, done)
    else {
      // Aedes takes what has the flag for an answer to a SUBSCRIBE, whose id no session has to know.
      const messageId = client._nextId!
      client._nextId = messageId + 1
      void this.#parts.sessions.outgoingUpdate(client, { ...packet, messageId })
      client.deliverQoS({ ...copy, messageId }, done)
    }
  }

  /** Finds one of each group. A session that is away gets a message only where nobody is there. */
  #share(packet: StoredPacket, give: (connection: ThereConnection, qos: Qos) => void): void {
    const { sessions, behindBytes, mayReceive } = this.#parts
    const given = new Set<string>()
    for (const group of this.#subscribers.groupsFor(packet.topic)) {
      const isAble = (one: Connection): boolean => isThere(one) && mayReceive(one, packet)
      const keepsUp = (one: Connection): boolean =>
        isAble(one) && one.gate.backlogBytes <= behindBytes
      const next = group.next(keepsUp) ?? group.next(isAble)
      if (next === undefined) continue
      given.add(group.name)
      const [connection, granted] = next
      give(connection as ThereConnection, Math.min(granted, packet.qos) as Qos)
    }
    if (packet.qos === 0) return
    for (const group of sessions.groupsFor(packet.topic)) {
      if (given.has(group.name)) continue
      const next = group.next((id, qos) => qos > 0 && sessions.mayReceive(id, packet))
      if (next === undefined) continue
      const [clientId, granted] = next
      const qos = Math.min(granted, packet.qos) as Qos
      const copy = { ...packet, qos, brokerCounter: ++this.#number }
      void sessions.outgoingEnqueue({ clientId }, copy)
    }
  }

  /** To a member of a group, under a number of its own: its other filters may match as well. */
  #give({ client }: ThereConnection, packet: StoredPacket, qos: Qos, done: () => void): void {
    const { sessions } = this.#parts
    const kept = { ...packet, qos, retain: false, brokerCounter: ++this.#number }
    const copy = { ...kept, brokerId: null }
    if (qos === 0) client.deliver0(copy, done)
    else if (client.clean) client.deliverQoS(copy, done)
    else {
      sessions.outgoingEnqueue({ clientId: client.id }, kept).then(() => {
        // If it has gone meanwhile, its session has the message.
        if (client.closed) done()
        else client.deliverQoS(copy, done)
      })
    }
  }

  close(done: Done): void {
    this.#isClosed = true
    setImmediate(done)
  }
}

function isThere(connection: Connection): connection is ThereConnection {
  return connection.client !== undefined && !connection.client.closed
}
