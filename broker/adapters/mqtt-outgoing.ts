/**
 * Messages to clients whose session ends with their connection: Aedes keeps nothing of those, so they are written here, as
 * bytes that are made once for all who get a message.
 */
import { type Connection, lengthBytesOf, writeLength } from './mqtt-connection.ts'
import type { DeliveringClient } from './mqtt-delivery.ts'
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
const PACKET_ID_MAX = 65_535

/** From now on this client is delivered to so. `mayTake` is asked before. */
export function deliverAsBytes(
  { gate }: Connection,
  client: DeliveringClient,
  mayTake: (packet: Outgoing) => boolean,
): void {
  let lastId = 0
  const deliver = (packet: Outgoing, done: () => void): void => {
    if (!mayTake(packet)) {
      done()
      return
    }
    const { payload, qos } = packet
    packet.encoded ??= encode(packet)
    let { bytes } = packet.encoded
    if (qos > 0) {
      lastId = lastId === PACKET_ID_MAX ? 1 : lastId + 1
      bytes = Buffer.from(bytes)
      bytes.writeUInt16BE(lastId, packet.encoded.idAt)
    }
    let hasRoom = gate.send(bytes, qos, lastId)
    if (payload.length > COPIED_BYTES_MAX) hasRoom = gate.sendMore(payload)
    if (hasRoom) done()
    else (client as WaitingClient).waitForDrain(done)
  }
  client.deliver0 = deliver as DeliveringClient['deliver0']
  client.deliverQoS = deliver as DeliveringClient['deliverQoS']
}

/** Part of Aedes' client that its types leave out. */
interface WaitingClient extends DeliveringClient {
  waitForDrain(done: () => void): void
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
