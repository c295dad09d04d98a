/** The MQTT side of the gateway: Aedes, with a gate before each of its clients. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Aedes } from 'aedes'
import { writeToStream } from 'mqtt-packet'
import type { NodeId } from '../../shared/core/ids.ts'
import { sourceOf } from '../../shared/core/source.ts'
import { ANYONE, identityOf, type Principal } from '../../shared/protocol/access.ts'
import { buildTopic, isBelowBase, TOPIC_BASE_DEFAULT } from '../../shared/protocol/topics.ts'
import { AppError, EXIT_SOFTWARE, messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { ConnectionId } from '../core/events.ts'
import { ByteBudget } from './byte-budget.ts'
import { CleanClient, type CleanClientShared } from './mqtt-clean-client.ts'
import { type Connection, encodePublish, NOBODY } from './mqtt-connection.ts'
import { Connections } from './mqtt-connections.ts'
import { BROKER_ID, Delivery, type Done, type Published } from './mqtt-delivery.ts'
import { type BrokerCounters, Figures, newTraffic, Tally } from './mqtt-figures.ts'
import { Gate } from './mqtt-gate.ts'
import type { GateClient, GateOptions, GatePort, GateShared } from './mqtt-gate-parts.ts'
import { BrokerHooks, type BrokerParts, type MqttBrokerPort } from './mqtt-hooks.ts'
import { AedesStream, clientOf } from './mqtt-inlet.ts'
import { KeepAlives } from './mqtt-keep-alives.ts'
import {
  gateOptionsFor,
  MQTT_LIMITS,
  type MqttBrokerOptions,
  type MqttLimits,
} from './mqtt-options.ts'
import type { Connect } from './mqtt-packets.ts'
import { BoundedPersistence } from './mqtt-persistence.ts'
import { RetainedStore } from './mqtt-retained.ts'
import { RetainedJournal } from './mqtt-retained-journal.ts'
import { Rights } from './mqtt-rights.ts'
import { SecureDoor, type SecureDoorOptions } from './mqtt-secure-door.ts'
import { Subscribers } from './mqtt-subscribers.ts'
import { TopicViews } from './mqtt-topic-views.ts'
import { TurnShare } from './mqtt-turn-share.ts'
import { isOfCertificates, type TlsKeys } from './tls-listener.ts'

export type { MqttBrokerPort, ReadingMessage, Submission } from './mqtt-hooks.ts'

export interface BrokerMessage {
  readonly topic: string
  readonly payload: string | Uint8Array
  readonly qos: 0 | 1
  readonly retain: boolean
  /** The identity that it concerns, where its topic does not say so. */
  readonly owner?: string
}

const LOOK_INTERVAL_MS = 1000
/** What was published before `close` has this long to leave. */
const CLOSE_TIMEOUT_MS = 1000

// mqtt-packet would keep 65,536 two-byte buffers: 12 MB that gain little.
;(writeToStream as unknown as { cacheNumbers: boolean }).cacheNumbers = false

export class MqttBroker {
  readonly #parts: BrokerParts
  readonly #isForeign: (topic: string) => boolean
  readonly #gateOptions: GateOptions
  readonly #gateShared: GateShared
  readonly #gatePort: GatePort
  readonly #buffered: ByteBudget
  readonly #queued: ByteBudget
  /** For those who look at topics without MQTT. */
  readonly topics: TopicViews
  readonly #hooks: BrokerHooks
  readonly #aedes: Aedes
  readonly #cleanShared: CleanClientShared
  readonly #door: SecureDoor | undefined
  readonly #server: Server
  readonly #traffic = newTraffic()
  readonly #figures: Figures
  #publishing = 0
  #lookTimer: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined

  /** Resolves once clients can connect; rejects when the port cannot be listened on. */
  static async start(
    options: MqttBrokerOptions,
    port: MqttBrokerPort,
    logger?: Logger,
  ): Promise<MqttBroker> {
    const broker = new MqttBroker(options, port, logger)
    await broker.#listen(options.host ?? '127.0.0.1', options.port ?? 1883)
    return broker
  }

