/** Every role and every route of a secured HTTP port, over real TLS; the table is the one of docs/protocol.md. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import t, { type Test } from 'tap'
import type { HttpAccessPort, Identified, Shown } from '../../../broker/adapters/http-access.ts'
import { HttpServer } from '../../../broker/adapters/http-server.ts'
import type { LiveEvents } from '../../../broker/core/views/live-events.ts'
import type { NodeId, TaskId } from '../../../shared/core/ids.ts'
import type { Role, UserPrincipal } from '../../../shared/protocol/access.ts'
import {
  gatewayKeys,
  identityFor,
  type NewAuthority,
  type NewIdentity,
  newAuthority,
} from '../../support/certified.ts'
import { EventReader } from '../../support/event-stream.ts'
import { Markdown } from '../../support/markdown.ts'
import { eventually, within } from '../../support/processes.ts'
import { record } from '../../support/recorded-http-port.ts'

const PROTOCOL = new URL('../../../docs/protocol.md', import.meta.url)

const HOST = 'gw.local'
const ROLES: readonly Role[] = ['viewer', 'submitter', 'operator', 'admin']

/** `-` is nobody who said who he is; `node` shows the certificate of a node. */
type Who = Role | '-' | 'node'
const EVERYBODY: readonly Who[] = ['-', 'node', ...ROLES]

/** The words of the table in docs/protocol.md. */
const WHO: Readonly<Record<string, readonly Who[]>> = {
  anyone: EVERYBODY,
  users: ROLES,
  readers: ['viewer', 'operator', 'admin'],
  'submitters, operators': ['submitter', 'operator', 'admin'],
  operators: ['operator', 'admin'],
  admins: ['admin'],
}
const THEIR_OWN = '; submitters their own'

/** Of what there is here: the task `open` is the submitter's own, `done` is not. */
const EXAMPLES: readonly (readonly [start: string, example: string])[] = [
  ['/api/nodes/:id', '/api/nodes/pi-1'],
  ['/api/tokens/:id', '/api/tokens/abcdefgh'],
  ['/api/identities/node/:id', '/api/identities/node/n1'],
  ['/api/identities/user/:name', '/api/identities/user/ann'],
  ['/api/seal/recipients/:name', '/api/seal/recipients/alice'],
  ['/api/packages/:sha256', '/api/packages/abcd'],
  ['/api/codex/:name/:version', '/api/codex/heat/1'],
  ['/api/codex/:name', '/api/codex/heat'],
  ['/api/contexts/:name', '/api/contexts/main'],
  ['/tokens/:id', '/tokens/abcdefgh'],
  ['/keys/:id', '/keys/abcdefgh'],
  ['/page/:file', '/page/main.js'],
  ['/api/grid/:field.:form', '/api/grid/value.f32'],
  ['/api/grid/:field/cells', '/api/grid/value/cells?at=1,2'],
  ['/api/grid/:field', '/api/grid/value'],
]

/** They have no end: who may follow one is told of its kinds or topics, and tried by itself. */
const STREAMS = ['/api/events', '/api/topics/live']

type Row = readonly [method: string, path: string, who: readonly Who[]]

/** What the page says of each route, and here has to be so. */
const MATRIX: readonly Row[] = new Markdown(readFileSync(PROTOCOL, 'utf8'))
  .section('HTTP')
  .rows()
  .flatMap(([named, words]): Row[] => {
    const [method, url] = /^`([A-Z]+) (\S+)`$/.exec(named!)?.slice(1) ?? []
    if (method === undefined || url === undefined || STREAMS.includes(url)) return []
    const who = WHO[words!.replace(THEIR_OWN, '')]
    if (who === undefined) throw new Error(`${method} ${url}: nobody is "${words}"`)
    if (!words!.endsWith(THEIR_OWN)) return [[method, exampleOf(url), who]]
    // The list has one's own alone.
    if (!url.includes(':id')) return [[method, url, [...who, 'submitter']]]
    return [
      [method, url.replace(':id', 'open'), [...who, 'submitter']],
      [method, url.replace(':id', 'done'), who],
    ]
  })

function exampleOf(url: string): string {
  return EXAMPLES.reduce((path, [start, example]) => path.replace(start, example), url)
}

const DENIED = [401, 403]

