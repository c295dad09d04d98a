/**
 * The keys that packages are signed by, two of different kinds: Ed25519, and ML-DSA-65 [FIPS 204] for the time in which
 * the first can be broken. Both stand in one file, each as PEM [RFC 8410, RFC 9881]; a file of before has the first alone.
 * A file that has anything else in it is damaged: it must not count as one that never had the second.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js'
import { LatestMap } from '../../shared/core/latest-map.ts'

export interface PublicKeys {
  readonly ed25519: KeyObject
  /** Its bytes. */
  readonly mlDsa65?: Uint8Array
}

export interface PrivateKeys {
  readonly ed25519: KeyObject
  /** Its seed. */
  readonly mlDsa65?: Uint8Array
}

/** What stands before the bytes of a key, in DER. */
const HEADS = {
  public: {
    ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
    mlDsa65: Buffer.from('308207b2300b0609608648016503040312038207a100', 'hex'),
  },
  private: {
    ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
    mlDsa65: Buffer.from('3034020100300b060960864801650304031204228020', 'hex'),
  },
} as const
const BYTES = {
  public: { ed25519: 32, mlDsa65: ml_dsa65.lengths.publicKey! },
  private: { ed25519: 32, mlDsa65: ml_dsa65.lengths.seed! },
} as const
type Half = keyof typeof HEADS

/** Nothing if the text is no such file. */
export function parsePublicKeys(text: string): PublicKeys | undefined {
  return keysIn(text, 'public', (key) => createPublicKey({ key, format: 'der', type: 'spki' }))
}

/** Nothing if the text is no such file. */
export function parsePrivateKeys(text: string): PrivateKeys | undefined {
  return keysIn(text, 'private', (key) => createPrivateKey({ key, format: 'der', type: 'pkcs8' }))
}

export function formatPrivateKeys({ ed25519, mlDsa65 }: PrivateKeys): string {
  return formatKeys('private', ed25519.export({ type: 'pkcs8', format: 'der' }), mlDsa65)
}

export function formatPublicKeys({ ed25519, mlDsa65 }: PublicKeys): string {
  return formatKeys('public', ed25519.export({ type: 'spki', format: 'der' }), mlDsa65)
}

export function publicHalfOf({ ed25519, mlDsa65 }: PrivateKeys): PublicKeys {
  const first = { ed25519: createPublicKey(ed25519) }
  return mlDsa65 === undefined ? first : { ...first, mlDsa65: ml_dsa65.keygen(mlDsa65).publicKey }
}

/** Hexadecimal SHA-256 of the keys in DER, one after the other: what people compare. */
export function fingerprintOf(keys: PublicKeys): string {
  const hash = createHash('sha256').update(keys.ed25519.export({ type: 'spki', format: 'der' }))
  if (keys.mlDsa65 !== undefined) hash.update(HEADS.public.mlDsa65).update(keys.mlDsa65)
  return hash.digest('hex')
}

export function signEd25519(bytes: Uint8Array, { ed25519 }: PrivateKeys): Buffer {
  return lineOf(sign(null, bytes, ed25519))
}

/** Of the same bytes it is the same each time. */
export function signMlDsa65(bytes: Uint8Array, seed: Uint8Array): Buffer {
  return lineOf(ml_dsa65.sign(bytes, ml_dsa65.keygen(seed).secretKey, { extraEntropy: false }))
}

export function isSignedByEd25519(
  bytes: Uint8Array,
  line: string,
  { ed25519 }: PublicKeys,
): boolean {
  return verify(null, bytes, ed25519, Buffer.from(line.trim(), 'base64'))
}

export function isSignedByMlDsa65(bytes: Uint8Array, line: string, key: Uint8Array): boolean {
  const signature = Buffer.from(line.trim(), 'base64')
  if (signature.length !== ml_dsa65.lengths.signature) return false
  // This file is not under the signature itself: nothing but what was written is in it.
  if (!lineOf(signature).equals(Buffer.from(line, 'latin1'))) return false
  const name = [key, bytes, signature].map((part) => hash(part)).join(' ')
  if (signedByMlDsa65.has(name)) return true
  try {
    if (!ml_dsa65.verify(signature, bytes, key)) return false
  } catch {
    return false
  }
  signedByMlDsa65.set(name, true)
  return true
}

/**
 * What was found to be signed, by the hashes of all that this depends on: an installation looks at the same tree some
 * times, and the signature takes longer than the rest of it.
 */
const signedByMlDsa65 = new LatestMap<string, true>(8)

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function lineOf(signature: Uint8Array): Buffer {
  return Buffer.from(`${Buffer.from(signature).toString('base64')}\n`)
}

function formatKeys(half: Half, first: Uint8Array, second: Uint8Array | undefined): string {
  const others = second === undefined ? [] : [Buffer.concat([HEADS[half].mlDsa65, second])]
  const label = `${half.toUpperCase()} KEY`
  return [first, ...others].map((der) => pemOf(label, der)).join('')
}

function pemOf(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)!
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/** The second key of one kind, or one that is none of these, spoils all. */
function keysIn(
  text: string,
  half: Half,
  open: (der: Buffer) => KeyObject,
): PublicKeys | PrivateKeys | undefined {
  const label = `${half.toUpperCase()} KEY`
  const block = new RegExp(
    `-----BEGIN ${label}-----\\s+([A-Za-z0-9+/=\\s]+?)\\s*-----END ${label}-----`,
    'g',
  )
  if (text.replace(block, '').trim() !== '') return undefined
  const blocks = [...text.matchAll(block)].map(([, base64]) => Buffer.from(base64!, 'base64'))
  const [first, second, ...more] = blocks
  if (first === undefined || more.length > 0) return undefined
  if (bytesIn(first, half, 'ed25519') === undefined) return undefined
  const ed25519 = open(first)
  if (second === undefined) return { ed25519 }
  const mlDsa65 = bytesIn(second, half, 'mlDsa65')
  return mlDsa65 && { ed25519, mlDsa65 }
}

function bytesIn(der: Buffer, half: Half, kind: 'ed25519' | 'mlDsa65'): Uint8Array | undefined {
  const head = HEADS[half][kind]
  const isOne = der.subarray(0, head.length).equals(head)
  const bytes = new Uint8Array(der.subarray(head.length))
  return isOne && bytes.length === BYTES[half][kind] ? bytes : undefined
}
