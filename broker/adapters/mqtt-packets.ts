/**
 * Pure checks of one framed MQTT 3.1.1 packet, run before Aedes sees it: what the specification
 * forbids and Aedes lets through, and the bounds of ours. A problem is a value; nothing throws.
 */
import { generate } from 'mqtt-packet'

export const CONNECT = 1
export const CONNACK = 2
export const PUBLISH = 3
export const PUBACK = 4
export const PUBREC = 5
export const PUBREL = 6
export const PUBCOMP = 7
export const SUBSCRIBE = 8
export const SUBACK = 9
export const UNSUBSCRIBE = 10
export const UNSUBACK = 11
const PINGREQ = 12
const DISCONNECT = 14

export interface PacketBounds {
  readonly clientIdBytesMax: number
  readonly topicBytesMax: number
  readonly filterBytesMax: number
  readonly topicLevelsMax: number
  /** An UNSUBSCRIBE of more is none; for a SUBSCRIBE see `denialOf`. */
  readonly filtersPerPacketMax: number
  /** Undefined: any keepalive, and none. */
  readonly keepaliveSecondsMax: number | undefined
}

export const PACKET_BOUNDS: PacketBounds = {
  clientIdBytesMax: 128,
  topicBytesMax: 1024,
  // What is not granted is answered filter by filter: here stands what Aedes can take.
  filterBytesMax: 65_535,
  topicLevelsMax: 100,
  filtersPerPacketMax: 4096,
  keepaliveSecondsMax: undefined,
}

/** Why a packet is refused: stable, for counters. */
export type PacketProblem =
  | 'packet-type'
  | 'packet-flags'
  | 'packet-id'
  | 'packet-truncated'
  | 'packet-excess-bytes'
  | 'text-encoding'
  | 'text-control-character'
  | 'protocol-version'
  | 'connect-flags'
  | 'will-qos'
  | 'will-flags'
  | 'password-without-username'
  | 'client-id'
  | 'keepalive'
  | 'publish-flags'
  | 'topic-empty'
  | 'topic-too-long'
  | 'topic-too-deep'
  | 'topic-wildcard'
  | 'filter-syntax'
  | 'filter-count'
  | 'subscription-qos'

/** The CONNACK that answers a refused CONNECT [MQTT-3.1.2-2] [MQTT-3.1.3-8]; else it is closed. */
export function returnCodeOf(problem: string): number | undefined {
  if (problem === 'protocol-version') return 1
  if (problem === 'client-id') return 2
  return undefined
}

export interface FixedHeader {
  readonly type: number
  readonly flags: number
  readonly headerBytes: number
  /** The declared rest of the packet. */
  readonly bodyBytes: number
}

/** Reads a fixed header [MQTT 3.1.1 §2.2]; `malformed` is a length of more than four bytes. */
export function readFixedHeader(
  bytes: Uint8Array,
  offset: number,
): FixedHeader | 'incomplete' | 'malformed' {
  const first = bytes[offset]
  if (first === undefined) return 'incomplete'
  let bodyBytes = 0
  for (let index = 0; index < 4; index++) {
    const byte = bytes[offset + 1 + index]
    if (byte === undefined) return 'incomplete'
    bodyBytes += (byte & 0x7f) * 128 ** index
    if (byte < 0x80)
      return { type: first >> 4, flags: first & 15, headerBytes: index + 2, bodyBytes }
  }
  return 'malformed'
}

export interface PublishHead {
  readonly topicStart: number
  readonly topicEnd: number
  /** Where the payload starts in the body; the head is all before it. */
  readonly headBytes: number
}

/** Where topic and payload of a PUBLISH stand, from the first bytes of its body. */
export function readPublishHead(
  body: Uint8Array,
  flags: number,
  topicBytesMax: number,
): PublishHead | 'incomplete' | 'topic-too-long' {
  if (body.length < 2) return 'incomplete'
  const topicBytes = readUint16(body, 0)
  if (topicBytes > topicBytesMax) return 'topic-too-long'
  const headBytes = 2 + topicBytes + ((flags & 6) === 0 ? 0 : 2)
  if (body.length < headBytes) return 'incomplete'
  return { topicStart: 2, topicEnd: 2 + topicBytes, headBytes }
}

/** What is wrong with a whole packet, or nothing. `body` is all after the fixed header. */
export function checkPacket(
  type: number,
  flags: number,
  body: Uint8Array,
  bounds: PacketBounds,
): PacketProblem | undefined {
  switch (type) {
    case PUBLISH:
      return checkPublish(flags, body, bounds)
    case CONNECT:
      return flags === 0 ? checkConnect(body, bounds) : 'packet-flags'
    case PUBACK:
    case PUBREC:
    case PUBCOMP:
      return flags === 0 ? checkAcknowledgement(body) : 'packet-flags'
    case PUBREL:
      return flags === 2 ? checkAcknowledgement(body) : 'packet-flags'
    case SUBSCRIBE:
    case UNSUBSCRIBE:
      return flags === 2 ? checkFilters(body, type === SUBSCRIBE, bounds) : 'packet-flags'
    case PINGREQ:
    case DISCONNECT:
      if (flags !== 0) return 'packet-flags'
      return body.length === 0 ? undefined : 'packet-excess-bytes'
    default:
      return 'packet-type'
  }
}

