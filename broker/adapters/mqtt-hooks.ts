/** What happens where Aedes asks: who may connect, publish, subscribe and receive. */
import type { Aedes, PublishPacket } from 'aedes'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { own } from '../../shared/core/own.ts'
import type { ReadingTopic } from '../../shared/protocol/readings.ts'
import type { SecurityEvent, ToldEvent } from '../../shared/protocol/security-events.ts'
import { buildTopic, parseNodeClientId } from '../../shared/protocol/topics.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { ConnectionId, Submitter } from '../core/events.ts'
import { levelsOf, probeTopicOf } from './mqtt-access.ts'
import { type Connection, encodeTopic } from './mqtt-connection.ts'
import type { Connections } from './mqtt-connections.ts'
import type { BrokerClient, Delivery } from './mqtt-delivery.ts'
import { Entrance, type Login } from './mqtt-entrance.ts'
import type { Tally } from './mqtt-figures.ts'
import { clientOf } from './mqtt-inlet.ts'
import type { BridgeMarks, MqttLimits } from './mqtt-options.ts'
import type { Outgoing } from './mqtt-outgoing.ts'
import type { BoundedPersistence } from './mqtt-persistence.ts'
import { Publishes } from './mqtt-publishes.ts'
import { RetainedDelivery, type RetainedSource, type RetainedStore } from './mqtt-retained.ts'
import type { RetainedJournal } from './mqtt-retained-journal.ts'
import type { Rights } from './mqtt-rights.ts'
import { filterOfShared, isShared } from './mqtt-share-groups.ts'
import type { Qos, Subscribers } from './mqtt-subscribers.ts'
import type { NodeReport } from './node-reports.ts'
import { shareOf } from './places.ts'

export interface Submission {
  readonly payload: Uint8Array
  /** The payload was too large and not kept: it had this many bytes. */
  readonly skippedBytes?: number
  readonly submitter: Submitter
}

/** A message, and whose it is. */
export interface ForeignMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly submitter: Submitter
}

/** Somebody tells what he has read of cells. */
export interface ReadingMessage extends ForeignMessage {
  readonly of: ReadingTopic
}

/** What the broker calls; none of it may throw. */
export interface MqttBrokerPort {
  /** `done` lets the acknowledgement leave. It is to be called once, whatever the answer is. */
  onSubmission(submission: Submission, done: () => void): void
  /** As for a submission; without `done` nobody waits. */
  onReadings(message: ReadingMessage, done?: () => void): void
  /**
   * Something that is published outside the base. True if there is a reading in it: `done` is then as for readings; else
   * it is not called.
   */
  onForeign?(message: ForeignMessage, done?: () => void): boolean
  onCancel(request: { readonly task: TaskId; readonly submitter: Submitter }): void
  onNodeMessage(message: {
    readonly connection: ConnectionId
    readonly node: NodeId
    readonly payload: Uint8Array
  }): void
  onReport(report: NodeReport): void
  /** Once for a node's connection, at the first sign of its end. */
  onNodeConnectionClosed(connection: ConnectionId): void
  /** The identity that submitted a task, where everybody is asked who he is. */
  ownerOf?(task: TaskId): string | undefined
  onSecurityEvent?(event: SecurityEvent<ToldEvent>): void
}

export interface BrokerParts {
  readonly limits: MqttLimits
  readonly bridge: BridgeMarks | undefined
  readonly base: string
  readonly port: MqttBrokerPort
  readonly connections: Connections
  readonly subscribers: Subscribers<Connection>
  readonly persistence: BoundedPersistence
  readonly delivery: Delivery
  readonly rights: Rights
  /** Of who shows no certificate; without it, nobody comes in so. */
  readonly login: Login | undefined
  readonly retained: RetainedStore
  readonly journal: RetainedJournal | undefined
  readonly source: RetainedSource | undefined
  readonly dropped: Tally
  readonly refused: Tally
  readonly logger: Logger | undefined
}

/** A client that is far behind for this long is not merely busy. */
const BEHIND_MS = 1000

export class BrokerHooks {
  readonly #parts: BrokerParts
  readonly entrance: Entrance
  readonly publishes: Publishes
  #isBridgedToItself = false

  constructor(parts: BrokerParts) {
    this.#parts = parts
    this.entrance = new Entrance(parts)
    this.publishes = new Publishes(parts)
  }

  /** The gateway's bridge has come here, whoever he may be. */
  get isBridgedToItself(): boolean {
    return this.#isBridgedToItself
  }

  /** Without that of the gateway's own client. */
  get subscriptionCount(): number {
    const { connections, subscribers } = this.#parts
    const { probe } = connections
    return subscribers.count - (probe === undefined ? 0 : subscribers.filtersOf(probe).size)
  }

