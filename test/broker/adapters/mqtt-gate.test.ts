import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { ByteBudget } from '../../../broker/adapters/byte-budget.ts'
import { newTraffic } from '../../../broker/adapters/mqtt-figures.ts'
import { Gate } from '../../../broker/adapters/mqtt-gate.ts'
import type { GateOptions } from '../../../broker/adapters/mqtt-gate-parts.ts'
import type { Incoming, IncomingPublish } from '../../../broker/adapters/mqtt-incoming.ts'
import { AedesStream } from '../../../broker/adapters/mqtt-inlet.ts'
import {
  gateOptionsFor,
  MQTT_LIMITS,
  type MqttLimits,
} from '../../../broker/adapters/mqtt-options.ts'
import { TurnShare } from '../../../broker/adapters/mqtt-turn-share.ts'
import {
  connectPacket,
  field,
  lengthOf,
  packet,
  publishPacket,
  RawMqttClient,
  subscribePacket,
  unsubscribePacket,
  until,
} from '../../support/raw-mqtt-client.ts'

const SUBMIT = 'base/task/submit'
const MIB = 1024 * 1024
const CONNACK = Uint8Array.of(0x20, 2, 0, 0)
const SUBACK = Uint8Array.of(0x90, 3, 0, 7, 0)
const PINGREQ = packet(12, 0)

/** The start of a packet that says how long it is going to be. */
function declared(first: number, bodyBytes: number, start: Uint8Array = new Uint8Array()): Buffer {
  return Buffer.concat([Uint8Array.of(first), lengthOf(Math.floor(bodyBytes)), start])
}

/** A gate on a real socket, and what it lets through. */
class Bench {
  readonly gates: Gate[] = []
  readonly streams: AedesStream[] = []
  readonly passed: Incoming[] = []
  readonly refused: string[] = []
  readonly budget: ByteBudget
  readonly traffic = newTraffic()
  turns = new TurnShare()
  /** How many packets each gate brought, by the number of the turn. */
  readonly inTurns = new Map<number, Map<Gate, number>>()
  closed = 0
  ended = 0
  isFull = false
  /** What came with one read. */
  readonly reads: string[][] = []
  readonly #server

  constructor(limits: Partial<MqttLimits> = {}) {
    const all = { ...MQTT_LIMITS, ...limits }
    const options: GateOptions = gateOptionsFor(all, SUBMIT)
    this.budget = new ByteBudget(all.bufferedBytesMax)
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      const gate = new Gate(
        socket,
        options,
        { budget: this.budget, traffic: this.traffic, turns: this.turns },
        {
          connectArrived: () => (this.isFull ? undefined : stream),
          refused: (_gate, reason) => this.refused.push(reason),
          closed: () => this.closed++,
          ended: () => this.ended++,
        },
      )
      const stream = new AedesStream(gate)
      stream.on('readable', () => this.#read(gate))
      stream.on('end', () => gate.destroy())
      this.gates.push(gate)
      this.streams.push(stream)
    })
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    for (const gate of this.gates) gate.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #read(gate: Gate): void {
    for (let packets = gate.read(); packets !== null; packets = gate.read()) {
      this.#note(gate, packets)
    }
  }

  #note(gate: Gate, packets: readonly Incoming[]): void {
    this.passed.push(...packets)
    const kinds = packets.map(({ cmd }) => cmd)
    this.reads.push(kinds)
    if (kinds.includes('connect')) gate.write(CONNACK)
    const turn = this.turns.turn()
    const brought = this.inTurns.get(turn) ?? new Map<Gate, number>()
    this.inTurns.set(turn, brought.set(gate, (brought.get(gate) ?? 0) + kinds.length))
  }
}

async function bench(t: Test, limits: Partial<MqttLimits> = {}): Promise<[Bench, number]> {
  const made = new Bench(limits)
  const port = await made.listen()
  t.teardown(() => made.close())
  return [made, port]
}

