import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { GatewayClient } from '../../../shared/client/http.ts'
import { ObeliskError } from '../../../shared/client/obelisk-error.ts'
import { untilAnswered } from '../../../shared/client/waits.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** An address where `handler` answers. */
async function served(t: Test, handler: Handler): Promise<string> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An address where nobody is. */
async function nowhere(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

/** An answer of `status` with this as JSON. */
function answer(response: ServerResponse, status: number, body: object, more: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...more })
  response.end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

async function failure(work: Promise<unknown>): Promise<ObeliskError> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error instanceof ObeliskError) return error
  throw new Error(`it did not fail as it should: ${String(error)}`)
}

t.test('a question arrives as it is meant', async (t) => {
  const seen: object[] = []
  const url = await served(t, async (request, response) => {
    const { method, url, headers } = request
    const { accept, authorization } = headers
    const type = headers['content-type']
    seen.push({ method, url, accept, authorization, type, body: `${await bodyOf(request)}` })
    answer(response, 200, { id: 'a' })
  })
  const gateway = new GatewayClient(`${url}/`, { token: 'obu1.x' })
  t.same(await gateway.json({ path: '/api/nodes?limit=1' }), { id: 'a' })
  await gateway.json({ method: 'POST', path: '/process', body: { op: 'stat' } })
  const body = new Uint8Array([0x7b, 0x7d])
  const raw = { method: 'PUT', path: '/x', body, contentType: 'text/csv', accept: 'text/plain' }
  await gateway.request(raw as Parameters<GatewayClient['request']>[0])
  const common = { authorization: 'Bearer obu1.x', accept: 'application/json' }
  t.match(seen, [
    { ...common, method: 'GET', url: '/api/nodes?limit=1', type: undefined, body: '' },
    { ...common, method: 'POST', type: 'application/json', body: '{"op":"stat"}' },
    { ...common, method: 'PUT', type: 'text/csv', accept: 'text/plain', body: '{}' },
  ])
  t.equal(gateway.address, url)
  t.equal(new GatewayClient('https://a:b@gw').address, 'https://gw', 'no secret is shown')
})

t.test('a refusal has its code, its faults and when to come again', async (t) => {
  const errors = [
    { path: 'op', code: 'missing', message: 'op is missing' },
    { path: 'region', code: 'outside-grid', message: 'it ends at 70' },
    { path: '', code: 'invalid', message: 'no such thing' },
  ]
  const detail = errors.map(({ message }) => message).join('; ')
  const unknown = {
    ...{ path: 'args.source', code: 'osl-unknown-name', message: 'nothing is called "tempp"' },
    ...{ line: 2, column: 8, length: 5, hint: 'did you mean "temp"?' },
  }
  const url = await served(t, ({ url }, response) => {
    if (url === '/program') {
      answer(response, 422, { code: 'invalid', detail: unknown.message, errors: [unknown] })
    } else if (url === '/programs') {
      answer(response, 422, { code: 'invalid', detail, errors: [...errors, unknown] })
    } else if (url === '/faults') answer(response, 422, { code: 'invalid', detail, errors })
    else if (url === '/busy') {
      answer(response, 429, { code: 'overloaded', detail: 'later' }, { 'retry-after': '3' })
    } else response.writeHead(502).end('<h1>Bad gateway</h1>')
  })
  const gateway = new GatewayClient(url)
  const faulty = await failure(gateway.json({ path: '/faults' }))
  t.match(faulty, { code: 'invalid', status: 422, errors, isPassing: false })
  const lines = ['3 problems', '  op is missing', '  region: it ends at 70']
  t.equal(faulty.message, [...lines, '  the whole: no such thing'].join('\n'))
  const placed = 'line 2, column 8: nothing is called "tempp" (did you mean "temp"?)'
  t.equal((await failure(gateway.json({ path: '/program' }))).message, placed)
  const several = await failure(gateway.json({ path: '/programs' }))
  t.match(several, { errors: [{}, {}, {}, unknown] })
  t.equal(several.message.split('\n').at(-1), `  args.source: ${placed}`)
  const busy = await failure(gateway.json({ path: '/busy' }))
  t.match(busy, { code: 'overloaded', retryAfterMs: 3000, isPassing: true, isAway: false })
  const proxy = await failure(gateway.json({ path: '/proxy' }))
  t.match(proxy, { code: 'http-502', isAway: true, detail: 'the gateway answered 502' })
})

