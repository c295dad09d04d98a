/**
 * Where a connection comes from, as limits count it: an IPv4 address, or the 64 bits of an IPv6 address that a
 * network gives to one host or house [RFC 4291 §2.5.4]: whoever has these has all that are below. Neighbours in a
 * house share them, so addresses that are good there alone count for themselves.
 */

/** `address` is as sockets say it; what is none is a source of its own. */
export function sourceOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1]!
  if (!address.includes(':')) return address
  const [text = ''] = address.split('%')
  const [head = '', tail] = text.toLowerCase().split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...new Array<string>(zeros).fill('0'), ...after]
  const plain = groups.map((group) => group.replace(/^0+(?=.)/, ''))
  // Of these whole networks have one prefix: fe80::/10, fc00::/7 [RFC 4291 §2.5.6, RFC 4193].
  const isLocal = /^(fe[89ab]|f[cd])/.test((plain[0] ?? '').padStart(4, '0'))
  return isLocal ? plain.join(':') : `${plain.slice(0, 4).join(':')}::/64`
}

/**
 * The same where a whole network counts as one, of addresses that are good there alone too: who guesses passwords has as
 * many of these as he likes.
 */
export function networkOf(source: string): string {
  const groups = source.split(':')
  return groups.length === 8 ? `${groups.slice(0, 4).join(':')}::/64` : source
}
