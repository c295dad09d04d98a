/**
 * Questions to a gateway in Node: to one that shows a certificate of the fleet's own authority, and to the socket of its
 * owner. Node's `fetch` can do neither.
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, Readable } from 'node:stream'
import { type Carrier, GatewayClient, shown } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { httpHint, isOfTls, isOfTrust, linkWords } from '../../shared/runtime/address-hint.ts'

/** What a login gives: whom to trust, and what proves us to him. */
export interface Login {
  /** PEM. */
  readonly ca: string
  readonly token: string
}

/** A host of this machine, as a URL has it. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/
/** Statuses that have no body. */
const BODILESS = [204, 304]

/**
 * `http://host:port`, `https://…`, or `unix:/path` of the socket of a gateway's owner. Fails with `url-not-secure` if a
 * token, or a password in the URL, would be shown to the network.
 */
export function gatewayClient(address: string, login?: Login): GatewayClient {
  const client: GatewayClient = new GatewayClient(address, {
    token: login?.token,
    carrier: carrierTo(address.replace(/\/+$/, ''), login),
    explain: (error) => (error.status === 401 ? unknownHere(error, client.address, login) : error),
  })
  return client
}

/**
 * Before a secret goes there, or comes from there: over `http://` whoever has the port may be anybody, also on this
 * machine, and a gateway that knows secrets is not spoken to like that.
 */
export function assertHidden({ address }: Pick<GatewayClient, 'address'>): void {
  if (address.startsWith('http:')) throw notHidden(address)
}

/** Before a secret goes there: it must not be read on the way to another machine. */
export function assertUnseen(address: string): void {
  const { protocol, hostname } = new URL(address)
  const isPlain = protocol === 'http:' || protocol === 'mqtt:'
  if (isPlain && !LOOPBACK.test(hostname)) throw notHidden(shown(address))
}

function carrierTo(base: string, login: Login | undefined): Carrier {
  const { send, place, prefix } = placeOf(base, login)
  return (path, { method, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const options = { ...place, method, path: `${prefix}${path}`, headers, signal }
      const asking = send(options, (response) => resolve(answerOf(response)))
      const fail = (error: Error): void => reject(faultOf(error, shown(base), login))
      asking.once('error', fail)
      if (!(body instanceof ReadableStream)) asking.end(body)
      else pipeline(body, asking, (error) => error && fail(error))
    })
}

function placeOf(
  base: string,
  login: Login | undefined,
): { readonly send: typeof httpRequest; readonly place: RequestOptions; readonly prefix: string } {
  const url = new URL(base)
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  if (url.protocol === 'unix:') {
    return { send, place: { socketPath: decodeURIComponent(url.pathname) }, prefix: '' }
  }
  const { hostname, port, username, password } = url
  if (username !== '' || login !== undefined) assertUnseen(base)
  const [name, secret] = [username, password].map(decodeURIComponent)
  const auth = username === '' ? {} : { auth: `${name}:${secret}` }
  const trust = login && {
    ...{ ca: login.ca, servername: GATEWAY_SERVER_NAME, minVersion: 'TLSv1.3' as const },
  }
  const place = {
    ...{ hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port, ...auth, ...trust },
    // A port of MQTT then says that it is none of HTTP [RFC 7301 §3.2].
    ALPNProtocols: ['http/1.1'],
  }
  return { send, place, prefix: url.pathname === '/' ? '' : url.pathname }
}

function answerOf(response: IncomingMessage): Response {
  const status = response.statusCode!
  const headers = new Headers()
  for (const [name, values = []] of Object.entries(response.headersDistinct)) {
    for (const value of values) headers.append(name, value)
  }
  if (!BODILESS.includes(status)) {
    return new Response(Readable.toWeb(response) as ReadableStream, { status, headers })
  }
  response.resume()
  return new Response(null, { status, headers })
}

/** What has an answer of its own; anything else is that nobody is there. */
function faultOf(cause: NodeJS.ErrnoException, address: string, login: Login | undefined): Error {
  if (cause.code === 'EACCES') {
    const detail = `${address} is its owner's alone: run it as root, sudo obelisk …, or log in`
    return new ObeliskError({ code: 'not-permitted', detail, cause })
  }
  const hint = httpHint(new URL(address), cause)
  const words = linkWords(cause, 'http')
  if (!isOfTrust(cause)) {
    if (hint === '' && !isOfTls(cause)) return cause
    const detail = `no gateway at ${address} (${words})${hint}`
    return new ObeliskError({ code: 'unreachable', detail, cause })
  }
  const detail =
    login === undefined
      ? `this machine does not trust what answers at ${address} (${words}): obelisk login ${address}`
      : `what answers at ${address} is not the gateway of the login (${words}), and was told nothing; if the gateway got new keys, log in again`
  return new ObeliskError({ code: 'gateway-not-pinned', detail, cause })
}

function unknownHere(error: ObeliskError, address: string, login: Login | undefined): ObeliskError {
  const { code, status } = error
  const detail =
    login === undefined
      ? `not logged in; obelisk login ${address}`
      : `the gateway does not take the token of the login any more: it is over, or was revoked; log in with another: obelisk login ${address}`
  return new ObeliskError({ code, detail, status, cause: error })
}

function notHidden(address: string): ObeliskError {
  const detail = `no secret goes to ${address}: only to the socket of a gateway's owner (as root, on its machine), or over https:// (obelisk login); a gateway that has neither is not secured yet (obelisk gateway secure)`
  return new ObeliskError({ code: 'url-not-secure', detail })
}
