/** Commands whose output is read more slowly than it comes. */
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { Aedes } from 'aedes'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { LOG_AGAIN_MS } from '../../shared/protocol/log-line.ts'
import { eventually, within } from '../support/processes.ts'
import { grantOf, openLog } from '../support/security-logs.ts'

const MIB = 1024 * 1024

/** Takes what is written when it is let, and knows how much waited for it at most. */
class Reader extends Writable {
  heldMost = 0
  text = ''
  readonly #let: () => Promise<unknown>

  constructor(let_: () => Promise<unknown>) {
    super({ highWaterMark: 16_384 })
    this.#let = let_
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.heldMost = Math.max(this.heldMost, this.writableLength)
    this.#let().then(() => {
      this.text += chunk
      done()
    })
  }
}

async function run(argv: readonly string[], stdout: Writable) {
  let stderr = ''
  const streams = {
    ...{ stdout, stdin: Readable.from([]), environment: {} },
    stderr: { write: (text: string | Uint8Array) => (stderr += text) },
  }
  const code = await within(argv.join(' '), runCommand(argv, streams, '0'))
  await within('all is read', new Promise<void>((resolve) => stdout.end(resolve)))
  return { code, stderr }
}

async function listening(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

t.test(
  'sub holds some megabytes for a reader that stops, leaves out more, and says so',
  async (t) => {
    const broker = await Aedes.createBroker()
    const port = await listening(t, createServer(broker.handle))
    t.teardown(() => broker.close())
    const say = async (topic: string, payload: string): Promise<void> => {
      const packet = { cmd: 'publish', qos: 1, dup: false, retain: false, topic, payload } as const
      await new Promise<void>((resolve) => broker.publish(packet, () => resolve()))
    }
    let letRead = (): void => {}
    const mayRead = new Promise<void>((resolve) => (letRead = resolve))
    const reader = new Reader(() => mayRead)
    const sub = run(['sub', 'a/#', '-n', '20', '--url', `mqtt://127.0.0.1:${port}`], reader)
    await once(broker, 'subscribe')
    const big = 'x'.repeat(MIB)
    let acknowledged = 0
    broker.on('ack', () => void acknowledged++)
    for (let sent = 0; sent < 40; sent++) await say('a/big', big)
    await eventually('all have come', () => acknowledged === 40)
    t.ok(reader.writableLength < 10 * MIB, `${reader.writableLength} bytes are held`)
    t.ok(reader.writableLength > 6 * MIB)
    letRead()
    await eventually('it flows again', () => reader.writableLength === 0)
    const held = reader.text.split('\n').length - 1
    for (let sent = held; sent < 20; sent++) await say('a/small', `${sent}`)
    t.same(await sub, {
      code: 0,
      stderr: `left out, as they were not read in time: ${40 - held} messages\n`,
    })
    t.equal(reader.text.match(/^a\/small/gm)!.length, 20 - held, 'what comes then is printed')
  },
)

t.test('node logs asks for no more lines before it is read', async (t) => {
  const order: string[] = []
  const others = process.listeners('SIGINT')
  const server = createHttpServer((_asked, answer) => {
    order.push('asked')
    if (order.length > 4) {
      for (const listener of process.listeners('SIGINT')) {
        if (!others.includes(listener)) listener('SIGINT')
      }
    }
    const lines = [{ level: 30, time: 0, name: 'agent', msg: 'x'.repeat(20_000) }]
    answer.end(JSON.stringify({ lines, next: 'p1-9', left: 0 }))
  })
  const port = await listening(t, server)
  const reader = new Reader(async () => {
    // A slow one.
    await pause(1.5 * LOG_AGAIN_MS)
    order.push('read')
  })
  const ran = await run(['node', 'logs', 'n1', '-f', '--http', `http://127.0.0.1:${port}`], reader)
  t.equal(ran.code, 130)
  t.same(order.slice(0, 5), ['asked', 'read', 'asked', 'read', 'asked'])
})

t.test('security log reads no more than is read of it', async (t) => {
  const data = t.testdir()
  const log = await openLog(join(data, 'security'))
  const lines = 10_000
  for (let n = 0; n < lines; ) {
    await Promise.all(Array.from({ length: 100 }, () => log.append(grantOf(n++))))
  }
  await log.close()
  for (const form of [[], ['--json']]) {
    const reader = new Reader(() => pause(40))
    t.same(await run(['security', 'log', '--data', data, ...form], reader), { code: 0, stderr: '' })
    t.equal(reader.text.match(/enrolled/g)!.length, lines)
    t.ok(reader.heldMost < 200_000, `${reader.heldMost} of ${reader.text.length} bytes were held`)
  }
})
