import { messageOf } from './errors.ts'

/** Where else a gateway may listen than where nobody answers as one: one that is secured and one that is not differ. */
export function addressHint(url: string, who: 'board' | 'user'): string {
  const { protocol, hostname } = new URL(url)
  if (protocol === 'mqtts:') {
    return `is it started? one that is not secured is at mqtt://${hostname}:1883, for its own machine alone`
  }
  const known = who === 'board' ? 'obelisk agent enroll' : 'obelisk login'
  return `is it started? one that is secured is at mqtts://${hostname}:8883 alone: ${known}`
}

/** Whether a connection may have failed so because something else listens there, or nothing. */
export function isOfAddress(error: Error): boolean {
  const { code = '' } = error as NodeJS.ErrnoException
  return ['ECONNREFUSED', 'ECONNRESET', 'EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER'].includes(code)
}

/** What a connection failed of, in words: of TLS without what OpenSSL prints of itself. */
export function linkWords(error: unknown): string {
  if (!(error instanceof Error)) return messageOf(error)
  const { code = '', reason, message } = error as NodeJS.ErrnoException & { reason?: string }
  if (/NO_APPLICATION_PROTOCOL/.test(code)) {
    return 'that port speaks something else over TLS, HTTP perhaps: a secured gateway has MQTT at port 8883'
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'that port speaks no TLS'
  return reason ?? message
}

/** Where a gateway speaks HTTP, if a port is one of MQTT's. */
export function httpHint({ hostname, port }: URL): string {
  if (port !== '8883' && port !== '1883') return ''
  return `; that is a port of MQTT: a secured gateway has HTTP at https://${hostname}:8025`
}
