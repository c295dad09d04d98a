/**
 * X-Wing: a secret for whoever has a seed, by X25519 and ML-KEM-768 together, so that it holds as long as one of the
 * two does [draft-connolly-cfrg-xwing-kem]. X25519 and the hashes are Node's own.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { type KeyEncapsulation, ML_KEM_768, mlKem768 } from './post-quantum.ts'

const X25519_BYTES = 32
const { publicKeyBytes, ciphertextBytes, seedBytes } = ML_KEM_768
export const X_WING = {
  seedBytes: 32,
  publicKeyBytes: publicKeyBytes + X25519_BYTES,
  capsuleBytes: ciphertextBytes + X25519_BYTES,
} as const

const LABEL = Buffer.from('\\.//^\\')
/** Before the bytes of a key of X25519, in DER [RFC 8410]. */
const SECRET_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex')
const PUBLIC_HEAD = Buffer.from('302a300506032b656e032100', 'hex')

export async function xWingPublicKey(
  seed: Uint8Array,
  kem: KeyEncapsulation = mlKem768(),
): Promise<Uint8Array> {
  const { kemSeed, secret } = expand(seed)
  return Buffer.concat([await kem.publicKeyOf(kemSeed), bytesOf(createPublicKey(secret))])
}

/** Rejects where the key is none. */
export async function xWingEncapsulate(
  publicKey: Uint8Array,
  kem: KeyEncapsulation = mlKem768(),
): Promise<{ readonly capsule: Uint8Array; readonly secret: Uint8Array }> {
  assertLength('a public key', publicKey, X_WING.publicKeyBytes)
  const theirs = publicKey.subarray(publicKeyBytes)
  const own = generateKeyPairSync('x25519')
  const shared = diffieHellman({ privateKey: own.privateKey, publicKey: keyOf(theirs) })
  const { ciphertext, secret } = await kem.encapsulate(publicKey.subarray(0, publicKeyBytes))
  const shown = bytesOf(own.publicKey)
  const capsule = Buffer.concat([ciphertext, shown])
  return { capsule, secret: combine(secret, shared, shown, theirs) }
}

/** Of a capsule for another key it is another secret, and nothing says so. */
export async function xWingDecapsulate(
  seed: Uint8Array,
  capsule: Uint8Array,
  kem: KeyEncapsulation = mlKem768(),
): Promise<Uint8Array> {
  assertLength('a capsule', capsule, X_WING.capsuleBytes)
  const { kemSeed, secret: privateKey } = expand(seed)
  const shown = capsule.subarray(ciphertextBytes)
  const shared = diffieHellman({ privateKey, publicKey: keyOf(shown) })
  const secret = await kem.decapsulate(kemSeed, capsule.subarray(0, ciphertextBytes))
  return combine(secret, shared, shown, bytesOf(createPublicKey(privateKey)))
}

function expand(seed: Uint8Array): { readonly kemSeed: Uint8Array; readonly secret: KeyObject } {
  assertLength('a seed', seed, X_WING.seedBytes)
  const outputLength = seedBytes + X25519_BYTES
  const wide = createHash('shake256', { outputLength }).update(seed).digest()
  const key = Buffer.concat([SECRET_HEAD, wide.subarray(seedBytes)])
  const secret = createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  return { kemSeed: wide.subarray(0, seedBytes), secret }
}

function combine(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha3-256')
  for (const part of parts) hash.update(part)
  return hash.update(LABEL).digest()
}

function keyOf(bytes: Uint8Array): KeyObject {
  const key = Buffer.concat([PUBLIC_HEAD, bytes])
  return createPublicKey({ key, format: 'der', type: 'spki' })
}

function bytesOf(key: KeyObject): Uint8Array {
  return key.export({ type: 'spki', format: 'der' }).subarray(PUBLIC_HEAD.length)
}

function assertLength(what: string, { length }: Uint8Array, wanted: number): void {
  if (length !== wanted)
    throw new RangeError(`${what} of X-Wing has ${wanted} bytes, not ${length}`)
}
