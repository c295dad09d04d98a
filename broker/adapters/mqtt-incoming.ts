/**
 * A packet as Aedes takes it, from a frame that was checked: so no second parser looks at it. CONNECT, SUBSCRIBE and
 * UNSUBSCRIBE are rare and of many parts; those mqtt-packet takes apart.
 */
import { type Packet, type Parser, parser } from 'mqtt-packet'
import type { Frame } from './mqtt-frames.ts'
import { PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, packetIdOf } from './mqtt-packets.ts'
import type { Qos } from './mqtt-subscribers.ts'

/** Towards us. */
export interface IncomingPublish {
  readonly cmd: 'publish'
  topic: string
  payload: Buffer
  qos: Qos
  retain: boolean
  dup: boolean
  messageId?: number
  /** Of a submission that was too large to keep: how many bytes it had. */
  skippedBytes?: number
}

export type Incoming =
  | IncomingPublish
  | { readonly cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'; readonly messageId: number }
  | Packet

const ACKNOWLEDGEMENTS = {
  [PUBACK]: 'puback',
  [PUBREC]: 'pubrec',
  [PUBREL]: 'pubrel',
  [PUBCOMP]: 'pubcomp',
} as const

const PINGREQ = 12
const DISCONNECT = 14

/** Nothing where mqtt-packet finds what we did not. */
export function incomingOf(frame: Frame): Incoming | undefined {
  const { type, buffer, bodyStart, end } = frame
  switch (type) {
    case PUBLISH:
      return publishOf(frame)
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP:
      return { cmd: ACKNOWLEDGEMENTS[type], messageId: packetIdOf(buffer.subarray(bodyStart, end)) }
    case PINGREQ:
      return { cmd: 'pingreq' }
    case DISCONNECT:
      return { cmd: 'disconnect' }
    default:
      return parsed(buffer.subarray(frame.start, end))
  }
}

function publishOf({ flags, buffer, bodyStart, end, skippedBytes }: Frame): IncomingPublish {
  const qos = ((flags >> 1) & 3) as Qos
  const topicEnd = bodyStart + 2 + buffer.readUInt16BE(bodyStart)
  const packet: IncomingPublish = {
    cmd: 'publish',
    topic: buffer.toString('utf8', bodyStart + 2, topicEnd),
    payload: buffer.subarray(qos === 0 ? topicEnd : topicEnd + 2, end),
    qos,
    retain: (flags & 1) !== 0,
    dup: (flags & 8) !== 0,
  }
  if (qos > 0) packet.messageId = buffer.readUInt16BE(topicEnd)
  if (skippedBytes !== undefined) packet.skippedBytes = skippedBytes
  return packet
}

let found: Packet | undefined
/** One for all: what it takes is whole, so it keeps nothing of one packet for the next but what the last CONNECT said. */
let whole = newParser()

function newParser(): Parser & { settings?: object } {
  const made = parser()
  made.on('packet', (packet) => {
    found = packet
  })
  made.on('error', () => {})
  return made
}

function parsed(bytes: Buffer): Packet | undefined {
  found = undefined
  whole.settings = {}
  whole.parse(bytes)
  // Nothing of what it could not take may stand before what the next one brings.
  if (found === undefined) whole = newParser()
  return found
}
