/**
 * How soon the leases of a killed node are on the wire to others: a built gateway, 1,000 connected
 * nodes that answer reads over the grid at a steady rate, and one after the other whose connection ends
 * as that of a killed process does while it holds unanswered parts. One clock for all moments
 * (CLOCK_MONOTONIC): the connection is cut; the gateway's socket is seen to end (probe.ts); the
 * event `node-suspect` arrives at a subscriber; all tiles of a lost part have arrived at other nodes
 * with the next attempt, for each lost part. Bare round trips, and pings of the gateway, are taken
 * all the while.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../shared/core/random.ts'
import { Geometry, type Region } from '../../shared/grid/geometry.ts'
import { connect, type Obelisk } from '../client/connect.ts'
import { within } from '../within.ts'
import { BenchGateway } from './bench-gateway.ts'
import { benchOptions, wordsOf } from './bench-options.ts'
import { cpuSecondsOf, withProcesses } from './bench-processes.ts'
import {
  beginBeats,
  clockMs,
  connectAll,
  LightNode,
  nodeNames,
  PacketSocket,
  type Received,
} from './light-node.ts'
import { formatMs, judged, quantile, report } from './measure.ts'
import type { SocketEnd } from './probe.ts'

const NODES = 1000
const SIDE = 2048
/** Side of the regions of the steady load, LSUs: 8 × 8 tiles, on about as many nodes. */
const REGION_SIDE = 128
const TICK_MS = 20
/** Where the machine is too slow for the rate, reads are left out rather than piled up. */
const OPEN_MAX = 32
/** A victim ends at any moment between two reads of the steady load. */
const BEFORE_CUT_MS = 100
/** Pings that go and come while the answers of a read of the whole grid are worked off. */
const PINGS_AFTER_BURST = 3
const STEP_LIMIT_MS = 30_000
/** From the moment at which the gateway's socket is seen to end; and that moment itself. */
const REISSUE_GOAL_MS = 40
const DETECTION_GOAL_MS = 10

const flags = benchOptions({
  ...{ kills: 150, rate: 20, held: 2, 'gateway-flags': '=--cpu-prof' },
} as const)
const geometry = new Geometry({ width: SIDE, height: SIDE, tile: 16 })
const random = new Random(1)

/** A part that the victim held, and its tiles that nobody else was sent yet. */
interface Lost {
  readonly part: Received
  readonly left: Set<number>
}

/** One end of a connection, and what follows from it. */
class Kill {
  readonly victim: LightNode
  readonly cutMs: number
  readonly port: number
  readonly #lost: Lost[]
  endMs: number | undefined
  noticeMs: number | undefined
  /** When the last tile of each lost part was at another node. */
  readonly reissuedMs: number[] = []

  constructor(victim: LightNode, how: 'fin' | 'rst') {
    this.victim = victim
    this.#lost = victim.held.map((part) => ({ part, left: new Set(part.tiles) }))
    this.cutMs = clockMs()
    this.port = victim.cut(how)
  }

  get isOver(): boolean {
    const isSeen = this.endMs !== undefined && this.noticeMs !== undefined
    return isSeen && this.reissuedMs.length === this.#lost.length
  }

  received(node: LightNode, { read, tiles, readMs }: Received): void {
    if (read.attempt === 1 || node === this.victim) return
    for (const { part, left } of this.#lost) {
      if (part.read.task !== read.task || part.read.attempt + 1 !== read.attempt) continue
      const before = left.size
      for (const tile of tiles) left.delete(tile)
      if (before > 0 && left.size === 0) this.reissuedMs.push(readMs)
    }
  }
}

/** PINGREQ to what comes back for it, on a connection that does nothing else: of a gateway, or of a bare echo. */
class RoundTrips {
  readonly ms: number[] = []
  readonly #packets: PacketSocket
  #sentMs: number | undefined
  #isConnected = false
  #returned: (() => void)[] = []

