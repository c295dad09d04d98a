/** Packages that go up over a real HTTP door into a real store, also from who stops in the middle. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { PackageStore } from '../../../broker/adapters/package-store.ts'
import type { UpgradeView } from '../../../shared/protocol/views.ts'
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

t.test('a package is not removed while nodes may fetch it for an upgrade', async (t) => {
  const [named, other] = ['a1'.repeat(32), 'b2'.repeat(32)] as const
  const { recorded, base } = await serve(t)
  const removed: string[] = []
  let latest: UpgradeView | undefined
  Object.assign(recorded.port.upgrades, {
    removePackage: (sha256: string) => removed.push(sha256) > 0,
    latest: () => latest,
  })
  const remove = async (sha256: string): Promise<{ status: number; code?: string }> => {
    const response = await fetch(`${base}/api/packages/${sha256}`, { method: 'DELETE' })
    const { code } = (await response.json()) as { code?: string }
    return { status: response.status, ...(code === undefined ? {} : { code }) }
  }
  const upgrade: UpgradeView = {
    ...{ id: 'u1', version: '2.0.0', state: 'running', wave: { nodes: 1 }, pause_seconds: 0 },
    ...{ canary_done: false, started_ts: 1, counts: { fetched: 1 }, nodes: [] },
    packages: { arm64: { sha256: named, bytes: 1 } },
  }
  const refused = { status: 409, code: 'upgrade-running' }
  latest = upgrade
  t.same(await remove(named), refused)
  t.same(await remove(other), { status: 200 }, 'it is none of this upgrade')
  latest = { ...upgrade, state: 'stopped', counts: { installing: 1 } }
  t.same(await remove(named), refused, 'one still installs it')
  latest = { ...upgrade, state: 'stopped' }
  t.same(await remove(named), { status: 200 })
  t.same(removed, [other, named])
})

t.test('who is cut off leaves nothing, and the next one has the place', async (t) => {
  const { begin, send, store } = await bench(t, 600_000)
  const socket = await begin()
  t.equal(await send(), 503, 'one at a time')
  socket.destroy()
  await eventually('the place is free', async () => (await send()) === 201)
  t.equal(store.all.length, 1)
})