function checkPublish(
  flags: number,
  body: Uint8Array,
  bounds: PacketBounds,
): PacketProblem | undefined {
  const qos = (flags >> 1) & 3
  // [MQTT-3.3.1-2] [MQTT-3.3.1-4]
  if (qos === 3 || (qos === 0 && (flags & 8) !== 0)) return 'publish-flags'
  const head = readPublishHead(body, flags, bounds.topicBytesMax)
  if (head === 'topic-too-long') return head
  if (head === 'incomplete') return 'packet-truncated'
  const problem = checkTopic(body, head.topicStart, head.topicEnd, bounds)
  if (problem) return problem
  // [MQTT-2.3.1-1]
  return qos > 0 && readUint16(body, head.topicEnd) === 0 ? 'packet-id' : undefined
}

function checkAcknowledgement(body: Uint8Array): PacketProblem | undefined {
  if (body.length < 2) return 'packet-truncated'
  if (body.length > 2) return 'packet-excess-bytes'
  return readUint16(body, 0) === 0 ? 'packet-id' : undefined
}

const PROTOCOL_NAME = [0x4d, 0x51, 0x54, 0x54] // MQTT
const PROTOCOL_LEVEL = 4
/** As bridges say it, mosquitto's first: with the highest bit, which no version of MQTT has. */
const BRIDGE_LEVEL = 0x80 | PROTOCOL_LEVEL

const RESERVED_FLAG = 0x01
const CLEAN_SESSION_FLAG = 0x02
const WILL_FLAG = 0x04
const WILL_DETAIL_FLAGS = 0x38
const PASSWORD_FLAG = 0x40
const USERNAME_FLAG = 0x80

function checkConnect(body: Uint8Array, bounds: PacketBounds): PacketProblem | undefined {
  const nameEnd = endOfField(body, 0)
  if (nameEnd === undefined || body.length < nameEnd + 4) return 'packet-truncated'
  const isNamed = nameEnd === 6 && PROTOCOL_NAME.every((byte, index) => body[2 + index] === byte)
  const level = body[nameEnd]
  const isKnown = level === PROTOCOL_LEVEL || level === BRIDGE_LEVEL
  if (!isNamed || !isKnown) return 'protocol-version'

  const flags = body[nameEnd + 1]!
  if (flags & RESERVED_FLAG) return 'connect-flags' // [MQTT-3.1.2-3]
  if (((flags >> 3) & 3) === 3) return 'will-qos' // [MQTT-3.1.2-14]
  if (!(flags & WILL_FLAG) && flags & WILL_DETAIL_FLAGS) return 'will-flags' // [MQTT-3.1.2-11]
  if (!(flags & USERNAME_FLAG) && flags & PASSWORD_FLAG) return 'password-without-username'

  const keepaliveSeconds = readUint16(body, nameEnd + 2)
  const keepaliveMax = bounds.keepaliveSecondsMax
  if (keepaliveMax !== undefined && (keepaliveSeconds === 0 || keepaliveSeconds > keepaliveMax)) {
    return 'keepalive'
  }
  return checkConnectFields(body, nameEnd + 4, flags, bounds)
}

/** What is to be known of a CONNECT before it is taken apart. */
export interface Connect {
  readonly clientId: string
  /** The session ends with the connection. */
  readonly isClean: boolean
  /** Of another broker, which passes on what it gets. */
  readonly isBridge: boolean
}

/** Of the body of a CONNECT that was checked. */
export function connectOf(body: Uint8Array): Connect {
  const nameEnd = endOfField(body, 0)!
  // Level, flags, keepalive.
  const at = nameEnd + 4
  return {
    clientId: Buffer.from(body.subarray(at + 2, endOfField(body, at))).toString(),
    isClean: (body[nameEnd + 1]! & CLEAN_SESSION_FLAG) !== 0,
    isBridge: body[nameEnd] === BRIDGE_LEVEL,
  }
}

function checkConnectFields(
  body: Uint8Array,
  start: number,
  flags: number,
  bounds: PacketBounds,
): PacketProblem | undefined {
  let at = start
  const idEnd = endOfField(body, at)
  if (idEnd === undefined) return 'packet-truncated'
  const idBytes = idEnd - at - 2
  if (idBytes > bounds.clientIdBytesMax) return 'client-id'
  if (idBytes === 0 && !(flags & CLEAN_SESSION_FLAG)) return 'client-id' // [MQTT-3.1.3-8]
  const idProblem = checkText(body, at + 2, idEnd)
  if (idProblem) return idProblem
  at = idEnd

  if (flags & WILL_FLAG) {
    const topicEnd = endOfField(body, at)
    if (topicEnd === undefined) return 'packet-truncated'
    const topicProblem = checkTopic(body, at + 2, topicEnd, bounds)
    if (topicProblem) return topicProblem
    const payloadEnd = endOfField(body, topicEnd)
    if (payloadEnd === undefined) return 'packet-truncated'
    at = payloadEnd
  }
  if (flags & USERNAME_FLAG) {
    const nameEnd = endOfField(body, at)
    if (nameEnd === undefined) return 'packet-truncated'
    const nameProblem = checkText(body, at + 2, nameEnd)
    if (nameProblem) return nameProblem
    at = nameEnd
  }
  if (flags & PASSWORD_FLAG) {
    const passwordEnd = endOfField(body, at)
    if (passwordEnd === undefined) return 'packet-truncated'
    at = passwordEnd
  }
  return at === body.length ? undefined : 'packet-excess-bytes'
}

