import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import { connect, Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { AnswersHeld } from '../../../broker/adapters/http-answers.ts'
import { HttpBodies } from '../../../broker/adapters/http-bodies.ts'
import type { HttpPort } from '../../../broker/adapters/http-server.ts'
import { Turns } from '../../../broker/adapters/turns.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { SUBMISSION_BYTES_MAX } from '../../../shared/protocol/limits.ts'
import { NODE, type Recorded, serve } from '../../support/recorded-http-port.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`

async function open(t: Test, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

async function ask(socket: Socket, text: string): Promise<string> {
  const answered = once(socket, 'data')
  socket.write(text)
  const [chunk] = await answered
  return String(chunk)
}

t.test('who is answered before his body has come is silent, also once it has', async (t) => {
  const { server, port } = await serve(t, { connectionsMax: 2 })
  const early = await open(t, port)
  const other = await open(t, port)
  const answer = await ask(
    early,
    'POST /api/nodes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n',
  )
  t.match(answer, /^HTTP\/1.1 405 /)
  early.write('x')
  await ask(other, get('/healthz'))
  const closed = Promise.race(
    [early, other].map((socket) => once(socket.resume(), 'close').then(() => socket)),
  )
  t.match(await ask(await open(t, port), get('/healthz')), /^HTTP\/1.1 200 /)
  t.ok((await closed) === early, 'the one that is silent for longest makes room')
  t.same(server.refused, { silent: 1 })
})

t.test('of an unknown query, as much is told as of an unknown body', async (t) => {
  const { base } = await serve(t)
  const names = Array.from({ length: 200 }, (_, number) => `${number}`.padEnd(70, 'x'))
  const response = await fetch(`${base}/api/tasks?${names.join('&')}`)
  t.equal(response.status, 400)
  const { errors } = (await response.json()) as { errors: { path: string; message: string }[] }
  t.equal(errors.length, 32)
  for (const [number, { path, message }] of errors.entries()) {
    t.equal(path, names[number]!.slice(0, 64))
    t.match(message, `there is no parameter "${path}"`)
    t.notMatch(message, names[number])
  }
})

/** Far more than the buffers of both sockets hold. */
const LARGE_BYTES = 16 * 1024 * 1024

function answerAtLength(recorded: Recorded): void {
  const text = 'x'.repeat(LARGE_BYTES)
  ;(recorded.port as { nodes: HttpPort['nodes'] }).nodes = () => [{ ...NODE, text } as typeof NODE]
}

/** Asks for a large answer and takes only its beginning; `rest` takes what else comes, and counts it all. */
async function leaveUnread(t: Test, port: number) {
  const socket = await open(t, port)
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > LARGE_BYTES) socket.end()
  })
  await ask(socket, get('/api/nodes'))
  socket.pause()
  const rest = async (): Promise<number> => {
    const closed = once(socket, 'close')
    socket.resume()
    await closed
    return bytes
  }
  return { rest }
}

t.test('a full house makes room by closing who does not take his answer', async (t) => {
  const { recorded, server, port } = await serve(t, { connectionsMax: 2, answerStallLeastMs: 0 })
  answerAtLength(recorded)
  const readers = [await leaveUnread(t, port), await leaveUnread(t, port)]
  t.match(await ask(await open(t, port), get('/healthz')), /^HTTP\/1.1 200 /)
  t.same(server.refused, { unread: 1 })
  const taken = await Promise.all(readers.map((reader) => reader.rest()))
  t.equal(taken.filter((bytes) => bytes > LARGE_BYTES).length, 1, 'the other one has it all')
})

t.test('a full house of those who take their answers closes none of them', async (t) => {
  const { recorded, server, port } = await serve(t, { connectionsMax: 2 })
  answerAtLength(recorded)
  const readers = [await leaveUnread(t, port), await leaveUnread(t, port)]
  const late = connect(port, '127.0.0.1').resume()
  await once(late, 'close')
  t.same(server.refused, { 'connections-full': 1 })
  const taken = await Promise.all(readers.map((reader) => reader.rest()))
  t.ok(taken.every((bytes) => bytes > LARGE_BYTES))
})

t.test('who could take nothing since the gateway stood still is not let go for that', async (t) => {
  const { recorded, server, base, port } = await serve(t, { answerStallMs: 2500 })
  answerAtLength(recorded)
  const reader = await leaveUnread(t, port)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000)
  await fetch(`${base}/healthz`)
  t.ok((await reader.rest()) > LARGE_BYTES)
  t.same(server.refused, {})
})

