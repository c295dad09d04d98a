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
