import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { type HttpPort, HttpServer, PACE_MS } from '../../../broker/adapters/http-server.ts'
import type { RefusalCode } from '../../../broker/core/effects.ts'
import type { NodeId, TaskId } from '../../../shared/core/ids.ts'
import { TASK_OPERATIONS } from '../../../shared/operations/catalog.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'
import type { NodeView } from '../../../shared/protocol/views.ts'
import type { Logger } from '../../../shared/runtime/logger.ts'
import {
  MOVES,
  NODE,
  PLAN,
  RESULT,
  type Recorded,
  RING,
  record,
  serve,
  TILES,
  taskView,
} from '../../support/recorded-http-port.ts'

function postJson(base: string, body: unknown, query = '', headers: Record<string, string> = {}) {
  return fetch(`${base}/process${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

interface ProblemBody {
  status: number
  code: string
  title: string
  detail: string
  type: string
  errors?: { path: string; code: string; message: string }[]
}

async function problemOf(t: Test, response: Response, status: number, code: string) {
  t.equal(response.status, status, `${status} ${code}`)
  t.match(response.headers.get('content-type'), /^application\/problem\+json/)
  const body = (await response.json()) as ProblemBody
  t.match(body, { status, code, type: 'about:blank', title: String, detail: String })
  return body
}

t.test('a task is accepted with 202 and where to find it', async (t) => {
  const { recorded, base } = await serve(t)
  const response = await postJson(base, ' \n{"op":"stat"}')
  t.equal(response.status, 202)
  t.equal(response.headers.get('location'), '/api/tasks/open')
  t.same(await response.json(), { id: 'open', state: 'running' })
  t.match(recorded.calls, [
    ['submit', Buffer.from('{"op":"stat"}'), { address: '127.0.0.1', connection: /^\d+$/ }],
  ])
})

t.test('a task may be CBOR', async (t) => {
  const { recorded, base } = await serve(t)
  const body = Buffer.from(encodeCbor({ op: 'stat' }))
  const headers = { 'content-type': 'application/cbor' }
  const response = await fetch(`${base}/process`, { method: 'POST', headers, body })
  t.equal(response.status, 202)
  t.same(recorded.calls[0]?.[1], body)
})

t.test('?wait answers with the result once the task ends', async (t) => {
  const { recorded, base } = await serve(t)
  const response = await postJson(base, {}, '?wait=30s')
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^application\/json/)
  t.match(await response.json(), {
    id: 'open',
    state: 'completed',
    value: { count: 3, sum: 1.5, packed: 'AP8=' },
  })
  t.same(recorded.calls[1], ['waitForEnd', 'open', 30_000])
  recorded.answer = { ok: true, task: 'done' as TaskId, state: 'completed' }
  const again = await postJson(base, {}, '?wait=1', { accept: 'application/cbor' })
  t.equal(again.headers.get('content-type'), 'application/cbor')
  const decoded = decodeCbor(new Uint8Array(await again.arrayBuffer()), MESSAGE_LIMITS)
  t.match(decoded, { ok: true, value: { id: 'done', value: { packed: Buffer.from([0, 255]) } } })
  t.equal(recorded.calls.length, 3, 'a task that has ended is not waited for')
})

t.test('?wait that runs out answers 202', async (t) => {
  const { recorded, base } = await serve(t)
  recorded.endsInTime = false
  const response = await postJson(base, {}, '?wait=500ms')
  t.equal(response.status, 202)
  t.same(await response.json(), { id: 'open', state: 'running' })
  t.same(recorded.calls[1], ['waitForEnd', 'open', 500])
  t.equal((await postJson(base, {}, '?wait=0')).status, 202)
  t.equal((await postJson(base, {}, '?wait=300s')).status, 202)
})

t.test('a bad query is refused before anything is submitted', async (t) => {
  const { recorded, base } = await serve(t)
  for (const query of [
    '?wait=',
    '?wait=soon',
    '?wait=301s',
    '?wait=-1',
    '?wait=1&wait=2',
    '?w=1',
  ]) {
    const body = await problemOf(t, await postJson(base, {}, query), 400, 'malformed')
    t.equal(body.errors?.length, 1)
  }
  await problemOf(t, await fetch(`${base}/api/tasks?limit=0`), 400, 'malformed')
  await problemOf(t, await fetch(`${base}/api/tasks?state=lost`), 400, 'malformed')
  await problemOf(t, await fetch(`${base}/api/tasks?__proto__=1`), 400, 'malformed')
  t.same(recorded.calls, [])
})

t.test('each refusal has its status', async (t) => {
  const { recorded, base } = await serve(t)
  const table: [RefusalCode, number][] = [
    ['malformed', 400],
    ['unknown-operation', 422],
    ['invalid', 422],
    ['too-large', 413],
    ['task-id-conflict', 409],
    ['overloaded', 429],
    ['no-node', 503],
    ['ledger-full', 503],
  ]
  for (const [code, status] of table) {
    recorded.answer = { ok: false, refusal: { code, message: 'because' } }
    const response = await postJson(base, {}, '?wait=1s')
    t.equal(response.headers.has('retry-after'), status === 429 || status === 503)
    const body = await problemOf(t, response, status, code)
    t.equal(body.detail, 'because')
  }
})

t.test('every problem of an invalid task is named', async (t) => {
  const { recorded, base } = await serve(t)
  const errors = [
    { path: 'op', code: 'missing' as const, message: 'op is missing' },
    { path: 'args.bins', code: 'out-of-range' as const, message: 'args.bins is 0' },
  ]
  const refusal = { code: 'invalid' as const, message: '2 problems', errors }
  recorded.answer = { ok: false, task: 't1' as TaskId, refusal }
  const body = await problemOf(t, await postJson(base, {}), 422, 'invalid')
  t.same(body.errors, errors)
  t.match(body, { id: 't1', title: 'Unprocessable Entity' })
  const whole = [{ path: '', code: 'malformed' as const, message: 'not JSON' }]
  recorded.answer = { ok: false, refusal: { ...refusal, errors: whole } }
  await problemOf(t, await postJson(base, '{nonsense'), 400, 'invalid')
})

t.test('a body of another type than it says is refused', async (t) => {
  const { recorded, base } = await serve(t)
  await problemOf(t, await postJson(base, '[1]'), 400, 'malformed')
  await problemOf(t, await postJson(base, ''), 400, 'malformed')
  const cbor = { 'content-type': 'application/cbor' }
  await problemOf(t, await postJson(base, '{"op":"stat"}', '', cbor), 400, 'malformed')
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    const response = await postJson(base, '{}', '', { 'content-type': type })
    await problemOf(t, response, 415, 'unsupported-media-type')
  }
  const bare = await fetch(`${base}/process`, { method: 'POST', body: Buffer.from('{}') })
  await problemOf(t, bare, 415, 'unsupported-media-type')
  const empty = await fetch(`${base}/process`, { method: 'POST' })
  await problemOf(t, empty, 415, 'unsupported-media-type')
  t.same(recorded.calls, [])
})

t.test('a body above 1 MiB is refused', async (t) => {
  const { recorded, base } = await serve(t)
  const body = `{"op":"${'x'.repeat(1024 * 1024)}"}`
  await problemOf(t, await postJson(base, body), 413, 'too-large')
  t.equal((await postJson(base, `{"op":"${'x'.repeat(1024 * 1024 - 9)}"}`)).status, 202)
  t.equal(recorded.calls.length, 1)
})

t.test('tasks are listed, shown and cancelled', async (t) => {
  const { recorded, base } = await serve(t)
  const list = (await (await fetch(`${base}/api/tasks?limit=5&state=running`)).json()) as unknown[]
  t.equal(list.length, 3)
  const one = (await (await fetch(`${base}/api/tasks?limit=1`)).json()) as unknown[]
  t.same(one, list.slice(0, 1))
  await fetch(`${base}/api/tasks?limit=5&state=running`)
  t.same(recorded.calls.pop(), ['tasks', { limit: 1000, state: 'running' }])
  await fetch(`${base}/api/tasks`)
  t.same(recorded.calls.pop(), ['tasks', { limit: 1000 }])
  const shown = await (await fetch(`${base}/api/tasks/open`)).json()
  t.same(shown, taskView('open', 'running'))
  await problemOf(t, await fetch(`${base}/api/tasks/none`), 404, 'unknown-task')
  await problemOf(t, await fetch(`${base}/api/tasks/a%2Fb`), 404, 'unknown-task')
  recorded.answer = { ok: true, task: 'open' as TaskId, state: 'cancelled' }
  const cancelled = await fetch(`${base}/api/tasks/open`, { method: 'DELETE' })
  t.equal(cancelled.status, 200)
  t.same(await cancelled.json(), { id: 'open', state: 'cancelled' })
  t.same(recorded.calls.pop(), ['cancel', 'open', '127.0.0.1'])
  recorded.answer = { ok: false, refusal: { code: 'too-late', message: 'sequenced' } }
  const late = await fetch(`${base}/api/tasks/open`, { method: 'DELETE' })
  await problemOf(t, late, 409, 'too-late')
})

t.test('a result is JSON or CBOR, as Accept says', async (t) => {
  const { base } = await serve(t)
  const url = `${base}/api/tasks/done/result`
  const typeFor = async (accept: string) => {
    const response = await fetch(url, { headers: { accept } })
    await response.arrayBuffer()
    return response.status === 200 ? response.headers.get('content-type') : response.status
  }
  t.match(await typeFor('*/*'), /json/)
  t.match(await typeFor('application/*'), /json/)
  t.equal(await typeFor('application/cbor'), 'application/cbor')
  t.equal(await typeFor('application/json;q=0.5, application/cbor'), 'application/cbor')
  t.match(await typeFor('application/cbor;q=0.1, */*'), /json/)
  t.equal(await typeFor('*/*, application/json;q=0'), 'application/cbor')
  t.equal(await typeFor('text/html'), 406)
  t.same(await (await fetch(url)).json(), { ...RESULT, value: { ...RESULT.value, packed: 'AP8=' } })
})

t.test('a task without a result says so', async (t) => {
  const { recorded, base } = await serve(t)
  recorded.endsInTime = false
  const open = await problemOf(t, await fetch(`${base}/api/tasks/open/result`), 404, 'no-result')
  t.match(open, { state: 'running' })
  await problemOf(t, await fetch(`${base}/api/tasks/old/result`), 404, 'no-result')
  t.same(
    recorded.calls,
    [['waitForEnd', 'old', 2000]],
    'its result may still be on its way to disk',
  )
  await problemOf(t, await fetch(`${base}/api/tasks/none/result`), 404, 'unknown-task')
  recorded.endsInTime = true
  const waited = await fetch(`${base}/api/tasks/open/result?wait=2`)
  t.equal(waited.status, 200)
})

t.test('nodes, ring, health and metrics', async (t) => {
  const { recorded, base } = await serve(t)
  t.same(await (await fetch(`${base}/api/nodes`)).json(), [NODE])
  t.same(await (await fetch(`${base}/api/nodes/pi-1`)).json(), NODE)
  await problemOf(t, await fetch(`${base}/api/nodes/pi-2`), 404, 'unknown-node')
  t.same(await (await fetch(`${base}/api/ring`)).json(), RING)
  const healthy = await fetch(`${base}/healthz`)
  t.equal(healthy.status, 200)
  t.same(await healthy.json(), { ok: true, checks: { ledger: { ok: true } } })
  t.equal((await fetch(`${base}/readyz`)).status, 200)
  recorded.isHealthy = false
  t.equal((await fetch(`${base}/healthz`)).status, 503)
  t.equal((await fetch(`${base}/readyz`)).status, 503)
  const metrics = await fetch(`${base}/metrics`)
  t.match(metrics.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.equal(await metrics.text(), 'obelisk_up 1\n')
})

t.test('a part of the nodes is found, put in order and counted', async (t) => {
  const { recorded, base } = await serve(t)
  recorded.nodes = ['c', 'a', 'b'].map((name, heard_ts) => ({
    ...{ ...NODE, id: `edge-${name}` as NodeId, heard_ts },
    ...(name === 'a' ? { troubled: true } : {}),
  }))
  const ask = async (query: string) => {
    const response = await fetch(`${base}/api/nodes${query}`)
    const rows = (await response.json()) as NodeView[]
    return [rows.map(({ id }) => id.slice(5)).join(), response.headers.get('x-total-count')]
  }
  t.same(await ask(''), ['c,a,b', '3'])
  t.same(await ask('?sort=-heard&limit=2'), ['b,a', '3'])
  t.same(await ask('?sort=id&offset=1'), ['b,c', '3'])
  t.same(await ask('?troubles=true'), ['a', '1'])
  t.same(await ask('?q=E-C&state=alive,dead'), ['c', '1'])
  t.same(await ask('?state=left'), ['', '0'])
  for (const query of ['?sort=colour', '?state=', '?limit=0', '?offset=-1', '?troubles=1']) {
    await problemOf(t, await fetch(`${base}/api/nodes${query}`), 400, 'malformed')
  }
  await problemOf(t, await fetch(`${base}/api/nodes?q=${'a'.repeat(65)}`), 400, 'malformed')
})

t.test('operations are told with their arguments', async (t) => {
  const { base } = await serve(t)
  const response = await fetch(`${base}/api/operations`)
  t.equal(response.status, 200)
  const shown = (await response.json()) as { op: string; over: string; args: object[] }[]
  t.same(
    shown.map(({ op }) => op),
    TASK_OPERATIONS,
  )
  t.match(
    shown.find(({ op }) => op === 'stat'),
    {
      kind: 'read',
      over: 'region',
      args: [
        { name: 'field', kind: 'field' },
        { name: 'bins', kind: 'whole', optional: true, min: 1, max: 1024 },
      ],
    },
  )
  t.match(shown.find(({ op }) => op === 'gather')?.over, 'lsus')
})

t.test('doubts are shown, and ended only by the word for it', async (t) => {
  const { recorded, base } = await serve(t)
  const doubts = [{ reason: 'probe-late', since_ts: 5 }]
  t.same(await (await fetch(`${base}/api/detector`)).json(), { doubts })
  const say = (body: string, type = 'application/json') =>
    fetch(`${base}/api/detector`, { method: 'POST', headers: { 'content-type': type }, body })
  for (const body of ['', '{', 'null', '{"trust":false}', '{"trust":true,"more":1}']) {
    await problemOf(t, await say(body), 400, 'malformed')
  }
  const foreign = await say('{"trust":true}', 'text/plain')
  t.match(await problemOf(t, foreign, 415, 'unsupported-media-type'), {
    detail: /^the body of this request is application\/json,/,
  })
  t.same(recorded.doubts, doubts)
  const trusted = await say(' {"trust": true}')
  t.equal(trusted.status, 200)
  t.same(await trusted.json(), { doubts: [] })
  t.same(recorded.doubts, [])
})

t.test('who holds which tiles is told packed, and others are served meanwhile', async (t) => {
  const { recorded, base } = await serve(t)
  const rounds: number[] = []
  let round = 0
  const goRound = (): void => {
    round += 1
    if (rounds.length < 3) setImmediate(goRound)
  }
  setImmediate(goRound)
  recorded.turns = [1, 2, 3].map(() => () => void rounds.push(round))
  const response = await fetch(`${base}/api/ring/tiles?x=0&w=2`)
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'application/cbor')
  const decoded = decodeCbor(new Uint8Array(await response.arrayBuffer()), MESSAGE_LIMITS)
  t.match(decoded, { ok: true, value: TILES })
  t.equal(new Set(rounds).size, 3, 'no two slices in one turn of the event loop')
  await problemOf(t, await fetch(`${base}/api/ring/tiles?x=2`), 422, 'outside-grid')
  for (const query of ['?x=-1', '?w=1.5', '?h=', '?tile=3', '?y=1&y=2']) {
    await problemOf(t, await fetch(`${base}/api/ring/tiles${query}`), 400, 'malformed')
  }
})

t.test('the ring tells who holds each tile, if asked', async (t) => {
  const { base } = await serve(t)
  const ringFor = async (query: string) => (await fetch(`${base}/api/ring${query}`)).json()
  t.same(await ringFor('?holders=true'), { ...RING, holders: [[1, 0], []] })
  t.same(await ringFor('?holders=false'), RING)
  for (const query of ['?holders=yes', '?holders=', '?holders=true&holders=true', '?holder=true']) {
    await problemOf(t, await fetch(`${base}/api/ring${query}`), 400, 'malformed')
  }
})

t.test('a node is drained only by the word for it, and kept again', async (t) => {
  const { recorded, base } = await serve(t)
  const say = (id: string, body: string, type = 'application/json') =>
    fetch(`${base}/api/nodes/${id}/drain`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    })
  for (const body of ['', '{', '{}', '{"drain":false}']) {
    await problemOf(t, await say('pi-1', body), 400, 'malformed')
  }
  const bare = await fetch(`${base}/api/nodes/pi-1/drain`, { method: 'POST' })
  await problemOf(t, bare, 400, 'malformed')
  const text = await say('pi-1', '{"drain":true}', 'text/plain')
  await problemOf(t, text, 415, 'unsupported-media-type')
  t.same(recorded.calls, [], 'a page of another origin cannot send what is needed')
  const drained = await say('pi-1', '{"drain":true}')
  t.equal(drained.status, 202)
  t.same(await drained.json(), { ...NODE, draining: true })
  const kept = await fetch(`${base}/api/nodes/pi-1/drain`, { method: 'DELETE' })
  t.equal(kept.status, 200)
  t.same(await kept.json(), NODE)
  t.same(recorded.calls, [
    ['drain', 'pi-1', true],
    ['drain', 'pi-1', false],
  ])
  await problemOf(t, await say('pi-9', '{"drain":true}'), 404, 'unknown-node')
  await problemOf(t, await say('a%2Fb', '{"drain":true}'), 404, 'unknown-node')
  const keep = (id: string) => fetch(`${base}/api/nodes/${id}/drain`, { method: 'DELETE' })
  await problemOf(t, await keep('pi-9'), 404, 'unknown-node')
  await problemOf(t, await fetch(`${base}/api/nodes/pi-1/drain`), 405, 'method-not-allowed')
})

t.test('a node that can never be emptied is drained only by force', async (t) => {
  const { recorded, base } = await serve(t)
  recorded.drainProblem = 'its tiles have no other place'
  const say = (id: string, demand: object) =>
    fetch(`${base}/api/nodes/${id}/drain`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(demand),
    })
  const refused = await say('pi-1', { drain: true })
  t.match(await problemOf(t, refused, 409, 'too-few-nodes'), {
    detail: `${recorded.drainProblem}; start another agent first, or force it`,
  })
  await problemOf(t, await say('pi-1', { drain: true, force: false }), 400, 'malformed')
  t.same(recorded.calls, [])
  t.equal((await say('pi-1', { drain: true, force: true })).status, 202)
  t.same(recorded.calls, [['drain', 'pi-1', true]])
})

t.test('a node is forgotten, or not with the reason', async (t) => {
  const { recorded, base } = await serve(t)
  const forget = (id: string) => fetch(`${base}/api/nodes/${id}`, { method: 'DELETE' })
  await problemOf(t, await forget('pi-9'), 404, 'unknown-node')
  t.same(recorded.calls, [])
  const forgotten = await forget('pi-1')
  t.equal(forgotten.status, 200)
  t.same(await forgotten.json(), { id: 'pi-1', removed: true })
  t.same(recorded.calls, [['remove', 'pi-1']])
  recorded.removalProblem = { reason: 'node-alive', message: 'it lives' }
  t.match(await problemOf(t, await forget('pi-1'), 409, 'node-alive'), { detail: 'it lives' })
})

t.test('moves are shown, and what would move if nodes joined or left', async (t) => {
  const { recorded, base } = await serve(t)
  t.same(await (await fetch(`${base}/api/ring/moves`)).json(), MOVES)
  const plan = (query: string) => fetch(`${base}/api/ring/plan${query}`)
  t.same(await (await plan('')).json(), PLAN)
  t.same(await (await plan('?join=pi-7,pi-0&leave=pi-1')).json(), PLAN)
  t.same(await (await plan('?join=')).json(), PLAN)
  t.same(recorded.calls, [
    ['plan', { join: [], leave: [] }],
    ['plan', { join: ['pi-7', 'pi-0'], leave: ['pi-1'] }],
    ['plan', { join: [], leave: [] }],
  ])
  const many = Array.from({ length: 65 }, (_, index) => `n${index}`).join(',')
  for (const query of ['join=a,,b', 'join=a/b', 'leave=pi-1,pi-1', `join=${many}`, 'add=a']) {
    await problemOf(t, await plan(`?${query}`), 400, 'malformed')
  }
  await problemOf(t, await plan('?leave=pi-1,pi-9'), 404, 'unknown-node')
  await problemOf(t, await plan('?join=pi-1'), 409, 'known-node')
  t.equal(recorded.calls.length, 3)
})

t.test('missing tiles begin anew only when that is demanded', async (t) => {
  const { base } = await serve(t)
  const recreate = (body: string) =>
    fetch(`${base}/api/ring/recreate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
  t.same(await (await recreate('{"recreate":"missing"}')).json(), { tiles: 3 })
  await problemOf(t, await recreate('{"recreate":"all"}'), 400, 'malformed')
  await problemOf(t, await recreate(''), 400, 'malformed')
})

