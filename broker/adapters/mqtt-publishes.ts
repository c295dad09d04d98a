/**
 * What becomes of a publish. It is answered here, a submission once the gateway has answered it, and goes from here to
 * who has subscribed; the client hears of what it says once it is gone: of its will, and of what was held.
 */
import type { PublishPacket } from 'aedes'
import type { Submitter } from '../core/events.ts'
import { type DropReason, decidePublish, probeTopicOf } from './mqtt-access.ts'
import { type Connection, encodeAcknowledgement, NOBODY } from './mqtt-connection.ts'
import type { BrokerClient } from './mqtt-delivery.ts'
import type { BrokerParts, ReadingMessage, Submission } from './mqtt-hooks.ts'
import type { IncomingPublish } from './mqtt-incoming.ts'
import { PUBACK, PUBREC } from './mqtt-packets.ts'
import { RefusedTopics } from './mqtt-refused-topics.ts'
import type { Qos } from './mqtt-subscribers.ts'

const EMPTY = Buffer.alloc(0)

type PublishDone = (error?: Error | null) => void

export class Publishes {
  readonly #parts: BrokerParts
  /** Retained messages at QoS 2 that wait for their flush, by client and packet id. */
  readonly #waiting = new Set<string>()
  readonly #refusedTopics: RefusedTopics
  /** Packets that wait for their answer while their client is read on. */
  readonly #readBehind = new WeakSet<PublishPacket>()
  #isClosing = false

  constructor(parts: BrokerParts) {
    this.#parts = parts
    const { base, logger, rights } = parts
    this.#refusedTopics = new RefusedTopics(base, rights.ownerOf, logger)
  }

  /** From now on no will is published: it is the gateway that goes, not its clients. */
  setClosing(): void {
    this.#isClosing = true
  }

  authorize(client: BrokerClient | null, packet: PublishPacket, done: PublishDone): void {
    const { base, connections, dropped, limits, persistence, port, rights } = this.#parts
    const connection = connections.of(client)
    if (this.#isClosing || client === null || connection === undefined) {
      done(new Error('the connection is gone'))
      return
    }
    const consumed = (): void => this.#consumed(client, connection, packet, done)
    const pass = (): void => this.#pass(client, connection, packet, done)
    if (connections.isProbe(connection)) {
      if (packet.topic === probeTopicOf(client.id)) pass()
      else consumed()
      return
    }
    // By which it is kept from coming back: what a client has published others may be, too.
    if (connection.gate.isBridge) Object.assign(packet, { clientId: client.id })
    // Nothing but its will comes from a client that is closed.
    const isWill = client.closed
    const payload = bytesOf(packet.payload)
    const { messageId, topic, retain } = packet
    if (
      packet.qos === 2 &&
      messageId !== undefined &&
      persistence.hasIncoming(client.id, messageId)
    ) {
      // It had its effect, and only the PUBREC was lost [MQTT-4.3.3-2].
      consumed()
      return
    }
    const request = { topic, payloadBytes: payload.length, retain, isWill }
    const { topicLevelsMax } = limits
    const decision = decidePublish(base, connection, request, topicLevelsMax, rights.ownerOf)
    switch (decision.verdict) {
      case 'submission':
        packet.retain = false
        this.#submit(client, connection, packet, payload, isWill, pass, consumed)
        return
      case 'readings':
        packet.retain = false
        this.#read(client, connection, packet, { of: decision.of, payload }, pass, consumed)
        return
      case 'cancel':
        packet.retain = false
        port.onCancel({ task: decision.task, submitter: this.#submitterOf(connection, client) })
        break
      case 'node-message':
        // It has reached whom it is for.
        if (!connection.isGone) {
          port.onNodeMessage({ connection: client.id, node: decision.node, payload })
        }
        this.#inTurn(client, connection, packet, payload, consumed)
        return
      case 'forward':
        packet.retain = decision.retain
        if (decision.report) port.onReport({ ...decision.report, payload })
        if (decision.isForeign) {
          this.#forward(client, connection, packet, payload, pass)
          return
        }
        break
      case 'drop':
        dropped.add(decision.reason)
        this.#tellOfRefused(connection, client, topic, decision.reason)
        this.#inTurn(client, connection, packet, payload, consumed)
        return
    }
    this.#inTurn(client, connection, packet, payload, pass)
  }

  /** Behind those before it: they are acknowledged in the order in which they came. */
  #inTurn(
    client: BrokerClient,
    connection: Connection,
    packet: PublishPacket,
    payload: Buffer,
    release: () => void,
  ): void {
    if (!connection.mustWait(packet.qos)) {
      release()
      return
    }
    connection.hold('forward', payload.length, release)()
    this.#readOn(client, packet)
  }

  /** To whoever has subscribed. A will is its client's. */
  #pass(
    client: BrokerClient,
    connection: Connection,
    packet: PublishPacket,
    done: PublishDone,
  ): void {
    if (client.closed) {
      done()
      return
    }
    const { delivery } = this.#parts
    if (!this.#acknowledge(client, connection, packet)) {
      this.#done(client, packet)
      return
    }
    const { topic, qos, retain } = packet
    const { clientId } = packet as { clientId?: string }
    const message = { topic, payload: bytesOf(packet.payload), qos, retain, clientId }
    delivery.publish(message, () => this.#done(client, packet))
  }

  /** It goes to nobody else: all that is left to do is to acknowledge it. */
  #consumed(
    client: BrokerClient,
    connection: Connection,
    packet: PublishPacket,
    done: PublishDone,
  ): void {
    // Of a will, its client has to hear that it is not to be published.
    if (client.closed) {
      done(new Error('it reaches nobody'))
      return
    }
    this.#acknowledge(client, connection, packet)
    this.#done(client, packet)
  }

