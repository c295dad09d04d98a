/** What somebody may try over HTTP at a secured gateway that is a process of its own; each must fail. */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { toBase32 } from '../../shared/core/base32.ts'
import { eventually, within } from '../support/processes.ts'
import { command, SecuredGateway } from '../support/secured-gateway.ts'

interface Line {
  readonly event: string
  readonly who: string
  readonly source?: string
  readonly code?: string
}

async function log(gateway: SecuredGateway): Promise<Line[]> {
  const { stdout } = await command(['security', 'log', '--json', '--data', gateway.data])
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}

/** Says these bytes on one connection, and hears what comes until its end, or until `enough`. */
async function say(t: Test, gateway: SecuredGateway, text: string): Promise<string> {
  const at = { host: '127.0.0.1', port: gateway.httpPort, servername: 'localhost' }
  const socket = connect({ ...at, ca: gateway.ca })
  t.teardown(() => socket.destroy())
  let heard = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    heard += chunk
  })
  socket.on('error', () => {})
  socket.write(Buffer.from(text, 'latin1'))
  await within('the end of the connection', new Promise((resolve) => socket.once('close', resolve)))
  return heard
}

const statusesIn = (heard: string): number[] =>
  [...heard.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

t.test('attempt 52: a Bearer of a token that is none, or none any more', async (t) => {
  const [gateway, other] = await Promise.all([SecuredGateway.start(t), SecuredGateway.start(t)])
  const token = await gateway.user('ann', 'admin')
  const [, id, secret, pin] = token.split('-')
  const revoked = await gateway.done('user', 'token', 'create', 'ann')
  await gateway.done('user', 'token', 'revoke', 'ann', revoked.split('-')[1]!)
  const removed = await gateway.user('bert', 'admin')
  await gateway.done('user', 'rm', 'bert')
  const disabled = await gateway.user('carl', 'admin')
  await gateway.done('user', 'set', 'carl', '--disable')
  const some = toBase32(randomBytes(16))
  const cases: readonly [name: string, bearer: string, status?: number][] = [
    ['revoked', revoked],
    ['of a user who was removed', removed],
    ['of another fleet', await other.user('ann', 'admin')],
    ['of a board', await gateway.done('token', 'create', 'n1')],
    ['cut off', token.slice(0, -1)],
    ['without its pin', `obu1-${id}-${secret}`],
    ['another secret', `obu1-${id}-${some}-${pin}`],
    ['twice', `${token} ${token}`],
    ['of a user who may do nothing', disabled, 403],
  ]
  let source = 1
  for (const [name, bearer, status = 401] of cases) {
    // Each from elsewhere: else the limits would hide what is meant.
    const localAddress = `127.0.0.${++source}`
    const headers = { authorization: `Bearer ${bearer}` }
    for (const path of ['/api/nodes', '/healthz', '/api/identities/user']) {
      const { status: got } = await gateway.ask(path, { headers, localAddress })
      t.equal(got, status, `${name}: ${path}`)
    }
    await eventually(`${name} is told of`, async () =>
      (await log(gateway)).some(
        (line) => line.source === localAddress && line.event === 'login-failed',
      ),
    )
  }
  const headers = { authorization: `Bearer ${token}` }
  t.match(await gateway.ask('/api/nodes', { headers }), { status: 200 }, 'as it was')
  const otherPin = { authorization: `Bearer obu1-${id}-${secret}-${toBase32(randomBytes(32))}` }
  const answer = await gateway.ask('/api/nodes', { headers: otherPin })
  t.equal(answer.status, 200, 'the pin proves nothing to the gateway: it is for its client')
})

t.test('attempt 56: no way of writing a path or a method goes around the rights', async (t) => {
  const gateway = await SecuredGateway.start(t)
  const token = await gateway.user('ann', 'viewer')
  const ask = async (line: string, ...headers: readonly string[]): Promise<number[]> => {
    const head = ['host: localhost', 'connection: close', ...headers].join('\r\n')
    return statusesIn(await say(t, gateway, `${line} HTTP/1.1\r\n${head}\r\n\r\n`))
  }
  const paths = [
    ...['/api/nodes', '/api//nodes', '//api/nodes', '/api/nodes/', '/API/NODES', '/api/./nodes'],
    ...['/%61pi/nodes', '/api/%6eodes', '/api%2fnodes', '/api/nodes%2f', '/api/nodes%00'],
    ...[
      '/healthz/../api/nodes',
      '/healthz/%2e%2e/api/nodes',
      '/ca.crt/..%2fapi/nodes',
      '/../api/nodes',
    ],
    ...['/api/nodes;a=1', '/api/nodes?a=/healthz', '/healthz?/api/nodes/..', '/api/nodes#/healthz'],
    ...['/healthz%3f/../api/nodes', '/api\\nodes', '/healthz\\..\\api\\nodes', '/api/nodes%20'],
    ...['https://localhost/api/nodes', 'http://evil.example/api/nodes', '*', 'api/nodes'],
    ...['/api/nodes/%2e', '/api/tasks/..%2fnodes', `/${'x'.repeat(8000)}`, '/api/identities/user'],
  ]
  for (const path of paths) {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'get', 'DELETE']) {
      const [status = 400, ...more] = await ask(`${method} ${path}`)
      const isOpen = /^\/healthz\?/.test(path) && ['GET', 'HEAD'].includes(method)
      const isRight = isOpen ? status === 200 : status >= 400 && status < 500
      t.ok(isRight && more.length === 0, `${method} ${path.slice(0, 40)} is ${status}`)
    }
  }
  const bearer = `authorization: Bearer ${token}`
  const overrides = ['x-http-method-override', 'x-http-method', 'x-method-override'].map(
    (name) => `${name}: DELETE`,
  )
  const rewrites = ['x-original-url', 'x-rewrite-url', 'x-forwarded-prefix', 'forwarded'].map(
    (name) => `${name}: /api/identities/user`,
  )
  t.same(await ask('GET /api/nodes', bearer, ...overrides, ...rewrites), [200])
  t.same(await ask('GET /healthz', ...overrides, ...rewrites), [200])
  t.same(await ask('DELETE /api/identities/user/ann', bearer, 'x-http-method: GET'), [403])
  t.same(await ask('POST /api/identities/user/ann?_method=GET', bearer), [403])
  t.match(await gateway.done('user', 'ls'), /^ann /m)
})

