/** What waits for the acknowledgement of one persistent session, oldest first, bounded. */
import type { ByteBudget } from './byte-budget.ts'
import type { StoredPacket } from './mqtt-persistence.ts'

interface Entry {
  packet: StoredPacket
  messageId: number | undefined
  readonly bytes: number
}

/** What one entry costs besides its topic and payload, roughly. */
const ENTRY_BYTES = 300

export class SessionQueue {
  readonly #bounds: { readonly queueMessagesMax: number; readonly queueBytesMax: number }
  readonly #budget: ByteBudget
  readonly #onDrop: (reason: string) => void
  /** By the number that Aedes gave the packet: one broker, so it stands alone. */
  readonly #entries = new Map<number, Entry>()
  readonly #byMessageId = new Map<number, number>()
  #bytes = 0

  constructor(
    bounds: { readonly queueMessagesMax: number; readonly queueBytesMax: number },
    budget: ByteBudget,
    onDrop: (reason: string) => void,
  ) {
    this.#bounds = bounds
    this.#budget = budget
    this.#onDrop = onDrop
  }

  get size(): number {
    return this.#entries.size
  }

  /** Takes a packet, and gives up the oldest ones if there is no room. */
  add(packet: StoredPacket, payload: Buffer, qos: 0 | 1 | 2): void {
    const { topic, brokerId, brokerCounter } = packet
    if (brokerCounter === undefined || brokerId === undefined) return
    const bytes = topic.length + payload.length + ENTRY_BYTES
    const { queueMessagesMax, queueBytesMax } = this.#bounds
    while (
      this.#entries.size > 0 &&
      (this.#entries.size >= queueMessagesMax || this.#bytes + bytes > queueBytesMax)
    ) {
      this.#dropOldest()
    }
    if (bytes > queueBytesMax || !this.#budget.take(bytes)) {
      this.#onDrop('offline-queue-full')
      return
    }
    const stored: StoredPacket = {
      cmd: 'publish',
      topic,
      payload,
      brokerId,
      brokerCounter,
      qos: qos < packet.qos ? qos : packet.qos,
      retain: packet.retain,
    }
    this.#entries.set(brokerCounter, { packet: stored, messageId: undefined, bytes })
    this.#bytes += bytes
  }

  /** Whether a message of this id waits for its acknowledgement. */
  hasMessageId(messageId: number): boolean {
    return this.#byMessageId.has(messageId)
  }

  /** A packet was given its message id, or its PUBREL follows it; it may be gone already. */
  update(packet: StoredPacket): void {
    const { messageId } = packet
    if (messageId === undefined) return
    if (packet.cmd === 'pubrel') {
      const entry = this.#entries.get(this.#byMessageId.get(messageId) ?? -1)
      if (entry !== undefined) entry.packet = packet
      return
    }
    const counter = packet.brokerCounter ?? -1
    const entry = this.#entries.get(counter)
    if (entry === undefined) return
    if (entry.messageId !== undefined) this.#byMessageId.delete(entry.messageId)
    entry.messageId = messageId
    this.#byMessageId.set(messageId, counter)
  }

  /** Removes the packet that was acknowledged, or that will not be sent. */
  remove(packet: StoredPacket): StoredPacket | undefined {
    const counter =
      packet.messageId === undefined
        ? packet.brokerCounter
        : this.#byMessageId.get(packet.messageId)
    const entry = this.#entries.get(counter ?? -1)
    if (counter === undefined || entry === undefined) return undefined
    this.#delete(counter, entry)
    return entry.packet
  }

  /**
   * Everything, to be sent again: with the id it had, and marked as repeated [MQTT-4.4.0-1]. The retain flag is as
   * published for a bridge, and not set for others [MQTT-3.3.1-9].
   */
  packets(isForBridge: boolean): object[] {
    return [...this.#entries.values()].map(({ packet, messageId }) => {
      if (packet.cmd !== 'publish') return packet
      const sent = { ...packet, retain: isForBridge && packet.retain }
      return messageId === undefined ? sent : { ...sent, messageId, dup: true }
    })
  }

  clear(): void {
    this.#budget.give(this.#bytes)
    this.#bytes = 0
    this.#entries.clear()
    this.#byMessageId.clear()
  }

  #dropOldest(): void {
    for (const [counter, entry] of this.#entries) {
      this.#delete(counter, entry)
      this.#onDrop('offline-queue-full')
      return
    }
  }

  #delete(counter: number, entry: Entry): void {
    this.#entries.delete(counter)
    if (entry.messageId !== undefined) this.#byMessageId.delete(entry.messageId)
    this.#bytes -= entry.bytes
    this.#budget.give(entry.bytes)
  }
}