t.test('whole packets pass, however the bytes arrive', async (t) => {
  const [gate, port] = await bench(t)
  const client = await RawMqttClient.connected(port)
  t.teardown(() => client.end())
  const payload = Buffer.alloc(70_000, 'x')
  const bytes = Buffer.concat([
    publishPacket('a', 'one'),
    publishPacket('a', payload, { qos: 1 }),
    PINGREQ,
    publishPacket('b', ''),
  ])
  for (const byte of bytes.subarray(0, 40)) {
    const before = gate.traffic.bytesReceived
    client.send(Uint8Array.of(byte))
    await until(() => gate.traffic.bytesReceived > before)
  }
  client.send(bytes.subarray(40))
  await until(() => gate.passed.length === 5)
  t.same(
    gate.passed.map(({ cmd }) => cmd),
    ['connect', 'publish', 'publish', 'pingreq', 'publish'],
  )
  t.ok((gate.passed[2] as IncomingPublish).payload.equals(payload))
  t.equal(gate.budget.used, 0, 'nothing is kept of what has passed')
  t.equal(gate.traffic.packetsReceived, 5)
})

t.test('each rule ends the connection with its reason', async (t) => {
  const rules: [string, Uint8Array[]][] = [
    ['first-packet', [PINGREQ]],
    ['second-connect', [connectPacket(), connectPacket()]],
    ['packet-length', [Uint8Array.of(0x10, 0x80, 0x80, 0x80, 0x80, 1)]],
    ['will-qos', [connectPacket({ flags: 2 | 4 | 0x18 })]],
    ['protocol-version', [connectPacket({ level: 5 })]],
    ['client-id', [connectPacket({ clientId: '', flags: 0 })]],
    ['topic-wildcard', [connectPacket(), publishPacket('a/#', '')]],
    ['packet-id', [connectPacket(), publishPacket('a', '', { qos: 1, id: 0 })]],
    ['text-encoding', [connectPacket(), publishPacket(Uint8Array.of(0xff), '')]],
    ['filter-count', [connectPacket(), subscribePacket([])]],
    ['filter-count', [connectPacket(), unsubscribePacket(Array(4097).fill('a'))]],
    ['packet-type', [connectPacket(), packet(9, 0)]],
    // Only the head is sent: the length that it declares is refused.
    ['packet-too-large', [declared(0x10, 4097)]],
    ['packet-too-large', [connectPacket(), declared(0x82, 1.1 * MIB)]],
    ['packet-too-large', [connectPacket(), declared(0x40, 17)]],
    ['packet-too-large', [connectPacket(), declared(0x30, 17 * MIB)]],
    ['packet-too-large', [connectPacket(), declared(0x30, 1.1 * MIB, field('other'))]],
    ['packet-too-large', [connectPacket(), declared(0x30, 16 * MIB + 19, field(SUBMIT))]],
    ['topic-too-long', [connectPacket(), declared(0x30, MIB + 9, Uint8Array.of(9, 9))]],
  ]
  for (const [reason, packets] of rules) {
    const [gate, port] = await bench(t)
    const client = await RawMqttClient.open(port)
    client.send(...packets)
    await client.closed
    t.same(gate.refused, [reason])
    t.equal(gate.closed, 1)
    t.equal(gate.budget.used, 0)
  }
})

t.test('a refused CONNECT is answered where MQTT has a code for it', async (t) => {
  const [gate, port] = await bench(t)
  const older = await RawMqttClient.open(port, connectPacket({ level: 5 }))
  t.same((await older.next(2)).body, Buffer.from([0, 1]))
  const nameless = await RawMqttClient.open(port, connectPacket({ clientId: '', flags: 0 }))
  t.same((await nameless.next(2)).body, Buffer.from([0, 2]))
  gate.isFull = true
  const surplus = await RawMqttClient.open(port, connectPacket())
  t.same((await surplus.next(2)).body, Buffer.from([0, 3]))
  await Promise.all([older.closed, nameless.closed, surplus.closed])
  t.same(gate.refused, ['protocol-version', 'client-id', 'connections-full'])
})

t.test('CONNECT and each packet have a deadline', async (t) => {
  const [gate, port] = await bench(t, { connectTimeoutMs: 60, assemblyTimeoutMs: 60 })
  const silent = await RawMqttClient.open(port)
  const slow = await RawMqttClient.open(port, connectPacket().subarray(0, 5))
  await Promise.all([silent.closed, slow.closed])
  t.same(gate.refused, ['connect-timeout', 'connect-timeout'])

  const idle = await RawMqttClient.connected(port)
  const cut = await RawMqttClient.connected(port)
  cut.send(publishPacket('a', 'payload').subarray(0, 6))
  await cut.closed
  t.equal(gate.refused[2], 'packet-timeout')
  t.equal(idle.isClosed, false, 'between packets there is no deadline')
  idle.end()
})

