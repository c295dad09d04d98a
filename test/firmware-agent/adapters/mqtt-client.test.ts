import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Aedes, type Client } from 'aedes'
import t, { type Test } from 'tap'
import { MqttLink, type MqttLinkOptions } from '../../../firmware-agent/adapters/mqtt-client.ts'
import { PacketSizeGuard } from '../../../firmware-agent/adapters/packet-size-guard.ts'

/** What the link said, in order, and a wait for the next word. */
class Record {
  readonly words: string[] = []
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = []

  readonly port = {
    onConnected: () => this.#say('connected'),
    onDisconnected: (reason: string) => this.#say(`disconnected: ${reason}`),
    onMessage: (topic: string, payload: Uint8Array) => {
      this.#say(`${topic} ${Buffer.from(payload).toString()}`)
    },
  }

  async count(count: number): Promise<void> {
    if (this.words.length >= count) return
    await new Promise<void>((resolve) => this.#waiting.push({ count, resolve }))
  }

  #say(word: string): void {
    this.words.push(word)
    for (const { count, resolve } of this.#waiting) if (this.words.length >= count) resolve()
  }
}

async function listen(t: Test, server: Server): Promise<string> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function startBroker(t: Test): Promise<{ broker: Aedes; url: string }> {
  const broker = await Aedes.createBroker()
  const url = await listen(t, createServer(broker.handle))
  t.teardown(() => broker.close())
  return { broker, url }
}

function linkTo(
  t: Test,
  url: string,
  options: Partial<MqttLinkOptions> = {},
): { link: MqttLink; record: Record } {
  const record = new Record()
  const link = new MqttLink(
    {
      url,
      clientId: 'obelisk-node:n1:1',
      will: { topic: 'state', payload: 'offline' },
      keepaliveSeconds: 10,
      subscriptions: [{ topic: 'down', qos: 0 }],
      ...options,
    },
    record.port,
  )
  t.teardown(async () => await link.close())
  return { link, record }
}

/** Publishes from the broker's side. */
async function tell(broker: Aedes, topic: string, payload: string | Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    broker.publish(
      { cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false },
      (error) => (error ? reject(error) : resolve()),
    )
  })
}

/** The next publication of a client that the broker takes. */
async function nextPublish(broker: Aedes): Promise<string> {
  return await new Promise((resolve) => {
    const listener = (
      packet: { topic: string; payload: Buffer | string },
      client: Client | null,
    ) => {
      if (client === null && packet.topic !== 'state') return
      broker.off('publish', listener)
      resolve(`${packet.topic} ${packet.payload}`)
    }
    broker.on('publish', listener)
  })
}

t.test('connects, subscribes, sends and receives', async (t) => {
  const { broker, url } = await startBroker(t)
  const { link, record } = linkTo(t, url)
  t.notOk(link.isConnected)
  link.connect()
  await record.count(1)
  t.ok(link.isConnected)
  await tell(broker, 'down', 'hello')
  await record.count(2)
  const seen = nextPublish(broker)
  t.ok(link.publish({ topic: 'up', payload: Buffer.from('there'), qos: 1, retain: false }))
  t.equal(await seen, 'up there')
  t.equal(link.backlogBytes, 0)
  await link.close()
  t.strictSame(record.words, ['connected', 'down hello', 'disconnected: closed'])
  t.notOk(link.isConnected)
})

t.test('nothing is kept for later', async (t) => {
  const { broker, url } = await startBroker(t)
  const { link, record } = linkTo(t, url)
  const seen = nextPublish(broker)
  t.notOk(link.publish({ topic: 'up', payload: 'too early', qos: 1, retain: false }))
  link.connect()
  t.notOk(link.publish({ topic: 'up', payload: 'still too early', qos: 0, retain: false }))
  await record.count(1)
  t.ok(link.publish({ topic: 'up', payload: 'now', qos: 0, retain: false }))
  t.equal(await seen, 'up now')
})

