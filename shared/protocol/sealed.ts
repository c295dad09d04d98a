/**
 * A value that one recipient alone can read, `sealed` in a result (wire.md, Additions). `head` says in clear of which task
 * it is and for whom; `kem` is a capsule of X-Wing for the recipient's key; the key that HKDF-SHA256 makes of its secret and
 * of `head` opens `body`, AES-256-GCM over the CBOR of the value, with its tag behind it; `sig` is the gateway's, by
 * ML-DSA-65, over head ‖ kem ‖ SHA-256(body). A key is used once, so the nonce is all zeros.
 */
import * as v from 'valibot'
import { isId } from '../core/ids.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { parseWith } from './problems.ts'

export interface Sealed {
  readonly head: Uint8Array
  readonly kem: Uint8Array
  readonly body: Uint8Array
  readonly sig: Uint8Array
}

export interface SealHead {
  readonly v: 1
  readonly task: string
  readonly op: string
  /** The recipient. */
  readonly to: string
  /** When the task had its value, Unix ms. */
  readonly ts: number
}

/** Of a recipient, for X-Wing: his public key, and the seed that makes his keys. */
export const RECIPIENT_KEY_BYTES = 1216
export const RECIPIENT_SEED_BYTES = 32
/** Of who signs, for ML-DSA-65. */
export const SIGNER_KEY_BYTES = 1952
export const SIGNER_SEED_BYTES = 32

/** Far more than it has. */
const HEAD_LIMITS = { bytesMax: 1024, depthMax: 2, itemsMax: 16 }
/** [RFC 5869 §3.2]; a zero byte and `head` follow. */
const KEY_PURPOSE = new TextEncoder().encode('obelisk-seal/1\0')

const headSchema = v.strictObject({
  v: v.literal(1),
  task: v.custom<string>(isId, 'an id'),
  op: v.string(),
  to: v.custom<string>(isId, 'an id'),
  ts: v.pipe(v.number(), v.safeInteger()),
})

export function encodeHead({ task, op, to, ts }: Omit<SealHead, 'v'>): Uint8Array {
  return encodeCbor({ v: 1, task, op, to, ts })
}

/** Nothing if it is none. */
export function decodeHead(bytes: Uint8Array): SealHead | undefined {
  const decoded = decodeCbor(bytes, HEAD_LIMITS)
  if (!decoded.ok) return undefined
  const parsed = parseWith(headSchema, decoded.value)
  return parsed.ok ? parsed.value : undefined
}

/** What the key is made for. */
export function keyPurpose(head: Uint8Array): Uint8Array {
  return joined([KEY_PURPOSE, head])
}

/** What is signed; `digest` is the SHA-256 of the body. */
export function signedBytes(head: Uint8Array, kem: Uint8Array, digest: Uint8Array): Uint8Array {
  return joined([head, kem, digest])
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
