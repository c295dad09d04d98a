/** Lines of an enrolment, right ones and others, each on a connection of its own. */
import { sign } from 'node:crypto'
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import type { NodeId } from '../../shared/core/ids.ts'
import {
  decodeAnswer,
  ENROLMENT_PROTOCOL,
  type EnrolmentAnswer,
  type EnrolmentRequest,
  EXPORTER_LABEL,
  encodeRequest,
  GATEWAY_SERVER_NAME,
  provenBytes,
} from '../../shared/protocol/enrolment.ts'
import type { Token } from '../../shared/protocol/tokens.ts'
import { type KeyPair, spkiOf } from '../../shared/runtime/public-keys.ts'

export interface EnrolmentPlace {
  readonly port: number
  /** PEM of the authority. */
  readonly ca: string
  /** The address that it comes from. */
  readonly from?: string
}

export async function dial({ port, ca, from }: EnrolmentPlace): Promise<TLSSocket> {
  const socket = connect({
    ...{ host: '127.0.0.1', port, ca, servername: GATEWAY_SERVER_NAME },
    ...{ ALPNProtocols: [ENROLMENT_PROTOCOL], minVersion: 'TLSv1.3' },
    ...(from !== undefined && { localAddress: from }),
  })
  await once(socket, 'secureConnect')
  return socket
}

/** Says one line, which may hang on the connection, and hears what is answered. */
export async function say(
  place: EnrolmentPlace,
  line: (socket: TLSSocket) => string | Buffer,
): Promise<EnrolmentAnswer | undefined> {
  const socket = await dial(place)
  socket.write(line(socket))
  let text = ''
  for await (const chunk of socket) text += chunk
  return decodeAnswer(text.trimEnd())
}

/** A right line for this connection, but for what is changed in it after it was signed. */
export function requestLine(
  socket: TLSSocket,
  { id, secret }: Token,
  pair: KeyPair,
  change: Partial<EnrolmentRequest> = {},
): string {
  const spki = spkiOf(pair.publicKey)
  const node = 'n1' as NodeId
  const exported = socket.exportKeyingMaterial(32, EXPORTER_LABEL, Buffer.alloc(0))
  const proven = provenBytes(exported, node, spki)
  const signature = sign('sha256', proven, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' })
  const named = { tokenId: id, secret, node, spki, signature, version: '0.1.0' }
  return `${encodeRequest({ ...named, ...change })}\n`
}