  private constructor(
    options: MqttBrokerOptions,
    port: MqttBrokerPort,
    logger: Logger | undefined,
  ) {
    const base = options.topicBase ?? TOPIC_BASE_DEFAULT
    const limits: MqttLimits = { ...MQTT_LIMITS, ...options }
    this.#figures = new Figures(options.version ?? '0', limits.figuresIntervalMs)
    this.#gateOptions = gateOptionsFor(limits, buildTopic(base, { kind: 'task-submit' }))
    this.#buffered = new ByteBudget(limits.bufferedBytesMax)
    const turns = new TurnShare()
    this.#gateShared = { budget: this.#buffered, traffic: this.#traffic, turns }
    this.#queued = new ByteBudget(limits.queuedBytesMax)
    const connections = new Connections({ ...limits, probeId: options.probeId })
    const retained = new RetainedStore({
      foreignMessagesMax: limits.retainedMessagesMax,
      foreignBytesMax: limits.retainedBytesMax,
    })
    const isForeign = (topic: string): boolean =>
      !topic.startsWith('$') && !isBelowBase(base, topic)
    this.#isForeign = isForeign
    const rights = new Rights(base, (task) => port.ownerOf?.(task))
    const { bridge, retainedLedger: ledger, retainedSource: source, secure, fetch } = options
    this.topics = new TopicViews(retained, source, rights)
    const [dropped, refused] = [new Tally(), new Tally()]
    const journal = ledger && new RetainedJournal(ledger)
    journal?.keep(retained, isForeign, () => dropped.add('retained-full'))
    const persistence = new BoundedPersistence(limits, {
      ...{ retained, source, isForeign, rights, budget: this.#queued },
      onDrop: (reason) => dropped.add(reason),
    })
    const subscribers = new Subscribers<Connection>(({ identity }) => identity)
    const delivery = new Delivery(subscribers, {
      sessions: persistence,
      mayReceive: ({ principal }, packet) => rights.mayReceive(principal, packet),
      behindBytes: limits.backlogDropBytes,
      onMessage: (packet) => this.topics.published(packet),
    })
    this.#parts = {
      ...{
        limits,
        bridge,
        base,
        port,
        connections,
        persistence,
        delivery,
        rights,
        retained,
        journal,
        source,
      },
      ...{ dropped, refused, logger, login: secure?.login },
      subscribers,
    }
    this.#hooks = new BrokerHooks(this.#parts)
    this.#gatePort = {
      connectArrived: (gate, connect) => this.#clientFor(gate, connect),
      refused: (gate, reason) => {
        refused.add(reason)
        logger?.debug({ reason, remote: gate.remoteAddress }, 'MQTT connection refused')
      },
      closed: (gate) => {
        const connection = connections.closed(gate)
        if (connection !== undefined) this.#hooks.connectionClosed(connection)
      },
      ended: (gate) => {
        const connection = connections.at(gate)
        // In the next turn its client has seen that, too.
        if (connection !== undefined) setImmediate(() => this.#hooks.connectionEnded(connection))
      },
      ...(fetch && { handOver: (socket, first) => fetch.take(socket, first) }),
    }
    this.#aedes = this.#createAedes()
    this.#cleanShared = {
      ...{ hooks: this.#hooks, delivery, subscribers, persistence },
      keepAlives: new KeepAlives(),
      silent: () => refused.add('keepalive-timeout'),
    }
    this.#door = secure && this.#openDoor(secure)
    this.#server = createServer(
      {
        ...{ allowHalfOpen: true, noDelay: true, pauseOnConnect: secure !== undefined },
        ...{ keepAlive: true, keepAliveInitialDelay: 60_000 },
      },
      (socket) => {
        if (this.#closing !== undefined) socket.destroy()
        else if (this.#door === undefined) this.#accept(socket, ANYONE)
        else this.#door.accept(socket)
      },
    )
  }

  /** Where clients connect to. */
  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0
  }