t.test('a broken connection is told once, leaves the will, and can be made again', async (t) => {
  const { broker, url } = await startBroker(t)
  const { link, record } = linkTo(t, url)
  for (let round = 1; round <= 3; round++) {
    link.connect()
    await record.count(2 * round - 1)
    const will = nextPublish(broker)
    if (round === 2) link.disconnect('had enough')
    else
      for (const client of Object.values((broker as unknown as { clients: Clients }).clients))
        client.conn.destroy()
    await record.count(2 * round)
    t.equal(await will, 'state offline')
  }
  t.strictSame(record.words, [
    'connected',
    'disconnected: connection closed',
    'connected',
    'disconnected: had enough',
    'connected',
    'disconnected: connection closed',
  ])
})

type Clients = { readonly [id: string]: { readonly conn: Socket } }

t.test('a closed port, a refusal and a silent peer are each told once', async (t) => {
  const closed = createServer()
  const closedUrl = await listen(t, closed)
  closed.close()
  await once(closed, 'close')
  const { broker, url } = await startBroker(t)
  broker.authenticate = (_client, _username, _password, done) => done(null, false)
  const silentUrl = await listen(t, createServer())
  const httpUrl = await listen(t, createHttpServer())
  const cases: [string, RegExp][] = [
    [
      httpUrl,
      /is no MQTT broker; .* mqtt:\/\/127\.0\.0\.1:1883, .* mqtts:\/\/127\.0\.0\.1:8883 alone/,
    ],
    [closedUrl, /ECONNREFUSED .*; is it started\? .*: obelisk agent enroll$/],
    [url.replace('mqtt:', 'mqtts:'), /; .* not secured is at mqtt:\/\/127\.0\.0\.1:1883/],
    [url, /Not authorized$/],
    [silentUrl, /connack timeout$/],
  ]
  for (const [url, reason] of cases) {
    const { link, record } = linkTo(t, url, { connectTimeoutMs: 200 })
    link.connect()
    await record.count(1)
    await link.close()
    link.connect()
    await record.count(2)
    t.equal(record.words.length, 2)
    for (const word of record.words) t.match(word, reason)
  }
})

t.test('a subscription that is refused is no connection', async (t) => {
  const { broker, url } = await startBroker(t)
  broker.authorizeSubscribe = (_client, _subscription, done) => done(null, null)
  const { link, record } = linkTo(t, url)
  link.connect()
  await record.count(1)
  t.equal(record.words.length, 1)
  t.match(record.words[0], /^disconnected: not subscribed/)
})

t.test('a packet that is too large ends the connection before it is collected', async (t) => {
  const { broker, url } = await startBroker(t)
  const { link, record } = linkTo(t, url)
  link.connect()
  await record.count(1)
  await tell(broker, 'down', Buffer.alloc(1_500_000, 'a'))
  await record.count(2)
  t.equal(record.words[1]?.length, 1_500_005)
  await tell(broker, 'down', Buffer.alloc(2_200_000, 'b'))
  await record.count(3)
  t.match(record.words[2], /disconnected: a packet of more than 2097152 bytes/)
})

t.test('the guard follows packets over any cut', (t) => {
  const packet = (bytes: number): Buffer => {
    const length: number[] = []
    for (let left = bytes; ; left = Math.floor(left / 128)) {
      length.push(left < 128 ? left : (left % 128) + 128)
      if (left < 128) break
    }
    return Buffer.from([0x30, ...length, ...new Uint8Array(bytes).fill(0xff)])
  }
  const stream = Buffer.concat([0, 1, 127, 128, 200, 3000, 0, 300].map(packet))
  for (const cut of [1, 2, 3, 7, 100, 5000]) {
    const accepted = new PacketSizeGuard({ bytesMax: 3000 })
    const refused = new PacketSizeGuard({ bytesMax: 2999 })
    const chunks: Buffer[] = []
    for (let at = 0; at < stream.length; at += cut) chunks.push(stream.subarray(at, at + cut))
    t.ok(
      chunks.every((chunk) => accepted.accepts(chunk)),
      `cut in ${cut}`,
    )
    t.notOk(
      chunks.every((chunk) => refused.accepts(chunk)),
      `cut in ${cut}`,
    )
  }
  const endless = new PacketSizeGuard({ bytesMax: 3000 })
  t.notOk(endless.accepts(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x80])))
  t.end()
})