  constructor(port: number) {
    this.#packets = new PacketSocket(port, ({ cmd }, readMs) => {
      // CONNACK, or CONNECT itself.
      this.#isConnected = true
      if (cmd !== 'pingresp' && cmd !== 'pingreq') return
      this.ms.push(readMs - this.#sentMs!)
      this.#sentMs = undefined
      for (const returned of this.#returned.splice(0)) returned()
    })
    this.#packets.connect('bench-pings')
  }

  begin(): void {
    if (this.#sentMs !== undefined || !this.#isConnected) return
    this.#sentMs = clockMs()
    this.#packets.send({ cmd: 'pingreq' })
  }

  /** Resolves when the next one is back; one may be on its way. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#returned.push(resolve))
  }

  close(): void {
    this.#packets.socket.destroy()
  }
}

class Run {
  readonly #gateway: BenchGateway
  readonly #tasks: Obelisk
  readonly #nodes: readonly LightNode[]
  readonly #echo: RoundTrips
  readonly #pings: RoundTrips
  readonly #end = new AbortController()
  #kill: Kill | undefined
  /** Tiles of reads of the whole grid that no node was sent yet. */
  #unsent = new Map<string, number>()
  readonly #detection: number[] = []
  readonly #notice: number[] = []
  readonly #fromDetection: number[] = []
  readonly #fromCut: number[] = []
  #submitted = 0
  #open = 0
  #read = 0

  constructor(gateway: BenchGateway, tasks: Obelisk, echoPort: number) {
    this.#gateway = gateway
    this.#tasks = tasks
    const { port } = gateway
    this.#nodes = nodeNames(NODES).map((id) => {
      return new LightNode({ id, port, geometry }, (...read) => this.#onRead(...read))
    })
    this.#echo = new RoundTrips(echoPort)
    this.#pings = new RoundTrips(port)
    gateway.child.send('socket-ends')
    gateway.child.on('message', (end: SocketEnd) => {
      if (end.port === this.#kill?.port) this.#kill.endMs = end.atMs
    })
  }

  async measure(): Promise<void> {
    void this.#listen()
    const timers = [beginBeats(this.#nodes)]
    await connectAll(this.#nodes)
    await this.#tasks.run({ op: 'scale', args: { fields: { value: 1 } } })
    const trips = setInterval(() => {
      this.#echo.begin()
      this.#pings.begin()
    }, TICK_MS)
    const reads = setInterval(() => {
      if (this.#open < OPEN_MAX) void this.#readRegion()
    }, 1000 / flags.rate)
    timers.push(trips, reads)
    const own = cpuSecondsOf(process.pid)
    const { wallMs, gatewayMs } = await this.#gateway.cost(async () => {
      for (let done = 0; done < flags.kills; done++) {
        await this.#killOne(done % 2 === 0 ? 'fin' : 'rst')
      }
    })
    const share = (ms: number): string => `${((ms / wallMs) * 100).toFixed(0)} %`
    const cpu = `gateway ${share(gatewayMs)}, nodes ${share((cpuSecondsOf(process.pid) - own) * 1000)}`
    for (const timer of timers) clearInterval(timer)
    while (this.#open > 0) await sleep(TICK_MS)
    this.#end.abort()
    await this.#tasks.close()
    this.#echo.close()
    this.#pings.close()
    this.#report(
      `Milliseconds. ${flags.kills} of ${NODES} nodes killed in ${formatMs(wallMs / 1000)} s, half with FIN, ` +
        `half with RST; ${((this.#read / wallMs) * 1000).toFixed(0)} reads a second. CPU: ${cpu}`,
    )
  }

  async #listen(): Promise<void> {
    for await (const event of this.#tasks.watch({ kinds: ['event'], signal: this.#end.signal })) {
      const { code, node } = event as { code?: string; node?: string }
      const kill = this.#kill
      if (code === 'node-suspect' && kill?.victim.id === node) kill!.noticeMs = clockMs()
    }
  }

  async #readRegion(): Promise<void> {
    const at = (): number => random.integer(SIDE - REGION_SIDE)
    await this.#stat({ x: at(), y: at(), w: REGION_SIDE, h: REGION_SIDE }).ended
  }

  #stat(region: Region): { id: string; ended: Promise<void> } {
    this.#submitted += 1
    this.#open += 1
    const id = `bench-${this.#submitted}`
    const answer = this.#tasks.run({ id, op: 'stat', args: { field: 'value' }, region })
    const checked = async (): Promise<void> => {
      const { value } = await within(`task ${id}`, answer, STEP_LIMIT_MS)
      this.#open -= 1
      this.#read += 1
      if (value?.count !== region.w * region.h) throw new Error(`${id} counts ${value?.count}`)
    }
    return { id, ended: checked() }
  }

