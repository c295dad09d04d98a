/** How a command comes to know a gateway that it has never seen: by the pin in the token, before it says anything. */
import { X509Certificate } from 'node:crypto'
import { request } from 'node:https'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { httpHint, linkWords } from '../../shared/runtime/address-hint.ts'
import type { AppError } from '../../shared/runtime/errors.ts'
import { fingerprint, spkiOf } from '../../shared/runtime/public-keys.ts'
import { fault } from '../fault.ts'

const TIMEOUT_MS = 10_000
/** A certificate has about a thousand. */
const BYTES_MAX = 64 * 1024

/** The certificate of the authority whose key has this fingerprint, PEM. Fails with `gateway-not-pinned`. */
export async function pinnedAuthority(url: URL, pin: Uint8Array): Promise<string> {
  const shown = await fetchUnverified(url)
  try {
    const authority = new X509Certificate(shown)
    const isPinned = Buffer.from(fingerprint(spkiOf(authority.publicKey))).equals(pin)
    // TLS takes a trusted certificate at its word. Not before the key is known (enrolment-client.ts).
    if (isPinned && authority.checkIssued(authority) && authority.verify(authority.publicKey)) {
      return authority.toString()
    }
  } catch (error) {
    throw notPinned(url, error)
  }
  throw notPinned(url)
}

function notPinned(url: URL, cause?: unknown): AppError {
  const message = `what answers at ${url.origin} is not the gateway of this token; nothing was said to it`
  return fault('gateway-not-pinned', message, cause)
}

/** Whatever it is: nobody knows yet who says it. */
async function fetchUnverified(url: URL): Promise<string> {
  const { hostname, port, origin } = url
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  return await new Promise<string>((resolve, reject) => {
    const fail = (error: unknown): void => {
      const why = signal.aborted
        ? `nothing within ${TIMEOUT_MS / 1000} s`
        : linkWords(error, 'http')
      const message = `no secured gateway at ${origin} (${why})${httpHint(url, error)}`
      reject(fault('unreachable', message, error))
    }
    const asking = request(
      {
        ...{ host, port, path: '/ca.crt', servername: GATEWAY_SERVER_NAME, signal },
        ...{ rejectUnauthorized: false, agent: false, ALPNProtocols: ['http/1.1'] },
      },
      (response) => {
        let text = ''
        response.setEncoding('latin1')
        response.on('data', (chunk: string) => {
          text += chunk
          if (text.length > BYTES_MAX) response.destroy(new Error('its answer has no end'))
        })
        response.once('error', fail)
        response.once('end', () => resolve(text))
      },
    )
    asking.once('error', fail)
    asking.end()
  })
}