  /**
   * Aedes reads a client no further while it is at one of its packets; one that waits for its answer
   * must not keep the client from being served. `Connection` bounds how many wait.
   */
  #readOn(client: BrokerClient, packet: PublishPacket): void {
    this.#readBehind.add(packet)
    process.nextTick(nextBatch, client)
  }

  /** Once for each packet: said twice, it would be said of another one, whose receivers are not ready for more. */
  #done(client: BrokerClient, packet: PublishPacket): void {
    if (!this.#readBehind.delete(packet)) nextBatch(client)
  }

  /** False for a repetition at QoS 2, whose effect there was. Before anybody else has it: the sender does not wait for them. */
  #acknowledge(
    client: BrokerClient,
    { gate }: Connection,
    { qos, messageId }: PublishPacket,
  ): boolean {
    if (messageId === undefined || qos === 0) return true
    const { persistence } = this.#parts
    const isNew = qos === 1 || !persistence.hasIncoming(client.id, messageId)
    if (qos === 2 && isNew) void persistence.incomingStorePacket(client, { messageId })
    const type = qos === 1 ? PUBACK : PUBREC
    gate.sendPacket(type, encodeAcknowledgement(type, messageId))
    return isNew
  }

  #tellOfRefused(
    connection: Connection,
    { id: client }: Pick<BrokerClient, 'id'>,
    topic: string,
    reason: DropReason,
  ): void {
    const { principal } = connection
    this.#refusedTopics.tell({ client, principal, topic, reason })
    // Only what somebody did who is known: in the open mode nobody is.
    if (connection.shownIdentity === NOBODY) return
    this.#parts.port.onSecurityEvent?.({ ...connection.told('publish-refused'), code: reason })
  }

  /**
   * Outside the base: it is retained from now on, in the order in which it came, and what inputs find in it is read. At
   * QoS 1 and 2 it reaches subscribers once both are on disk.
   */
  #forward(
    client: BrokerClient,
    connection: Connection,
    packet: PublishPacket,
    payload: Buffer,
    pass: () => void,
  ): void {
    const { journal, port } = this.#parts
    const { qos, messageId, topic } = packet
    const key = `${messageId} ${client.id}`
    const isRepeated = qos === 2 && packet.dup && this.#waiting.has(key)
    const writes: Promise<void>[] = []
    if (packet.retain) {
      if (!isRepeated) packet.retain = this.keep({ topic, payload, qos })
      if (qos > 0 && journal !== undefined) writes.push(journal.flushed())
    }
    const message = { topic, payload, submitter: this.#submitterOf(connection, client) }
    if (qos === 0) port.onForeign?.(message)
    else {
      // Also a repetition: this connection, too, waits for the ledger. To read it twice changes nothing.
      let isRead = false
      const read = new Promise<void>((resolve) => {
        isRead = port.onForeign?.(message, resolve) ?? false
      })
      if (isRead) writes.push(read)
    }
    if (!connection.mustWait(qos) && writes.length === 0) {
      pass()
      return
    }
    if (qos === 2) this.#waiting.add(key)
    const answered = connection.hold('forward', payload.length, () => {
      this.#waiting.delete(key)
      pass()
    })
    // What cannot be written ends the process: it is not to be acknowledged.
    if (writes.length > 0) Promise.all(writes).then(answered, () => {})
    else answered()
    this.#readOn(client, packet)
  }

  /** False if there is no room for it: nothing is retained for its topic then. Outside the base. */
  keep(message: { readonly topic: string; readonly payload: Buffer; readonly qos: Qos }): boolean {
    const { dropped, journal, retained } = this.#parts
    const hasRoom = message.payload.length === 0 || (journal?.hasRoom ?? true)
    const payload = hasRoom ? message.payload : EMPTY
    if (retained.store({ ...message, payload, isForeign: true }) && hasRoom) return true
    dropped.add('retained-full')
    journal?.refuse()
    return false
  }

  #read(
    client: BrokerClient,
    connection: Connection,
    packet: PublishPacket,
    { of, payload }: Pick<ReadingMessage, 'of' | 'payload'>,
    pass: () => void,
    consumed: () => void,
  ): void {
    const { topic, qos } = packet
    const message = { of, topic, payload, submitter: this.#submitterOf(connection, client) }
    const { dropped, port } = this.#parts
    const isMistyped = of.kind === 'cell-mistyped'
    if (isMistyped) dropped.add('topic-not-allowed')
    const passed = isMistyped ? consumed : pass
    if (qos === 0) {
      port.onReadings(message)
      if (!connection.mustWait(qos)) passed()
      else connection.hold('forward', payload.length, passed)()
      return
    }
    port.onReadings(message, connection.hold('submission', payload.length, passed))
    if (connection.heldCount > 0) this.#readOn(client, packet)
  }

  #submit(
    client: BrokerClient,
    connection: Connection,
    packet: PublishPacket,
    payload: Buffer,
    isWill: boolean,
    pass: () => void,
    consumed: () => void,
  ): void {
    const { messageId } = packet
    const { skippedBytes } = packet as PublishPacket & Partial<IncomingPublish>
    const submitter: Submitter = {
      ...this.#submitterOf(connection, client),
      ...(packet.qos > 0 && messageId !== undefined && !isWill
        ? { packetId: messageId, isDuplicate: packet.dup }
        : {}),
    }
    const submission: Submission =
      skippedBytes === undefined
        ? { payload, submitter }
        : { payload: EMPTY, skippedBytes, submitter }
    const passed = skippedBytes === undefined ? pass : consumed
    const answered = connection.hold('submission', payload.length, passed)
    this.#parts.port.onSubmission(submission, answered)
    if (connection.heldCount > 0) this.#readOn(client, packet)
  }

  #submitterOf({ principal }: Connection, { id }: BrokerClient): Submitter {
    return {
      ...{ via: 'mqtt', client: id },
      ...(principal.kind === 'user' && { user: principal }),
    }
  }
}

function bytesOf(payload: string | Buffer): Buffer {
  return typeof payload === 'string' ? Buffer.from(payload) : payload
}

function nextBatch(client: BrokerClient): void {
  client._nextBatch()
}
