import t from 'tap'
import { answerToPlain } from '../../../broker/adapters/plain-request.ts'

const answerTo = (...lines: readonly string[]): string | undefined =>
  answerToPlain(Buffer.from([...lines, '', ''].join('\r\n'), 'latin1'))

t.test('whoever asks is told the address by which he came, and sent nowhere', async (t) => {
  for (const [lines, address] of [
    [['GET / HTTP/1.1', 'Host: gw.local:8025', 'accept: */*'], 'https://gw.local:8025;'],
    [['GET /api/nodes HTTP/1.1', 'host: [fe80::1]:8025'], 'https://[fe80::1]:8025;'],
    [['POST /process HTTP/1.1', 'host: 127.0.0.1'], 'https://127.0.0.1;'],
    [['GET / HTTP/1.1', 'host: a b'], 'https://;'],
    [['GET / HTTP/1.1', 'host: gw.local/path'], 'https://;'],
    [['GET / HTTP/1.1'], 'https://;'],
    [['OPTIONS * HTTP/1.1', 'host: gw.local'], 'https://gw.local;'],
  ] as const) {
    const answer = answerTo(...lines)!
    t.match(answer, /^HTTP\/1\.1 400 /, lines.join())
    t.match(answer, '\r\nconnection: close\r\n')
    t.notMatch(answer, /location:/i)
    t.match(answer, `"code":"https-only"`)
    t.match(answer, `ask ${address}`)
  }
})

t.test('what is no request is told nothing', async (t) => {
  for (const bytes of [
    '',
    'GET',
    'GET / HTTP/2.0\r\n',
    '\x10\x2b\x00\x04MQTT',
    'get / HTTP/1.1\r\n',
  ]) {
    t.equal(answerToPlain(Buffer.from(bytes, 'latin1')), undefined, bytes)
  }
})
