/**
 * What Aedes keeps between packets, bounded: subscriptions of persistent sessions, what waits for an
 * absent client, the ids of half-done QoS 2 publishes, retained messages. Nothing survives the process:
 * what must, is in the ledger.
 */
import { Readable } from 'node:stream'
import { identityOf, type Principal } from '../../shared/protocol/access.ts'
import type { ByteBudget } from './byte-budget.ts'
import { PacketIds } from './mqtt-packet-ids.ts'
import type { RetainedSource, RetainedStore } from './mqtt-retained.ts'
import type { LeavingMessage, Rights } from './mqtt-rights.ts'
import { SessionQueue } from './mqtt-session-queue.ts'
import type { ShareGroup } from './mqtt-share-groups.ts'
import { type Qos, Subscribers } from './mqtt-subscribers.ts'
import { shareOf } from './places.ts'

export interface PersistenceBounds {
  readonly sessionsMax: number
  /** Of all sessions, whether their clients are there or not. */
  readonly filtersTotalMax: number
  readonly queueMessagesMax: number
  readonly queueBytesMax: number
}

interface ClientRef {
  readonly id: string
}

interface Subscription {
  readonly topic: string
  readonly qos: Qos
}

/** The packets that Aedes hands over, as far as they matter here. */
export interface StoredPacket {
  readonly cmd: string
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Qos
  readonly retain: boolean
  readonly brokerId?: string
  readonly brokerCounter?: number
  readonly messageId?: number
  /** Of whom it came, where that is a bridge. */
  readonly clientId?: string | undefined
}

interface Session {
  connections: number
  /** It is that of another broker. */
  isBridge: boolean
  /** Whose it is: nobody else may use its client id. */
  principal: Principal
  readonly identity: string
  readonly queue: SessionQueue
}

export class BoundedPersistence {
  readonly #bounds: PersistenceBounds
  readonly #retained: RetainedStore
  readonly #source: RetainedSource | undefined
  readonly #budget: ByteBudget
  readonly #isForeign: (topic: string) => boolean
  readonly #rights: Rights
  readonly #onDrop: (reason: string) => void
  /** Client ids, of sessions that there are. */
  readonly #subscribers = new Subscribers<string>((id) => this.#sessions.get(id)!.identity)
  readonly #sessions = new Map<string, Session>()
  /** Client ids by identity. */
  readonly #owned = new Map<string, Set<string>>()
  /** Those without a connection, the longest away first. */
  readonly #absent = new Map<string, Set<string>>()
  readonly #incoming = new Map<string, PacketIds>()
  readonly #denied = new WeakSet<object>()
  readonly #adding = new WeakMap<object, Promise<void>>()

  constructor(
    bounds: PersistenceBounds,
    dependencies: {
      retained: RetainedStore
      source: RetainedSource | undefined
      /** Of all that waits for absent clients. */
      budget: ByteBudget
      isForeign: (topic: string) => boolean
      rights: Rights
      onDrop: (reason: string) => void
    },
  ) {
    this.#bounds = bounds
    this.#retained = dependencies.retained
    this.#source = dependencies.source
    this.#budget = dependencies.budget
    this.#isForeign = dependencies.isForeign
    this.#rights = dependencies.rights
    this.#onDrop = dependencies.onDrop
  }

