/** Public keys as the registry and tokens name them: by the SHA-256 of their SubjectPublicKeyInfo. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'

export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export function newKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

/** The SubjectPublicKeyInfo of a key, DER. */
export function spkiOf(publicKey: KeyObject): Uint8Array {
  return publicKey.export({ type: 'spki', format: 'der' })
}

/** 32 bytes. Of the authority's key it is the pin. */
export function fingerprint(spki: Uint8Array): Uint8Array {
  return createHash('sha256').update(spki).digest()
}

/** Hexadecimal, as the registry has it. */
export function fingerprintText(spki: Uint8Array): string {
  return Buffer.from(fingerprint(spki)).toString('hex')
}

/** The private key as TLS takes it, and as it lies in files. */
export function pemOf({ privateKey }: KeyPair): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** SubjectPublicKeyInfo of an uncompressed point of P-256 [RFC 5480 §2], up to the point's own 64 bytes. */
const P256_HEAD = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex')
const P256_BYTES = P256_HEAD.length + 64

/**
 * The key in bytes that came from outside; nothing unless it is one of P-256, written as we write it, so that a
 * key has one fingerprint. OpenSSL sees nothing else: it keeps a compressed point as it came, and what Node
 * asks it about some odd keys ends the process.
 */
export function parsePublicKey(spki: Uint8Array): KeyObject | undefined {
  const bytes = Buffer.from(spki)
  const isOfForm = bytes.length === P256_BYTES && bytes.indexOf(P256_HEAD) === 0
  if (!isOfForm) return undefined
  try {
    return createPublicKey({ key: bytes, format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}
