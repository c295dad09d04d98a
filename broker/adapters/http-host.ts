/**
 * Whether a request was meant for a loopback address. A browser takes a page of any name for one of this
 * gateway once that name is made to point here (DNS rebinding); only `Host` tells (RFC 9110 §7.2).
 */
import type { IncomingMessage } from 'node:http'

/** Names and addresses of this machine alone (RFC 6761 §6.3, RFC 5735 §3, RFC 4291 §2.5.3), any port. */
const LOOPBACK = /^(?:(?:[\w-]+\.)*localhost\.?|127(?:\.\d{1,3}){3}|\[::1\])(?::\d*)?$/i

const ABSOLUTE = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i

/** The host that a request names: nothing if it names none, as HTTP/1.0 may. */
export function hostOf(request: Pick<IncomingMessage, 'headers' | 'url'>): string | undefined {
  // Where the target names one, that counts and not the header (RFC 9112 §3.2.2).
  return ABSOLUTE.exec(request.url ?? '')?.[1] ?? request.headers.host
}

export function isLoopbackHost(host: string): boolean {
  return LOOPBACK.test(host)
}
