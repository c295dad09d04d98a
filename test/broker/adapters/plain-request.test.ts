import t from 'tap'
import { answerToPlain } from '../../../broker/adapters/plain-request.ts'

const answerTo = (...lines: readonly string[]): string | undefined =>
  answerToPlain(Buffer.from([...lines, '', ''].join('\r\n'), 'latin1'))

t.test('a browser that looks is sent on, by the name that it used', async (t) => {
  for (const [host, target] of [
    ['gw.local:8025', '/'],
    ['127.0.0.1', '/api/nodes?limit=3'],
    ['[fe80::1]:8025', '//elsewhere/'],
  ] as const) {
    const answer = answerTo(`GET ${target} HTTP/1.1`, `Host: ${host}`, 'accept: */*')!
    t.match(answer, /^HTTP\/1\.1 307 /)
    t.match(answer, `\r\nlocation: https://${host}${target}\r\n`)
    t.match(answer, `"code":"https-only"`)
    t.match(answer, '\r\nconnection: close\r\n')
  }
})

t.test('anybody else is told, and sent nowhere', async (t) => {
  for (const lines of [
    ['POST /process HTTP/1.1', 'host: gw.local'],
    ['GET / HTTP/1.1', 'host: a b'],
    ['GET / HTTP/1.1', 'host: gw.local/path'],
    ['GET / HTTP/1.1'],
    ['GET http://elsewhere/ HTTP/1.1', 'host: gw.local'],
    ['OPTIONS * HTTP/1.1', 'host: gw.local'],
  ]) {
    const answer = answerTo(...lines)!
    t.match(answer, /^HTTP\/1\.1 400 /, lines.join())
    t.notMatch(answer, 'location:')
    t.match(answer, '"code":"https-only"')
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