interface Served {
  readonly server: HttpServer
  readonly authority: NewAuthority
  readonly node: NewIdentity
  readonly refused: string[]
  /** What was shown, of each who was asked who he is. */
  readonly identified: (string | undefined)[]
  readonly calls: unknown[]
  readonly live: LiveEvents
  /** What somebody of this role is told, who follows this. */
  stream(role: Role, path: string): Promise<EventReader>
  ask(
    method: string,
    path: string,
    more?: {
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
      readonly key?: string
      readonly cert?: string
      /** Each has a connection of its own without. */
      readonly agent?: Agent
    },
  ): Promise<{ readonly status: number; readonly body: string; readonly headers: object }>
}

function user(role: Role): UserPrincipal {
  return { kind: 'user', name: `the-${role}`, roles: [role], topics: [], token: `t-${role}` }
}

async function serve(t: Test): Promise<Served> {
  const authority = await newAuthority()
  const keys = await gatewayKeys(authority, HOST)
  const node = await identityFor(authority, 'n1' as NodeId)
  const refused: string[] = []
  const identified: (string | undefined)[] = []
  const identify = async ({ key, authorization }: Shown): Promise<Identified> => {
    identified.push(authorization)
    if (key === node.sha256) return { ok: true, who: { kind: 'node', node: 'n1' as NodeId } }
    const role = ROLES.find((one) => authorization === `Bearer ${one}`)
    if (role === undefined) return { ok: false, code: 'unauthenticated' }
    return { ok: true, who: user(role) }
  }
  const access: HttpAccessPort = {
    identify,
    certificateRefused: (code) => refused.push(code),
    refused: (who, _remote, code) => refused.push(`${who.kind} ${code}`),
    login: async () => ({ ok: false, code: 'unauthenticated' }),
    logout: () => false,
  }
  const recorded = record()
  const port = {
    ...recorded.port,
    waitForEnd: async (task: TaskId, _timeoutMs: number, left: AbortSignal) => {
      recorded.calls.push(['waitForEnd', task])
      await once(left, 'abort')
      return false
    },
    ownerOf: (task: TaskId) => (task === 'open' ? 'user/the-submitter' : 'user/another'),
  }
  const secure = { keys, access }
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const server = new HttpServer({ host: '127.0.0.1', port: 0, secure }, port, silent)
  await server.listen()
  t.teardown(() => server.close())
  return {
    ...{ server, authority, node, refused, identified, calls: recorded.calls, live: port.live },
    stream: (role, path) =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${role}` }
        const at = { host: '127.0.0.1', port: server.port, servername: HOST, path, headers }
        const asking = request({ ...at, ca: authority.certificate, agent: false }, (response) =>
          resolve(new EventReader(response)),
        )
        asking.on('error', reject)
        t.teardown(() => asking.destroy())
        asking.end()
      }),
    ask: (method, path, { headers = {}, body, ...shown } = {}) =>
      new Promise((resolve, reject) => {
        const asking = request(
          {
            ...{ host: '127.0.0.1', port: server.port, servername: HOST, method, path },
            ...{ headers, ca: authority.certificate, agent: false, ...shown },
          },
          (response) => {
            const chunks: Buffer[] = []
            response.on('data', (chunk: Buffer) => chunks.push(chunk))
            response.on('end', () => {
              const text = Buffer.concat(chunks).toString()
              resolve({ status: response.statusCode!, body: text, headers: response.headers })
            })
          },
        )
        asking.on('error', reject)
        asking.end(body)
      }),
  }
}

t.test('attempt 51: each role and each route', async (t) => {
  const { ask, node, refused } = await serve(t)
  const agents = new Map(EVERYBODY.map((who) => [who, new Agent({ keepAlive: true })]))
  t.ok(MATRIX.length > 45, `${MATRIX.length} routes`)
  t.notOk(
    MATRIX.some(([, path]) => path.includes(':')),
    'each with an example',
  )
  for (const [method, path, allowed] of MATRIX) {
    for (const who of EVERYBODY) {
      const isUser = who !== '-' && who !== 'node'
      const headers = {
        ...(isUser ? { authorization: `Bearer ${who}` } : {}),
        ...(method === 'POST' || method === 'PUT' ? { 'content-type': 'application/json' } : {}),
      }
      const before = refused.length
      const { status } = await ask(method, path, {
        headers,
        ...(method === 'POST' || method === 'PUT' ? { body: '{}' } : {}),
        ...(who === 'node' ? { key: node.key, cert: node.certificate } : {}),
        agent: agents.get(who)!,
      })
      const name = `${who}: ${method} ${path} is ${status}`
      // A task of somebody else is none.
      const isOwnTask = who === 'submitter' && /\/(tasks|uploads)\/done/.test(path)
      // Whose it is that he cancels, the coordinator knows.
      if (isOwnTask && method === 'DELETE') continue
      if (allowed.includes(who)) t.notOk(DENIED.includes(status), name)
      else if (isOwnTask) t.equal(status, 404, name)
      else t.equal(status, who === '-' ? 401 : 403, name)
      const isQuestion = who === '-' && path === '/api/whoami'
      const isRefused = !allowed.includes(who) && !isQuestion
      if (!isOwnTask) t.equal(refused.length - before, isRefused ? 1 : 0, name)
    }
  }
  for (const agent of agents.values()) agent.destroy()
})

t.test(
  'attempt 51, a stream: all is for those who may look at all, and to others their own',
  async (t) => {
    const { ask, live, stream } = await serve(t)
    t.equal((await ask('GET', '/api/events')).status, 401)
    t.equal((await ask('GET', '/api/topics/live')).status, 401)
    const headers = { authorization: 'Bearer submitter' }
    for (const kind of ['event', 'nodes', 'moves', 'task-state,nodes']) {
      const { status, body } = await ask('GET', `/api/events?kinds=${kind}`, { headers })
      t.equal(status, 403, kind)
      t.match(JSON.parse(body), { code: 'forbidden' })
    }
    t.equal((await ask('GET', '/api/topics/live', { headers })).status, 403)
    t.match(await (await stream('viewer', '/api/topics/live')).next(), { name: 'opened' })
    const happen = (n: number): void => {
      live.happened('task-state', `{"id":"hers-${n}"}`, 'user/another')
      live.happened('task-state', `{"id":"open-${n}"}`, 'user/the-submitter')
      live.happened('task-state', `{"id":"nobodys-${n}"}`)
      live.happened('event', `{"code":"node-joined-${n}"}`)
    }
    const own = await stream('submitter', '/api/events')
    const { id } = await own.next('opened')
    happen(1)
    t.match((await own.next()).data, { id: 'open-1' })
    happen(2)
    t.match((await own.next()).data, { id: 'open-2' })
    const again = await stream('submitter', `/api/events?after=${id}`)
    t.match((await again.next('opened')).data, { kinds: ['task-state'] })
    t.match((await again.next()).data, { id: 'open-1' }, 'what was missed is no more')
    t.match((await again.next()).data, { id: 'open-2' })
    const all = await stream('viewer', `/api/events?after=${id}`)
    await all.next('opened')
    for (const name of ['hers-1', 'open-1', 'nobodys-1', 'node-joined-1', 'hers-2']) {
      const { data } = await all.next()
      t.equal(data.id ?? data.code, name)
    }
  },
)

t.test('attempt 52 and 53: what is shown and wrong is never ignored', async (t) => {
  const { ask } = await serve(t)
  for (const authorization of ['Bearer nonsense', 'Basic YTpi', 'Basic', 'nonsense', ' ']) {
    const { status, body } = await ask('GET', '/healthz', { headers: { authorization } })
    t.equal(status, 401, authorization)
    t.match(JSON.parse(body), { code: 'unauthenticated' })
  }
})

t.test('an upload of somebody else with the same id hides nobody’s', async (t) => {
  const { ask } = await serve(t)
  const put = async (role: Role, rows: number): Promise<void> => {
    const headers = { authorization: `Bearer ${role}`, 'content-type': 'text/csv' }
    const path = `/api/grid/value?id=same&w=1&h=${rows}`
    const { status } = await ask('PUT', path, { headers, body: '1\n' })
    t.equal(status, 422, 'it ends too early')
  }
  const rowsOf = async (role: Role): Promise<unknown> => {
    const headers = { authorization: `Bearer ${role}` }
    return JSON.parse((await ask('GET', '/api/uploads/same', { headers })).body).rows_total
  }
  await put('submitter', 3)
  await put('operator', 2)
  t.equal(await rowsOf('submitter'), 3)
  t.equal(await rowsOf('operator'), 2)
  t.equal(await rowsOf('viewer'), 2, 'the last one')
})

t.test('who says twice who he is is asked to say it once', async (t) => {
  const { ask, identified } = await serve(t)
  for (const other of ['Bearer nonsense', 'Bearer viewer']) {
    const headers = { authorization: ['Bearer viewer', other] } as never
    const { status, body } = await ask('GET', '/api/nodes', { headers })
    t.equal(status, 400, other)
    t.match(JSON.parse(body), { code: 'malformed' })
  }
  t.same(identified, [])
})

t.test('a stranger hears whether it is healthy, and not what is wrong', async (t) => {
  const { ask } = await serve(t)
  t.same(JSON.parse((await ask('GET', '/healthz')).body), { ok: true })
  const headers = { authorization: 'Bearer viewer' }
  t.match(JSON.parse((await ask('GET', '/healthz', { headers })).body), { ok: true, checks: {} })
})

t.test('attempt 57: an address that a request says it comes from is none', async (t) => {
  const { ask, calls } = await serve(t)
  const headers = {
    ...{ authorization: 'Bearer operator', 'x-forwarded-for': '203.0.113.9' },
    'content-type': 'application/json',
  }
  await ask('POST', '/process', { headers, body: '{"op":"stat"}' })
  t.match(calls.at(-1), ['submit', Buffer, { address: '127.0.0.1', user: user('operator') }])
})

t.test('attempts 7, 8 and 10: a certificate that is not ours, or of no one known', async (t) => {
  const { ask, authority, server, refused } = await serve(t)
  const foreign = await identityFor(await newAuthority(), 'n1' as NodeId)
  const { key, certificate: cert } = foreign
  const headers = { authorization: 'Bearer admin' }
  await t.rejects(ask('GET', '/api/nodes', { headers, key, cert }), 'not even with a password')
  t.match(server.refused, { 'certificate-refused': 1 })
  t.same(refused, ['certificate-refused'])
  const unknown = await identityFor(authority, 'n2' as NodeId)
  const { status } = await ask('GET', '/api/nodes', { key: unknown.key, cert: unknown.certificate })
  t.equal(status, 401)
})

t.test('attempt 58: a stream, and a wait, end with the right to them', async (t) => {
  const { server, authority, calls } = await serve(t)
  const open = (path: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: 'Bearer viewer' }
      const at = { host: '127.0.0.1', port: server.port, servername: HOST, path, headers }
      const asking = request({ ...at, ca: authority.certificate, agent: false }, resolve)
      asking.on('error', reject)
      asking.end()
    })
  for (const name of ['user/the-viewer', 'token/t-viewer']) {
    calls.length = 0
    const stream = await open('/api/events')
    const streamEnds = new Promise((resolve) => stream.once('close', resolve))
    stream.on('error', () => {})
    const wait = t.rejects(open('/api/tasks/open?wait=60s'), { code: 'ECONNRESET' })
    await eventually('it waits', () => calls.some((call) => (call as string[])[0] === 'waitForEnd'))
    server.endOf('user/the-admin')
    server.endOf('token/t-admin')
    server.endOf(name)
    await within('both ends', Promise.all([streamEnds, wait]))
  }
})

t.test('one user takes half of the event streams at most', async (t) => {
  const { server, authority } = await serve(t)
  const open = (role: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${role}` }
      const at = { host: '127.0.0.1', port: server.port, servername: HOST, path: '/api/events' }
      const options = { ...at, headers, ca: authority.certificate, agent: false }
      const asking = request(options, ({ statusCode }) => resolve(statusCode))
      t.teardown(() => asking.destroy())
      asking.on('error', reject)
      asking.end()
    })
  const statuses = await Promise.all(Array.from({ length: 33 }, () => open('viewer')))
  t.same(
    statuses.filter((status) => status !== 200),
    [503],
  )
  t.equal(await open('operator'), 200)
})

t.test('a body that comes after the right has gone does nothing', async (t) => {
  const { server, authority, calls, identified } = await serve(t)
  const headers = { 'content-type': 'application/json', 'content-length': '2' }
  for (const [method, path, allowed] of MATRIX) {
    if (method === 'GET' || method === 'DELETE') continue
    const [role] = allowed.slice(-1)
    const before = calls.length
    const asking = request({
      ...{ host: '127.0.0.1', port: server.port, servername: HOST, path, method },
      ...{ headers: { ...headers, authorization: `Bearer ${role}` }, ca: authority.certificate },
      agent: false,
    })
    const status = new Promise((resolve) => {
      asking.once('response', ({ statusCode }) => resolve(statusCode))
      asking.once('error', () => resolve(403))
    })
    asking.write('{')
    await eventually('it is known who asks', () => identified.includes(`Bearer ${role}`))
    server.endOf(`user/the-${role}`)
    identified.length = 0
    asking.end('}')
    t.equal(await within('it is over', status), 403, `${method} ${path}`)
    t.equal(calls.length, before)
  }
})
