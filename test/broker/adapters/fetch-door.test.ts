/** Packages over a real socket, to the very code that a board fetches them with. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FetchDoor, type FetchDoorOptions } from '../../../broker/adapters/fetch-door.ts'
import { fetchPackage } from '../../../firmware-agent/adapters/package-fetch.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { encodeFetchLine } from '../../../shared/protocol/fetch.ts'

interface Bench {
  readonly url: string
  readonly door: FetchDoor
  readonly port: number
  readonly directory: string
  readonly sha256: string
  readonly bytes: Buffer
  readonly sockets: Socket[]
}

async function bench(
  t: Test,
  options: FetchDoorOptions = {},
  bytes = randomBytes(300_000),
  nodeOf: () => NodeId | undefined = () => undefined,
): Promise<Bench> {
  const directory = t.testdir({})
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const path = join(directory, 'package')
  writeFileSync(path, bytes)
  const port = {
    pathOf: (name: string) => (name === sha256 ? path : undefined),
    failed: (error: unknown) => t.fail(String(error)),
  }
  const door = new FetchDoor({ bytesPerSecond: 2 ** 30, ...options }, port)
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    door.take(socket, undefined, nodeOf())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port: number } = server.address() as AddressInfo
  return {
    ...{ url: `mqtt://127.0.0.1:${number}`, port: number },
    ...{ door, directory, sha256, bytes, sockets },
  }
}

async function say(port: number, line: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(line)
  let text = ''
  for await (const chunk of socket) text += (chunk as Buffer).toString('latin1')
  return text
}

async function turnsUntil(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}

t.test('a package comes whole, and once it is there not again', async (t) => {
  const { url, directory, sha256, bytes, sockets } = await bench(t)
  const path = join(directory, 'fetched')
  const wish = { sha256, bytes: bytes.length, path }
  await fetchPackage({ url }, wish)
  t.ok(readFileSync(path).equals(bytes))
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.notOk(existsSync(`${path}.part`))
  await fetchPackage({ url }, wish)
  t.equal(sockets.length, 1)
})

t.test('what broke goes on where it stands', async (t) => {
  const { url, port, directory, sha256, bytes, sockets } = await bench(t)
  const path = join(directory, 'fetched')
  writeFileSync(`${path}.part`, bytes.subarray(0, 200_000))
  await fetchPackage({ url }, { sha256, bytes: bytes.length, path })
  t.ok(readFileSync(path).equals(bytes))
  t.ok(sockets[0]!.bytesWritten < 110_000, 'only the rest came')
  const rest = await say(port, encodeFetchLine({ sha256, from: 299_990 }))
  t.equal(rest.length, '{"bytes":300000}\n'.length + 10)
  t.equal(await say(port, encodeFetchLine({ sha256, from: 1e9 })), '{"bytes":300000}\n')
})

t.test('what is not what its name says is thrown away', async (t) => {
  const { url, directory, sha256, bytes } = await bench(t)
  const path = join(directory, 'fetched')
  writeFileSync(`${path}.part`, Buffer.alloc(200_000))
  const wish = { sha256, bytes: bytes.length, path }
  await t.rejects(fetchPackage({ url }, wish), { code: 'package-damaged' })
  t.notOk(existsSync(`${path}.part`))
  await fetchPackage({ url }, wish)
  t.ok(readFileSync(path).equals(bytes), 'and fetched anew')
  writeFileSync(path, 'rotten')
  await fetchPackage({ url }, wish)
  t.ok(readFileSync(path).equals(bytes))
})

t.test('each refusal has its word', async (t) => {
  const { url, port, directory, sha256, bytes } = await bench(t)
  const path = join(directory, 'fetched')
  const unknown = { sha256: 'ab'.repeat(32), bytes: bytes.length, path }
  await t.rejects(fetchPackage({ url }, unknown), { code: 'unknown-package' })
  await t.rejects(fetchPackage({ url }, { sha256, bytes: 7, path }), { code: 'package-damaged' })
  await t.rejects(fetchPackage({ url }, { sha256, bytes: 2 ** 40, path }), { code: 'too-large' })
  const huge = { sha256, bytes: 2 ** 26, path: '/dev/shm/none/x' }
  await t.rejects(fetchPackage({ url }, huge), { code: 'ENOENT' })
  await t.rejects(fetchPackage({ url: 'mqtt://127.0.0.1:1' }, { sha256, bytes: 7, path }), {
    code: 'fetch-broken',
  })
  for (const line of ['\n', '{}\n', `{"sha256":"${sha256}","from":-1}\n`, 'x'.repeat(999)]) {
    t.equal(await say(port, line), '{"error":"malformed"}\n', line.slice(0, 20))
  }
})

t.test('so many at a time, each at its pace', async (t) => {
  const waitsMs: number[] = []
  const next: (() => void)[] = []
  const pace = (ms: number): Promise<void> => {
    waitsMs.push(ms)
    return new Promise((resolve) => next.push(resolve))
  }
  const options = { places: 1, bytesPerSecond: 100_000, pace }
  const { port, sha256, door, sockets } = await bench(t, options)
  const slow = connect(port, '127.0.0.1')
  slow.write(encodeFetchLine({ sha256, from: 200_000 }))
  await turnsUntil(() => waitsMs.length === 1)
  t.equal(door.taken, 1)
  t.equal(await say(port, encodeFetchLine({ sha256, from: 0 })), '{"error":"busy"}\n')
  t.equal(waitsMs.length, 1, 'the next piece waits for its time')
  slow.resume()
  next[0]!()
  await turnsUntil(() => waitsMs.length === 2)
  t.same(waitsMs, [655.36, 344.64], '100 KB of 100 KB a second')
  next[1]!()
  await once(slow, 'close')
  await turnsUntil(() => door.taken === 0)
  const last = say(port, encodeFetchLine({ sha256, from: 299_999 }))
  await turnsUntil(() => next.length === 3)
  next[2]!()
  t.equal((await last).length, 18)
  t.equal(sockets.length, 3)
})

t.test('who says nothing, or takes nothing, goes', async (t) => {
  const { port, sha256, door } = await bench(
    t,
    { waitingMax: 2, timeoutMs: 200 },
    randomBytes(8_000_000),
  )
  const silent = [1, 2, 3].map(() => connect(port, '127.0.0.1'))
  await Promise.all(silent.map((socket) => once(socket.resume(), 'close')))
  await turnsUntil(() => door.waiting === 0)
  const stuck = connect(port, '127.0.0.1')
  stuck.on('error', () => {})
  stuck.write(encodeFetchLine({ sha256, from: 0 }))
  await once(stuck, 'readable')
  stuck.pause()
  await turnsUntil(() => door.taken === 0)
  t.pass('its place is free again')
  stuck.destroy()
})

t.test('who reads a little now and then goes', async (t) => {
  const options = { timeoutMs: 100, bytesPerSecond: 2 ** 30 }
  const { port, sha256, door } = await bench(t, options, randomBytes(32_000_000))
  const slow = connect(port, '127.0.0.1')
  slow.on('error', () => {})
  slow.write(encodeFetchLine({ sha256, from: 0 }))
  await once(slow, 'readable')
  // More often than it would have to take anything, if that were all.
  const reading = setInterval(() => slow.read(4096), 20)
  await turnsUntil(() => door.taken === 0)
  clearInterval(reading)
  t.pass('its place is free again')
  slow.destroy()
})

t.test('who takes too long for all of it goes, and goes on where it stands', async (t) => {
  let goOn = (): void => {}
  const stops = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let pieces = 0
  const pace = async (): Promise<void> => {
    if (pieces++ === 1) await stops
  }
  const { url, port, directory, sha256, bytes, door } = await bench(
    t,
    { places: 1, placeMs: 200, pace },
    randomBytes(300_000),
  )
  const path = join(directory, 'fetched')
  const wish = { sha256, bytes: bytes.length, path }
  await t.rejects(fetchPackage({ url }, wish), { code: 'fetch-broken' })
  t.equal(door.taken, 0)
  goOn()
  await fetchPackage({ url }, wish)
  t.ok(readFileSync(path).equals(bytes))
  t.equal((await say(port, encodeFetchLine({ sha256, from: 299_999 }))).length, 18)
})

t.test('a node has one place: that of its latest connection', async (t) => {
  const next: (() => void)[] = []
  let isOver = false
  const pace = async (): Promise<void> => {
    if (!isOver) await new Promise<void>((resolve) => next.push(resolve))
  }
  let node = 'slow' as NodeId
  const options = { places: 2, pace }
  const { port, sha256, door } = await bench(t, options, randomBytes(300_000), () => node)
  const begin = async (served: number): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    socket.resume().write(encodeFetchLine({ sha256, from: 0 }))
    await turnsUntil(() => next.length === served)
    return socket
  }
  const first = await begin(1)
  const second = await begin(2)
  await turnsUntil(() => first.destroyed)
  t.equal(door.taken, 1)
  node = 'other' as NodeId
  const other = await begin(3)
  t.equal(door.taken, 2)
  t.notOk(second.destroyed)
  isOver = true
  for (const socket of [second, other]) socket.destroy()
  for (const resume of next) resume()
  await turnsUntil(() => door.taken === 0)
})

t.test('who has been answered and goes on talking is let go', async (t) => {
  const { port, sha256 } = await bench(t, { timeoutMs: 100 })
  for (const line of ['nothing\n', encodeFetchLine({ sha256, from: 0 })]) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {})
    const talking = setInterval(() => socket.write('x'), 10)
    socket.resume().write(line)
    await new Promise((resolve) => socket.once('close', resolve))
    clearInterval(talking)
  }
})