t.test('packets in arrival share one budget', async (t) => {
  const [gate, port] = await bench(t, { bufferedBytesMax: 300_000 })
  const clients = await Promise.all([0, 1, 2].map(() => RawMqttClient.connected(port)))
  const head = publishPacket('a', Buffer.alloc(1_000_000)).subarray(0, 120_000)
  clients[0]!.send(head)
  clients[1]!.send(head)
  await until(() => gate.budget.used === 240_000)
  clients[2]!.send(head)
  await clients[2]!.closed
  t.same(gate.refused, ['buffer-budget'])
  t.equal(gate.budget.used, 240_000)
  clients[0]!.end()
  await until(() => gate.budget.used === 120_000)
  clients[1]!.end()
  await until(() => gate.budget.used === 0)
})

t.test(
  'a submission above the limit passes without its payload, and none of it is kept',
  async (t) => {
    const [gate, port] = await bench(t)
    const client = await RawMqttClient.connected(port)
    t.teardown(() => client.end())
    const payload = Buffer.alloc(16 * MIB, 7)
    let peakBytes = 0
    const watch = setInterval(() => {
      peakBytes = Math.max(peakBytes, gate.budget.used, gate.gates[0]!.bufferedBytes)
    }, 1)
    client.send(publishPacket(SUBMIT, payload, { qos: 1, id: 258 }))
    await until(() => gate.passed.length === 2)
    clearInterval(watch)
    client.send(publishPacket(SUBMIT, payload.subarray(0, MIB), { qos: 2, id: 3 }), PINGREQ)
    await until(() => gate.passed.length === 4)

    t.ok(peakBytes < 200_000, `at most ${peakBytes} bytes were kept`)
    const [, large, whole, ping] = gate.passed as IncomingPublish[]
    t.match(large, { topic: SUBMIT, messageId: 258, qos: 1, skippedBytes: 16 * MIB })
    t.equal(large!.payload.length, 0)
    t.match(whole, { topic: SUBMIT, messageId: 3, qos: 2, skippedBytes: undefined })
    t.equal(whole!.payload.length, MIB, 'at the limit it is let through')
    t.equal(ping!.cmd as string, 'pingreq', 'the next packet is found')
  },
)

t.test('a rate above the limit waits, and nothing is lost', async (t) => {
  const [gate, port] = await bench(t, { packetsPerSecond: 500 })
  const client = await RawMqttClient.connected(port)
  t.teardown(() => client.end())
  const startMs = performance.now()
  // The first half is more than a second's worth: the second half waits until it is paid for.
  client.send(...Array(700).fill(PINGREQ))
  await until(() => gate.passed.length === 701)
  client.send(PINGREQ)
  await until(() => gate.passed.length === 702)
  t.ok(performance.now() - startMs > 250, 'reading paused')
  t.same(gate.refused, [])
})

t.test('what follows a CONNECT waits for its CONNACK', async (t) => {
  const [gate, port] = await bench(t)
  const client = await RawMqttClient.open(port)
  t.teardown(() => client.end())
  client.send(connectPacket(), publishPacket('a', '1'), publishPacket('a', '2'))
  await until(() => gate.passed.length === 3)
  t.same(gate.reads[0], ['connect'], 'alone')
  // On a busy machine what follows may come in two turns.
  t.same(gate.reads.flat(), ['connect', 'publish', 'publish'])
})

t.test('a SUBSCRIBE goes alone, and what follows waits for its SUBACK', async (t) => {
  const [gate, port] = await bench(t)
  const client = await RawMqttClient.connected(port)
  t.teardown(() => client.end())
  client.send(publishPacket('a', '1'), subscribePacket(['a']), publishPacket('a', '2'), PINGREQ)
  await until(() => gate.passed.length === 3)
  t.same(gate.reads, [['connect'], ['publish'], ['subscribe']])
  gate.gates[0]!.write(SUBACK)
  await until(() => gate.passed.length === 5)
  t.same(gate.reads.slice(3).flat(), ['publish', 'pingreq'])
})

