/** What a connection failed of, in words for a person, and where else a gateway may listen. */
import { messageOf } from './errors.ts'

const OPENSSL = 'ERR_SSL_'
/** It speaks TLS, and nothing that it was asked for over it [RFC 7301 §3.2]. */
const NO_PROTOCOL = /NO_APPLICATION_PROTOCOL/
/** By OpenSSL's codes, and by those that Node has of certificates. */
const WORDS: readonly (readonly [code: RegExp, words: string])[] = [
  [/WRONG_VERSION_NUMBER/, 'that port speaks no TLS'],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/, 'that port speaks no TLS 1.3'],
  [/ALERT_.*(CERT|_CA$)/, 'it does not take the certificate of this machine, or wants one'],
  [/SELF_SIGNED|ISSUER|VERIFY_LEAF/, 'its certificate is of an authority that is not known here'],
  [/NOT_YET_VALID/, 'its certificate is not valid yet, by the clock of this machine'],
  [/HAS_EXPIRED/, 'its certificate is over, by the clock of this machine'],
  [/ALTNAME/, 'its certificate is of another name'],
]

/** Where else a gateway may listen than where nobody answers as one: one that is secured and one that is not differ. */
export function addressHint(url: string, who: 'board' | 'user'): string {
  const { protocol, hostname, port } = new URL(url)
  const known = who === 'board' ? 'obelisk agent enroll' : 'obelisk login'
  const open = `one that is not secured is at mqtt://${hostname}:1883, for its own machine alone`
  const secured = `one that is secured is at mqtts://${hostname}:8883 alone: ${known}`
  const isSecured = protocol === 'mqtts:'
  // At a port that is of neither, both are elsewhere.
  const isUsual = port === '' || port === (isSecured ? '8883' : '1883')
  const others = isUsual ? [isSecured ? open : secured] : [open, secured]
  return `is it started? ${others.join('; ')}`
}

/** Whether a connection may have failed so because something else listens there, or nothing. */
export function isOfAddress(error: Error): boolean {
  const code = codeOf(error)
  return ['ECONNREFUSED', 'ECONNRESET', 'EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER'].includes(code)
}

/** Whether what answers shows a certificate that is not trusted. */
export function isOfTrust(error: unknown): boolean {
  return !isAlert(error) && /CERT|SIGNED|VERIFY|INVALID_(CA|PURPOSE)|ALTNAME/.test(codeOf(error))
}

/** Whether what answers speaks TLS, and does not like how we do [RFC 8446, 6]. */
export function isAlert(error: unknown): boolean {
  return codeOf(error).includes('_ALERT_')
}

/** Whether its message is nothing for a person. */
export function isOfTls(error: unknown): boolean {
  return codeOf(error).startsWith(OPENSSL)
}

/** What a connection failed of, in words: of TLS without what OpenSSL prints of itself. */
export function linkWords(error: unknown, asked: 'mqtt' | 'http' = 'mqtt'): string {
  if (!(error instanceof Error)) return messageOf(error)
  const code = codeOf(error)
  if (NO_PROTOCOL.test(code)) {
    const other = 'that port speaks something else over TLS'
    if (asked === 'http') return other
    return `${other}, HTTP perhaps: a secured gateway has MQTT at port 8883`
  }
  const known = WORDS.find(([pattern]) => pattern.test(code))
  if (known !== undefined) return known[1]
  // Node's, where the connection ends within the first words of TLS.
  if (/before secure TLS/.test(error.message)) return 'it closed the connection'
  if (!isOfTls(error)) return error.message
  return code.slice(OPENSSL.length).toLowerCase().replaceAll('_', ' ')
}

function codeOf(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string }
  // Of what fails while something is written, Node has all that OpenSSL prints, and no code of it.
  const [, reason] = (code === 'EPROTO' && /SSL routines:[^:]*:([^:]+):/.exec(message ?? '')) || []
  if (reason !== undefined) return `${OPENSSL}${reason.toUpperCase().replaceAll(' ', '_')}`
  return typeof code === 'string' ? code : ''
}

/** Where a gateway speaks HTTP, if what answers speaks something else, or a port is one of MQTT's. */
export function httpHint({ hostname, port }: URL, error: unknown): string {
  const isOther = NO_PROTOCOL.test(codeOf(error))
  if (!isOther && port !== '8883' && port !== '1883') return ''
  const what = isOther ? 'MQTT perhaps' : 'that is a port of MQTT'
  const isOpen = !isOther && port === '1883'
  const gateway = isOpen ? 'a gateway that is not secured' : 'a secured gateway'
  return `; ${what}: ${gateway} has HTTP at ${isOpen ? 'http' : 'https'}://${hostname}:8025`
}
