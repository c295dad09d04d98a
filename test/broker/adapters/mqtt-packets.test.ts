import fc from 'fast-check'
import t from 'tap'
import {
  checkPacket,
  connectOf,
  PACKET_BOUNDS,
  readFixedHeader,
  readPublishHead,
  returnCodeOf,
} from '../../../broker/adapters/mqtt-packets.ts'
import {
  type ConnectParts,
  connectBody,
  field,
  lengthOf,
  publishPacket,
  subscribePacket,
  unsubscribePacket,
} from '../../support/raw-mqtt-client.ts'

function check(type: number, flags: number, body: Uint8Array): string | undefined {
  return checkPacket(type, flags, body, PACKET_BOUNDS)
}

function checkWhole(packet: Buffer): string | undefined {
  const header = readFixedHeader(packet, 0)
  if (typeof header === 'string') return header
  return check(header.type, header.flags, packet.subarray(header.headerBytes))
}

const connect = (parts: ConnectParts): string | undefined => check(1, 0, connectBody(parts))
const filters = (...list: string[]): string | undefined => checkWhole(subscribePacket(list))
const topic = (text: string | Uint8Array): string | undefined => checkWhole(publishPacket(text, ''))

t.test('the fixed header is read for every length', async (t) => {
  for (const bodyBytes of [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]) {
    const bytes = Buffer.concat([Uint8Array.of(0x3b), lengthOf(bodyBytes)])
    const headerBytes = bytes.length
    t.same(readFixedHeader(bytes, 0), { type: 3, flags: 11, headerBytes, bodyBytes })
    t.equal(readFixedHeader(bytes.subarray(0, -1), 0), 'incomplete')
  }
  t.equal(readFixedHeader(Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x80, 1), 0), 'malformed')
})

t.test('what MQTT 3.1.1 allows passes', async (t) => {
  t.equal(connect({}), undefined)
  t.equal(connect({ clientId: '', flags: 2 }), undefined)
  t.equal(connect({ flags: 0 }), undefined, 'a persistent session')
  t.equal(connect({ keepalive: 65_535 }), undefined)
  t.equal(connect({ clientId: 'x'.repeat(128) }), undefined)
  const will = Buffer.concat([field('a/will'), field(Uint8Array.of(0, 255))])
  t.equal(connect({ flags: 2 | 4 | 0x10, rest: will }), undefined, 'a will at QoS 2')
  const user = Buffer.concat([field('name'), field(Uint8Array.of(0, 1, 2))])
  t.equal(connect({ flags: 2 | 0x80 | 0x40, rest: user }), undefined)
  t.equal(topic('a'), undefined)
  t.equal(topic('/'), undefined)
  t.equal(topic('Grüße/日本'), undefined)
  t.equal(topic('\ufeffa'), undefined, 'a byte order mark is a character [MQTT-1.5.3-3]')
  t.equal(filters('#'), undefined)
  t.equal(filters('+/+/a/#', '/+', 'a//b'), undefined)
  t.equal(check(4, 0, Uint8Array.of(1, 0)), undefined)
  t.equal(check(6, 2, Uint8Array.of(0, 1)), undefined)
  t.equal(check(12, 0, Uint8Array.of()), undefined)
})

t.test('a CONNECT that breaks a rule is named', async (t) => {
  t.equal(connect({ protocol: 'MQIsdp', level: 3 }), 'protocol-version')
  t.equal(connect({ level: 5 }), 'protocol-version')
  t.equal(connect({ level: 0x85 }), 'protocol-version')
  t.equal(connect({ protocol: 'MQIsdp', level: 0x83 }), 'protocol-version')
  t.equal(connect({ flags: 3 }), 'connect-flags')
  t.equal(connect({ flags: 2 | 4 | 0x18 }), 'will-qos')
  t.equal(connect({ flags: 2 | 0x08 }), 'will-flags')
  t.equal(connect({ flags: 2 | 0x20 }), 'will-flags')
  t.equal(connect({ flags: 2 | 0x40 }), 'password-without-username')
  t.equal(connect({ clientId: '', flags: 0 }), 'client-id')
  t.equal(connect({ clientId: 'x'.repeat(129) }), 'client-id')
  t.equal(connect({ clientId: 'a\u0000b' }), 'text-control-character')
  t.equal(connect({ clientId: Uint8Array.of(0xc3, 0x28) }), 'text-encoding')
  t.equal(connect({ rest: Uint8Array.of(0) }), 'packet-excess-bytes')
  t.equal(connect({ flags: 2 | 4 }), 'packet-truncated')
  t.equal(connect({ flags: 2 | 4, rest: field('') }), 'topic-empty')
  t.equal(connect({ flags: 2 | 4, rest: field('a/#') }), 'topic-wildcard')
  t.equal(connect({ flags: 2 | 4, rest: field('a') }), 'packet-truncated')
  t.equal(connect({ flags: 2 | 0x80 }), 'packet-truncated')
  t.equal(check(1, 1, connectBody()), 'packet-flags')
  t.equal(check(1, 0, connectBody().subarray(0, 9)), 'packet-truncated')
})

t.test('another broker says what it is', async (t) => {
  t.equal(connect({ level: 0x84 }), undefined)
  t.ok(connectOf(connectBody({ level: 0x84 })).isBridge)
  t.same(connectOf(connectBody()), { clientId: 'raw', isClean: true, isBridge: false })
  t.notOk(connectOf(connectBody({ flags: 0 })).isClean)
})

