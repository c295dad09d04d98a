/**
 * A signed message, as the data of an item says it: a map of CBOR or JSON with `algorithm`, `public`, `message` and
 * `signature`. Keys are raw or SPKI (RFC 5280, RFC 5480, RFC 8410), signatures raw (of ECDSA IEEE P1363) or DER. Whatever
 * it is, a verdict comes of it, in bounded time: what is too long to be a key or a signature is not looked at.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { own } from '../core/own.ts'
import { decodeCbor } from '../protocol/cbor.ts'
import { MESSAGE_BYTES_MAX } from '../protocol/limits.ts'
import { isPlainObject } from '../protocol/problems.ts'

/** What an item came to; the place is what travels. */
export const VERDICTS = [
  'valid',
  'wrong-signature',
  'malformed',
  'unknown-algorithm',
  'malformed-key',
  'malformed-signature',
] as const

export type SignatureVerdict = (typeof VERDICTS)[number]

interface Algorithm {
  readonly name: string
  /** Of a key as `node:crypto` knows it. */
  readonly curve: string
  readonly hash: 'sha256' | null
  /** What stands before a raw key of so many bytes to make SPKI of it. */
  readonly heads: ReadonlyMap<number, Uint8Array>
}

const hex = (text: string): Uint8Array => Buffer.from(text, 'hex')

const ALGORITHMS: readonly Algorithm[] = [
  {
    name: 'ed25519',
    curve: 'ed25519',
    hash: null,
    heads: new Map([[32, hex('302a300506032b6570032100')]]),
  },
  {
    name: 'ecdsa-p256',
    curve: 'prime256v1',
    hash: 'sha256',
    heads: new Map([
      [33, hex('3039301306072a8648ce3d020106082a8648ce3d030107032200')],
      [65, hex('3059301306072a8648ce3d020106082a8648ce3d030107034200')],
    ]),
  },
  {
    name: 'ecdsa-secp256k1',
    curve: 'secp256k1',
    hash: 'sha256',
    heads: new Map([
      [33, hex('3036301006072a8648ce3d020106052b8104000a032200')],
      [65, hex('3056301006072a8648ce3d020106052b8104000a034200')],
    ]),
  },
]

export const SIGNATURE_ALGORITHMS: readonly string[] = ALGORITHMS.map(({ name }) => name)

/** The longest key of these in SPKI has 91. */
const KEY_BYTES_MAX = 128
/** X and Y behind a byte that says so (SEC 1, 2.3.3). */
const WHOLE_POINT_BYTES = 65
const WHOLE_POINT = 4
const RAW_SIGNATURE_BYTES = 64
/** Two numbers of 33 bytes, each with its head, in a sequence. */
const DER_SIGNATURE_BYTES_MAX = 72

const LIMITS = { bytesMax: MESSAGE_BYTES_MAX, depthMax: 2, itemsMax: 16 }
const MEMBERS: readonly string[] = ['algorithm', 'public', 'message', 'signature']
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/

export function verdictOf(data: Uint8Array): SignatureVerdict {
  const given = decoded(data)
  if (!isPlainObject(given)) return 'malformed'
  const names = Object.keys(given)
  if (names.length !== MEMBERS.length || !MEMBERS.every((name) => names.includes(name))) {
    return 'malformed'
  }
  const message = own(given, 'message')
  const [publicKey, signature] = ['public', 'signature'].map((name) => bytesOf(own(given, name)))
  const isMessage = typeof message === 'string' || message instanceof Uint8Array
  if (!isMessage || publicKey === undefined || signature === undefined) return 'malformed'
  const algorithm = ALGORITHMS.find(({ name }) => name === own(given, 'algorithm'))
  if (algorithm === undefined) return 'unknown-algorithm'
  const key = keyOf(algorithm, publicKey)
  if (key === undefined) return 'malformed-key'
  return isSignatureLike(algorithm, signature)
    ? verdictOn(
        algorithm,
        key,
        typeof message === 'string' ? Buffer.from(message) : message,
        signature,
      )
    : 'malformed-signature'
}

function decoded(data: Uint8Array): unknown {
  if (data[0] !== 0x7b) {
    const result = decodeCbor(data, LIMITS)
    return result.ok ? result.value : undefined
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data))
  } catch {
    return undefined
  }
}

/** Bytes, or base64 of them, in either alphabet. */
function bytesOf(given: unknown): Uint8Array | undefined {
  if (given instanceof Uint8Array) return given
  return typeof given === 'string' && BASE64.test(given) ? Buffer.from(given, 'base64') : undefined
}

function keyOf({ curve, heads }: Algorithm, bytes: Uint8Array): KeyObject | undefined {
  if (bytes.length > KEY_BYTES_MAX) return undefined
  const head = heads.get(bytes.length)
  // OpenSSL knows one more form of a point, as long as the whole one.
  if (bytes.length === WHOLE_POINT_BYTES && bytes[0] !== WHOLE_POINT) return undefined
  const der = Buffer.concat(head === undefined ? [bytes] : [head, bytes])
  try {
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
    const own = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType
    return own === curve ? key : undefined
  } catch {
    return undefined
  }
}

function isSignatureLike({ hash }: Algorithm, { length }: Uint8Array): boolean {
  if (length === RAW_SIGNATURE_BYTES) return true
  return hash !== null && length > 0 && length <= DER_SIGNATURE_BYTES_MAX
}

function verdictOn(
  { hash }: Algorithm,
  key: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): SignatureVerdict {
  const isRaw = signature.length === RAW_SIGNATURE_BYTES
  const dsaEncoding = isRaw ? 'ieee-p1363' : 'der'
  try {
    return verify(hash, message, { key, dsaEncoding }, signature) ? 'valid' : 'wrong-signature'
  } catch {
    return 'malformed-signature'
  }
}
