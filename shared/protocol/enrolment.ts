/**
 * How a board gets its identity: one line of JSON each way over TLS 1.3, told from MQTT by its ALPN name. The
 * board proves that it has the private key by signing the keying material that this connection exports
 * [RFC 8446 §7.5], so that a line which somebody recorded is worth nothing on another connection.
 *
 *   → {"v":1,"token":"<id>.<secret>","node":"n7","key":"<SPKI>","sig":"<64 bytes>","board":"<hex>"?,"version":"…"}
 *   ← {"v":1,"cert":"<PEM>","ca":"<PEM>","ts":<ms>}   or   {"v":1,"error":{"code":"…","message":"…"}}
 */
import * as v from 'valibot'
import { fromBase32, toBase32 } from '../core/base32.ts'
import { isNodeId, type NodeId } from '../core/ids.ts'
import { isTokenId, TOKEN_SECRET_BYTES } from './tokens.ts'

export const ENROLMENT_PROTOCOL = 'obelisk-enroll/1'
/** What agents ask for by SNI and check in the certificate, whatever address they dialled. */
export const GATEWAY_SERVER_NAME = 'gateway.obelisk.internal'
export const EXPORTER_LABEL = 'EXPORTER-obelisk-enroll-v1'
export const EXPORTER_BYTES = 32
export const REQUEST_BYTES_MAX = 2048
export const ANSWER_BYTES_MAX = 16 * 1024

/** The keys that are taken have 91 bytes; whoever brings another hears that it is `key-unsuitable`. */
const KEY_BYTES_MAX = 1024
/** IEEE P1363: r and s of 32 bytes each. */
export const SIGNATURE_BYTES = 64

export interface EnrolmentRequest {
  readonly tokenId: string
  readonly secret: Uint8Array
  readonly node: NodeId
  /** A SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  readonly signature: Uint8Array
  /** SHA-256 of the board's serial number, hexadecimal: a hint for people. */
  readonly board?: string
  readonly version: string
}

/** Why a board gets nothing. What begins with `token-` means that another token is needed. */
export type EnrolmentRefusal =
  | 'token-unknown'
  | 'token-expired'
  | 'token-revoked'
  | 'token-other-node'
  | 'token-used'
  | 'node-exists'
  | 'key-revoked'
  | 'key-unsuitable'
  | 'proof-wrong'
  | 'malformed'
  | 'busy'

export type EnrolmentAnswer =
  | { readonly ok: true; readonly certificate: string; readonly ca: string; readonly ts: number }
  | { readonly ok: false; readonly code: string; readonly message: string }

/** What the signature is over: the channel, the name and the key. */
export function provenBytes(exported: Uint8Array, node: NodeId, spki: Uint8Array): Uint8Array {
  const [head, name] = [Buffer.from(`${ENROLMENT_PROTOCOL}\0`), Buffer.from(`${node}\0`)]
  return Buffer.concat([head, exported, name, spki])
}

/** The name that the certificate of a node carries. */
export function nodeUri(node: NodeId): string {
  return `urn:obelisk:node:${node}`
}

const base64 = (bytesMax: number) =>
  v.pipe(
    v.string(),
    v.maxLength(Math.ceil(bytesMax / 3) * 4),
    v.base64(),
    v.transform((text) => new Uint8Array(Buffer.from(text, 'base64'))),
  )

const requestSchema = v.strictObject({
  v: v.literal(1),
  token: v.pipe(v.string(), v.maxLength(64)),
  node: v.custom<NodeId>(isNodeId),
  key: base64(KEY_BYTES_MAX),
  sig: v.pipe(
    base64(SIGNATURE_BYTES),
    v.check((bytes) => bytes.length === SIGNATURE_BYTES),
  ),
  board: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
  version: v.pipe(v.string(), v.maxLength(64)),
})

const answerSchema = v.union([
  v.object({
    v: v.literal(1),
    cert: v.string(),
    ca: v.string(),
    ts: v.pipe(v.number(), v.safeInteger()),
  }),
  v.object({ v: v.literal(1), error: v.object({ code: v.string(), message: v.string() }) }),
])

/** A line, without its end. */
export function encodeRequest(request: EnrolmentRequest): string {
  const { tokenId, secret, node, spki, signature, board, version } = request
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  return JSON.stringify({
    v: 1,
    token: `${tokenId}.${toBase32(secret)}`,
    node,
    key: text(spki),
    sig: text(signature),
    ...(board === undefined ? {} : { board }),
    version,
  })
}

/** Nothing if the line is malformed. */
export function decodeRequest(line: string): EnrolmentRequest | undefined {
  const parsed = v.safeParse(requestSchema, jsonOf(line), { abortEarly: true })
  if (!parsed.success) return undefined
  const { token, node, key, sig, board, version } = parsed.output
  const [tokenId = '', secretText = '', ...rest] = token.split('.')
  const secret = fromBase32(secretText)
  if (!isTokenId(tokenId) || secret?.length !== TOKEN_SECRET_BYTES || rest.length > 0) {
    return undefined
  }
  const named = { tokenId, secret, node, spki: key, signature: sig, version }
  return board === undefined ? named : { ...named, board }
}

export function encodeAnswer(answer: EnrolmentAnswer): string {
  if (!answer.ok) {
    const { code, message } = answer
    return JSON.stringify({ v: 1, error: { code, message } })
  }
  return JSON.stringify({ v: 1, cert: answer.certificate, ca: answer.ca, ts: answer.ts })
}

/** Nothing if the line is malformed. */
export function decodeAnswer(line: string): EnrolmentAnswer | undefined {
  const parsed = v.safeParse(answerSchema, jsonOf(line), { abortEarly: true })
  if (!parsed.success) return undefined
  if ('error' in parsed.output) return { ok: false, ...parsed.output.error }
  const { cert, ca, ts } = parsed.output
  return { ok: true, certificate: cert, ca, ts }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
