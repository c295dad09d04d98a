/** What happens where Aedes asks: who may connect, publish, subscribe and receive. */
import type { Aedes, AedesOptions, Client, PublishPacket } from 'aedes'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { own } from '../../shared/core/own.ts'
import { buildTopic, parseNodeClientId } from '../../shared/protocol/topics.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { ConnectionId, Submitter } from '../core/events.ts'
import { levelsOf, mayReceive, maySubscribe, probeTopicOf } from './mqtt-access.ts'
import { type Connection, encodeTopic } from './mqtt-connection.ts'
import type { Connections } from './mqtt-connections.ts'
import type { DeliveringClient } from './mqtt-delivery.ts'
import type { Tally } from './mqtt-figures.ts'
import type { MqttLimits } from './mqtt-options.ts'
import type { BoundedPersistence } from './mqtt-persistence.ts'
import { Publishes } from './mqtt-publishes.ts'
import { RetainedDelivery, type RetainedSource, type RetainedStore } from './mqtt-retained.ts'
import type { RetainedJournal } from './mqtt-retained-journal.ts'
import { filterOfShared, isShared } from './mqtt-share-groups.ts'
import type { Qos, Subscribers } from './mqtt-subscribers.ts'

export interface Submission {
  readonly payload: Uint8Array
  /** The payload was too large and not kept: it had this many bytes. */
  readonly skippedBytes?: number
  readonly submitter: Submitter
}

/** What the broker calls; none of it may throw. */
export interface MqttBrokerPort {
  /** `done` lets the acknowledgement leave. It is to be called once, whatever the answer is. */
  onSubmission(submission: Submission, done: () => void): void
  onCancel(request: { readonly task: TaskId; readonly submitter: Submitter }): void
  onNodeMessage(message: {
    readonly connection: ConnectionId
    readonly node: NodeId
    readonly payload: Uint8Array
  }): void
  onTelemetry(message: { readonly node: NodeId; readonly payload: Uint8Array }): void
  /** Once for a node's connection, at the first sign of its end. */
  onNodeConnectionClosed(connection: ConnectionId): void
}

export interface BrokerParts {
  readonly limits: MqttLimits
  readonly base: string
  readonly port: MqttBrokerPort
  readonly connections: Connections
  readonly subscribers: Subscribers<Connection>
  readonly persistence: BoundedPersistence
  readonly retained: RetainedStore
  readonly journal: RetainedJournal | undefined
  readonly source: RetainedSource | undefined
  readonly dropped: Tally
  readonly refused: Tally
  readonly logger: Logger | undefined
}

/** Aedes' own note of the QoS 2 publishes that are under way: the persistence has it. */
const NOT_KEPT = { size: 0, has: () => false, add() {}, delete() {} }
const IDENTIFIER_REJECTED = 2
const SERVER_UNAVAILABLE = 3
const PACKET_ID_MAX = 65_535
/** A client that is far behind for this long is not merely busy. */
const BEHIND_MS = 1000

type AuthenticateDone = Parameters<NonNullable<AedesOptions['authenticate']>>[3]

export class BrokerHooks {
  readonly #parts: BrokerParts
  readonly publishes: Publishes

  constructor(parts: BrokerParts) {
    this.#parts = parts
    this.publishes = new Publishes(parts)
  }

  /** Without that of the gateway's own client. */
  get subscriptionCount(): number {
    const { connections, subscribers } = this.#parts
    const { probe } = connections
    return subscribers.count - (probe === undefined ? 0 : subscribers.filtersOf(probe).size)
  }