  listen(aedes: Aedes): void {
    const { logger, refused } = this.#parts
    aedes.on('client', (client) => this.#registered(aedes, clientOf(client)))
    aedes.on('clientDisconnect', (client) => {
      const connection = this.#parts.connections.of(clientOf(client))
      if (connection !== undefined) this.gone(connection)
    })
    aedes.on('clientError', (client, error) => {
      logger?.debug({ client: client.id, error: error.message }, 'MQTT client error')
    })
    aedes.on('connectionError', (_client, error) => {
      logger?.debug({ error: error.message }, 'MQTT connection error')
    })
    aedes.on('keepaliveTimeout', () => refused.add('keepalive-timeout'))
    aedes.on('subscribe', (subscriptions, client) => {
      this.subscribed(
        clientOf(client),
        subscriptions.filter(({ qos }) => (qos as number) !== 128),
      )
    })
    aedes.on('unsubscribe', (filters, client) => {
      const connection = this.#parts.connections.of(clientOf(client))
      if (connection === undefined) return
      for (const filter of filters) this.#parts.subscribers.delete(connection, filter)
    })
  }

  /** The peer of a connection is at its end: what has come from it may still be worked on. */
  connectionClosed(connection: Connection): void {
    this.#endNode(connection)
  }

  /** Nothing more comes from a connection. Unless its CONNECT was accepted, nobody else says so. */
  connectionEnded(connection: Connection): void {
    if (connection.client !== undefined) return
    this.#forget(connection)
    this.#parts.connections.remove(connection)
  }

  authorizeSubscribe(client: BrokerClient, subscription: { topic: string; qos: Qos }): boolean {
    const { bridge, connections, limits, persistence, port } = this.#parts
    const { refused, rights, subscribers } = this.#parts
    const connection = connections.of(client)
    const { topic, qos } = subscription
    if (topic === bridge?.loopFilter) {
      this.#isBridgedToItself = true
      persistence.deny(subscription)
      return false
    }
    if (connection === undefined) return false
    const deny = (reason: string): false => {
      refused.add(reason)
      persistence.deny(subscription)
      const told = connection.told('subscribe-refused')
      if (reason.startsWith('filter-not')) port.onSecurityEvent?.({ ...told, code: reason })
      return false
    }
    const { principal } = connection
    if (connections.isProbe(connection)) {
      if (topic !== probeTopicOf(client.id)) return false
      subscribers.set(connection, topic, qos)
      return true
    }
    if (principal.kind === 'node' && !rights.maySubscribe(principal, topic)) {
      return deny('filter-not-own')
    }
    const wanted = isShared(topic) ? filterOfShared(topic) : topic
    if (wanted === undefined) return deny('filter-share')
    if (!rights.maySubscribe(principal, wanted)) {
      return deny(principal.kind === 'user' ? 'filter-not-allowed' : 'filter-reserved')
    }
    if (topic.length > limits.filterBytesMax) return deny('filter-too-long')
    if (levelsOf(wanted) > limits.topicLevelsMax) return deny('filter-too-deep')
    const filters = subscribers.filtersOf(connection)
    if (!filters.has(topic)) {
      const isFull =
        filters.size >= limits.filtersPerClientMax ||
        subscribers.count >= limits.filtersTotalMax ||
        subscribers.countOf(connection.identity) >= shareOf(limits.filtersTotalMax, principal) ||
        (!client.clean && !persistence.hasRoomForFilter(client.id, topic))
      if (isFull) return deny('filters-full')
    }
    subscribers.set(connection, topic, qos)
    return true
  }

  /** To a client with a session. */
  authorizeForward<P extends PublishPacket>(client: BrokerClient, packet: P): P | null {
    const connection = this.#parts.connections.of(client)
    // What is refused here Aedes takes out of the session. What cannot be written it does not.
    const notNow = packet.qos === 0 ? null : packet
    if (client.closed || connection === undefined) return notNow
    if (!this.#parts.rights.mayReceive(connection.principal, packet)) return null
    return this.#hasRoom(connection, packet.qos) ? packet : notNow
  }

  /** To a client without one. */
  mayTake(client: BrokerClient, connection: Connection, packet: Outgoing): boolean {
    if (client.closed || !this.#parts.rights.mayReceive(connection.principal, packet)) return false
    return this.#hasRoom(connection, packet.qos)
  }

  /** A subscriber that is far behind loses what is at QoS 0, and then is let go. */
  #hasRoom({ gate }: Connection, qos: Qos): boolean {
    const { dropped, limits } = this.#parts
    const backlogBytes = gate.backlogBefore
    if (backlogBytes <= limits.backlogDropBytes) return true
    if (qos === 0) {
      dropped.add('subscriber-backlog')
      return false
    }
    const isTooFar =
      backlogBytes > 4 * limits.backlogCloseBytes ||
      (backlogBytes > limits.backlogCloseBytes && gate.behindMs > BEHIND_MS)
    if (isTooFar) gate.abandon('subscriber-backlog')
    return !isTooFar
  }

  #downTopicOf(node: NodeId): string {
    return buildTopic(this.#parts.base, { kind: 'node-down', node })
  }

  #registered(aedes: Aedes, client: BrokerClient): void {
    const connection = this.#parts.connections.of(client)
    if (connection === undefined || connection.isGone) {
      // It went while Aedes was at its CONNECT, and Aedes would keep it for ever.
      setImmediate(() => unregister(aedes, client))
      return
    }
    this.registered(client, connection)
  }

  /** Its CONNECT was accepted. */
  registered(client: BrokerClient, connection: Connection): void {
    connection.client = client
    const node = parseNodeClientId(client.id)
    if (node === undefined) return
    connection.node = node
    connection.downTopic = encodeTopic(this.#downTopicOf(node))
    this.#parts.connections.setNode(client.id, connection)
  }

  /** There is nothing more to do with the client of a connection. */
  gone(connection: Connection): void {
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

  /** These were granted: what is retained for them follows. */
  subscribed(client: BrokerClient, granted: readonly { topic: string; qos: Qos }[]): void {
    const { connections, logger, retained, rights, source } = this.#parts
    const connection = connections.of(client)
    if (connection === undefined) return
    connection.retained ??= new RetainedDelivery(client, retained, source, logger, (message) =>
      rights.mayReceive(connection.principal, message),
    )
    // Who shares a subscription gets nothing that is retained [MQTT 5.0 §4.8.2].
    connection.retained.add(granted.filter(({ topic }) => !isShared(topic)))
  }
}

function unregister(aedes: Aedes, client: BrokerClient): void {
  const inside = aedes as Aedes & {
    clients: Record<string, BrokerClient>
    unregisterClient(client: BrokerClient): void
  }
  if (client.closed && own(inside.clients, client.id) === client) inside.unregisterClient(client)
}
