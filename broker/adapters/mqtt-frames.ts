/**
 * Cuts a byte stream into MQTT packets. A packet is refused by the length that it declares, before
 * its bytes are kept; a submission that is too large, but not beyond all measure, is run over
 * without keeping it: only its head comes out.
 */
import type { ByteBudget } from './byte-budget.ts'
import {
  PUBLISH,
  PUBREL,
  readFixedHeader,
  readPublishHead,
  SUBSCRIBE,
  UNSUBSCRIBE,
} from './mqtt-packets.ts'

const MIB = 1024 * 1024
const EMPTY = Buffer.alloc(0)

export interface FrameBounds {
  readonly preConnectBytesMax: number
  /** A PUBLISH after CONNECT, without its fixed header. */
  readonly publishBytesMax: number
  /** A SUBSCRIBE or UNSUBSCRIBE. */
  readonly filtersBytesMax: number
  /** Any other packet after CONNECT. */
  readonly controlBytesMax: number
  readonly topicBytesMax: number
  /** The topic whose large payloads are skipped, and from where to where. */
  readonly submitTopic: Buffer
  readonly submissionBytesMax: number
  readonly submissionBytesSkippedMax: number
}

/** One whole packet in `buffer`; of a skipped one, only what stands before the payload. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly buffer: Buffer
  readonly start: number
  readonly bodyStart: number
  readonly end: number
  /** The bytes of the payload that was run over. */
  readonly skippedBytes?: number
}

export type FrameProblem = 'packet-length' | 'packet-too-large' | 'topic-too-long'

export class FrameReader {
  readonly #bounds: FrameBounds
  readonly #budget: ByteBudget
  #isConnected = false
  /** What is pending begins in the first piece; there are more of them only while one packet comes in several. */
  #first: Buffer | undefined
  #more: Buffer[] | undefined
  /** How much of the first piece is used up. */
  #at = 0
  #pendingBytes = 0
  /** Below this many pending bytes there is nothing new to see. */
  #neededBytes = 2
  #skip: { readonly frame: Frame; bytesLeft: number } | undefined
  #stage = 0