t.test('who takes nothing of his answer is let go, and who only asked is not', async (t) => {
  const { recorded, server, base, port } = await serve(t, { answerStallMs: 1 })
  answerAtLength(recorded)
  const events = await open(t, port)
  await ask(events, get('/api/events'))
  const reader = await leaveUnread(t, port)
  while (server.refused.unread === undefined) await fetch(`${base}/healthz`)
  t.ok((await reader.rest()) < LARGE_BYTES)
  t.same(server.refused, { unread: 1 })
  t.ok(recorded.port.live.isFollowed('event'))
})

t.test('answers that wait are bounded together, and one alone is not', async (t) => {
  const answersBytesMax = 1.5 * LARGE_BYTES
  const { recorded, server, port } = await serve(t, { answersBytesMax })
  answerAtLength(recorded)
  const readers = [await leaveUnread(t, port)]
  t.same(server.refused, {})
  readers.push(await leaveUnread(t, port))
  t.same(server.refused, { 'answers-full': 1 })
  const [first, second] = await Promise.all(readers.map((reader) => reader.rest()))
  t.ok(first! < LARGE_BYTES, 'who has taken nothing for longest is let go')
  t.ok(second! > LARGE_BYTES)
  t.ok((await (await leaveUnread(t, port)).rest()) > LARGE_BYTES)
  t.same(server.refused, { 'answers-full': 1 }, 'what was taken, or will not be, counts no more')
})

t.test('who leaves while his large answer is made costs nothing', async (t) => {
  const { recorded, server, base, port } = await serve(t, { answersBytesMax: 1 })
  const text = 'x'.repeat(LARGE_BYTES)
  let answer: (text: string) => void = () => {}
  const asked = new Promise<void>((resolve) => {
    ;(recorded.port as { metrics: HttpPort['metrics'] }).metrics = () => {
      resolve()
      return new Promise((made) => {
        answer = made
      })
    }
  })
  const socket = await open(t, port)
  socket.write(get('/metrics'))
  await asked
  socket.destroy()
  await ask(await open(t, port), get('/healthz'))
  answer(text)
  t.equal((await fetch(`${base}/healthz`)).status, 200)
  t.same(server.refused, {})
  t.same(recorded.logged, [])
})

t.test('an answer that many wait for is there once', (t) => {
  const held = new AnswersHeld()
  const answer = Buffer.alloc(9)
  held.add(answer)
  held.add(answer)
  held.add(Buffer.alloc(9))
  t.equal(held.bytes, 18)
  held.remove(answer)
  t.equal(held.bytes, 18)
  held.remove(answer)
  t.equal(held.bytes, 9)
  t.end()
})

t.test('clients that each ask for another number of tasks leave room for others', async (t) => {
  const { recorded, base } = await serve(t)
  const [task] = recorded.port.tasks({ limit: 1 })
  const tasks = ({ limit }: { limit: number }) => Array.from({ length: limit }, () => task!)
  Object.assign(recorded.port, { tasks })
  const limits = Array.from({ length: 150 }, (_, number) => number + 1)
  const responses = await Promise.all(
    limits.map((limit) => fetch(`${base}/api/tasks?limit=${limit}`)),
  )
  const lists = await Promise.all(responses.map((response) => response.json()))
  t.same(
    lists.map((list) => (list as unknown[]).length),
    limits,
  )
  const unasked = (await (await fetch(`${base}/api/tasks`)).json()) as unknown[]
  t.equal(unasked.length, 100)
})

/** Asks for a plan of each of these, on a connection of its own; resolves when all were heard. */
async function askForPlans(
  t: Test,
  { recorded, port }: Awaited<ReturnType<typeof serve>>,
  ids: readonly string[],
): Promise<Socket[]> {
  const unheard = new Set<string>(ids)
  const { stateOf } = recorded.port
  const heard = new Promise<void>((resolve) => {
    const hear = (id: NodeId) => {
      unheard.delete(id)
      if (unheard.size === 0) resolve()
      return stateOf(id)
    }
    Object.assign(recorded.port, { stateOf: hear })
  })
  const sockets = await Promise.all(ids.map(() => open(t, port)))
  for (const [at, socket] of sockets.entries()) socket.write(get(`/api/ring/plan?join=${ids[at]}`))
  await heard
  return sockets
}

const numbered = (count: number): string[] =>
  Array.from({ length: count }, (_, number) => `new-${number}`)

t.test('plans are not made for those who have left, and none is refused', async (t) => {
  const served = await serve(t)
  for (const socket of await askForPlans(t, served, numbered(100))) socket.destroy()
  t.equal((await fetch(`${served.base}/api/ring/plan?join=last`)).status, 200)
  const made = served.recorded.calls.filter(([call]) => call === 'plan').length
  t.ok(made < 100, `${made} were made for 101 questions`)
})

