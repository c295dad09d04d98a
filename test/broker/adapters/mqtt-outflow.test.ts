import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Outflow } from '../../../broker/adapters/mqtt-outflow.ts'

const OPTIONS = { drainHoldMs: 60_000, stallTimeoutMs: 600_000 }

/** Both ends of a connection on which the far one reads nothing. */
async function pair(t: Test): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<Socket[]>
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far] = await accepted
  if (near.connecting) await once(near, 'connect')
  near.on('error', () => {})
  t.teardown(() => {
    near.destroy()
    far!.destroy()
    server.close()
  })
  return { near, far: far! }
}

t.test('what waits is kept as bytes, and arrives whole and in order', async (t) => {
  const { near, far } = await pair(t)
  let emptied = 0
  const outflow = new Outflow(near, OPTIONS, {
    emptied: () => emptied++,
    held: () => {},
    stalled: () => t.fail('it does not stall'),
  })
  near.on('drain', () => outflow.drained())
  // Its timer would hold this process.
  t.teardown(() => outflow.close())
  const filler = Buffer.alloc(100_000, 1)
  let sent = 0
  while (outflow.waitingBytes === 0) {
    outflow.send(filler)
    sent += filler.length
  }
  const emptiedBefore = emptied
  const small = 200_000
  for (let number = 0; number < small; number++) outflow.send(Buffer.from([number, number >> 8]))
  const pieces = Math.ceil(outflow.waitingBytes / 32_768)
  t.ok(outflow.bufferCount <= pieces + 64 + 4, `${outflow.bufferCount} buffers for ${small} writes`)
  let isAfter = false
  const after = new Promise<void>((resolve) =>
    outflow.afterAll(() => {
      isAfter = true
      resolve()
    }),
  )
  t.notOk(isAfter)
  const chunks: Buffer[] = []
  let received = 0
  far.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    received += chunk.length
  })
  far.resume()
  await after
  t.ok(emptied > emptiedBefore)
  t.equal(outflow.waitingBytes, 0)
  t.equal(outflow.behindMs, 0)
  while (received < sent + 2 * small) await once(far, 'data')
  const tail = Buffer.concat(chunks).subarray(sent)
  const wanted = Buffer.alloc(2 * small)
  for (let number = 0; number < small; number++) wanted.writeUInt16LE(number & 0xffff, 2 * number)
  t.ok(tail.equals(wanted))
})

t.test('a connection that is closed gives up what waits, and calls nobody', async (t) => {
  const { near } = await pair(t)
  const outflow = new Outflow(near, OPTIONS, {
    emptied: () => {},
    held: () => {},
    stalled: () => {},
  })
  while (outflow.waitingBytes === 0) outflow.send(Buffer.alloc(100_000))
  outflow.afterAll(() => t.fail('it has not left'))
  outflow.close()
  near.destroy()
  await once(near, 'close')
  outflow.send(Buffer.alloc(10))
  t.equal(outflow.waitingBytes, 0)
  t.equal(outflow.bufferCount, 0)
})
