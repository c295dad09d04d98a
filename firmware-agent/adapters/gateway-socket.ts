/**
 * Connections to the gateway, for whatever is spoken on them. Over TLS that is the holder of a key of this fleet's
 * authority, whatever its address is.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import type { Identity } from './identity-files.ts'

export interface Shown {
  /** Who we are, and whom alone we take for the gateway. */
  readonly identity: Identity | undefined
  /** What is spoken [RFC 7301]. */
  readonly protocol: string
  /** What a handshake before left. */
  readonly session?: Buffer | undefined
}

/** Begins to connect to `mqtt://host:port` or `mqtts://host:port`. */
export function openSocket(text: string, { identity, protocol, session }: Shown): Socket {
  const url = new URL(text)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (url.protocol !== 'mqtts:') return connectTcp({ host, port: Number(url.port || 1883) })
  const at = { host, port: Number(url.port || 8883) }
  if (identity === undefined) return connectTls(at)
  const { key, certificate: cert, ca } = identity
  return connectTls({
    ...at,
    ...{ key, cert, ca, servername: GATEWAY_SERVER_NAME },
    ...{ minVersion: 'TLSv1.3', ALPNProtocols: [protocol], session },
  })
}
