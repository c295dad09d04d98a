import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { EventReader } from '../../support/event-stream.ts'
import { eventually } from '../../support/processes.ts'
import { type Recorded, serve } from '../../support/recorded-http-port.ts'

function tell({ port }: Recorded, code: string, more: object = {}): void {
  port.live.happened('event', JSON.stringify({ code, ...more }))
}

async function open(t: Test, base: string, query = '', headers: Record<string, string> = {}) {
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const { signal } = abort
  const response = await fetch(`${base}/api/events${query}`, { signal, headers })
  t.match(response.headers.get('content-type'), /^text\/event-stream/)
  const reader = new EventReader(response.body!)
  return { reader, opened: await reader.next(), leave: () => abort.abort() }
}

t.test('events are streamed as they happen', async (t) => {
  const { recorded, server, base } = await serve(t, { eventHeartbeatMs: 20 })
  const { reader, opened } = await open(t, base)
  t.match(opened, { name: 'opened', id: 'test-0', data: { kinds: ['task-state', 'event'] } })
  t.notOk('missed' in opened.data)
  tell(recorded, 'node-joined', { text: 'one\ntwo' })
  t.same(await reader.next('message'), {
    name: 'message',
    id: 'test-1',
    data: { type: 'event', code: 'node-joined', text: 'one\ntwo' },
  })
  t.match(await reader.next('beat'), { id: 'test-1', data: { ts: Number } })
  await server.close()
  await t.rejects(reader.next('message'), /ended/, 'closing the server ends the stream')
  t.notOk(recorded.port.live.isFollowed('event'))
})

t.test('who was away is told what he missed', async (t) => {
  const { recorded, base } = await serve(t)
  for (const code of ['a', 'b', 'c']) tell(recorded, code)
  const header = { 'last-event-id': 'test-1' }
  for (const { reader, opened } of [
    await open(t, base, '?after=test-1'),
    await open(t, base, '', header),
    await open(t, base, '?after=test-3', header),
  ]) {
    t.match(opened, { id: 'test-1' }, 'until it has the rest, it stands there')
    t.notOk('missed' in opened.data)
    t.match(await reader.next(), { id: 'test-2', data: { code: 'b' } })
    t.match(await reader.next(), { id: 'test-3', data: { code: 'c' } })
  }
  const all = await open(t, base, '?after=all')
  t.match(all.opened, { id: 'test-0' })
  t.match(await all.reader.next(), { id: 'test-1', data: { code: 'a' } }, 'or is told all')
  const { opened } = await open(t, base, '?after=test-3')
  t.match(opened, { id: 'test-3' })
})

t.test('who was away for too long, or over a restart, is told to read anew', async (t) => {
  const cases = {
    'test-1': 'too-old',
    'other-6': 'restarted',
    'test-13': 'restarted',
    lost: 'restarted',
  }
  for (const [after, missed] of Object.entries(cases)) {
    const { recorded, base } = await serve(t)
    for (let n = 0; n < 12; n++) tell(recorded, `${n}`)
    const { reader, opened } = await open(t, base, `?after=${after}`)
    t.match(opened, { id: 'test-12', data: { missed } }, after)
    tell(recorded, 'next')
    t.match(await reader.next(), { data: { code: 'next' } }, 'nothing of before')
  }
})

t.test('a reader names the kinds that he wants, and gets no others', async (t) => {
  const { recorded, base } = await serve(t)
  const { live } = recorded.port
  const { reader, opened } = await open(t, base, '?kinds=nodes,task-state')
  t.same(opened.data.kinds, ['task-state', 'nodes'])
  t.same([live.isFollowed('nodes'), live.isFollowed('moves')], [true, false])
  tell(recorded, 'not-wanted')
  live.is('moves', '{"open":[]}')
  live.is('nodes', '{"nodes":[]}')
  live.happened('task-state', '{"id":"t1"}', 'user/ann')
  t.same(await reader.next(), {
    name: 'message',
    id: undefined,
    data: { type: 'nodes', nodes: [] },
  })
  t.match(await reader.next(), { id: 'test-2', data: { type: 'task-state', id: 't1' } })
  for (const kinds of ['', 'node', 'nodes,nodes', 'nodes,', 'toString']) {
    const refused = await fetch(`${base}/api/events?kinds=${kinds}`)
    t.equal(refused.status, 400, kinds)
    t.match(await refused.json(), { detail: /task-state, event, cells, nodes, moves/ })
  }
  t.equal((await fetch(`${base}/api/events?after=a%20b`)).status, 400)
})

t.test('a slow reader loses events, is told how many, and costs bounded memory', async (t) => {
  const { recorded, port } = await serve(t, { eventBytesMax: 4096, eventHeartbeatMs: 600_000 })
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  const heard = (expected: RegExp) =>
    new Promise<void>((resolve) => {
      const look = (): void => {
        if (!expected.test(text)) return
        socket.off('data', onData)
        resolve()
      }
      const onData = (chunk: Buffer): void => {
        text += chunk
        look()
      }
      socket.on('data', onData)
      look()
    })
  socket.write('GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await heard(/: connected/)
  socket.pause()
  const filler = 'x'.repeat(64 * 1024)
  // Far more than the buffers of both sockets hold.
  const sent = 400
  for (let number = 0; number < sent; number++) tell(recorded, 'filler', { number, filler })
  socket.resume()
  const told = heard(/event: left-out\r?\ndata: \{"events":\d+\}/)
  const nudge = setInterval(() => tell(recorded, 'nudge'), 5)
  await told
  clearInterval(nudge)
  const left = Number(/"events":(\d+)/.exec(text)![1])
  const arrived = text.match(/"number":/g)?.length ?? 0
  t.ok(left >= sent - arrived, `${left} left out, ${arrived} arrived`)
  t.ok(arrived < sent)
})

t.test('a reader that goes away is forgotten', async (t) => {
  const { recorded, base } = await serve(t)
  const { leave } = await open(t, base)
  const { live } = recorded.port
  t.ok(live.isFollowed('event'))
  leave()
  await eventually('nobody follows', () => !live.isFollowed('event'))
})
