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

/**
 * The key in bytes that came from outside; nothing unless it is one of P-256, written as we write it, so that a
 * key has one fingerprint. OpenSSL alone would keep the form of the point: a compressed one is another text.
 */
export function parsePublicKey(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return undefined
    const written = createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' })
    return Buffer.from(spki).equals(spkiOf(written)) ? written : undefined
  } catch {
    return undefined
  }
}
