/**
 * How a board shows the key that is to follow the one that it is connected with: it signs, with the new one, the keying
 * material that this connection exports [RFC 8446 §7.5]. So the message says on whose connection it was made, and is
 * worth nothing on another. The messages (messages.ts) are between the adapters of both sides, which know of keys; the
 * cores do not.
 */
import * as v from 'valibot'
import type { NodeId } from '../core/ids.ts'
import { SIGNATURE_BYTES } from './enrolment.ts'

export const REKEY_LABEL = 'EXPORTER-obelisk-rekey-v1'
export const REKEY_EXPORTER_BYTES = 32
/** The keys that are taken have 91 bytes; whoever shows another hears why. */
const REKEY_KEY_BYTES_MAX = 1024
/** Ours have some 700. */
const CERTIFICATE_LENGTH_MAX = 8192

const bytes = v.custom<Uint8Array>((input) => input instanceof Uint8Array, 'bytes')

/** The key that is to follow the one of this connection, and the proof that it is the node's. */
export const nextKey = v.strictObject({
  t: v.literal('next-key'),
  /** A SubjectPublicKeyInfo, DER. */
  key: v.pipe(
    bytes,
    v.check((given) => given.length <= REKEY_KEY_BYTES_MAX, 'a key'),
  ),
  sig: v.pipe(
    bytes,
    v.check((given) => given.length === SIGNATURE_BYTES, `${SIGNATURE_BYTES} bytes`),
  ),
})

/** Make another key, and show it. */
export const rekey = v.strictObject({ t: v.literal('rekey') })

/** The key that was shown counts from its first use on; PEM. */
export const rekeyed = v.strictObject({
  t: v.literal('rekeyed'),
  cert: v.pipe(v.string(), v.minLength(1), v.maxLength(CERTIFICATE_LENGTH_MAX)),
})

export type KeyUp = v.InferOutput<typeof nextKey>
export type KeyDown = v.InferOutput<typeof rekey> | v.InferOutput<typeof rekeyed>

/** What the signature is over: the channel, the name and the key. */
export function rekeyedBytes(exported: Uint8Array, node: NodeId, spki: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from('obelisk-rekey/1\0'), exported, Buffer.from(`${node}\0`), spki])
}
