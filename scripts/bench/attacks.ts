/**
 * What one client can do to the others: a built gateway is attacked, by a process of its own, in each of the ways
 * that once stopped it, while a client beside it publishes to itself every 50 ms and asks for `/healthz` on
 * a new connection every 250 ms. For each attack a fresh gateway is idle for a while, attacked, and left
 * alone again. A message that does not come back counts with its age.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ATTACKS, attack } from './attack-kinds.ts'
import { benchOptions } from './bench-options.ts'
import { PROGRAM, withProcesses } from './bench-processes.ts'
import { footprintOf } from './footprint.ts'
import { clockMs, PacketSocket } from './light-node.ts'
import { formatMs, quantile, report } from './measure.ts'

const PUBLISH_MS = 50
const HEALTH_MS = 250
const MEMORY_MS = 100
const TOPIC = 'bench/attacks'

const { flags } = benchOptions({
  ...{ only: 'pings,wildcards', seconds: 8, gateway: '<obelisk.js>' },
  /** Of the attacking process. */
  ...{ attack: '<kind>', ports: '<mqtt>,<http>' },
} as const)

/** What others meet: ages of messages and answers, and the memory of the gateway, since the last `take`. */
class Bystander {
  readonly #packets: PacketSocket
  readonly #pid: number
  readonly #httpPort: number
  readonly #sent = new Map<number, number>()
  readonly #timers: NodeJS.Timeout[] = []
  #number = 0
  #messageMs: number[] = []
  #answerMs: number[] = []
  #asked = new Set<number>()
  #megabytes: number[] = []

  constructor({ pid, port, httpPort }: { pid: number; port: number; httpPort: number }) {
    this.#pid = pid
    this.#httpPort = httpPort
    this.#packets = new PacketSocket(port, (packet, readMs) => {
      if (packet.cmd === 'connack') {
        const subscriptions = [{ topic: TOPIC, qos: 0 as const }]
        this.#packets.send({ cmd: 'subscribe', messageId: 1, subscriptions })
      }
      if (packet.cmd === 'suback') this.#begin()
      if (packet.cmd !== 'publish') return
      const number = Number(packet.payload)
      this.#messageMs.push(readMs - this.#sent.get(number)!)
      this.#sent.delete(number)
    })
    this.#packets.connect('bench-bystander')
  }

  #begin(): void {
    this.#timers.push(
      setInterval(() => this.#publish(), PUBLISH_MS),
      setInterval(() => void this.#ask(), HEALTH_MS),
      setInterval(() => this.#megabytes.push(megabytesOf(this.#pid)), MEMORY_MS),
    )
  }

  /** What was met since the last time; what is still on its way counts with its age. */
  take() {
    const nowMs = clockMs()
    const aged = (times: Iterable<number>): number[] => [...times].map((ms) => nowMs - ms)
    const met = {
      messageMs: [...this.#messageMs, ...aged(this.#sent.values())],
      answerMs: [...this.#answerMs, ...aged(this.#asked)],
      megabytes: [...this.#megabytes, megabytesOf(this.#pid)],
    }
    this.#messageMs = []
    this.#answerMs = []
    this.#megabytes = []
    return met
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#packets.socket.destroy()
  }

  #publish(): void {
    this.#sent.set(++this.#number, clockMs())
    this.#packets.publish(TOPIC, String(this.#number))
  }

  async #ask(): Promise<void> {
    const askedMs = clockMs()
    this.#asked.add(askedMs)
    for (;;) {
      try {
        const headers = { connection: 'close' }
        await (await fetch(`http://127.0.0.1:${this.#httpPort}/healthz`, { headers })).text()
        break
      } catch {
        // A door that is shut is tried again, and the time counts.
        await sleep(10)
        if (!this.#asked.has(askedMs)) return
      }
    }
    this.#asked.delete(askedMs)
    this.#answerMs.push(clockMs() - askedMs)
  }
}

function megabytesOf(pid: number): number {
  return footprintOf(pid).rss / 1e6
}

async function measureOne(kind: string, seconds: number, gateway: string): Promise<string[]> {
  return await withProcesses(async (processes) => {
    const { pid, port, httpPort } = await processes.startGateway({
      flags: ['--grid', '64x64'],
      program: gateway,
    })
    const bystander = new Bystander({ pid, port, httpPort })
    await sleep(2000)
    bystander.take()
    await sleep(5000)
    const idle = bystander.take()
    const attacker = fork(fileURLToPath(import.meta.url), [
      ...['--attack', kind, '--seconds', String(seconds), '--ports', `${port},${httpPort}`],
    ])
    const isOver = await Promise.race([
      once(attacker, 'message').then(() => true),
      once(attacker, 'exit').then(() => false),
    ])
    const during = bystander.take()
    attacker.kill('SIGKILL')
    if (!isOver) throw new Error(`the attacker of ${kind} did not come to its end`)
    await sleep(5000)
    const after = bystander.take()
    bystander.close()
    const before = quantile(idle.megabytes, 0.5)
    const worst = (ms: readonly number[]): number => Math.max(...ms)
    const idleP99 = quantile(idle.messageMs, 0.99)
    const duringP99 = quantile([...during.messageMs, ...after.messageMs], 0.99)
    const peak = worst([...during.megabytes, ...after.megabytes])
    const end = after.megabytes.at(-1)!
    return [
      kind,
      `${formatMs(idleP99)} → ${formatMs(duringP99)}`,
      formatMs(worst([...during.messageMs, ...after.messageMs])),
      formatMs(worst([...during.answerMs, ...after.answerMs])),
      `${before.toFixed(0)} → ${peak.toFixed(0)} → ${end.toFixed(0)}`,
      `${(peak / before).toFixed(2)}, ${(end / before).toFixed(2)}`,
    ]
  })
}

async function measureAll(): Promise<void> {
  const rows = [
    [
      'Attack',
      'p99 of a message, idle → during',
      'worst',
      'worst of HTTP',
      'MB before → most → end',
      '÷',
    ],
  ]
  for (const kind of Object.keys(ATTACKS)) {
    if (flags.only !== undefined && !flags.only.split(',').includes(kind)) continue
    rows.push(await measureOne(kind, flags.seconds, flags.gateway ?? PROGRAM))
    process.stderr.write(`${rows.at(-1)!.join('  ')}\n`)
  }
  report(rows)
}

if (flags.attack === undefined) await measureAll()
else {
  const [port = 0, httpPort = 0] = flags.ports!.split(',').map(Number)
  await attack(flags.attack, { port, httpPort, seconds: flags.seconds })
  process.send?.('over')
}