  async #killOne(how: 'fin' | 'rst'): Promise<void> {
    const victim = this.#nodes[random.integer(NODES)]!
    victim.isHolding = true
    const held = Array.from({ length: flags.held }, () => this.#stat(geometry.whole))
    this.#unsent = new Map(held.map(({ id }) => [id, geometry.tiles]))
    const areSent = (): boolean => [...this.#unsent.values()].every((tiles) => tiles === 0)
    await until('reads of the whole grid at the nodes', areSent)
    for (let ping = 0; ping < PINGS_AFTER_BURST; ping++) await this.#pings.next()
    await sleep(random.between(0, BEFORE_CUT_MS))
    if (victim.held.length < held.length) throw new Error(`${victim.id} has no part of a read`)
    const kill = new Kill(victim, how)
    this.#kill = kill
    await until(`the parts of ${victim.id} at others`, () => kill.isOver)
    this.#detection.push(kill.endMs! - kill.cutMs)
    this.#notice.push(kill.noticeMs! - kill.cutMs)
    for (const atMs of kill.reissuedMs) {
      this.#fromDetection.push(atMs - kill.endMs!)
      this.#fromCut.push(atMs - kill.cutMs)
    }
    await Promise.all(held.map(({ ended }) => ended))
    this.#kill = undefined
    await within(`${victim.id} back`, victim.connect(), STEP_LIMIT_MS)
  }

  #onRead(node: LightNode, received: Received): void {
    this.#kill?.received(node, received)
    const { read, tiles } = received
    const unsent = this.#unsent.get(read.task)
    if (unsent !== undefined) this.#unsent.set(read.task, unsent - tiles.length)
  }

  #report(note: string): void {
    const row = (what: string, ms: readonly number[], ...verdict: readonly string[]): string[] => {
      const figures = [0.5, 0.99, 1].map((share) => formatMs(quantile(ms, share)))
      return [what, ...figures, String(ms.length), ...verdict]
    }
    const goal = (ms: readonly number[], share: number, goalMs: number): string[] => {
      return judged(quantile(ms, share), goalMs, `${goalMs} (p${share * 100})`)
    }
    const isSoon = goal(this.#detection, 0.5, DETECTION_GOAL_MS)
    const isFast = goal(this.#fromDetection, 0.99, REISSUE_GOAL_MS)
    const rows = [
      ['What', 'p50', 'p99', 'max', 'count', 'Goal', 'Verdict'],
      row('bare TCP round trip to an echo', this.#echo.ms),
      row('MQTT ping of the gateway', this.#pings.ms),
      row('cut, to the end of the socket seen', this.#detection, ...isSoon),
      row('cut, to node-suspect at a subscriber', this.#notice),
      row('end seen, to a lost part at others', this.#fromDetection, ...isFast),
      row('cut, to a lost part at others', this.#fromCut),
    ]
    report(rows, note)
  }
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const limitMs = performance.now() + STEP_LIMIT_MS
  for (; !isSo(); await sleep(TICK_MS)) {
    if (performance.now() > limitMs) throw new Error(`not in time: ${what}`)
  }
}

await withProcesses(async (processes) => {
  const { ports } = await processes.startBeside('echo-server')
  const gateway = await BenchGateway.start(processes, {
    grid: `${SIDE}x${SIDE}`,
    nodeFlags: wordsOf(flags['gateway-flags']),
    // What it says of each failure is work, too.
    flags: ['--log-level', 'info'],
  })
  await new Run(gateway, await connect(gateway.url), ports[0]!).measure()
})