t.test('no answer, half of one, and one that is no gateway', async (t) => {
  const url = await served(t, ({ url }, response) => {
    if (url === '/cut') {
      response.writeHead(200, { 'content-length': 100 })
      response.write('{', () => response.destroy())
    } else if (url === '/page') response.end('<h1>It works!</h1>')
    else if (url === '/same') response.writeHead(304).end()
    else if (url?.startsWith('/404/')) {
      response.writeHead(404).end(decodeURIComponent(url.slice('/404/'.length)))
    }
  })
  const gateway = new GatewayClient(url)
  t.match(await failure(gateway.json({ path: '/cut' })), { code: 'unreachable', isAway: true })
  t.match(await failure(gateway.json({ path: '/page' })), { code: 'not-a-gateway', isAway: false })
  for (const other of [
    'null',
    '{"errors":{"x":["is missing"]}}',
    '{"errors":"x"}',
    '{"errors":[null]}',
  ]) {
    const path = `/404/${encodeURIComponent(other)}`
    const strange = await failure(gateway.json({ path }))
    t.match(strange, { code: 'not-a-gateway', isAway: false }, other)
  }
  const silent = await failure(gateway.json({ path: '/silent', timeoutMs: 20 }))
  t.match(silent, { code: 'timed-out', isAway: true, message: /within 0\.02 s/ })
  const headers = { 'if-none-match': '"1-2"' }
  t.match(await gateway.request({ path: '/same', headers }), { status: 304 })
  const away = await nowhere()
  const nobody = await failure(new GatewayClient(away).json({ path: '/' }))
  t.match(nobody, { code: 'unreachable', message: `no gateway at ${away} (ECONNREFUSED)` })
  const explain = ({ code, detail }: ObeliskError) =>
    new ObeliskError({ code, detail: `${detail}: start it` })
  const explained = await failure(new GatewayClient(away, { explain }).json({ path: '/' }))
  t.match(explained.message, /\(ECONNREFUSED\): start it$/)
})

t.test('whoever asks may go', async (t) => {
  const leave = new AbortController()
  const url = await served(t, () => leave.abort(new Error('enough')))
  const asked = new GatewayClient(url).json({ path: '/', signal: leave.signal })
  await t.rejects(asked, { message: 'enough' })
})

t.test('a question that is asked until it is answered', async (t) => {
  const times: number[] = []
  const url = await served(t, (_request, response) => {
    times.push(performance.now())
    if (times.length === 1) response.destroy()
    else if (times.length === 2) {
      answer(response, 503, { code: 'no-node', detail: 'none' }, { 'retry-after': '1' })
    } else answer(response, 200, { id: 'a' })
  })
  const gateway = new GatewayClient(url)
  const away: string[] = []
  const onAway = ({ code }: ObeliskError): void => {
    away.push(code)
  }
  t.same(await untilAnswered(() => gateway.json({ path: '/' }), { onAway }), { id: 'a' })
  t.same(away, ['unreachable', 'no-node'])
  t.ok(times[2]! - times[1]! >= 990, 'not before the gateway wants it')

  times.length = 1
  const leave = new AbortController()
  const { signal } = leave
  const waiting = untilAnswered(() => gateway.json({ path: '/' }), {
    signal,
    onAway: () => leave.abort(new Error('enough')),
  })
  await t.rejects(waiting, { message: 'enough' })
  const gone = { path: '/', signal: AbortSignal.abort(new Error('gone')) }
  await t.rejects(
    untilAnswered(() => gateway.json(gone)),
    { message: 'gone' },
  )
})
