/** What the broker knows of one connection besides what Aedes knows. */
import type { NodeId } from '../../shared/core/ids.ts'
import { identityOf, type Principal } from '../../shared/protocol/access.ts'
import type { ToldEvent } from '../../shared/protocol/security-events.ts'
import type { Speaker } from './mqtt-access.ts'
import type { BrokerClient } from './mqtt-delivery.ts'
import type { Gate } from './mqtt-gate.ts'
import { PUBREL } from './mqtt-packets.ts'
import type { RetainedDelivery } from './mqtt-retained.ts'
import type { Qos } from './mqtt-subscribers.ts'

/** As the security log says it. */
export const NOBODY = 'nobody'
/** Publishes of one client that are not to be acknowledged yet; beyond, it is not read. */
export const HELD_BOUNDS = { messagesMax: 1000, bytesMax: 4 * 1024 * 1024 }

interface Held {
  readonly what: 'submission' | 'forward'
  readonly bytes: number
  readonly release: () => void
  isAnswered: boolean
}

export class Connection implements Speaker {
  readonly gate: Gate
  /** Who is there: whose key opened it, or who said name and password. */
  principal: Principal
  /** Where it came from, as limits count it (source.ts); empty where nobody counts. */
  readonly source: string
  isRevoked = false
  /** Set once its CONNECT was accepted. */
  client: BrokerClient | undefined
  node: NodeId | undefined
  isAdmitted = false
  /** The client id, if this connection uses a persistent session. */
  sessionId: string | undefined
  retained: RetainedDelivery | undefined
  /** The start of each message to the node: all but length and payload. */
  downTopic: Buffer | undefined
  /** Once it has taken the id. */
  clientId: string | undefined
  /** Of those with one client id: who comes next, and begins once this one and all before it have left. */
  next: { readonly connection: Connection; readonly begin: () => void } | undefined
  isFirst = true
  hasLeft = false
  /** Publishes in the order that they came. */
  readonly #held: Held[] = []
  #heldBytes = 0
  #heldForwards = 0
  #isHolding = false

  constructor(gate: Gate, principal: Principal, source: string) {
    this.gate = gate
    this.principal = principal
    this.source = source
  }

  /** What its client id and its session belong to. */
  get identity(): string {
    return identityOf(this.principal)
  }

  /** What opened it and may end before its identity: of a node SHA-256 of its key, hexadecimal, of a user a token. */
  get key(): string | undefined {
    const { principal } = this
    if (principal.kind === 'user') return principal.token
    return principal.kind === 'node' ? principal.key : undefined
  }

  /** As the security log says it. */
  get shownIdentity(): string {
    const { kind } = this.principal
    return kind === 'node' || kind === 'revoked' || kind === 'user' ? this.identity : NOBODY
  }

  /** What it did, as the security log has it. */
  told<E extends ToldEvent>(event: E) {
    return { event, who: this.shownIdentity, source: this.source, via: 'mqtt' } as const
  }

  get isGone(): boolean {
    return this.gate.destroyed
  }

  get heldCount(): number {
    return this.#held.length
  }

  /** Whether a publish to others has to wait behind one that is held. */
  mustWait(qos: Qos): boolean {
    return qos > 0 ? this.#held.length > 0 : this.#heldForwards > 0
  }

  /**
   * `release` is called once the returned function was, and all before it were released: they are
   * acknowledged in the order that they came [MQTT-4.6.0-2].
   */
  hold(what: 'submission' | 'forward', bytes: number, release: () => void): () => void {
    const held = { what, bytes, release, isAnswered: false }
    this.#held.push(held)
    this.#heldBytes += bytes
    if (what === 'forward') this.#heldForwards++
    this.#updateHold()
    return () => {
      if (held.isAnswered) return
      held.isAnswered = true
      while (this.#held[0]?.isAnswered) {
        const first = this.#held.shift()!
        this.#heldBytes -= first.bytes
        if (first.what === 'forward') this.#heldForwards--
        first.release()
      }
      this.#updateHold()
    }
  }

  #updateHold(): void {
    const { messagesMax, bytesMax } = HELD_BOUNDS
    const isFull = this.#held.length >= messagesMax || this.#heldBytes >= bytesMax
    if (isFull === this.#isHolding) return
    this.#isHolding = isFull
    if (isFull) this.gate.hold()
    else this.gate.release()
  }
}

/** A PUBLISH at QoS 0 with a prepared topic. */
export function encodePublish(topic: Buffer, payload: Uint8Array): Buffer {
  const bodyBytes = topic.length + payload.length
  const bodyAt = 1 + lengthBytesOf(bodyBytes)
  const bytes = Buffer.allocUnsafe(bodyAt + bodyBytes)
  bytes[0] = 0x30
  writeLength(bytes, bodyBytes)
  bytes.set(topic, bodyAt)
  bytes.set(payload, bodyAt + topic.length)
  return bytes
}

/** How many bytes the length of a body takes [MQTT-2.2.3]. */
export function lengthBytesOf(bodyBytes: number): number {
  if (bodyBytes < 128) return 1
  if (bodyBytes < 16_384) return 2
  return bodyBytes < 2_097_152 ? 3 : 4
}

/** Behind the first byte of a packet. */
export function writeLength(packet: Buffer, bodyBytes: number): void {
  let rest = bodyBytes
  for (let at = 1; ; at++) {
    packet[at] = rest < 128 ? rest : (rest & 0x7f) | 0x80
    if (rest < 128) return
    rest >>= 7
  }
}

/** A packet of an id alone, as a PUBACK. */
export function encodeAcknowledgement(type: number, id: number): Buffer {
  // [MQTT-3.6.1-1]
  const flags = type === PUBREL ? 2 : 0
  return Buffer.from([(type << 4) | flags, 2, id >> 8, id & 0xff])
}

/** A topic as it stands in a PUBLISH: with its length before it. */
export function encodeTopic(topic: string): Buffer {
  const text = Buffer.from(topic)
  return Buffer.concat([Uint8Array.of(text.length >> 8, text.length & 0xff), text])
}