  listen(aedes: Aedes): void {
    const { logger, refused } = this.#parts
    aedes.on('client', (client) => this.#registered(aedes, client))
    aedes.on('clientDisconnect', (client) => this.#gone(client))
    aedes.on('clientError', (client, error) => {
      logger?.debug({ client: client.id, error: error.message }, 'MQTT client error')
    })
    aedes.on('connectionError', (_client, error) => {
      logger?.debug({ error: error.message }, 'MQTT connection error')
    })
    aedes.on('keepaliveTimeout', () => refused.add('keepalive-timeout'))
    aedes.on('subscribe', (subscriptions, client) => {
      // Who shares a subscription gets nothing that is retained [MQTT 5.0 §4.8.2].
      const granted = subscriptions.filter(
        ({ topic, qos }) => (qos as number) !== 128 && !isShared(topic),
      )
      this.#deliverRetained(client, granted)
    })
    aedes.on('unsubscribe', (filters, client) => {
      const connection = this.#parts.connections.of(client)
      if (connection === undefined) return
      for (const filter of filters) this.#parts.subscribers.delete(connection, filter)
    })
  }

  authenticate(client: Client, done: AuthenticateDone): void {
    const connection = this.#parts.connections.of(client)
    if (connection === undefined) return
    // First: whoever may not have this id must not end the connection that has it.
    if (!isOwnId(connection, client)) {
      this.#parts.refused.add('client-id-not-own')
      const error = new Error('this client id is not its own')
      done(Object.assign(error, { returnCode: IDENTIFIER_REJECTED }), false)
      return
    }
    const free = this.#parts.connections.takeOver(client.id, connection)
    if (free === undefined) this.#begin(client, connection, done)
    else free.then(() => this.#begin(client, connection, done))
  }

  #begin(client: Client, connection: Connection, done: AuthenticateDone): void {
    const { persistence, refused } = this.#parts
    if (connection.isGone) return
    if (!client.clean) {
      if (!persistence.openSession(client.id)) {
        refused.add('sessions-full')
        const error = new Error('no room for one more session')
        done(Object.assign(error, { returnCode: SERVER_UNAVAILABLE }), false)
        return
      }
      connection.sessionId = client.id
    }
    numberFromOne(client, (id) => persistence.hasOutgoing(client.id, id))
    done(null, true)
  }

  /** The peer of a connection is at its end: what has come from it may still be worked on. */
  connectionClosed(connection: Connection): void {
    this.#endNode(connection)
  }

  /** Nothing more comes from a connection. Unless Aedes has registered it, nobody else says so. */
  connectionEnded(connection: Connection): void {
    if (connection.client !== undefined) return
    this.#forget(connection)
    this.#parts.connections.remove(connection)
  }

  authorizeSubscribe(client: Client, subscription: { topic: string; qos: Qos }): boolean {
    const { connections, limits, persistence, refused, subscribers } = this.#parts
    const connection = connections.of(client)
    const { topic, qos } = subscription
    const deny = (reason: string): false => {
      refused.add(reason)
      persistence.deny(subscription)
      return false
    }
    if (connection === undefined) return false
    if (connections.isProbe(connection)) {
      if (topic !== probeTopicOf(client.id)) return false
      subscribers.set(connection, topic, qos)
      return true
    }
    if (connection.principal !== undefined && topic !== this.#downTopicOf(connection.principal)) {
      return deny('filter-not-own')
    }
    const wanted = isShared(topic) ? filterOfShared(topic) : topic
    if (wanted === undefined) return deny('filter-share')
    if (!maySubscribe(wanted)) return deny('filter-reserved')
    if (topic.length > limits.filterBytesMax) return deny('filter-too-long')
    if (levelsOf(wanted) > limits.topicLevelsMax) return deny('filter-too-deep')
    const filters = subscribers.filtersOf(connection)
    if (!filters.has(topic)) {
      const isFull =
        filters.size >= limits.filtersPerClientMax ||
        subscribers.count >= limits.filtersTotalMax ||
        (!client.clean && !persistence.hasRoomForFilter(client.id, topic))
      if (isFull) return deny('filters-full')
    }
    subscribers.set(connection, topic, qos)
    return true
  }

  authorizeForward<P extends PublishPacket>(client: Client, packet: P): P | null {
    const { connections, dropped, limits } = this.#parts
    const connection = connections.of(client)
    // What is refused here Aedes takes out of the session. What cannot be written it does not.
    const notNow = client.clean || packet.qos === 0 ? null : packet
    if (client.closed || connection === undefined) return notNow
    if (!mayReceive(packet.topic) && !connections.isProbe(connection)) return null
    const { gate } = connection
    const { backlogBytes } = gate
    if (backlogBytes <= limits.backlogDropBytes) return packet
    if (packet.qos === 0) {
      dropped.add('subscriber-backlog')
      return null
    }
    const isTooFar =
      backlogBytes > 4 * limits.backlogCloseBytes ||
      (backlogBytes > limits.backlogCloseBytes && gate.behindMs > BEHIND_MS)
    if (!isTooFar) return packet
    gate.abandon('subscriber-backlog')
    return notNow
  }

  #downTopicOf(node: NodeId): string {
    return buildTopic(this.#parts.base, { kind: 'node-down', node })
  }

  #registered(aedes: Aedes, client: Client): void {
    const { connections } = this.#parts
    const connection = connections.of(client)
    if (connection === undefined || connection.isGone) {
      // It went while Aedes was at its CONNECT, and Aedes would keep it for ever.
      setImmediate(() => unregister(aedes, client))
      return
    }
    connection.client = client as DeliveringClient
    ;(client as Client & { _inboundInflight: unknown })._inboundInflight = NOT_KEPT
    const node = parseNodeClientId(client.id)
    if (node === undefined) return
    connection.node = node
    connection.downTopic = encodeTopic(this.#downTopicOf(node))
    connections.setNode(client.id, connection)
  }

  #gone(client: Client): void {
    const connection = this.#parts.connections.of(client)
    if (connection === undefined) return
    this.#endNode(connection)
    this.#parts.connections.remove(connection)
    this.#forget(connection)
  }

  #endNode(connection: Connection): void {
    const id = this.#parts.connections.endNode(connection)
    if (id !== undefined) this.#parts.port.onNodeConnectionClosed(id)
  }

  /** Gives up what the connection had a part of. */
  #forget(connection: Connection): void {
    this.#parts.subscribers.clear(connection)
    if (connection.sessionId === undefined) return
    this.#parts.persistence.closeSession(connection.sessionId)
    connection.sessionId = undefined
  }

  #deliverRetained(client: Client, granted: readonly { topic: string; qos: Qos }[]): void {
    const { connections, logger, retained, source } = this.#parts
    const connection = connections.of(client)
    if (connection === undefined) return
    connection.retained ??= new RetainedDelivery(client, retained, source, logger)
    connection.retained.add(granted)
  }
}

/** A node is one node, and leaves no session behind; where no keys are asked for, any id will do. */
function isOwnId({ principal }: Connection, client: Client): boolean {
  return principal === undefined || (parseNodeClientId(client.id) === principal && client.clean)
}

/**
 * Aedes counts the packet ids to a client from a random one, and would give one again that a message
 * of the session still waits under [MQTT-2.3.1-4].
 */
function numberFromOne(client: Client, isTaken: (id: number) => boolean): void {
  let next = 1
  Object.defineProperty(client, '_nextId', {
    get: () => {
      while (isTaken(next)) next = next >= PACKET_ID_MAX ? 1 : next + 1
      return next
    },
    set: (id: number) => {
      next = id
    },
  })
}

function unregister(aedes: Aedes, client: Client): void {
  const inside = aedes as Aedes & {
    clients: Record<string, Client>
    unregisterClient(client: Client): void
  }
  if (client.closed && own(inside.clients, client.id) === client) inside.unregisterClient(client)
}