function checkFilters(
  body: Uint8Array,
  withQos: boolean,
  bounds: PacketBounds,
): PacketProblem | undefined {
  if (body.length < 2) return 'packet-truncated'
  if (readUint16(body, 0) === 0) return 'packet-id'
  let at = 2
  let filters = 0
  while (at < body.length) {
    filters++
    const end = endOfField(body, at)
    if (end === undefined) return 'packet-truncated'
    const problem = checkFilter(body, at + 2, end, bounds)
    if (problem) return problem
    at = end
    if (!withQos) continue
    const qos = body[at++]
    if (qos === undefined) return 'packet-truncated'
    if (qos > 2) return 'subscription-qos' // [MQTT-3-8.3-4]
  }
  // [MQTT-3.8.3-3]
  const isOutOfBounds = filters === 0 || (!withQos && filters > bounds.filtersPerPacketMax)
  return isOutOfBounds ? 'filter-count' : undefined
}

/**
 * The SUBACK that denies every filter of a SUBSCRIBE which was checked, if there are more than may
 * stand in one: Aedes takes its time for each, and it takes none between them.
 */
export function denialOf(type: number, body: Uint8Array, filtersMax: number): Buffer | undefined {
  if (type !== SUBSCRIBE) return undefined
  let filters = 0
  for (let at = 2; at < body.length; at = endOfField(body, at)! + 1) filters++
  if (filters <= filtersMax) return undefined
  const suback = { cmd: 'suback', messageId: readUint16(body, 0) } as const
  return generate({ ...suback, granted: Array<number>(filters).fill(128) })
}

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23

/** Why no packet may be published to it. */
export function topicProblem(topic: string): PacketProblem | undefined {
  const bytes = Buffer.from(topic)
  return checkTopic(bytes, 0, bytes.length, PACKET_BOUNDS)
}

function checkTopic(
  bytes: Uint8Array,
  start: number,
  end: number,
  bounds: PacketBounds,
): PacketProblem | undefined {
  if (end === start) return 'topic-empty' // [MQTT-4.7.3-1]
  if (end - start > bounds.topicBytesMax) return 'topic-too-long'
  let levels = 1
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte === SLASH) levels++
    else if (byte === PLUS || byte === HASH) return 'topic-wildcard' // [MQTT-3.3.2-2]
  }
  if (levels > bounds.topicLevelsMax) return 'topic-too-deep'
  return checkText(bytes, start, end)
}

function checkFilter(
  bytes: Uint8Array,
  start: number,
  end: number,
  bounds: PacketBounds,
): PacketProblem | undefined {
  if (end === start) return 'topic-empty'
  if (end - start > bounds.filterBytesMax) return 'topic-too-long'
  let levels = 1
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte === SLASH) levels++
    if (byte !== PLUS && byte !== HASH) continue
    // A wildcard is a level of its own, and `#` the last [MQTT-4.7.1-2] [MQTT-4.7.1-3].
    if (at > start && bytes[at - 1] !== SLASH) return 'filter-syntax'
    const isLast = at + 1 === end
    if (!isLast && (byte === HASH || bytes[at + 1] !== SLASH)) return 'filter-syntax'
  }
  if (levels > bounds.topicLevelsMax) return 'topic-too-deep'
  return checkText(bytes, start, end)
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** C1 controls and non-characters, which a receiver may refuse [MQTT 3.1.1 §1.5.3]. */
const REFUSED_BEYOND_ASCII = /[\u0080-\u009f\ufdd0-\ufdef\ufffe\uffff]/

function checkText(bytes: Uint8Array, start: number, end: number): PacketProblem | undefined {
  let isAscii = true
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte < 0x20 || byte === 0x7f) return 'text-control-character'
    if (byte >= 0x80) isAscii = false
  }
  if (isAscii) return undefined
  let text: string
  try {
    text = decoder.decode(bytes.subarray(start, end))
  } catch {
    return 'text-encoding' // [MQTT-1.5.3-1]
  }
  return REFUSED_BEYOND_ASCII.test(text) ? 'text-control-character' : undefined
}

/** Of a checked packet that begins with its id. */
export function packetIdOf(body: Uint8Array): number {
  return readUint16(body, 0)
}

/** The end of a field with a two-byte length, or nothing if it is cut. */
function endOfField(bytes: Uint8Array, start: number): number | undefined {
  if (start + 2 > bytes.length) return undefined
  const end = start + 2 + readUint16(bytes, start)
  return end > bytes.length ? undefined : end
}

function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}
