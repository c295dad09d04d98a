import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { serve } from '../../support/recorded-http-port.ts'

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