  get absentCount(): number {
    return [...this.#absent.values()].reduce((sum, { size }) => sum + size, 0)
  }

  async setup(): Promise<void> {}

  async destroy(): Promise<void> {}

  /** A client with a persistent session is here; false if there is no room for its session. */
  openSession(clientId: string, principal: Principal, isBridge: boolean): boolean {
    let session = this.#sessions.get(clientId)
    if (session === undefined) {
      const identity = identityOf(principal)
      if (!this.#makeRoom(identity, principal)) return false
      const queue = new SessionQueue(this.#bounds, this.#budget, this.#onDrop)
      session = { connections: 0, isBridge, principal, identity, queue }
      this.#sessions.set(clientId, session)
      put(this.#owned, identity, clientId)
    }
    session.principal = principal
    session.isBridge = isBridge
    session.connections++
    drop(this.#absent, session.identity, clientId)
    return true
  }

  /** Whether the session of this client id is of another identity. */
  isHeldByOther(clientId: string, identity: string): boolean {
    const session = this.#sessions.get(clientId)
    return session !== undefined && session.identity !== identity
  }

  /** Gives up all sessions of an identity, with what waits in them. */
  endSessionsOf(identity: string): void {
    for (const clientId of [...(this.#owned.get(identity) ?? [])]) this.#forget(clientId)
  }

  /** Whether whose session this is may have a message. */
  mayReceive(clientId: string, packet: LeavingMessage): boolean {
    const session = this.#sessions.get(clientId)
    return session !== undefined && this.#rights.mayReceive(session.principal, packet)
  }

  /** It is gone; its session stays if it has anything to keep. */
  closeSession(clientId: string): void {
    const session = this.#sessions.get(clientId)
    if (session === undefined || --session.connections > 0) return
    const isEmpty =
      this.#subscribers.filtersOf(clientId).size === 0 &&
      session.queue.size === 0 &&
      !this.#incoming.has(clientId)
    if (isEmpty) this.#forget(clientId)
    else put(this.#absent, session.identity, clientId)
  }

  /**
   * Whether the session of a client may have one filter more. For it, those that are away for longest are
   * given up: they would keep others out for ever.
   */
  hasRoomForFilter(clientId: string, filter: string): boolean {
    if (this.#subscribers.filtersOf(clientId).has(filter)) return true
    const session = this.#sessions.get(clientId)
    const { filtersTotalMax } = this.#bounds
    const share =
      session === undefined ? filtersTotalMax : shareOf(filtersTotalMax, session.principal)
    const own = session === undefined ? '' : session.identity
    while (this.#subscribers.countOf(own) >= share) if (!this.#evict(own)) return false
    while (this.#subscribers.count >= filtersTotalMax) if (!this.#evict()) return false
    return true
  }

  /** A subscription that was refused: Aedes would store it with its allowed neighbours. */
  deny(subscription: object): void {
    this.#denied.add(subscription)
  }

  /** Whether a message to this client waits for its acknowledgement under this id. */
  hasOutgoing(clientId: string, messageId: number): boolean {
    return this.#sessions.get(clientId)?.queue.hasMessageId(messageId) ?? false
  }

  hasIncoming(clientId: string, messageId: number): boolean {
    return this.#incoming.get(clientId)?.has(messageId) ?? false
  }

  // Subscriptions of persistent sessions

  /** Called once for each filter of a packet, each time with all of them: done once. */
  addSubscriptions(client: ClientRef, subscriptions: readonly Subscription[]): Promise<void> {
    let adding = this.#adding.get(subscriptions)
    if (adding === undefined) {
      // In the next turn each filter of the packet has been judged.
      adding = Promise.resolve().then(() => this.#add(client.id, subscriptions))
      this.#adding.set(subscriptions, adding)
    }
    return adding
  }

  #add(clientId: string, subscriptions: readonly Subscription[]): void {
    if (!this.#sessions.has(clientId)) return
    for (const subscription of subscriptions) {
      if (this.#denied.has(subscription)) continue
      this.#subscribers.set(clientId, subscription.topic, subscription.qos)
    }
  }

  async removeSubscriptions(client: ClientRef, filters: readonly string[]): Promise<void> {
    for (const filter of filters) this.#subscribers.delete(client.id, filter)
  }

  async subscriptionsByClient(client: ClientRef): Promise<Subscription[]> {
    const filters = this.#subscribers.filtersOf(client.id)
    return [...filters].map(([topic, qos]) => ({ topic, qos }))
  }

  /** Of each session one, with the highest QoS that it was granted for the topic. */
  async subscriptionsByTopic(topic: string): Promise<(Subscription & { clientId: string })[]> {
    return this.#subscriptionsFor(topic)
  }

  #subscriptionsFor(topic: string): (Subscription & { clientId: string })[] {
    const matching = this.#subscribers.matching(topic)
    return matching
      .filter(([, qos]) => qos > 0)
      .map(([clientId, qos]) => ({ clientId, topic, qos }))
  }

  /** Of each group of sessions that share a subscription, one is to get a message of this topic. */
  groupsFor(topic: string): ShareGroup<string>[] {
    return this.#subscribers.groupsFor(topic)
  }

  /** A clean session begins: what the last one left is discarded [MQTT-3.1.2-6]. */
  endSession(clientId: string): void {
    this.#forget(clientId)
  }

  async cleanSubscriptions(client: ClientRef): Promise<void> {
    this.endSession(client.id)
  }

  // What waits for a client

  async outgoingEnqueue(subscription: { clientId: string }, packet: StoredPacket): Promise<void> {
    await this.outgoingEnqueueCombi([{ ...subscription, qos: packet.qos }], packet)
  }

  async outgoingEnqueueCombi(
    subscriptions: readonly { clientId: string; qos: Qos }[],
    packet: StoredPacket,
  ): Promise<void> {
    this.#enqueueFor(subscriptions, packet)
  }

  /** For each session that it is for. */
  enqueue(packet: StoredPacket): void {
    if (this.#sessions.size > 0) this.#enqueueFor(this.#subscriptionsFor(packet.topic), packet)
  }

  #enqueueFor(
    subscriptions: readonly { clientId: string; qos: Qos }[],
    packet: StoredPacket,
  ): void {
    const allowed = subscriptions.filter(
      ({ clientId }) => clientId !== packet.clientId && this.mayReceive(clientId, packet),
    )
    if (allowed.length === 0) return
    const payload = Buffer.from(packet.payload)
    this.#rights.copyOwner(packet.payload, payload)
    for (const { clientId, qos } of allowed) {
      this.#sessions.get(clientId)?.queue.add(packet, payload, qos)
    }
  }

  async outgoingUpdate(client: ClientRef, packet: StoredPacket): Promise<void> {
    this.#sessions.get(client.id)?.queue.update(packet)
  }

  async outgoingClearMessageId(
    client: ClientRef,
    packet: StoredPacket,
  ): Promise<StoredPacket | undefined> {
    return this.#sessions.get(client.id)?.queue.remove(packet)
  }

  outgoingStream(client: ClientRef): Readable {
    const session = this.#sessions.get(client.id)
    return Readable.from(session?.queue.packets(session.isBridge) ?? [])
  }

  // QoS 2 towards us: that an id was seen is all that is needed until its PUBREL. There is no other
  // bound than MQTT's 65,535 ids: PUBRELs come behind the publishes that a client had sent before, so
  // who is not read can free none.

  async incomingStorePacket(client: ClientRef, packet: { messageId: number }): Promise<void> {
    const ids = this.#incoming.get(client.id) ?? new PacketIds()
    ids.add(packet.messageId)
    this.#incoming.set(client.id, ids)
  }

  async incomingGetPacket(
    client: ClientRef,
    packet: { messageId: number },
  ): Promise<{ messageId: number }> {
    if (!this.hasIncoming(client.id, packet.messageId)) throw new Error('no such packet')
    return { messageId: packet.messageId }
  }

  async incomingDelPacket(client: ClientRef, packet: { messageId: number }): Promise<void> {
    if (!this.forgetIncoming(client.id, packet.messageId)) throw new Error('no such packet')
  }

  /** False where it is not known. */
  forgetIncoming(clientId: string, messageId: number): boolean {
    const ids = this.#incoming.get(clientId)
    if (!ids?.delete(messageId)) return false
    if (ids.size === 0) this.#incoming.delete(clientId)
    return true
  }

  forgetAllIncoming(clientId: string): void {
    this.#incoming.delete(clientId)
  }

  async cleanIncoming(client: ClientRef): Promise<void> {
    this.forgetAllIncoming(client.id)
  }

  // Retained messages

  async storeRetained(packet: StoredPacket): Promise<void> {
    this.keep(packet)
  }

  keep(packet: StoredPacket): void {
    const { topic, payload, qos } = packet
    // Foreign ones were stored when they came (mqtt-publishes.ts): once more now, after the flush that they
    // waited for, they would undo what came for their topic meanwhile, also on the disk.
    if (this.#source?.owns(topic) || this.#isForeign(topic)) return
    const isStored = this.#retained.store({ topic, payload, qos, isForeign: false })
    if (!isStored) this.#onDrop('retained-full')
  }

  /** Nothing: `RetainedDelivery` sends them. */
  createRetainedStreamCombi(): Readable {
    return Readable.from([])
  }

  createRetainedStream(): Readable {
    return Readable.from([])
  }

  // Wills live with their connection; those of a process that ended are not published

  async putWill(): Promise<void> {}

  async getWill(): Promise<undefined> {}

  /**
   * What Aedes waits for right before it registers a client: one that has gone meanwhile would throw
   * off the next one of its id.
   */
  async delWill(client: { readonly conn?: { readonly destroyed: boolean } }): Promise<undefined> {
    if (client.conn?.destroyed) await new Promise(() => {})
  }

  streamWill(): Readable {
    return Readable.from([])
  }

  /** For one session more of this identity, which does not push out those of others beyond its own share. */
  #makeRoom(identity: string, principal: Principal): boolean {
    const { sessionsMax } = this.#bounds
    const own = this.#owned.get(identity)?.size ?? 0
    if (own >= shareOf(sessionsMax, principal) && !this.#evict(identity)) return false
    return this.#sessions.size < sessionsMax || this.#evict()
  }

  /** Gives up the session that has been away for longest, of this identity or of that which has most of them. */
  #evict(identity?: string): boolean {
    const most = [...this.#absent].reduce(
      (before, next) => (next[1].size > before[1].size ? next : before),
      ['', new Set<string>()],
    )
    const [clientId] = identity === undefined ? most[1] : (this.#absent.get(identity) ?? [])
    if (clientId === undefined) return false
    this.#onDrop('session-evicted')
    this.#forget(clientId)
    return true
  }

  #forget(clientId: string): void {
    const session = this.#sessions.get(clientId)
    if (session !== undefined) {
      session.queue.clear()
      drop(this.#owned, session.identity, clientId)
      drop(this.#absent, session.identity, clientId)
    }
    this.#sessions.delete(clientId)
    this.#incoming.delete(clientId)
    this.#subscribers.clear(clientId)
  }
}

function put(sets: Map<string, Set<string>>, key: string, member: string): void {
  const set = sets.get(key) ?? new Set()
  sets.set(key, set.add(member))
}

function drop(sets: Map<string, Set<string>>, key: string, member: string): void {
  const set = sets.get(key)
  set?.delete(member)
  if (set?.size === 0) sets.delete(key)
}