t.test('a plan is made as long as one of those who asked for it waits', async (t) => {
  const served = await serve(t)
  const first = await askForPlans(t, served, numbered(20))
  const [second] = await askForPlans(t, served, ['new-19'])
  const answered = once(second!, 'data')
  first.at(-1)!.destroy()
  t.match(String((await answered)[0]), /^HTTP\/1.1 200 /)
})

t.test('a full house of plans that are waited for makes room', async (t) => {
  const served = await serve(t, { connectionsMax: 100 })
  await askForPlans(t, served, numbered(100))
  for (let listeners = 0; listeners < 20; listeners++) {
    t.match(await ask(await open(t, served.port), get('/api/events')), /^HTTP\/1.1 200 /)
  }
  t.same(served.server.refused, { silent: 20 })
})

t.test('who leaves before his task is accepted waits for no end', async (t) => {
  const { recorded, base, port } = await serve(t, { connectionsMax: 1 })
  let accept: () => void = () => {}
  const submitted = new Promise<void>((resolve) => {
    Object.assign(recorded.port, {
      submit: () => {
        resolve()
        return new Promise((accepted) => {
          accept = () => accepted(recorded.answer)
        })
      },
    })
  })
  const socket = await open(t, port)
  const fields = 'host: localhost\r\ncontent-type: application/json\r\ncontent-length: 2'
  socket.write(`POST /process?wait=300s HTTP/1.1\r\n${fields}\r\n\r\n{}`)
  await submitted
  socket.destroy()
  const isAnswered = (): Promise<boolean> =>
    fetch(`${base}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    )
  while (!(await isAnswered())) {}
  accept()
  t.ok(await isAnswered())
  t.same(recorded.calls, [])
})

t.test('who sends little ahead is not closed for the sake of those who send much', async (t) => {
  const { server, base, port } = await serve(t)
  const crowd = await Promise.all(Array.from({ length: 11 }, () => open(t, port)))
  const closed = Promise.race(crowd.map((socket) => once(socket, 'close')))
  for (const [number, socket] of crowd.entries()) {
    await ask(socket, get('/api/events'))
    // The last one waits for the others' to be read, and is one too many.
    if (number === 10) await fetch(`${base}/healthz`)
    socket.write(get('/healthz').repeat(number === 10 ? 1 : 100))
  }
  await closed
  t.same(server.refused, { 'requests-ahead': 1 })
  t.notOk(crowd[10]!.destroyed)
})

/** A submission of 2,000 bytes, of which so many come. */
function submission(bytes = 2000): string {
  const fields = 'host: localhost\r\ncontent-type: application/json\r\ncontent-length: 2000'
  return `POST /process HTTP/1.1\r\n${fields}\r\n\r\n${'{}'.padEnd(2000).slice(0, bytes)}`
}

t.test('bodies are bounded together, and the one that brings nothing is refused', async (t) => {
  const { recorded, base, port } = await serve(t, { bodiesBytesMax: 3000 })
  const slow = await open(t, port)
  let refusal = ''
  slow.on('data', (chunk) => {
    refusal += chunk
  })
  slow.write(submission(1900))
  const submit = () =>
    fetch(`${base}/process`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}'.padEnd(2000),
    })
  let accepted = 0
  for (; accepted < 5 || (refusal === '' && accepted < 100); accepted++) {
    t.equal((await submit()).status, 202)
  }
  t.match(refusal, /^HTTP\/1.1 503 .*\r\nretry-after: 5\r\n.*"code":"overloaded"/s)
  t.equal(recorded.calls.length, accepted, 'nothing of it was submitted')
  t.match(await ask(slow, ' '.repeat(100) + submission()), /^HTTP\/1.1 202 /, 'it can be repeated')
  t.equal(recorded.calls.length, accepted + 1)
})

t.test('a body that comes byte by byte takes no more memory than another one', async (t) => {
  const bodies = new HttpBodies(2 * SUBMISSION_BYTES_MAX, 30_000, new Turns())
  const request = new IncomingMessage(new Socket())
  const received = bodies.receive(request)
  await new Promise(setImmediate)
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const bytesUsed = (): number => {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = bytesUsed()
  const bytes = 200_000
  for (let at = 0; at < bytes; at++) request.push(Buffer.allocUnsafeSlow(1).fill(at))
  const used = bytesUsed() - before
  t.ok(used < 10 * bytes, `${used} bytes for ${bytes}`)
  request.push(null)
  const body = await received
  t.same([body.length, body[1], body.at(-1)], [bytes, 1, (bytes - 1) & 0xff])
})
