import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { follow, type StreamItem } from '../../../shared/client/events.ts'
import { type Carrier, GatewayClient } from '../../../shared/client/http.ts'
import { checkAsync } from '../../support/property.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A gateway whose n-th answer the n-th handler gives. */
async function served(t: Test, ...handlers: readonly Handler[]): Promise<GatewayClient> {
  let asked = 0
  const server = createServer((request, response) => handlers[asked++]!(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return new GatewayClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

const stream =
  (text: string, then: 'end' | 'stay' | 'cut' = 'end'): Handler =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(text, () => {
      if (then === 'end') response.end()
      if (then === 'cut') response.destroy()
    })
  }

/** How the gateway begins. */
function opened(id: string, missed?: string): string {
  return `: connected\n\nevent: opened\nid: ${id}\ndata: ${JSON.stringify({ ts: 1, missed })}\n\n`
}

/** What comes until `isLast`. */
async function until(
  gateway: GatewayClient,
  isLast: (item: StreamItem) => boolean,
  idleMs?: number,
): Promise<StreamItem[]> {
  const stop = new AbortController()
  const items: StreamItem[] = []
  const options = { signal: stop.signal, ...(idleMs === undefined ? {} : { idleMs }) }
  for await (const item of follow(gateway, options)) {
    items.push(item)
    if (isLast(item)) stop.abort()
  }
  return items
}

const isMessage =
  (value: unknown) =>
  (item: StreamItem): boolean =>
    item.kind === 'message' && JSON.stringify(item.value) === JSON.stringify(value)

t.test(
  'messages come as they were sent, and the connection ends with whoever listens',
  async (t) => {
    let ended: () => void
    const end = new Promise<void>((resolve) => (ended = resolve))
    const head = ': connected\n\nevent: opened\nid: a-0\ndata: {"ts":1,"kinds":[]}\n\n'
    const some = ': heartbeat\n\nid: a-1\ndata: {"x":\ndata: 1}\n\ndata:[2]\nretry: 3\n\n'
    const named = 'event: beat\ndata: {"ts":2}\n\nevent: left-out\ndata: {"events":4}\n\n'
    const text = `${head}${some}${named}id\ndata: "é"\n\n`
    const gateway = await served(t, (request, response) => {
      response.once('close', () => ended())
      stream(text, 'stay')(request, response)
    })
    t.strictSame(await until(gateway, isMessage('é')), [
      { kind: 'open', isWhole: false, ts: 1 },
      { kind: 'message', id: 'a-1', value: { x: 1 } },
      { kind: 'message', id: undefined, value: [2] },
      { kind: 'missed' },
      { kind: 'message', id: '', value: 'é' },
    ])
    await end
  },
)

t.test('any cut and any end of lines makes the same messages', async (t) => {
  const value = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.constant({ a: [1, null] }))
  const some = fc.array(value, { minLength: 1, maxLength: 5 })
  const ends = fc.constantFrom('\n', '\r\n', '\r')
  const pieces = fc.infiniteStream(fc.integer({ min: 1, max: 7 }))
  const rule = fc.asyncProperty(some, ends, pieces, async (values, newline, sizes) => {
    const text = values.map((one, n) => `id: s-${n}${newline}data: ${JSON.stringify(one)}`)
    const bytes = Buffer.from(`${[...text, '""', ''].join(newline + newline)}`)
    const carrier: Carrier = async (_path, { signal }) => {
      const start = (controller: ReadableStreamDefaultController): void => {
        signal.addEventListener('abort', () => controller.error(signal.reason))
        for (let at = 0; at < bytes.length; ) {
          const size = sizes.next().value!
          controller.enqueue(bytes.subarray(at, at + size))
          at += size
        }
      }
      return new Response(new ReadableStream({ start }))
    }
    const last = values.length - 1
    const items = await until(
      new GatewayClient('http://gw', { carrier }),
      (item) => item.kind === 'message' && item.id === `s-${last}`,
    )
    const messages = items.flatMap((item) => (item.kind === 'message' ? [item.value] : []))
    assert.deepEqual(messages, values)
  })
  await checkAsync(t, rule, 200)
})

t.test('a stream that breaks goes on where it was', async (t) => {
  const asked: unknown[] = []
  const noting =
    (handler: Handler): Handler =>
    (request, response) => {
      asked.push(request.headers['last-event-id'])
      handler(request, response)
    }
  const gateway = await served(
    t,
    noting(stream(`${opened('a-0')}id: a-1\ndata: 1\n\nid: a-2\ndata: 2\n\n`)),
    noting(stream(`${opened('a-2')}id: a-3\ndata: 3\n\n`, 'cut')),
    noting((_request, response) => response.writeHead(503).end()),
    noting(stream(`${opened('b-9', 'restarted')}data: 4\n\n`, 'stay')),
  )
  const items = await until(gateway, isMessage(4))
  t.match(items, [
    { kind: 'open', isWhole: false },
    { kind: 'message', value: 1 },
    { kind: 'message', value: 2 },
    { kind: 'away', error: { code: 'unreachable' } },
    { kind: 'open', isWhole: true },
    { kind: 'message', value: 3 },
    { kind: 'away', error: { code: 'unreachable' } },
    { kind: 'away', error: { code: 'http-503' } },
    { kind: 'open', isWhole: false },
    { kind: 'message', id: undefined, value: 4 },
  ])
  t.equal(items.length, 10)
  t.same(asked, [undefined, 'a-2', 'a-3', 'a-3'])
})

t.test('a connection that says nothing is given up', async (t) => {
  const gateway = await served(t, stream(': connected\n\n', 'stay'), stream('data: 1\n\n', 'stay'))
  const items = await until(gateway, isMessage(1), 50)
  const away = { kind: 'away', error: { detail: /nothing for 0\.05 s/ } }
  t.match(items, [away, { kind: 'message' }])
})

t.test('a refusal, and what is no gateway, is told', async (t) => {
  const refused = await served(t, (_request, response) => {
    response.writeHead(403).end('{"code":"forbidden","detail":"no"}')
  })
  await t.rejects(
    until(refused, () => false),
    { code: 'forbidden', status: 403 },
  )
  for (const text of [
    'data: <h1>\n\n',
    `data: "${'x'.repeat(1_100_000)}`,
    'event: opened\ndata: null\n\n',
    'event: opened\n\n',
  ]) {
    const other = await served(t, stream(text, 'stay'))
    await t.rejects(
      until(other, () => false),
      { code: 'not-a-gateway' },
    )
  }
})
