/** Packages that go up over a real HTTP door into a real store, also from who stops in the middle. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { PackageStore } from '../../../broker/adapters/package-store.ts'
import { eventually } from '../../support/processes.ts'
import { serve } from '../../support/recorded-http-port.ts'
import { StagedBoard } from '../../support/staged-board.ts'

async function bench(t: Test, bodyMs: number) {
  const directory = t.testdir({})
  const store = new PackageStore({ directory: join(directory, 'gateway'), bytesMax: 2 ** 20 })
  const { recorded, base, port } = await serve(t, { bodyMs })
  let taken = 0
  Object.assign(recorded.port.upgrades, {
    packages: () => store.all,
    takePackage: (body: AsyncIterable<Uint8Array>) => {
      taken += 1
      return store.take(body)
    },
  })
  const board = new StagedBoard(join(directory, 'board'))
  const archive = board.archive(board.tree({ version: '2.0.0' }))
  const send = async (): Promise<number> => {
    const headers = { 'content-type': 'application/gzip' }
    const body = new Uint8Array(archive)
    return (await fetch(`${base}/api/packages`, { method: 'POST', headers, body })).status
  }
  /** Says that all of it comes, and brings ten bytes. */
  const begin = async () => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    const fields = `host: localhost\r\ncontent-type: application/gzip\r\ncontent-length: ${archive.length}`
    socket.write(`POST /api/packages HTTP/1.1\r\n${fields}\r\n\r\n${'x'.repeat(10)}`)
    await eventually('it is being taken', () => taken > 0)
    return socket
  }
  return { begin, send, store }
}

t.test('who brings nothing more is refused, and the next one has the place', async (t) => {
  const { begin, send, store } = await bench(t, 200)
  const socket = await begin()
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.match(String(answer), /^HTTP\/1\.1 408 .*"it brought nothing for 0\.2 s"/s)
  t.equal(await send(), 201)
  t.equal(store.all.length, 1)
})

t.test('who is cut off leaves nothing, and the next one has the place', async (t) => {
  const { begin, send, store } = await bench(t, 600_000)
  const socket = await begin()
  t.equal(await send(), 503, 'one at a time')
  socket.destroy()
  await eventually('the place is free', async () => (await send()) === 201)
  t.equal(store.all.length, 1)
})