/** Numbers of the requests to `/metrics` that are made and not answered yet, and what answers the first. */
function holdMetrics(recorded: Recorded) {
  const open: (() => void)[] = []
  let heard: () => void = () => {}
  const port = recorded.port as { metrics: HttpPort['metrics'] }
  port.metrics = () =>
    new Promise((resolve) => {
      open.push(() => resolve('obelisk_up 1\n'))
      heard()
    })
  const asked = (): Promise<void> =>
    new Promise((resolve) => {
      if (open.length > 0) resolve()
      else heard = resolve
    })
  return { open, asked }
}

t.test('a connection has one request worked on at a time, in order', async (t) => {
  const { recorded, base, port } = await serve(t)
  const { open, asked } = holdMetrics(recorded)
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  const answers = (): string[] => text.match(/"code":"unknown-task"|obelisk_up 1/g) ?? []
  const answered = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (answers().length >= count) resolve()
      }
      socket.on('data', look)
      look()
    })
  socket.on('data', (chunk) => {
    text += chunk
  })
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`
  let seen = 0
  const { task } = recorded.port
  ;(recorded.port as { task: HttpPort['task'] }).task = (id) => {
    seen += 1
    return task(id)
  }
  socket.write(get('/metrics') + get('/api/tasks/none').repeat(100))
  await asked()
  t.equal((await fetch(`${base}/api/nodes`)).status, 200, 'others are answered meanwhile')
  t.equal(seen, 0, 'nothing that was sent ahead was looked at')
  open.shift()!()
  await answered(101)
  t.equal(seen, 100)
  t.equal(answers()[0], 'obelisk_up 1')
})

t.test('of many requests at once, one has a turn of the loop', async (t) => {
  const { recorded, base } = await serve(t)
  let turn = 0
  const turns: number[] = []
  let watching = true
  const watch = (): void => {
    turn += 1
    if (watching) setImmediate(watch)
  }
  watch()
  ;(recorded.port as { submit: HttpPort['submit'] }).submit = async () => {
    turns.push(turn)
    return recorded.answer
  }
  await Promise.all(Array.from({ length: 50 }, () => postJson(base, {})))
  watching = false
  t.equal(new Set(turns).size, 50)
})

t.test('a client that sends too many requests ahead is let go, and others are not', async (t) => {
  const { recorded, server, base, port } = await serve(t)
  const { open, asked } = holdMetrics(recorded)
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.resume()
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => {})
  const request = 'GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n'
  socket.write(request)
  await asked()
  socket.write(request.repeat(1000))
  await closed
  t.same(server.refused, { 'requests-ahead': 1 })
  t.equal(open.length, 1)
  t.equal((await fetch(`${base}/healthz`)).status, 200)
})

t.test('who asks for the same list meanwhile shares it, and none is from before', async (t) => {
  const { recorded, base } = await serve(t)
  let made = 0
  ;(recorded.port as { nodes: HttpPort['nodes'] }).nodes = () => {
    made += 1
    return [{ ...NODE, tiles: made }]
  }
  const tiles = async (): Promise<number> => {
    const [node] = (await (await fetch(`${base}/api/nodes`)).json()) as NodeView[]
    return node!.tiles
  }
  const before = await tiles()
  const many = await Promise.all(Array.from({ length: 40 }, tiles))
  t.equal(before, 1)
  t.ok(Math.min(...many) > before, 'each is newer than its question')
  t.ok(made < 40, `${made} were made for 41 questions`)
})

t.test('a full house makes room by closing who has been silent for longest', async (t) => {
  const { recorded, server, base, port } = await serve(t, { connectionsMax: 4 })
  const ended: number[] = []
  const open = async (number: number, text = ''): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.on('error', () => {})
    socket.on('close', () => ended.push(number))
    await once(socket, 'connect')
    socket.write(text)
    return socket
  }
  const events = await open(0, 'GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await once(events, 'data')
  const silent = await open(1)
  await open(2, 'POST /process HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{')
  await open(3, 'GET /healthz HTTP/1.1\r\nx: ')
  const closed = once(silent, 'close')
  const response = await fetch(`${base}/healthz`, { headers: { connection: 'close' } })
  t.equal(response.status, 200)
  await closed
  t.same(ended, [1], 'not the one that is listening')
  t.same(server.refused, { silent: 1 })
  t.ok(recorded.port.live.isFollowed('event'))
})

t.test('a connection that says nothing, or not all, is closed', async (t) => {
  const { port } = await serve(t, { headersTimeoutMs: 1 })
  for (const text of ['', 'GET /healthz HTTP/1.1\r\nx: ']) {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.resume()
    socket.write(text)
    await once(socket, 'close')
  }
  t.pass('both are closed')
})

t.test('a wait ends with its client', async (t) => {
  const { recorded, base } = await serve(t)
  const heard = new Promise<AbortSignal>((resolve) => {
    ;(recorded.port as { waitForEnd: HttpPort['waitForEnd'] }).waitForEnd = (_task, _ms, left) => {
      resolve(left)
      return new Promise((done) => left.addEventListener('abort', () => done(false)))
    }
  })
  const abort = new AbortController()
  const asking = fetch(`${base}/api/tasks/open?wait=300s`, { signal: abort.signal })
  const left = await heard
  const isOver = new Promise((resolve) => left.addEventListener('abort', resolve))
  abort.abort()
  await t.rejects(asking)
  await isOver
})

t.test('paths and methods that are not there', async (t) => {
  const { base } = await serve(t)
  const root = await problemOf(t, await fetch(`${base}/`), 404, 'not-found')
  t.match(root.detail, /without its web page/)
  for (const path of ['/api/none', '/api/nodes/a/none', '/api/nodes/a/log/', '/API/nodes']) {
    await problemOf(t, await fetch(`${base}${path}`, { method: 'DELETE' }), 404, 'not-found')
  }
  const cases: [string, string, string][] = [
    ['/process', 'GET', 'POST'],
    ['/process', 'PUT', 'POST'],
    ['/api/tasks', 'POST', 'GET, HEAD'],
    ['/api/tasks/done', 'PATCH', 'DELETE, GET, HEAD'],
    ['/api/events', 'DELETE', 'GET'],
    ['/api/%6eodes/a%2Fb/log?lines=1', 'MKCOL', 'GET, HEAD'],
    ['/api/grid/x.csv', 'DELETE', 'GET, HEAD'],
    ['/api/grid/x', 'GET', 'PUT'],
  ]
  for (const [path, method, allow] of cases) {
    const response = await fetch(`${base}${path}`, { method })
    t.equal(response.headers.get('allow'), allow, `${method} ${path}`)
    await problemOf(t, response, 405, 'method-not-allowed')
  }
  const options = await fetch(`${base}/process`, { method: 'OPTIONS' })
  t.equal(options.headers.get('access-control-allow-origin'), null, 'no page may call from afar')
  t.equal((await fetch(`${base}/api/ring`, { method: 'HEAD' })).status, 200)
})

t.test('a failure of ours is a 500, and in the log without the body', async (t) => {
  const { recorded, base } = await serve(t)
  const port = recorded.port as { submit: HttpPort['submit'] }
  port.submit = async () => {
    throw new Error('broken inside')
  }
  const body = await problemOf(t, await postJson(base, { secret: 'x7' }), 500, 'internal')
  t.notMatch(body.detail, 'broken inside')
  t.match(recorded.logged, [['error', { err: /broken inside/ }, String]])
  t.notMatch(JSON.stringify(recorded.logged), 'x7')
})

/** What a server answers to these bytes, until it or we are done: header, and the body of a problem. */
async function exchange(t: Test, port: number, request: string) {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write(request)
  await new Promise<void>((resolve) => {
    socket.on('close', resolve)
    socket.on('data', () => {
      if (/\r\n\r\n.*\}$/s.test(text)) resolve()
    })
  })
  const [head = '', body = ''] = text.split('\r\n\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
  return {
    status,
    type: /^content-type: (.*)$/im.exec(head)?.[1],
    body: JSON.parse(body) as object,
  }
}

t.test('every error is a problem, whatever asks', async (t) => {
  const { port, recorded } = await serve(t)
  const host = 'host: localhost\r\n'
  const cases: [string, string, number, string][] = [
    ['not HTTP', '\x10\x20MQTT is spoken elsewhere\r\n\r\n', 400, 'malformed'],
    ['a TLS hello', '\x16\x03\x01\x00', 400, 'malformed'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'malformed'],
    ['no method', `FOO / HTTP/1.1\r\n${host}\r\n`, 400, 'malformed'],
    [
      'a method of WebDAV',
      `PROPFIND /api/nodes HTTP/1.1\r\n${host}\r\n`,
      405,
      'method-not-allowed',
    ],
    ['a proxy', `CONNECT a:1 HTTP/1.1\r\n${host}\r\n`, 405, 'method-not-allowed'],
    ['no path', `OPTIONS * HTTP/1.1\r\n${host}\r\n`, 405, 'method-not-allowed'],
    ['no host', 'GET /healthz HTTP/1.1\r\n\r\n', 400, 'malformed'],
    ['no percent-encoding', `GET /api/tasks/%ff HTTP/1.1\r\n${host}\r\n`, 400, 'malformed'],
    ['the same', `DELETE /api/tasks/%e0%a4%a HTTP/1.1\r\n${host}\r\n`, 400, 'malformed'],
    ['a long id', `GET /api/tasks/${'a'.repeat(300)} HTTP/1.1\r\n${host}\r\n`, 404, 'unknown-task'],
    ['the same', `GET /api/nodes/${'a'.repeat(9000)} HTTP/1.1\r\n${host}\r\n`, 404, 'unknown-node'],
    [
      'a long header',
      `GET / HTTP/1.1\r\n${host}a: ${'a'.repeat(20_000)}\r\n\r\n`,
      431,
      'too-large',
    ],
    ['a long target', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n${host}\r\n`, 431, 'too-large'],
    ['what is not done here', `GET / HTTP/1.1\r\n${host}expect: tea\r\n\r\n`, 417, 'malformed'],
    [
      'two lengths',
      `POST /process HTTP/1.1\r\n${host}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n`,
      400,
      'malformed',
    ],
  ]
  for (const [what, request, status, code] of cases) {
    const answer = await exchange(t, port, request)
    t.match(answer, { status, type: /^application\/problem\+json/, body: { status, code } }, what)
  }
  t.same(recorded.calls, [])
})