  publish(message: BrokerMessage): void {
    const { topic, payload, qos } = message
    const bytes =
      typeof payload === 'string'
        ? Buffer.from(payload)
        : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    if (message.owner !== undefined) this.#parts.rights.setOwner(bytes, message.owner)
    const isKept = message.retain && this.#isForeign(topic)
    const retain = isKept
      ? this.#hooks.publishes.keep({ topic, payload: bytes, qos })
      : message.retain
    this.#publishing++
    this.#parts.delivery.publish({ topic, payload: bytes, qos, retain }, (error) => {
      this.#publishing--
      if (error) this.#parts.logger?.debug({ topic, error: error.message }, 'not published')
    })
  }

  /** Straight to the client of a node; false when it is gone, or too far behind to take more. */
  sendToNode(connection: ConnectionId, payload: Uint8Array): boolean {
    const found = this.#parts.connections.node(connection)
    if (found?.downTopic === undefined || !found.gate.isOpen) return false
    if (found.gate.backlogBytes > this.#parts.limits.backlogCloseBytes) {
      this.#parts.dropped.add('node-backlog')
      return false
    }
    found.gate.send(encodePublish(found.downTopic, payload), 0, 0)
    return true
  }

  /** From now on this connection, and no other, speaks for the node. */
  admit(connection: ConnectionId, node: NodeId): void {
    const found = this.#parts.connections.node(connection)
    if (found !== undefined && found.node === node) this.#parts.connections.admit(found, node)
  }

  /** Ends the connection of a node once what was sent to it has left. */
  disconnect(connection: ConnectionId, reason: string): void {
    const found = this.#parts.connections.node(connection)
    if (found === undefined) return
    this.#parts.logger?.info({ connection, reason }, 'disconnecting a node')
    this.#parts.refused.add('node-disconnected')
    // Its will would say `offline` of a node that nobody is to hear of any more.
    if (reason === 'node-left') found.isAdmitted = false
    found.gate.leave()
  }

  /** What a secured gateway shows to others than agents from now on. */
  renew(hosts: TlsKeys): void {
    this.#door?.renew(hosts)
  }

  /** Ends all connections that keys of this node have opened: they are no longer its own. */
  endConnectionsOf(node: NodeId): void {
    this.endIdentity(identityOf({ kind: 'node', node }))
  }

  /** Ends those of an identity that these keys, or tokens, of it have opened. */
  endKeys(identity: string, keys: readonly string[]): void {
    this.#sayOffline(this.#parts.connections.endOf(identity, keys))
  }

  /** By which key a node is here, and keying material of its connection alone [RFC 8446 §7.5]. */
  channelOf(
    connection: ConnectionId,
    label: string,
    bytes: number,
  ): { readonly key: string; readonly exported: Uint8Array; readonly source: string } | undefined {
    const found = this.#parts.connections.node(connection)
    const exported = found?.gate.exported(label, bytes)
    if (found?.key === undefined || exported === undefined) return undefined
    return { key: found.key, exported, source: found.source }
  }

  /**
   * What this identity may do has changed, or it is none any more: its connections end without a word of theirs,
   * and what waits for it is given up.
   */
  endIdentity(identity: string): void {
    this.#parts.persistence.endSessionsOf(identity)
    this.#sayOffline(this.#parts.connections.endOf(identity))
  }

  /** Whether the other end of the gateway's bridge is here. */
  get isBridgedToItself(): boolean {
    return this.#hooks.isBridgedToItself
  }

  sourcesOf(node: NodeId): { readonly source?: string; readonly other?: string } {
    return this.#parts.connections.sourcesOf(identityOf({ kind: 'node', node }))
  }

  /** In place of wills. */
  #sayOffline(ended: readonly Connection[]): void {
    for (const { isAdmitted, node } of ended) {
      if (!isAdmitted || node === undefined) continue
      const topic = buildTopic(this.#parts.base, { kind: 'node-state', node })
      this.publish({ topic, payload: 'offline', qos: 1, retain: true })
    }
  }

  counters(): BrokerCounters {
    const { absentCount } = this.#parts.persistence
    const { connectedCount, connectedMaximum } = this.#parts.connections
    return {
      clientsConnected: connectedCount,
      clientsTotal: connectedCount + absentCount,
      clientsDisconnected: absentCount,
      clientsMaximum: connectedMaximum,
      ...this.#traffic,
      subscriptions: this.#hooks.subscriptionCount,
      retained: this.#parts.retained.size,
      bufferedBytes: this.#buffered.used,
      queuedBytes: this.#queued.used,
      dropped: this.#parts.dropped.toRecord(),
      refused: this.#parts.refused.toRecord(),
    }
  }

  /** Ends every connection, after what was published has left. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearInterval(this.#lookTimer)
    this.#door?.close()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const gate of this.#parts.connections.waiting()) gate.destroy()
    const deadlineMs = performance.now() + CLOSE_TIMEOUT_MS
    while (this.#publishing > 0 && performance.now() < deadlineMs) await new Promise(setImmediate)
    this.#hooks.publishes.setClosing()
    for (const gate of this.#parts.connections.connected()) gate.leave()
    await closed
    await new Promise<void>((resolve) => this.#aedes.close(resolve))
    await this.#parts.journal?.flushed()
  }

  async #listen(host: string, port: number): Promise<void> {
    await this.#aedes.listen()
    // Its backlog stays Node's 511: in a longer one a fleet that comes at once waits until nobody is there any more when it is
    // served, and comes anew.
    this.#server.listen(port, host)
    try {
      await once(this.#server, 'listening')
    } catch (error) {
      await new Promise<void>((resolve) => this.#aedes.close(resolve))
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      const help = isTaken
        ? '; another program has it, a mosquitto perhaps: end that, or take another one with --port'
        : ''
      throw new AppError('mqtt-listen-failed', `MQTT ${host}:${port}: ${messageOf(error)}${help}`, {
        cause: error,
        exitCode: EXIT_SOFTWARE,
      })
    }
    this.#server.on('error', (error) => this.#parts.logger?.error({ error }, 'MQTT listener error'))
    this.#look()
    this.#lookTimer = setInterval(() => this.#look(), LOOK_INTERVAL_MS)
  }

  #openDoor(options: SecureDoorOptions): SecureDoor {
    return new SecureDoor(options, {
      entered: (socket, principal) => {
        if (this.#closing !== undefined) socket.destroy()
        else this.#accept(socket, principal)
      },
      denied: (reason, remote) => {
        this.#parts.refused.add(reason)
        if (reason !== 'no-identity' && isOfCertificates(reason)) {
          const told = { event: 'certificate-refused', who: NOBODY, via: 'mqtt' } as const
          this.#parts.port.onSecurityEvent?.({ ...told, source: sourceOf(remote), code: reason })
        }
        this.#parts.logger?.debug({ reason, remote }, 'MQTT connection refused')
      },
      failed: (error) =>
        this.#parts.logger?.error({ error }, 'nobody knows whose connection it is'),
    })
  }

  #accept(socket: Socket, principal: Principal): void {
    if (this.#parts.connections.makeRoom()) this.#parts.refused.add('pre-connect-full')
    const gate = new Gate(socket, this.#gateOptions, this.#gateShared, this.#gatePort)
    this.#parts.connections.add(gate, principal)
  }

  #clientFor(gate: Gate, { clientId, isClean }: Connect): GateClient | undefined {
    const connection = this.#parts.connections.connectArrived(gate, clientId)
    if (connection === undefined) return undefined
    if (isClean) return new CleanClient(connection, this.#cleanShared)
    const stream = new AedesStream(gate)
    stream.handleBy(this.#aedes)
    return stream
  }

  #createAedes(): Aedes {
    const hooks = this.#hooks
    const { delivery } = this.#parts
    const aedes = new Aedes({
      id: BROKER_ID,
      mq: delivery,
      // Listeners on a connection, twice: no bound.
      concurrency: 0,
      // The gate lets waiting publishers go and ends stalled clients long before this.
      drainTimeout: this.#parts.limits.stallTimeoutMs * 2,
      connectTimeout: this.#parts.limits.connectTimeoutMs * 2,
      // It would throw the client off; what is under way is kept in a few bytes (mqtt-persistence.ts).
      maxInflightInbound: 0,
      maxTopicLevels: this.#gateOptions.packetBounds.topicLevelsMax,
      persistence: this.#parts.persistence,
      authenticate: (client, name, password, done) =>
        hooks.entrance.authenticate(clientOf(client), name, password, done),
      authorizePublish: (client, packet, done) =>
        hooks.publishes.authorize(clientOf(client), packet, done),
      // Aedes would send a message for `a` at the QoS of the filter `a`, where `#` was granted more. What it
      // grants is what was asked for.
      authorizeSubscribe: (client, subscription, done) =>
        done(
          null,
          hooks.authorizeSubscribe(clientOf(client), subscription)
            ? { ...subscription, qos: 2 }
            : null,
        ),
      authorizeForward: (client, packet) => hooks.authorizeForward(clientOf(client), packet),
    })
    // What it tells itself of each client and each subscription nobody else may hear.
    const publish = (packet: Published, client: unknown, done = client as Done): void => {
      const { topic, payload, qos, retain, clientId } = packet
      if (topic.startsWith(`$SYS/${BROKER_ID}/`)) done()
      else delivery.publish({ topic, payload, qos, retain, clientId }, done)
    }
    Object.assign(aedes, { publish })
    hooks.listen(aedes)
    return aedes
  }

  /** Now and then: the sum of all backlogs, and the figures below `$SYS`. */
  #look(): void {
    this.#parts.connections.boundBacklogs(this.#parts.limits.backlogTotalMax)
    const nowMs = performance.now()
    this.#parts.journal?.sayRefused(nowMs)
    for (const [name, payload] of this.#figures.due(nowMs, () => this.counters())) {
      this.publish({ topic: `$SYS/broker/${name}`, payload, qos: 0, retain: true })
    }
  }
}
