/** First messages of TLS: as this Node says it, and one that no library makes any more. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { connect } from 'node:tls'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'

const HANDSHAKE = 22
const CLIENT_HELLO = 1
/** TLS 1.0 [RFC 2246]. */
const VERSION = Uint8Array.of(3, 1)
/** TLS_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_3DES_EDE_CBC_SHA, TLS_RSA_WITH_RC4_128_SHA. */
const SUITES = Uint8Array.of(0, 0x2f, 0, 0x0a, 0, 0x05)

/** A ClientHello of TLS 1.0, without extensions [RFC 2246 §7.4.1.2], in a record of its own. */
export function helloOfTls10(): Buffer {
  const body = Buffer.concat([
    VERSION,
    randomBytes(32),
    // No session.
    Uint8Array.of(0),
    Uint8Array.of(0, SUITES.length),
    SUITES,
    // No compression.
    Uint8Array.of(1, 0),
  ])
  const message = Buffer.concat([Uint8Array.of(CLIENT_HELLO, 0, 0, body.length), body])
  const length = Uint8Array.of(message.length >> 8, message.length & 0xff)
  return Buffer.concat([Uint8Array.of(HANDSHAKE), VERSION, length, message])
}

/** The first bytes that a client of a gateway says. */
export async function newHello(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const { port } = server.address() as AddressInfo
  const socket = connect({ host: '127.0.0.1', port, servername: GATEWAY_SERVER_NAME })
  socket.on('error', () => {})
  const [other] = await accepted
  const [hello] = (await once(other, 'data')) as [Buffer]
  socket.destroy()
  other.destroy()
  server.close()
  return hello
}
