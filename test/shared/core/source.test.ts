import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { networkOf, sourceOf } from '../../../shared/core/source.ts'
import { check } from '../../support/property.ts'

t.test('a source is an IPv4 address, or 64 bits of one of IPv6', (t) => {
  const table: Readonly<Record<string, string>> = {
    '192.168.1.9': '192.168.1.9',
    '::ffff:192.168.1.9': '192.168.1.9',
    '2001:db8:1:2:3:4:5:6': '2001:db8:1:2::/64',
    '2001:0DB8:0001:0002::6': '2001:db8:1:2::/64',
    '2001:db8::1': '2001:db8:0:0::/64',
    'fe80::1%eth0': 'fe80:0:0:0:0:0:0:1',
    'fd00::12': 'fd00:0:0:0:0:0:0:12',
    'fec0::1': 'fec0:0:0:0::/64',
    'fd::1': 'fd:0:0:0::/64',
    '::1': '0:0:0:0::/64',
    '::': '0:0:0:0::/64',
    '1::': '1:0:0:0::/64',
    '': '',
  }
  for (const [address, source] of Object.entries(table)) t.equal(sourceOf(address), source, address)
  t.end()
})

t.test('all ways to write an address of IPv6 are one source', (t) => {
  const group = fc.oneof(fc.constant(0), fc.nat(0xffff))
  const address = fc
    .tuple(fc.nat(0xfbff), fc.array(group, { minLength: 7, maxLength: 7 }))
    .map(([first, rest]) => [first, ...rest])
  check(
    t,
    fc.property(address, fc.nat(0xffff), (groups, last) => {
      const full = groups.map((one) => one.toString(16).padStart(4, '0')).join(':')
      const short = new URL(`http://[${full}]`).hostname.slice(1, -1)
      const neighbour = [...groups.slice(0, 7), last].map((one) => one.toString(16)).join(':')
      return (
        isIPv6(short) &&
        sourceOf(full) === sourceOf(short) &&
        sourceOf(neighbour) === sourceOf(full) &&
        sourceOf(full) ===
          `${groups
            .slice(0, 4)
            .map((one) => one.toString(16))
            .join(':')}::/64`
      )
    }),
  )
  t.end()
})

t.test('who guesses has no sources of his own in addresses that he can choose', (t) => {
  const table: Readonly<Record<string, string>> = {
    '192.168.1.9': '192.168.1.9',
    '2001:db8:1:2:3:4:5:6': '2001:db8:1:2::/64',
    'fe80::1:2:3%eth0': 'fe80:0:0:0::/64',
    'fd00:1:2:3:4:5:6:7': 'fd00:1:2:3::/64',
    '::1': '0:0:0:0::/64',
    '': '',
  }
  for (const [address, network] of Object.entries(table)) {
    t.equal(networkOf(sourceOf(address)), network, address)
  }
  t.end()
})
