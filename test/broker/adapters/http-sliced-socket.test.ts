import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import t, { type Test } from 'tap'
import { SlicedSocket, SliceTurns } from '../../../broker/adapters/http-sliced-socket.ts'
import { serve } from '../../support/recorded-http-port.ts'

/** Both ends of a connection, of which one is sliced. */
async function open(t: Test, turns: SliceTurns): Promise<{ far: Socket; near: SlicedSocket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => far.destroy())
  const [bare] = (await once(server, 'connection')) as [Socket]
  return { far, near: new SlicedSocket(bare, turns) }
}

t.test('slices that are dear have a turn of the loop each, and sockets take turns', async (t) => {
  const turns = new SliceTurns()
  const sockets = [await open(t, turns), await open(t, turns)]
  let turn = 0
  let isWatching = true
  const watch = (): void => {
    turn += 1
    if (isWatching) setImmediate(watch)
  }
  watch()
  const met: { turn: number; at: number }[] = []
  const sent = Buffer.from(Array.from({ length: 50_000 }, (_, at) => at))
  const ends = sockets.map(async ({ far, near }, at) => {
    const taken: Buffer[] = []
    near.on('data', (slice: Buffer) => {
      met.push({ turn, at })
      taken.push(slice)
      const sinceMs = performance.now()
      while (performance.now() - sinceMs < 3) {}
    })
    far.end(sent)
    await once(near, 'end')
    t.ok(Buffer.concat(taken).equals(sent))
  })
  await Promise.all(ends)
  isWatching = false
  t.ok(met.length >= 50)
  t.equal(new Set(met.map((one) => one.turn)).size, met.length)
  const changes = met.filter(({ at }, number) => number > 0 && met[number - 1]!.at !== at)
  t.ok(changes.length >= 20, `${changes.length} times the other one had its turn`)
})

t.test('what is written goes out in order, and the end after it', async (t) => {
  const { far, near } = await open(t, new SliceTurns())
  const taken: Buffer[] = []
  far.on('data', (chunk) => taken.push(chunk))
  for (let number = 0; number < 1000; number++) near.write(Buffer.alloc(1000, number))
  near.end('.')
  await once(far, 'end')
  const text = Buffer.concat(taken)
  t.equal(text.length, 1_000_001)
  t.ok(Array.from({ length: 1000 }).every((_, number) => text[number * 1000] === (number & 0xff)))
  const ended = once(near.resume(), 'end')
  const closed = once(near, 'close')
  far.end()
  await Promise.all([ended, closed])
  t.ok(near.destroyed)
})

t.test(
  'a connection that ends or breaks closes its sliced one, and the other way round',
  async (t) => {
    const one = await open(t, new SliceTurns())
    one.near.resume().on('error', () => {})
    const closed = new Promise((resolve) => one.near.once('close', resolve))
    one.far.resetAndDestroy()
    await closed
    const other = await open(t, new SliceTurns())
    const gone = once(other.far.resume(), 'close')
    other.far.end()
    other.near.destroy()
    await gone
    t.ok(other.near.destroyed)
  },
)

t.test('silence is told', async (t) => {
  const { near } = await open(t, new SliceTurns())
  near.setTimeout(1)
  await once(near, 'timeout')
  t.notOk(near.destroyed)
  near.destroy()
})

t.test('of many requests in one piece, few are read for a client that is let go', async (t) => {
  const { server, port } = await serve(t)
  let requests = 0
  const count = (): void => {
    requests += 1
  }
  subscribe('http.server.request.start', count)
  t.teardown(() => unsubscribe('http.server.request.start', count))
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.resume()
  const closed = once(socket, 'close')
  socket.write('GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(1000))
  await closed
  t.same(server.refused, { 'requests-ahead': 1 })
  t.ok(requests < 200, `${requests} were read`)
})