  constructor(bounds: FrameBounds, budget: ByteBudget) {
    this.#bounds = bounds
    this.#budget = budget
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** A packet has begun and not ended. */
  get isPartial(): boolean {
    return this.#pendingBytes > 0 || this.#skip !== undefined
  }

  /** Grows with each packet, and with each MiB that is skipped. */
  get stage(): number {
    return this.#stage
  }

  /** After CONNECT the larger bounds hold. */
  setConnected(): void {
    this.#isConnected = true
  }

  /** False if the shared budget has no room for these bytes. */
  add(chunk: Buffer): boolean {
    const rest = this.#skip === undefined ? chunk : this.#skipOver(chunk)
    if (rest.length === 0) return true
    if (!this.#budget.take(rest.length)) return false
    if (this.#first === undefined) this.#first = rest
    else {
      this.#more ??= []
      this.#more.push(rest)
    }
    this.#pendingBytes += rest.length
    return true
  }

  next(): Frame | FrameProblem | 'incomplete' {
    if (this.#skip !== undefined) {
      if (this.#skip.bytesLeft > 0) return 'incomplete'
      const { frame } = this.#skip
      this.#skip = undefined
      this.#stage++
      return frame
    }
    if (this.#pendingBytes < this.#neededBytes) return this.#wait(this.#neededBytes)
    const buffer = this.#join()
    const header = readFixedHeader(buffer, this.#at)
    if (header === 'malformed') return 'packet-length'
    if (header === 'incomplete') return this.#wait(this.#pendingBytes + 1)

    const { type, flags, bodyBytes } = header
    const start = this.#at
    const bodyStart = start + header.headerBytes
    if (this.#isConnected && type === PUBLISH && bodyBytes > this.#bounds.submissionBytesMax) {
      const skipped = this.#judgeLarge(buffer, start, header.headerBytes, flags, bodyBytes)
      if (skipped !== 'whole') return skipped
    }
    if (bodyBytes > this.#bodyBytesMax(type)) return 'packet-too-large'
    const end = bodyStart + bodyBytes
    if (buffer.length < end) return this.#wait(header.headerBytes + bodyBytes)
    this.#consume(end - start)
    this.#stage++
    return { type, flags, buffer, start, bodyStart, end }
  }

  /** Gives back what is still held. */
  release(): void {
    this.#budget.give(this.#pendingBytes)
    this.#first = undefined
    this.#more = undefined
    this.#pendingBytes = 0
    this.#at = 0
    this.#skip = undefined
  }

  #bodyBytesMax(type: number): number {
    if (!this.#isConnected) return this.#bounds.preConnectBytesMax
    if (type === PUBLISH) return this.#bounds.publishBytesMax
    const hasFilters = type === SUBSCRIBE || type === UNSUBSCRIBE
    return hasFilters ? this.#bounds.filtersBytesMax : this.#bounds.controlBytesMax
  }

  /** A PUBLISH that may be a submission of more than the limit: its topic tells. */
  #judgeLarge(
    buffer: Buffer,
    start: number,
    headerBytes: number,
    flags: number,
    bodyBytes: number,
  ): Frame | FrameProblem | 'incomplete' | 'whole' {
    const { submissionBytesMax, submissionBytesSkippedMax, submitTopic, topicBytesMax } =
      this.#bounds
    if (bodyBytes > submissionBytesSkippedMax + topicBytesMax + 4) return 'packet-too-large'
    const bodyStart = start + headerBytes
    const head = readPublishHead(buffer.subarray(bodyStart), flags, topicBytesMax)
    if (head === 'topic-too-long') return head
    if (head === 'incomplete') return this.#wait(this.#pendingBytes + 1)
    const topic = buffer.subarray(bodyStart + head.topicStart, bodyStart + head.topicEnd)
    const payloadBytes = bodyBytes - head.headBytes
    if (!topic.equals(submitTopic) || payloadBytes <= submissionBytesMax) return 'whole'
    if (payloadBytes > submissionBytesSkippedMax) return 'packet-too-large'

    const end = bodyStart + head.headBytes
    const kept = Buffer.from(buffer.subarray(start, end))
    this.#consume(end - start)
    const frame: Frame = {
      type: PUBLISH,
      flags,
      buffer: kept,
      start: 0,
      bodyStart: headerBytes,
      end: kept.length,
      skippedBytes: payloadBytes,
    }
    this.#skip = { frame, bytesLeft: payloadBytes }
    const arrived = this.#pendingBytes
    const rest = this.#skipOver(this.#join().subarray(this.#at))
    this.#budget.give(arrived - rest.length)
    this.#first = rest.length === 0 ? undefined : rest
    this.#pendingBytes = rest.length
    this.#at = 0
    return this.next()
  }

  #skipOver(bytes: Buffer): Buffer {
    const skip = this.#skip!
    const count = Math.min(skip.bytesLeft, bytes.length)
    const before = Math.floor(skip.bytesLeft / MIB)
    skip.bytesLeft -= count
    if (Math.floor(skip.bytesLeft / MIB) !== before) this.#stage++
    return bytes.subarray(count)
  }

  #wait(neededBytes: number): 'incomplete' {
    this.#neededBytes = neededBytes
    // What is left of a chunk must not keep the whole chunk alive.
    if (this.#at > 0 && this.#first !== undefined) {
      const rest = this.#first.subarray(this.#at)
      this.#at = 0
      if (rest.length > 0) this.#first = Buffer.from(rest)
      else if (this.#more === undefined) this.#first = undefined
      else {
        this.#first = Buffer.concat(this.#more)
        this.#more = undefined
      }
    }
    return 'incomplete'
  }

  #join(): Buffer {
    if (this.#more !== undefined) {
      this.#first = Buffer.concat([this.#first!.subarray(this.#at), ...this.#more])
      this.#more = undefined
      this.#at = 0
    }
    return this.#first ?? EMPTY
  }

  #consume(bytes: number): void {
    this.#at += bytes
    this.#pendingBytes -= bytes
    this.#neededBytes = 2
    this.#budget.give(bytes)
  }
}

/** Follows the packets in what leaves, so that they are counted and acknowledgements are seen. */
export class SentPackets {
  readonly #onPacket: (type: number, qos: number, id: number) => void
  #type = 0
  #qos = 0
  /** Weight of the next byte of the length; 0 where a packet begins. */
  #weight = 0
  #bodyBytesLeft = 0
  /** Where the next byte stands in the body. */
  #bodyAt = 0
  #topicBytes = 0
  #id = 0

  /** `id` is 0 but for PUBLISH above QoS 0, and PUBREL. */
  constructor(onPacket: (type: number, qos: number, id: number) => void) {
    this.#onPacket = onPacket
  }

  watch(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#type === 0) {
        this.#begin(chunk[at++]!)
        continue
      }
      if (this.#weight > 0) {
        const byte = chunk[at++]!
        this.#bodyBytesLeft += (byte & 0x7f) * this.#weight
        this.#weight = byte >= 0x80 ? this.#weight * 128 : 0
      } else {
        const bytes = Math.min(this.#bodyBytesLeft, chunk.length - at)
        if (this.#qos > 0 || this.#type === PUBREL) this.#readId(chunk.subarray(at, at + bytes))
        this.#bodyBytesLeft -= bytes
        this.#bodyAt += bytes
        at += bytes
      }
      if (this.#weight === 0 && this.#bodyBytesLeft === 0) {
        this.#onPacket(this.#type, this.#qos, this.#id)
        this.#type = 0
      }
    }
  }

  #begin(first: number): void {
    this.#type = first >> 4
    this.#qos = this.#type === PUBLISH ? (first >> 1) & 3 : 0
    this.#weight = 1
    this.#bodyAt = 0
    this.#topicBytes = 0
    this.#id = 0
  }

  /** Behind the topic in a PUBLISH, whose length comes first; first in a PUBREL. */
  #readId(bytes: Uint8Array): void {
    if (this.#type === PUBREL) {
      this.#id = this.#number(this.#id, 0, bytes)
      return
    }
    this.#topicBytes = this.#number(this.#topicBytes, 0, bytes)
    this.#id = this.#number(this.#id, 2 + this.#topicBytes, bytes)
  }

  /** A number of two bytes that begins at `start` of the body, with what of it is among these bytes. */
  #number(before: number, start: number, bytes: Uint8Array): number {
    const end = this.#bodyAt + bytes.length
    let number = before
    for (let place = Math.max(start, this.#bodyAt); place < Math.min(start + 2, end); place++) {
      number = number * 256 + bytes[place - this.#bodyAt]!
    }
    return number
  }
}
