/**
 * The cookie of a browser that is logged in, and whether a request with it comes from a page of this gateway. The name
 * says that it was set over TLS, for this host alone and all of its paths (RFC 6265bis §4.1.3.2).
 */
import type { IncomingMessage } from 'node:http'
import { hostOf } from './http-host.ts'

const NAME = '__Host-obelisk'
/** 256 bits, base64url. */
const FORM = /^[A-Za-z0-9_-]{43}$/
const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Strict'
/** [RFC 9110 §9.2.1] */
const SAFE = ['GET', 'HEAD', 'OPTIONS', 'TRACE']

/** What the browser was given, if it shows anything like it. */
export function cookieOf(header: string | undefined): string | undefined {
  const pairs = (header ?? '').split(';').map((pair) => pair.trim())
  const shown = pairs.find((pair) => pair.startsWith(`${NAME}=`))?.slice(NAME.length + 1)
  return shown !== undefined && FORM.test(shown) ? shown : undefined
}

export function setCookie(secret: string, seconds: number): string {
  return `${NAME}=${secret}; ${ATTRIBUTES}; Max-Age=${seconds}`
}

export function clearCookie(): string {
  return setCookie('', 0)
}

/**
 * Whether a page of another origin may have made this request, and it could change something. What a browser brings by
 * itself is not only a cookie: it keeps passwords and certificates, too. Who is no browser says nothing of an origin.
 */
export function isFromElsewhere(request: IncomingMessage, hasCookie: boolean): boolean {
  const { origin } = request.headers
  if (SAFE.includes(request.method ?? '') || (origin === undefined && !hasCookie)) return false
  return !isOwn(request, origin)
}

function isOwn(request: IncomingMessage, origin: string | undefined): boolean {
  const own = `https://${hostOf(request)}`
  if (origin === undefined || !URL.canParse(own) || !URL.canParse(origin)) return false
  return new URL(own).origin === new URL(origin).origin
}
