/** One TLS connection: whether what listens speaks it, is the gateway of this node's fleet, and takes its key. */
import { connect } from 'node:tls'
import type { Identity } from '../../firmware-agent/adapters/identity-files.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { isAlert, linkWords } from '../../shared/runtime/address-hint.ts'
import type { GatewayProbe } from './gateway-finding.ts'

export interface SecureQuestion {
  readonly host: string
  readonly port: number
  readonly identity: Identity | undefined
  readonly timeoutMs: number
}

/** A gateway that does not take a key ends the connection once it has seen it. */
const REFUSED_WITHIN_MS = 1000

export async function probeSecured(
  { host, port, identity, timeoutMs }: SecureQuestion,
  failureOf: (error: Error) => GatewayProbe,
): Promise<GatewayProbe> {
  const startMs = performance.now()
  const shown =
    identity === undefined ? {} : { ca: identity.ca, key: identity.key, cert: identity.certificate }
  return await new Promise((resolve) => {
    let roundTripMs: number | undefined
    const socket = connect({
      ...{ host, port, servername: GATEWAY_SERVER_NAME, ALPNProtocols: ['mqtt'] },
      ...{ minVersion: 'TLSv1.3' as const, rejectUnauthorized: false, ...shown },
    })
    const end = (probe: GatewayProbe): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(probe)
    }
    let timer = setTimeout(() => {
      end({ kind: 'silent', detail: `nothing within ${timeoutMs / 1000} s` })
    }, timeoutMs)
    let isConnected = false
    socket.on('connect', () => {
      isConnected = true
    })
    const gone = (detail: string, kind: 'not-tls' | 'not-a-gateway' = 'not-tls'): void => {
      if (roundTripMs === undefined) end({ kind, detail })
      else end({ kind: 'not-authorised', detail: 'it does not take its key: revoked?' })
    }
    socket.on('error', (error) => {
      if (!isConnected) end(failureOf(error))
      else gone(linkWords(error), isAlert(error) ? 'not-a-gateway' : 'not-tls')
    })
    socket.on('close', () => gone('it closed the connection'))
    socket.on('secureConnect', () => {
      roundTripMs = performance.now() - startMs
      if (identity !== undefined && !socket.authorized) {
        end({ kind: 'other-fleet', detail: 'the pin of its authority is not that of this node' })
        return
      }
      clearTimeout(timer)
      timer = setTimeout(
        () => end({ kind: 'reached', roundTripMs: roundTripMs! }),
        REFUSED_WITHIN_MS,
      )
    })
    socket.resume()
  })
}