t.test(
  'a SUBSCRIBE of more filters than are looked at is denied, and the client stays',
  async (t) => {
    const [gate, port] = await bench(t)
    const client = await RawMqttClient.connected(port)
    t.teardown(() => client.end())
    client.send(subscribePacket(Array(4097).fill('a/b'), 1, 0x0123))
    const { body } = await client.next(9)
    t.same(body.subarray(0, 2), Buffer.from([1, 0x23]))
    t.same(body.subarray(2), Buffer.alloc(4097, 0x80))
    client.send(subscribePacket(Array(4096).fill('a/b')))
    await until(() => gate.passed.length === 2)
    t.equal(gate.closed, 0)
    t.same(gate.refused, ['filter-count'])
  },
)

t.test('a gate that is held lets nothing through until it is released', async (t) => {
  const [gate, port] = await bench(t)
  const client = await RawMqttClient.connected(port)
  t.teardown(() => client.end())
  const [one] = gate.gates
  one!.hold()
  client.send(PINGREQ, PINGREQ)
  await until(() => one!.bufferedBytes === 4)
  t.equal(gate.passed.length, 1)
  one!.release()
  await until(() => gate.passed.length === 3)
})

t.test('what is written leaves in order and whole before the connection is left', async (t) => {
  const [gate, port] = await bench(t)
  const client = await RawMqttClient.connected(port)
  const large = publishPacket('large', Buffer.alloc(3 * MIB, 1))
  const [one] = gate.gates
  one!.write(publishPacket('first', ''))
  one!.write(large)
  one!.write(publishPacket('last', ''))
  one!.leave()
  t.equal(one!.isOpen, false)
  const topics: string[] = []
  for (let count = 0; count < 3; count++) {
    const { body } = await client.next(3)
    topics.push(body.subarray(2, 2 + body.readUInt16BE(0)).toString())
  }
  t.same(topics, ['first', 'large', 'last'])
  await client.closed
  t.equal(gate.traffic.publishesSent, 3)
})

t.test('a client that takes nothing is let go of by those who wait, and ends', async (t) => {
  const [gate, port] = await bench(t, { drainHoldMs: 30, stallTimeoutMs: 150 })
  const client = await RawMqttClient.connected(port)
  const [one] = gate.gates
  client.socket.pause()
  const message = publishPacket('a', Buffer.alloc(MIB))
  while (one!.write(message)) await new Promise(setImmediate)
  await once(gate.streams[0]!, 'drain')
  t.ok(one!.backlogBytes > 0, 'room is told before there is any')
  t.ok(one!.behindMs > 0)
  await once(gate.streams[0]!, 'close')
  t.same(gate.refused, ['stalled'])
  client.end()
})

t.test('each connection brings its share into a turn, and others have theirs', async (t) => {
  const [gate, port] = await bench(t)
  gate.turns = new TurnShare({ packetsMax: 8, packetsFirst: 8, turnMs: Number.POSITIVE_INFINITY })
  const clients = [await RawMqttClient.connected(port), await RawMqttClient.connected(port)]
  for (const client of clients) t.teardown(() => client.end())
  const pings = Buffer.concat(Array.from({ length: 1000 }, () => PINGREQ))
  gate.inTurns.clear()
  for (const client of clients) client.send(pings)
  await until(() => gate.passed.length === 2002)
  let shared = 0
  for (const brought of gate.inTurns.values()) {
    for (const packets of brought.values()) t.ok(packets <= 8, `${packets} in a turn`)
    if (brought.size === 2) shared += 1
  }
  t.ok(shared > 0, 'both brought some in the same turns')
})

t.test('what a client does not read waits as bytes', async (t) => {
  const [gate, port] = await bench(t)
  const client = await RawMqttClient.connected(port)
  t.teardown(() => client.end())
  const [one] = gate.gates
  client.socket.pause()
  const message = publishPacket('a', Buffer.alloc(100))
  const write = (): boolean => one!.write(message)
  while (write()) await new Promise(setImmediate)
  let room = 0
  for (let more = 0; more < 1000; more++) room += write() ? 1 : 0
  t.equal(room, 0)
  t.ok(one!.backlogBytes > 1000 * message.length)
  one!.destroy()
  await once(gate.streams[0]!, 'close')
  t.equal(one!.write(message), true, 'nobody waits for one that is gone')
})

t.test('the end of a connection is told once, and at once', async (t) => {
  const [gate, port] = await bench(t)
  const client = await RawMqttClient.connected(port)
  client.socket.end()
  await until(() => gate.closed === 1)
  await until(() => gate.gates[0]!.destroyed)
  t.equal(gate.closed, 1)
  await until(() => gate.ended === 1)
})
