/**
 * Messages to clients whose session ends with their connection: Aedes keeps nothing of those, so they are written here, as
 * bytes that are made once for all who get a message.
 */
import { lengthBytesOf, writeLength } from './mqtt-connection.ts'
import type { Qos } from './mqtt-subscribers.ts'

/** A message at the QoS and with the flag with which it is to arrive. */
export interface Outgoing {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Qos
  readonly retain: boolean
  /** Made when it is first sent. */
  encoded?: Encoded
}

interface Encoded {
  /** All before the payload, or all. */
  readonly bytes: Buffer
  /** Where the packet id stands. */
  readonly idAt: number
}

/** A larger payload is not copied for each who gets it, and is a buffer of its own. */
const COPIED_BYTES_MAX = 4096

/** What is written for a message, under this packet id above QoS 0: a large payload behind the rest. */
export function encodeOutgoing(
  message: Outgoing,
  id: number,
): { readonly bytes: Buffer; readonly payload?: Buffer } {
  const { payload, qos } = message
  message.encoded ??= encode(message)
  let { bytes } = message.encoded
  if (qos > 0) {
    bytes = Buffer.from(bytes)
    bytes.writeUInt16BE(id, message.encoded.idAt)
  }
  return payload.length > COPIED_BYTES_MAX ? { bytes, payload } : { bytes }
}

/** A PUBLISH, with room for a packet id above QoS 0. */
function encode({ topic, payload, qos, retain }: Outgoing): Encoded {
  const topicBytes = Buffer.byteLength(topic)
  const bodyBytes = 2 + topicBytes + (qos === 0 ? 0 : 2) + payload.length
  const isCopied = payload.length <= COPIED_BYTES_MAX
  const bodyAt = 1 + lengthBytesOf(bodyBytes)
  const bytes = Buffer.allocUnsafe(bodyAt + bodyBytes - (isCopied ? 0 : payload.length))
  bytes[0] = 0x30 | (qos << 1) | (retain ? 1 : 0)
  writeLength(bytes, bodyBytes)
  const at = bytes.writeUInt16BE(topicBytes, bodyAt)
  const idAt = at + bytes.write(topic, at)
  if (isCopied) payload.copy(bytes, qos > 0 ? idAt + 2 : idAt)
  return { bytes, idAt }
}
