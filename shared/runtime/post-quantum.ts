/**
 * ML-KEM-768 [FIPS 203] and ML-DSA-65 [FIPS 204]: Node's own where it has them, else those of @noble/post-quantum,
 * which are loaded when they are first asked for. Keys are their seeds, and the bytes are the same either way. Which it
 * is, a trial says and no version: Node 24 has them with its own OpenSSL, and may be built with another one.
 */
import * as nodeCrypto from 'node:crypto'
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'

export interface KeyEncapsulation {
  publicKeyOf(seed: Uint8Array): Promise<Uint8Array>
  /** Rejects where the key is none. */
  encapsulate(publicKey: Uint8Array): Promise<Encapsulated>
  decapsulate(seed: Uint8Array, ciphertext: Uint8Array): Promise<Uint8Array>
}

export interface Encapsulated {
  readonly ciphertext: Uint8Array
  readonly secret: Uint8Array
}

export interface Signing {
  publicKeyOf(seed: Uint8Array): Promise<Uint8Array>
  sign(seed: Uint8Array, message: Uint8Array): Promise<Uint8Array>
  /** False, too, where the key or the signature is none. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>
}

export const ML_KEM_768 = { seedBytes: 64, publicKeyBytes: 1184, ciphertextBytes: 1088 } as const
export const ML_DSA_65 = { seedBytes: 32, publicKeyBytes: 1952, signatureBytes: 3309 } as const

/** Node's, which its types know from 24 on. */
const { encapsulate, decapsulate } = nodeCrypto as unknown as {
  readonly encapsulate?: (key: KeyObject) => { sharedKey: Uint8Array; ciphertext: Uint8Array }
  readonly decapsulate?: (key: KeyObject, ciphertext: Uint8Array) => Uint8Array
}

// Of a private key that is its seed alone [RFC 9881, RFC 9935], and of a public one, in DER.
const DER = {
  'ML-KEM-768': {
    secret: Buffer.from('3054020100300b060960864801650304040204428040', 'hex'),
    public: Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex'),
  },
  'ML-DSA-65': {
    secret: Buffer.from('3034020100300b060960864801650304031204228020', 'hex'),
    public: Buffer.from('308207b2300b0609608648016503040312038207a100', 'hex'),
  },
} as const
type Algorithm = keyof typeof DER

function secretKey(algorithm: Algorithm, seed: Uint8Array): KeyObject {
  const key = Buffer.concat([DER[algorithm].secret, seed])
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
}

function publicKey(algorithm: Algorithm, bytes: Uint8Array): KeyObject {
  const key = Buffer.concat([DER[algorithm].public, bytes])
  return createPublicKey({ key, format: 'der', type: 'spki' })
}

function publicKeyOf(algorithm: Algorithm, seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(secretKey(algorithm, seed)).export({ type: 'spki', format: 'der' })
  return new Uint8Array(spki.subarray(DER[algorithm].public.length))
}

/** Whether Node can; tried once. */
function has(algorithm: Algorithm, bytes: number): boolean {
  if (encapsulate === undefined || decapsulate === undefined) return false
  try {
    secretKey(algorithm, randomBytes(bytes))
    return true
  } catch {
    return false
  }
}

let hasKem: boolean | undefined
let hasDsa: boolean | undefined

export function mlKem768(): KeyEncapsulation {
  hasKem ??= has('ML-KEM-768', ML_KEM_768.seedBytes)
  return hasKem ? NATIVE_KEM : NOBLE_KEM
}

export function mlDsa65(): Signing {
  hasDsa ??= has('ML-DSA-65', ML_DSA_65.seedBytes)
  return hasDsa ? NATIVE_DSA : NOBLE_DSA
}

const NATIVE_KEM: KeyEncapsulation = {
  publicKeyOf: async (seed) => publicKeyOf('ML-KEM-768', seed),
  async encapsulate(bytes) {
    const { sharedKey, ciphertext } = encapsulate!(publicKey('ML-KEM-768', bytes))
    return { ciphertext: new Uint8Array(ciphertext), secret: new Uint8Array(sharedKey) }
  },
  decapsulate: async (seed, ciphertext) =>
    new Uint8Array(decapsulate!(secretKey('ML-KEM-768', seed), ciphertext)),
}

const NATIVE_DSA: Signing = {
  publicKeyOf: async (seed) => publicKeyOf('ML-DSA-65', seed),
  sign: async (seed, message) => new Uint8Array(sign(null, message, secretKey('ML-DSA-65', seed))),
  async verify(bytes, message, signature) {
    if (!isOfLength(bytes, signature)) return false
    try {
      return verify(null, message, publicKey('ML-DSA-65', bytes), signature)
    } catch {
      return false
    }
  },
}

export const NOBLE_KEM: KeyEncapsulation = {
  async publicKeyOf(seed) {
    return (await loadKem()).keygen(seed).publicKey
  },
  async encapsulate(bytes) {
    const { cipherText: ciphertext, sharedSecret: secret } = (await loadKem()).encapsulate(bytes)
    return { ciphertext, secret }
  },
  async decapsulate(seed, ciphertext) {
    const kem = await loadKem()
    return kem.decapsulate(ciphertext, kem.keygen(seed).secretKey)
  },
}

/** What it signs of one seed and one message is the same each time. */
export const NOBLE_DSA: Signing = {
  async publicKeyOf(seed) {
    return (await loadDsa()).keygen(seed).publicKey
  },
  async sign(seed, message) {
    const dsa = await loadDsa()
    return dsa.sign(message, dsa.keygen(seed).secretKey, { extraEntropy: false })
  },
  async verify(bytes, message, signature) {
    if (!isOfLength(bytes, signature)) return false
    const dsa = await loadDsa()
    try {
      return dsa.verify(signature, message, bytes)
    } catch {
      return false
    }
  },
}

function isOfLength(key: Uint8Array, signature: Uint8Array): boolean {
  return key.length === ML_DSA_65.publicKeyBytes && signature.length === ML_DSA_65.signatureBytes
}

async function loadKem() {
  return (await import('@noble/post-quantum/ml-kem.js')).ml_kem768
}

async function loadDsa() {
  return (await import('@noble/post-quantum/ml-dsa.js')).ml_dsa65
}