t.test('attempt 55: a host that is not this machine gets nothing, whatever it asks', async (t) => {
  const { port, recorded, server } = await serve(t)
  const ask = (line: string, host: string) =>
    exchange(t, port, `${line} HTTP/1.1\r\nhost: ${host}\r\norigin: http://${host}\r\n\r\n`)
  const paths = ['GET /api/nodes', 'GET /api/events', 'POST /process', 'GET /none', 'CONNECT a:1']
  for (const line of [...paths, 'GET /api/tasks/%ff', 'PUT /process']) {
    const { status, body } = await ask(line, 'evil.example:8025')
    t.match({ status, body }, { status: 421, body: { code: 'wrong-host' } }, line)
  }
  for (const host of [
    'localhost.evil.example',
    'evil-localhost',
    '127.0.0.1.evil.example',
    '128.0.0.1',
    '0.0.0.0',
    '[::2]',
    '192.168.1.7:8025',
    'localhost:80:80',
    'user@localhost',
  ]) {
    t.equal((await ask('GET /healthz', host)).status, 421, host)
  }
  for (const host of [
    'localhost',
    'LocalHost:1',
    'pi.localhost:8025',
    '127.0.0.1:65535',
    '127.1.2.3',
    '[::1]:9',
  ]) {
    t.equal((await ask('GET /healthz', host)).status, 200, host)
  }
  const absolute = await ask('GET http://evil.example/healthz', 'localhost')
  t.equal(absolute.status, 421, 'the target names the host where it names one')
  t.equal((await exchange(t, port, 'GET /healthz HTTP/1.0\r\n\r\n')).status, 200)
  t.same(server.refused, { 'wrong-host': 17 }, 'each is counted')
  t.same(recorded.calls, [])
})

