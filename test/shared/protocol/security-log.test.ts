import t from 'tap'
import {
  isSecurityEvent,
  meaningOf,
  SECURITY_EVENTS,
  SECURITY_LEVELS,
  type SecurityEventName,
} from '../../../shared/protocol/security-events.ts'
import {
  formatHead,
  formatLine,
  hashOfLine,
  NO_HEAD,
  named,
  parseHead,
  parseLine,
  SECURITY_LINE_BYTES_MAX,
} from '../../../shared/protocol/security-log.ts'

const PLACE = { ts: 1_700_000_000_000, count: 3, after: NO_HEAD }

t.test('a line is what was agreed, byte for byte', (t) => {
  const line = formatLine(
    {
      event: 'login-failed',
      who: 'user/operator1',
      source: '192.168.1.9',
      via: 'mqtt',
      code: 'wrong-password',
    },
    { ...PLACE, after: { seq: 1041, hash: '0123456789abcdef0123456789abcdef' } },
  )
  t.equal(
    line,
    '{"seq":1042,"ts":1700000000000,"event":"login-failed","level":"warn","who":"user/operator1",' +
      '"source":"192.168.1.9","via":"mqtt","code":"wrong-password","count":3,' +
      '"prev":"0123456789abcdef0123456789abcdef"}',
  )
  // printf %s "$line" | sha256sum | cut -c 1-32
  t.equal(hashOfLine(Buffer.from(line)), 'db7b523b42aa16348b7e062b88bd782c')
  t.match(parseLine(Buffer.from(line)), { seq: 1042, who: 'user/operator1', count: 3 })
  t.end()
})

t.test('what strangers name is repeated only where it is a name', (t) => {
  const strange = ['a b', '../x', '#', '+', '', 'é', 'a\nb', 'x'.repeat(65), '\u0000', undefined, 7]
  for (const name of strange) t.equal(named('user', name), 'user/?')
  t.equal(named('user', 'anna_1-b'), 'user/anna_1-b')
  const texts = ['anna', 'user/a b', 'user/', '\u001b[2J', '"},{"', 'x'.repeat(10_000)]
  for (const text of texts) {
    const told = {
      event: 'login-failed',
      who: text,
      what: text,
      source: text,
      other: text,
    } as const
    const line = formatLine({ ...told, via: 'http', code: `${text} ` }, PLACE)
    const { who, what, source, other, code } = parseLine(Buffer.from(line))!
    t.same(
      { who, what, source, other, code },
      { who: '?', what: '?', source: '?', other: '?', code: '?' },
    )
  }
  t.end()
})

t.test('addresses of every kind are repeated', (t) => {
  for (const source of [
    '127.0.0.1',
    '::1',
    '2001:db8:0:1::/64',
    'fe80:0:0:0:1:2:3:4',
    'fe80::1%eth0',
  ]) {
    const line = formatLine({ event: 'login', who: 'nobody', source, via: 'http' }, PLACE)
    t.equal(parseLine(Buffer.from(line))?.source, source)
  }
  t.end()
})

t.test('the longest line is far from the bound', (t) => {
  const id = `x/${'y'.repeat(64)}`
  const long = '0'.repeat(45)
  for (const event of Object.keys(SECURITY_EVENTS) as SecurityEventName[]) {
    const told = { event, who: id, what: id, source: long, other: long, code: 'c'.repeat(64) }
    const place = { ts: 8.64e15, count: 2 ** 53 - 1, after: { ...NO_HEAD, seq: 2 ** 53 - 2 } }
    const line = formatLine({ ...told, via: 'gateway' }, place)
    t.ok(line.length < SECURITY_LINE_BYTES_MAX / 2, `${event}: ${line.length}`)
    t.ok(SECURITY_LEVELS.includes(meaningOf(event).level))
    t.ok(isSecurityEvent(event))
  }
  t.notOk(isSecurityEvent('constructor'))
  t.end()
})

t.test('what is no line is none', (t) => {
  const line = formatLine({ event: 'login', who: 'nobody', via: 'http' }, PLACE)
  const broken = [
    ...['', '{', 'null', '[]', '7', line.slice(0, -1), `${line}x`],
    ...[line.replace('"seq":1', '"seq":0'), line.replace('"seq":1', '"seq":1.5')],
    ...[line.replace('"seq":1', '"seq":"1"'), line.replace('info', 'loud')],
    ...[line.replace('"code":""', '"code":{}'), line.replace('000"}', '00"}')],
    ...[line.replace('"who"', '"why"'), line.replace('"count":3', '"count":null')],
    line.replace('"ts":1700000000000', '"ts":8640000000000001'),
  ]
  for (const text of broken) t.equal(parseLine(Buffer.from(text)), undefined, text)
  t.ok(parseLine(Buffer.from(line)))
  t.end()
})

t.test('a head is passed on as a word', (t) => {
  const head = { seq: 1042, hash: '0123456789abcdef0123456789abcdef' }
  t.same(parseHead(` ${formatHead(head)}\n`), head)
  for (const text of ['', '1042', '1042:', ':0123', `x:${head.hash}`, `1:${head.hash}0`]) {
    t.equal(parseHead(text), undefined, text)
  }
  t.end()
})
