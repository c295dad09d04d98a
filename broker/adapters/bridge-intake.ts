/**
 * What comes over a bridge: it goes to the gateway's own port at once, as from a user, and many messages are under way.
 * The other broker has its acknowledgement of one once the gateway has acknowledged it, and those before: in the order
 * in which they came [MQTT-4.6.0-2]. While too many are under way its socket is not read.
 *
 * What the gateway would end the connection for it is not given: it would come again for ever, and all behind it with it.
 *
 * Where a connection ends, nothing counts as acknowledged that was not: what the gateway has not answered it is sent
 * again, and what the other broker has not had answered comes from there again.
 */
import type { IPublishPacket } from 'mqtt-packet'
import { FilterTrie } from '../../shared/protocol/filter-trie.ts'
import { filterMatches } from '../../shared/protocol/topic-filters.ts'
import type { BridgeClient } from './bridge-end.ts'
import { filterOfShared, isShared } from './mqtt-share-groups.ts'

export interface BridgeIntakeOptions {
  /** All else is for filters of a configuration of before, which the other broker keeps: it is left, as what is below. */
  readonly filtersIn: readonly string[]
  /** What of these comes in went out before: it is acknowledged, and left where it is. */
  readonly filtersOut: readonly string[]
  /** Whether the gateway takes such a packet, whatever it makes of it. */
  isTakeable(topic: string, payloadBytes: number): boolean
  /** One that is not was left, the first of a connection. */
  onLeft(topic: string, payloadBytes: number): void
  /** Of what is under way. One more is taken before it is looked at. */
  readonly messagesMax: number
  readonly bytesMax: number
}

interface UnderWay {
  readonly topic: string
  readonly payload: Buffer
  readonly retain: boolean
  isTaken: boolean
  readonly acknowledge: () => void
}

/** Told instead of a success it keeps mqtt.js from acknowledging, and it reads on. */
const NOT_YET = new Error('not acknowledged yet')

export class BridgeIntake {
  readonly #options: BridgeIntakeOptions
  readonly #wanted = new FilterTrie<true>()
  readonly #far: BridgeClient
  readonly #near: BridgeClient
  /** Since the other broker was connected to, in the order in which they came. */
  #underWay: UnderWay[] = []
  #bytes = 0
  #isNearUp = false
  #hasLeftOne = false
  /** Lets the next one come. */
  #held: (() => void) | undefined

  constructor(options: BridgeIntakeOptions, far: BridgeClient, near: BridgeClient) {
    this.#options = options
    for (const filter of options.filtersIn) {
      this.#wanted.set((isShared(filter) && filterOfShared(filter)) || filter, true)
    }
    this.#far = far
    this.#near = near
    far.handleMessage = (packet, done) => this.#receive(packet, done)
    far.on('close', () => this.#farClosed())
    near.on('connect', () => this.#nearConnected())
    near.on('close', () => this.#nearClosed())
  }

  #receive(packet: IPublishPacket, done: (error?: Error) => void): void {
    // From a connection that has ended: it comes again.
    if (!this.#far.connected) return
    const { topic, qos, retain, messageId } = packet
    const { stream } = this.#far
    // A copy: it would keep all that came with it.
    const payload = Buffer.from(packet.payload)
    const isLeft = this.#isLeft(topic, payload.length)
    if (qos === 0) {
      if (!isLeft && this.#isNearUp) this.#near.publish(topic, payload, { qos, retain })
      this.#readOn(done)
      return
    }
    // At QoS 2 mqtt.js waits for it, and tells the other broker.
    const acknowledge = qos === 2 ? done : () => stream.write(puback(messageId!))
    const entry: UnderWay = { topic, payload, retain, isTaken: isLeft, acknowledge }
    this.#underWay.push(entry)
    this.#bytes += payload.length
    if (isLeft) this.#acknowledge()
    else if (this.#isNearUp) this.#forward(entry)
    if (qos === 1) this.#readOn(() => done(NOT_YET))
  }

  #isLeft(topic: string, payloadBytes: number): boolean {
    const { filtersOut, isTakeable, onLeft } = this.#options
    if (this.#wanted.matching(topic).length === 0) return true
    if (filtersOut.some((filter) => filterMatches(filter, topic))) return true
    if (isTakeable(topic, payloadBytes)) return false
    if (!this.#hasLeftOne) onLeft(topic, payloadBytes)
    this.#hasLeftOne = true
    return true
  }

  #forward(entry: UnderWay): void {
    const { topic, payload, retain } = entry
    this.#near.publish(topic, payload, { qos: 1, retain }, (error) => {
      if (error) return
      entry.isTaken = true
      this.#acknowledge()
    })
  }

  #acknowledge(): void {
    while (this.#underWay[0]?.isTaken) {
      const { payload, acknowledge } = this.#underWay.shift()!
      this.#bytes -= payload.length
      acknowledge()
    }
    this.#readOn(this.#held)
  }

  /** Once there is room. */
  #readOn(next: (() => void) | undefined): void {
    const { messagesMax, bytesMax } = this.#options
    const isFull =
      this.#underWay.length >= messagesMax ||
      this.#bytes >= bytesMax ||
      (this.#isNearUp && this.#near.stream.writableNeedDrain)
    this.#held = isFull ? next : undefined
    if (!isFull) next?.()
  }

  #farClosed(): void {
    this.#underWay = []
    this.#bytes = 0
    this.#hasLeftOne = false
    this.#held = undefined
  }

  #nearConnected(): void {
    this.#isNearUp = true
    this.#near.stream.on('drain', () => this.#readOn(this.#held))
    for (const entry of this.#underWay) if (!entry.isTaken) this.#forward(entry)
  }

  #nearClosed(): void {
    this.#isNearUp = false
    // mqtt.js would send them again one by one, and those, too, that come from the other broker again.
    for (const id of Object.keys(this.#near.outgoing)) this.#near.removeOutgoingMessage(Number(id))
    this.#readOn(this.#held)
  }
}

function puback(messageId: number): Buffer {
  return Buffer.of(0x40, 2, messageId >> 8, messageId & 0xff)
}