t.test('a port that is taken is an error with a code', async (t) => {
  const { port } = await serve(t)
  const log: Logger = { debug() {}, info() {}, warn() {}, error() {} }
  const second = new HttpServer({ host: '127.0.0.1', port }, record().port, log)
  t.teardown(() => second.close())
  await t.rejects(second.listen(), { code: 'http-listen-failed', exitCode: 70 })
})

t.test(
  'tokens are gone through once for all who ask at once, and the newest are shown',
  async (t) => {
    const { recorded, base } = await serve(t)
    let count = 0
    const tokens = async () => {
      count += 1
      return Array.from({ length: 3000 }, (_, n) => ({ id: `t${n}` }))
    }
    Object.assign(recorded.port, { security: { tokens } })
    const ask = async (query: string): Promise<{ readonly id: string }[]> =>
      (await fetch(`${base}/api/tokens${query}`)).json()
    t.match(await Promise.all([ask(''), ask('?limit=2')]), [
      { length: 1000 },
      [{ id: 't0' }, { id: 't1' }],
    ])
    const before = count
    const beganMs = performance.now()
    await Promise.all(Array.from({ length: 20 }, () => ask('?limit=1000')))
    const intervals = (performance.now() - beganMs) / PACE_MS
    t.ok(count - before <= 1 + intervals, `${count - before} in ${intervals} intervals`)
    t.equal((await fetch(`${base}/api/tokens?limit=1001`)).status, 400)
  },
)
