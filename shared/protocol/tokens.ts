/**
 * Tokens that people carry from the gateway to a board or a program, once: `obk1-<id>-<secret>-<pin>`
 * enrols a node, `obu1-…` is a user's. The id names the token, the secret proves it, and the pin is the
 * SHA-256 of the public key of the fleet's authority, so that whoever has the token knows the gateway before he
 * tells it anything (kubeadm's `--discovery-token-ca-cert-hash`). The prefix is for scanners of secrets.
 */
import { fromBase32, toBase32 } from '../core/base32.ts'

const PREFIXES = { node: 'obk1', user: 'obu1' } as const
export type TokenKind = keyof typeof PREFIXES

export interface Token {
  readonly kind: TokenKind
  /** 5 bytes in base 32: 8 characters. */
  readonly id: string
  /** 16 bytes. */
  readonly secret: Uint8Array
  /** 32 bytes. */
  readonly pin: Uint8Array
}

export const TOKEN_ID_BYTES = 5
export const TOKEN_SECRET_BYTES = 16
const PIN_BYTES = 32

export function formatToken({ kind, id, secret, pin }: Token): string {
  return [PREFIXES[kind], id, toBase32(secret), toBase32(pin)].join('-')
}

/** Nothing if `text` is no token. White space around it is no part of it: it comes out of files. */
export function parseToken(text: string): Token | undefined {
  const [prefix, id, secretText, pinText, ...rest] = text.trim().split('-')
  const kind = (Object.keys(PREFIXES) as TokenKind[]).find((one) => PREFIXES[one] === prefix)
  if (kind === undefined || id === undefined || !isTokenId(id) || rest.length > 0) return undefined
  const secret = fromBase32(secretText ?? '')
  const pin = fromBase32(pinText ?? '')
  if (secret?.length !== TOKEN_SECRET_BYTES || pin?.length !== PIN_BYTES) return undefined
  return { kind, id, secret, pin }
}

export function isTokenId(text: string): boolean {
  return fromBase32(text)?.length === TOKEN_ID_BYTES
}
