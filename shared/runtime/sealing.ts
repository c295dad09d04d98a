/** Seals a value to a recipient, and opens it again: the bytes of `shared/protocol/sealed.ts`. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import {
  decodeHead,
  keyPurpose,
  type Sealed,
  type SealHead,
  signedBytes,
} from '../protocol/sealed.ts'
import { AppError, EXIT_BAD_INPUT } from './errors.ts'
import { mlDsa65 } from './post-quantum.ts'
import { X_WING, xWingDecapsulate, xWingEncapsulate } from './x-wing.ts'

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const TAG_BYTES = 16
const PIECE_BYTES = 1024 * 1024
/** A key is of one capsule, and used once. */
const NONCE = Buffer.alloc(12)
const NO_SALT = Buffer.alloc(0)

export interface SealOrder {
  /** As `encodeHead` makes it. */
  readonly head: Uint8Array
  readonly value: Uint8Array
  /** The recipient's. */
  readonly publicKey: Uint8Array
  /** Of the gateway's key. */
  readonly signer: Uint8Array
}

export async function seal({ head, value, publicKey, signer }: SealOrder): Promise<Sealed> {
  const { capsule: kem, secret } = await xWingEncapsulate(publicKey)
  const cipher = createCipheriv(CIPHER, keyOf(secret, head), NONCE)
  cipher.setAAD(head)
  // Of its own, so that a thread can give it away; in pieces, so that there is no third copy of it.
  const body = new Uint8Array(value.length + TAG_BYTES)
  for (let at = 0; at < value.length; at += PIECE_BYTES) {
    body.set(cipher.update(value.subarray(at, at + PIECE_BYTES)), at)
  }
  cipher.final()
  body.set(cipher.getAuthTag(), value.length)
  const sig = await mlDsa65().sign(signer, signedBytes(head, kem, digestOf(body)))
  return { head, kem, body, sig }
}

export interface Opened {
  readonly head: SealHead
  readonly value: Uint8Array
}

/**
 * What is sealed, for whoever has the seed. Without the signer's public key nobody knows who sealed it. Rejects with an
 * `AppError` that says what does not fit.
 */
export async function open(
  { head, kem, body, sig }: Sealed,
  seed: Uint8Array,
  signer?: Uint8Array,
): Promise<Opened> {
  const decoded = decodeHead(head)
  if (decoded === undefined) throw broken('its head is none of this version')
  if (kem.length !== X_WING.capsuleBytes || body.length < TAG_BYTES) {
    throw broken('a part of it has another length')
  }
  if (signer !== undefined) {
    const isSigned = await mlDsa65().verify(signer, signedBytes(head, kem, digestOf(body)), sig)
    if (!isSigned) {
      throw broken(
        'the signature is not that of this gateway: another one sealed it, or it was changed',
      )
    }
  }
  const value = await decrypt(head, kem, body, seed)
  if (value !== undefined) return { head: decoded, value }
  throw broken(`this key does not open it: it is sealed to ${decoded.to}, or it was changed`)
}

async function decrypt(
  head: Uint8Array,
  kem: Uint8Array,
  body: Uint8Array,
  seed: Uint8Array,
): Promise<Uint8Array | undefined> {
  try {
    const secret = await xWingDecapsulate(seed, kem)
    const decipher = createDecipheriv(CIPHER, keyOf(secret, head), NONCE)
    decipher.setAAD(head)
    decipher.setAuthTag(body.subarray(-TAG_BYTES))
    // Nothing of it leaves before the tag has held.
    return Buffer.concat([decipher.update(body.subarray(0, -TAG_BYTES)), decipher.final()])
  } catch {
    return undefined
  }
}

function keyOf(secret: Uint8Array, head: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, NO_SALT, keyPurpose(head), KEY_BYTES))
}

function digestOf(body: Uint8Array): Uint8Array {
  return createHash('sha256').update(body).digest()
}

function broken(why: string): AppError {
  return new AppError('seal-broken', `it cannot be opened: ${why}`, { exitCode: EXIT_BAD_INPUT })
}
