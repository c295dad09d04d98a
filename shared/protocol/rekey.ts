/**
 * How a board shows the key that is to follow the one that it is connected with: it signs, with the new one, the keying
 * material that this connection exports [RFC 8446 §7.5]. So the message says on whose connection it was made, and is
 * worth nothing on another.
 */
import type { NodeId } from '../core/ids.ts'

export const REKEY_LABEL = 'EXPORTER-obelisk-rekey-v1'
export const REKEY_EXPORTER_BYTES = 32

/** What the signature is over: the channel, the name and the key. */
export function rekeyedBytes(exported: Uint8Array, node: NodeId, spki: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from('obelisk-rekey/1\0'), exported, Buffer.from(`${node}\0`), spki])
}
