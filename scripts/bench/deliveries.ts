/**
 * Processor time of the gateway for one delivery of a message of 100 bytes, beside that of Aedes alone, and of a secured
 * gateway, where a user sends and gets them over TLS: all at once, in turn, round by round.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { BenchGateway } from './bench-gateway.ts'
import { benchOptions, wordsOf } from './bench-options.ts'
import { cpuSecondsOf, withProcesses } from './bench-processes.ts'
import { PacketSocket } from './light-node.ts'
import { judged, median, report } from './measure.ts'

/** In a round. */
const DELIVERIES = 40_000
const MESSAGE_BYTES = 100
/** So many are on their way at most. */
const WINDOW = 200
const LOST_MS = 2000
const PACKET_ID_MAX = 65_535

const TOPIC = 'bench/messages'

interface Kind {
  readonly qos: 0 | 1
  readonly receivers: number
}

interface Way extends Kind {
  readonly open: () => Socket
  /** Of the process that hands messages on, so far. */
  readonly cpuSeconds: () => number
  readonly login?: { readonly username: string; readonly password: Buffer }
}

/** One client that publishes and others that get it all. */
class Messenger {
  readonly #way: Way
  readonly #from: PacketSocket
  #sent = 0
  #delivered = 0
  /** What still has to come of those that are on their way. */
  #due = 0
  #arrived: () => void = () => {}

  constructor(way: Way) {
    this.#way = way
    this.#from = new PacketSocket(way.open(), ({ cmd }) => {
      if (cmd === 'puback') this.#count()
    })
  }

  async connect(): Promise<void> {
    const { receivers, login } = this.#way
    for (let one = 0; one < receivers; one++) await this.#receive(one)
    this.#from.connect('bench-from', login)
  }

  #receive(one: number): Promise<void> {
    const { open, qos, login } = this.#way
    const subscriptions = [{ topic: TOPIC, qos }]
    return new Promise<void>((ready) => {
      const to: PacketSocket = new PacketSocket(open(), (packet) => {
        if (packet.cmd === 'connack') to.send({ cmd: 'subscribe', messageId: 1, subscriptions })
        if (packet.cmd === 'suback') ready()
        if (packet.cmd !== 'publish') return
        this.#delivered += 1
        const { messageId } = packet
        if (messageId !== undefined) to.send({ cmd: 'puback', messageId })
        this.#count()
      })
      to.connect(`bench-to-${one}`, login)
    })
  }

  #count(): void {
    this.#due -= 1
    if (this.#due === 0) this.#arrived()
  }

  /** Seconds of processor time for each that arrived. */
  async round(messages: number): Promise<number> {
    const { qos, receivers, cpuSeconds } = this.#way
    const payload = Buffer.alloc(MESSAGE_BYTES)
    const [cpu, delivered] = [cpuSeconds(), this.#delivered]
    for (let sent = 0; sent < messages; sent += WINDOW) {
      this.#due = WINDOW * (receivers + qos)
      const arrived = new Promise<void>((resolve) => {
        this.#arrived = resolve
      })
      this.#from.socket.cork()
      for (let one = 0; one < WINDOW; one++) {
        const messageId = (this.#sent++ % PACKET_ID_MAX) + 1
        this.#from.publish(TOPIC, payload, qos === 0 ? {} : { messageId })
      }
      this.#from.socket.uncork()
      // Aedes alone loses some at QoS 1, and on a busy machine some come late.
      await Promise.race([arrived, sleep(LOST_MS, undefined, { ref: false })])
    }
    return (cpuSeconds() - cpu) / (this.#delivered - delivered)
  }
}

const flags = benchOptions({ rounds: 9, 'gateway-flags': '=--cpu-prof' } as const)

/** A user who may do it, over the socket of the owner. */
async function newUser({ owner }: BenchGateway): Promise<{ username: string; password: Buffer }> {
  const [username, password] = ['bench', 'a long password for a benchmark']
  const body = { roles: ['operator'], password, topics: ['bench/#'] }
  await owner.request({ method: 'POST', path: `/api/identities/user/${username}`, body })
  return { username, password: Buffer.from(password) }
}

async function measureKind(what: string, kind: Kind): Promise<string[]> {
  return await withProcesses(async (processes) => {
    const nodeFlags = wordsOf(flags['gateway-flags'])
    const open = await BenchGateway.start(processes, { nodeFlags })
    const own = { name: 'secured', isSecured: true, nodeFlags }
    const secured = await BenchGateway.start(processes, own)
    const { pid, ports } = await processes.startBeside('plain-aedes')
    const to = { port: ports[0]!, host: '127.0.0.1', noDelay: true }
    const login = await newUser(secured)
    const messengers = [
      { open: () => connect(to), cpuSeconds: () => cpuSecondsOf(pid) },
      { open: () => open.open(), cpuSeconds: () => open.cpuSeconds },
      { open: () => secured.open(), cpuSeconds: () => secured.cpuSeconds, login },
    ].map((way) => new Messenger({ ...kind, ...way }))
    for (const messenger of messengers) await messenger.connect()
    const messages = Math.ceil(DELIVERIES / kind.receivers / WINDOW) * WINDOW
    const each = messengers.map((): number[] => [])
    // The first is for the compiler.
    for (let round = 0; round <= flags.rounds; round++) {
      for (const [which, messenger] of messengers.entries()) {
        const cpu = await messenger.round(messages)
        if (round > 0) each[which]!.push(cpu)
      }
    }
    const medians = each.map(median)
    const [aedes = 0, bare = 0, kept = 0] = medians
    const [aboveAedes, aboveOpen] = [bare / aedes, kept / bare]
    return [
      ...[what, ...medians.map((seconds) => `${(seconds * 1e6).toFixed(1)} µs`)],
      ...[aboveAedes.toFixed(2), ...judged(aboveAedes, 1)],
      ...[aboveOpen.toFixed(2), ...judged(aboveOpen, 1.1)],
    ]
  })
}

const goal = ['Goal', 'Verdict']
report([
  [
    ...['What', 'Aedes alone', 'gateway', 'secured', 'gateway ÷ Aedes', ...goal],
    ...['secured ÷ gateway', ...goal],
  ],
  await measureKind('one to one, QoS 0', { qos: 0, receivers: 1 }),
  await measureKind('one to one, QoS 1', { qos: 1, receivers: 1 }),
  await measureKind('one to a hundred, QoS 0', { qos: 0, receivers: 100 }),
  await measureKind('one to a hundred, QoS 1', { qos: 1, receivers: 100 }),
])
