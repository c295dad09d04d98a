/** Authorities, gateways and nodes with certificates, as a secured fleet has them. */

import {
  type Authority,
  certifyAuthority,
  certifyNode,
  certifyServer,
} from '../../broker/adapters/certificates.ts'
import type { TlsKeys } from '../../broker/adapters/tls-listener.ts'
import type { Identity } from '../../firmware-agent/adapters/identity-files.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import {
  fingerprint,
  fingerprintText,
  newKeyPair,
  pemOf,
  spkiOf,
} from '../../shared/runtime/public-keys.ts'

export interface NewAuthority extends Authority {
  readonly pin: Uint8Array
}

export async function newAuthority(): Promise<NewAuthority> {
  const { privateKey, publicKey } = newKeyPair()
  const certificate = await certifyAuthority(privateKey, publicKey)
  return { privateKey, certificate, pin: fingerprint(spkiOf(publicKey)) }
}

/** What a gateway of this authority shows, by this name. */
export async function gatewayKeys(
  authority: Authority,
  name = GATEWAY_SERVER_NAME,
): Promise<TlsKeys> {
  const pair = newKeyPair()
  const leaf = await certifyServer(authority, pair.publicKey, { names: [name] })
  const ca = authority.certificate
  return { key: pemOf(pair), certificate: `${leaf}${ca}`, ca }
}

export interface NewIdentity extends Identity {
  /** SHA-256 of the key, hexadecimal. */
  readonly sha256: string
}

export async function identityFor(authority: Authority, node: NodeId): Promise<NewIdentity> {
  const pair = newKeyPair()
  const spki = spkiOf(pair.publicKey)
  const certificate = await certifyNode(authority, spki, node)
  const sha256 = fingerprintText(spki)
  return { key: pemOf(pair), certificate, ca: authority.certificate, sha256 }
}