t.test('a keepalive is bounded only where that is asked for', async (t) => {
  const bounds = { ...PACKET_BOUNDS, keepaliveSecondsMax: 120 }
  const withKeepalive = (keepalive: number): string | undefined =>
    checkPacket(1, 0, connectBody({ keepalive }), bounds)
  t.equal(withKeepalive(120), undefined)
  t.equal(withKeepalive(121), 'keepalive')
  t.equal(withKeepalive(0), 'keepalive')
})

t.test('refusals with a CONNACK carry its code', async (t) => {
  t.equal(returnCodeOf('protocol-version'), 1)
  t.equal(returnCodeOf('client-id'), 2)
  t.equal(returnCodeOf('will-qos'), undefined)
})

t.test('a PUBLISH that breaks a rule is named', async (t) => {
  t.equal(checkWhole(publishPacket('a', '', { qos: 3 })), 'publish-flags')
  t.equal(checkWhole(publishPacket('a', '', { flags: 8 })), 'publish-flags')
  t.equal(checkWhole(publishPacket('a', '', { qos: 1, id: 0 })), 'packet-id')
  t.equal(topic(''), 'topic-empty')
  t.equal(topic('a/+/b'), 'topic-wildcard')
  t.equal(topic('a#'), 'topic-wildcard')
  t.equal(topic('a\u0001'), 'text-control-character')
  t.equal(topic('a\u0085'), 'text-control-character')
  t.equal(topic('a\uffff'), 'text-control-character')
  t.equal(topic(Uint8Array.of(0x61, 0xff)), 'text-encoding')
  t.equal(topic(Uint8Array.of(0xed, 0xa0, 0x80)), 'text-encoding', 'a surrogate')
  t.equal(topic(Uint8Array.of(0xc0, 0xaf)), 'text-encoding', 'longer than needed')
  t.equal(topic('x'.repeat(1025)), 'topic-too-long')
  t.equal(topic(Array(100).fill('a').join('/')), undefined)
  t.equal(topic(Array(101).fill('a').join('/')), 'topic-too-deep')
  t.equal(check(3, 2, field('a')), 'packet-truncated')
  t.equal(check(3, 0, Uint8Array.of(0)), 'packet-truncated')
})

t.test('a SUBSCRIBE or UNSUBSCRIBE that breaks a rule is named', async (t) => {
  for (const filter of ['a#', '#/a', 'a/#/b', 'a+', '+a', 'a/+b', '##', '++']) {
    t.equal(filters(filter), 'filter-syntax', filter)
  }
  t.equal(filters(''), 'topic-empty')
  t.equal(filters(), 'filter-count')
  t.equal(filters(...Array(4097).fill('a')), undefined, 'answered filter by filter')
  t.equal(checkWhole(unsubscribePacket(Array(4096).fill('a'))), undefined)
  t.equal(checkWhole(unsubscribePacket(Array(4097).fill('a'))), 'filter-count')
  t.equal(filters(Array(100).fill('+').join('/')), undefined)
  t.equal(filters(Array(101).fill('+').join('/')), 'topic-too-deep')
  t.equal(checkWhole(subscribePacket(['a'], 3)), 'subscription-qos')
  t.equal(checkWhole(subscribePacket(['a'], 0, 0)), 'packet-id')
  t.equal(check(8, 0, Buffer.concat([Uint8Array.of(0, 1), field('a')])), 'packet-flags')
  t.equal(check(8, 2, Buffer.concat([Uint8Array.of(0, 1), field('a')])), 'packet-truncated')
  t.equal(check(10, 2, Buffer.concat([Uint8Array.of(0, 1), field('a')])), undefined)
})

t.test('other packets: only those of a client, with nothing added', async (t) => {
  for (const type of [0, 2, 9, 11, 13, 15]) t.equal(check(type, 0, Uint8Array.of()), 'packet-type')
  t.equal(check(4, 1, Uint8Array.of(0, 1)), 'packet-flags')
  t.equal(check(6, 0, Uint8Array.of(0, 1)), 'packet-flags')
  t.equal(check(4, 0, Uint8Array.of(0, 0)), 'packet-id')
  t.equal(check(5, 0, Uint8Array.of(1)), 'packet-truncated')
  t.equal(check(7, 0, Uint8Array.of(0, 1, 0)), 'packet-excess-bytes')
  t.equal(check(12, 0, Uint8Array.of(0)), 'packet-excess-bytes')
  t.equal(check(14, 1, Uint8Array.of()), 'packet-flags')
})

t.test('any bytes give a verdict, and no exception', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed} npx tap run test/broker/adapters/mqtt-packets.test.ts`)
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    // Nearly right: a sound body with a few bytes changed.
    fc
      .tuple(
        fc.constantFrom(
          connectBody({ flags: 0xc6, rest: Buffer.concat(['w', 'p', 'u', 'x'].map(field)) }),
          publishPacket('some/topic', 'payload', { qos: 1 }).subarray(2),
          subscribePacket(['a/+', 'b/#']).subarray(2),
        ),
        fc.array(fc.tuple(fc.nat(64), fc.nat(255)), { maxLength: 4 }),
        fc.nat(64),
      )
      .map(([sound, changes, length]) => {
        const bytes = Buffer.from(sound)
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        return bytes.subarray(0, Math.max(1, length))
      }),
  )
  fc.assert(
    fc.property(fc.nat(15), fc.nat(15), body, (type, flags, bytes) => {
      const verdict = check(type, flags, bytes)
      const head = readPublishHead(bytes, flags, PACKET_BOUNDS.topicBytesMax)
      readFixedHeader(bytes, 0)
      if (type === 3 && verdict === undefined) return typeof head === 'object'
      return verdict === undefined || /^[a-z-]+$/.test(verdict)
    }),
    { seed, numRuns: 20_000 },
  )
})