t.test('attempt 57: an address that is only said changes nothing', async (t) => {
  const gateway = await SecuredGateway.start(t)
  await gateway.user('ann', 'viewer')
  const said = (n: number): Record<string, string> => ({
    authorization: `Basic ${Buffer.from('ann:wrong').toString('base64')}`,
    ...{ 'x-forwarded-for': `203.0.113.${n}`, forwarded: `for=203.0.113.${n}` },
    ...{ 'x-real-ip': `203.0.113.${n}`, 'x-forwarded-host': 'evil.example' },
    'x-forwarded-proto': 'http',
  })
  const statuses: number[] = []
  for (let n = 0; n < 8; n++) {
    statuses.push((await gateway.ask('/api/nodes', { headers: said(n) })).status)
  }
  t.same(statuses, [401, 401, 401, 401, 401, 429, 429, 429], 'the limits see where it comes from')
  const sources = (await log(gateway)).map(({ source }) => source).filter(Boolean)
  t.same([...new Set(sources)], ['127.0.0.1'])
})

t.test('attempt 59: two lengths of one request are none', async (t) => {
  const gateway = await SecuredGateway.start(t)
  const token = await gateway.user('ann', 'admin')
  const bearer = `authorization: Bearer ${token}`
  const smuggled = `DELETE /api/identities/user/ann HTTP/1.1\r\nhost: localhost\r\n${bearer}\r\n\r\n`
  const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
  const json = 'content-type: application/json'
  const cases: readonly [name: string, headers: readonly string[], body: string][] = [
    ['both', ['content-length: 5', 'transfer-encoding: chunked'], `0\r\n\r\n${smuggled}`],
    ['both, turned', ['transfer-encoding: chunked', 'content-length: 4'], chunk],
    ['two lengths', ['content-length: 0', `content-length: ${smuggled.length}`], smuggled],
    ['a list of lengths', [`content-length: 0, ${smuggled.length}`], smuggled],
    ['a sign', ['content-length: +0'], smuggled],
    ['hexadecimal', ['content-length: 0x0'], smuggled],
    ['a space', ['content-length : 0'], smuggled],
    ['two codings', ['transfer-encoding: chunked, identity'], `0\r\n\r\n${smuggled}`],
    ['no such coding', ['transfer-encoding: xchunked'], `0\r\n\r\n${smuggled}`],
    ['two headers', ['transfer-encoding: chunked', 'transfer-encoding: x'], `0\r\n\r\n${smuggled}`],
    [
      'a folded line',
      ['transfer-encoding:\r\n chunked', 'content-length: 5'],
      `0\r\n\r\n${smuggled}`,
    ],
    ['a bare line feed', ['x: y\ncontent-length: 5', 'transfer-encoding: chunked'], smuggled],
    ['a bare return', ['x: y\rtransfer-encoding: chunked', 'content-length: 0'], smuggled],
    ['a chunk of no size', ['transfer-encoding: chunked'], `-1\r\n\r\n${smuggled}`],
    ['a chunk that is too long', ['transfer-encoding: chunked'], `1\r\nxx\r\n0\r\n\r\n${smuggled}`],
    ['a null byte', ['transfer-encoding: chunked\0', 'content-length: 0'], smuggled],
  ]
  for (const [name, headers, body] of cases) {
    // Of nobody: what is smuggled brings its own.
    const head = ['POST /api/login HTTP/1.1', 'host: localhost', json, ...headers].join('\r\n')
    const statuses = statusesIn(await say(t, gateway, `${head}\r\n\r\n${body}`))
    t.ok(
      statuses.every((status) => status === 400),
      `${name}: ${statuses}`,
    )
    t.ok(statuses.length <= 1, `${name} is one request`)
  }
  t.match(await gateway.done('user', 'ls'), /^ann /m, 'nothing of it was done')
  const twice = `GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n${smuggled.replace(
    'host: localhost',
    'host: localhost\r\nconnection: close',
  )}`
  t.same(statusesIn(await say(t, gateway, twice)), [200, 200], 'one after the other is two')
  t.notMatch(await gateway.done('user', 'ls'), /^ann /m)
})
