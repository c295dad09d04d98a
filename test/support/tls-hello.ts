/** First messages of TLS that no library makes any more, byte by byte. */
import { randomBytes } from 'node:crypto'

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
