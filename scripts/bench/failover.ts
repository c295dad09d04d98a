/**
 * How soon the leases of a killed node are on the wire to others: a built gateway, 1,000 connected
 * nodes that answer reads over the grid at a steady rate, and one after the other whose connection ends
 * as that of a killed process does while it holds unanswered parts. One clock for all moments
 * (CLOCK_MONOTONIC): the connection is cut; the gateway's socket is seen to end (probe.ts); the
 * event `node-suspect` arrives at a subscriber; all tiles of a lost part have arrived at other nodes
 * with the next attempt, for each lost part. Bare round trips, and pings of the gateway, are taken
 * all the while.
 */
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Random } from '../../shared/core/random.ts'
import { Geometry, type Region } from '../../shared/grid/geometry.ts'
import { within } from '../within.ts'
import { benchOptions } from './bench-options.ts'
import { cpuSecondsOf, NODE, PROBED, waitedSecondsOf, withProcesses } from './bench-processes.ts'
import { beginBeats, connectAll, nodeNames } from './light-fleet.ts'
import { clockMs, LightNode, type Received } from './light-node.ts'
import { describeMachine, formatMs, formatTable, quantile } from './measure.ts'
import type { SocketEnd } from './probe.ts'
import { EchoTrips, PingTrips } from './round-trips.ts'
import { TaskClient } from './task-client.ts'

const REPLICAS = 2
const TILE = 16
/** Side of the regions of the steady load, LSUs: 8 × 8 tiles, on about as many nodes. */
const REGION_SIDE = 128
/** As agents do by default. */
const HEARTBEAT_MS = 2000
const TICK_MS = 20
/** Where the machine is too slow for the rate, reads are left out rather than piled up. */
const OPEN_MAX = 32
/** A victim ends at any moment between two reads of the steady load. */
const BEFORE_CUT_MS = 100
/** Pings that go and come while the answers of a read of the whole grid are worked off. */
const PINGS_AFTER_BURST = 3
const STEP_LIMIT_MS = 30_000
/** From the moment at which the gateway's socket is seen to end; and that moment itself. */
const REISSUE_GOAL_MS = 50
const DETECTION_GOAL_MS = 10

const { flags } = benchOptions({
  ...{ kills: 150, nodes: 1000, 'grid-side': 2048, rate: 20, held: 2, seconds: 300, seed: 1 },
  'gateway-flags': '="--cpu-prof"',
} as const)
const side = flags['grid-side']
const geometry = new Geometry({ width: side, height: side, tile: TILE })
const random = new Random(flags.seed)
const ECHO = fileURLToPath(new URL('echo-server.js', import.meta.url))

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
  readonly #resolve: () => void
  readonly over: Promise<void>
  endMs: number | undefined
  noticeMs: number | undefined
  /** When the last tile of each lost part was at another node. */
  readonly reissuedMs: number[] = []

  constructor(victim: LightNode, how: 'fin' | 'rst') {
    this.victim = victim
    this.#lost = victim.held.map((part) => ({ part, left: new Set(part.tiles) }))
    let resolve = (): void => {}
    this.over = new Promise((done) => {
      resolve = done
    })
    this.#resolve = resolve
    this.cutMs = clockMs()
    this.port = victim.cut(how)
  }

  ended(atMs: number): void {
    this.endMs = atMs
    this.#check()
  }

  noticed(readMs: number): void {
    this.noticeMs = readMs
    this.#check()
  }

  received(node: LightNode, { read, tiles, readMs }: Received): void {
    if (read.attempt === 1 || node === this.victim) return
    for (const { part, left } of this.#lost) {
      if (part.read.task !== read.task || part.read.attempt + 1 !== read.attempt) continue
      const before = left.size
      for (const tile of tiles) left.delete(tile)
      if (before > 0 && left.size === 0) this.reissuedMs.push(readMs)
    }
    this.#check()
  }

  #check(): void {
    const isSeen = this.endMs !== undefined && this.noticeMs !== undefined
    if (isSeen && this.reissuedMs.length === this.#lost.length) this.#resolve()
  }
}

class Run {
  readonly #gateway: ChildProcess
  readonly #mqttPort: number
  readonly #nodes: readonly LightNode[]
  readonly #echo: EchoTrips
  readonly #pings: PingTrips
  readonly #timers: NodeJS.Timeout[] = []
  #tasks!: TaskClient
  #kill: Kill | undefined
  /** Tiles of reads of the whole grid that no node was sent yet. */
  #unsent = new Map<string, number>()
  readonly #detection: number[] = []
  readonly #notice: number[] = []
  readonly #fromDetection: number[] = []
  readonly #fromCut: number[] = []
  #isMeasuring = false
  #done = 0
  #read = 0

  constructor(gateway: ChildProcess, ports: { mqtt: number; echo: number }) {
    this.#gateway = gateway
    this.#mqttPort = ports.mqtt
    this.#nodes = nodeNames(flags.nodes).map((id) => {
      const options = { id, port: ports.mqtt, geometry }
      return new LightNode(options, (node, received) => this.#onRead(node, received))
    })
    this.#echo = new EchoTrips(ports.echo)
    this.#pings = new PingTrips(ports.mqtt)
    gateway.send('socket-ends')
    gateway.on('message', (end: SocketEnd) => {
      if (end.port === this.#kill?.port) this.#kill.ended(end.atMs)
    })
  }

  async prepare(): Promise<void> {
    this.#timers.push(beginBeats(this.#nodes, HEARTBEAT_MS))
    this.#tasks = await TaskClient.connect(this.#mqttPort, ({ code, node }, readMs) => {
      const kill = this.#kill
      if (code === 'node-suspect' && node === kill?.victim.id) kill?.noticed(readMs)
    })
    await connectAll(this.#nodes)
    const scale = { op: 'scale', args: { fields: { value: 1 } } }
    await within('the first write of every tile', this.#tasks.submit(scale).ended, STEP_LIMIT_MS)
  }

  async measure(): Promise<void> {
    this.#beginLoad()
    const kills = flags.kills
    const untilMs = performance.now() + flags.seconds * 1000
    const startMs = performance.now()
    const before = this.#figures()
    for (; this.#done < kills && performance.now() < untilMs; this.#done++) await this.#killOne()
    const seconds = (performance.now() - startMs) / 1000
    const shares = this.#figures().map((figure, at) => {
      return `${(((figure - before[at]!) / seconds) * 100).toFixed(0)} %`
    })
    this.#isMeasuring = false
    while (this.#tasks.openCount > 0) await sleep(TICK_MS)
    console.log(
      `${this.#done} of ${this.#nodes.length} nodes killed in ${seconds.toFixed(0)} s, half with FIN, ` +
        `half with RST; ${(this.#read / seconds).toFixed(0)} reads a second. CPU and wait for a core: ` +
        `gateway ${shares[0]} and ${shares[1]}, nodes ${shares[2]} and ${shares[3]}`,
    )
    this.#report()
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#isMeasuring = false
    await this.#tasks?.close()
    this.#echo.close()
    this.#pings.close()
  }

  #beginLoad(): void {
    this.#isMeasuring = true
    const trips = setInterval(() => {
      if (!this.#isMeasuring) return
      this.#echo.begin()
      this.#pings.begin()
    }, TICK_MS)
    const reads = setInterval(() => {
      if (this.#isMeasuring && this.#tasks.openCount < OPEN_MAX) void this.#readRegion()
    }, 1000 / flags.rate)
    this.#timers.push(trips, reads)
  }

  async #readRegion(): Promise<void> {
    const at = (): number => random.integer(side - REGION_SIDE)
    await this.#stat({ x: at(), y: at(), w: REGION_SIDE, h: REGION_SIDE }).ended
  }

  #stat(region: Region): { id: string; ended: Promise<void> } {
    const { id, ended } = this.#tasks.submit({ op: 'stat', args: { field: 'value' }, region })
    const checked = async (): Promise<void> => {
      const { value } = await within(`task ${id}`, ended, STEP_LIMIT_MS)
      this.#read += 1
      if (value?.count !== region.w * region.h) throw new Error(`${id} counts ${value?.count}`)
    }
    return { id, ended: checked() }
  }

  async #killOne(): Promise<void> {
    const victim = this.#nodes[random.integer(this.#nodes.length)]!
    victim.isHolding = true
    const held = Array.from({ length: flags.held }, () => this.#stat(geometry.whole))
    this.#unsent = new Map(held.map(({ id }) => [id, geometry.tiles]))
    await within('reads of the whole grid at the nodes', this.#allSent(), STEP_LIMIT_MS)
    for (let ping = 0; ping < PINGS_AFTER_BURST; ping++) await this.#pings.next()
    await sleep(random.between(0, BEFORE_CUT_MS))
    if (victim.held.length < held.length) throw new Error(`${victim.id} has no part of a read`)
    const kill = new Kill(victim, this.#done % 2 === 0 ? 'fin' : 'rst')
    this.#kill = kill
    await within(`the parts of ${victim.id} at others`, kill.over, STEP_LIMIT_MS)
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

  /** Every part of the reads of the whole grid is with its node. */
  async #allSent(): Promise<void> {
    while ([...this.#unsent.values()].some((tiles) => tiles > 0)) await sleep(TICK_MS)
  }

  #onRead(node: LightNode, received: Received): void {
    this.#kill?.received(node, received)
    const { read, tiles } = received
    const unsent = this.#unsent.get(read.task)
    if (unsent !== undefined) this.#unsent.set(read.task, unsent - tiles.length)
  }

  /** Seconds so far: CPU and waits for a core, of the gateway and of this process. */
  #figures(): number[] {
    const pids = [this.#gateway.pid!, process.pid]
    return pids.flatMap((pid) => [cpuSecondsOf(pid), waitedSecondsOf(pid)])
  }

  #report(): void {
    const row = (what: string, ms: readonly number[], goal = '', verdict = ''): string[] => {
      const figures = [0.5, 0.99, 1].map((share) => formatMs(quantile(ms, share)))
      return [what, ...figures, String(ms.length), goal, verdict]
    }
    const say = (isMet: boolean): string => (isMet ? 'holds' : 'missed')
    const isSoon = quantile(this.#detection, 0.5) < DETECTION_GOAL_MS
    const isFast = quantile(this.#fromDetection, 0.99) < REISSUE_GOAL_MS
    const goals = [`p50 < ${DETECTION_GOAL_MS}`, `p99 < ${REISSUE_GOAL_MS}`] as const
    console.log('Milliseconds.')
    console.log(
      formatTable([
        ['what', 'p50', 'p99', 'max', 'count', 'goal', 'verdict'],
        row('bare TCP round trip to an echo', this.#echo.ms),
        row('MQTT ping of the gateway', this.#pings.ms),
        row('cut, to the end of the socket seen', this.#detection, goals[0], say(isSoon)),
        row('cut, to node-suspect at a subscriber', this.#notice),
        row('end seen, to a lost part at others', this.#fromDetection, goals[1], say(isFast)),
        row('cut, to a lost part at others', this.#fromCut),
      ]),
    )
  }
}

await withProcesses(async (processes) => {
  const echo = await processes.start('echo', [ECHO])
  const gatewayFlags = (flags['gateway-flags'] ?? '').split(' ').filter((flag) => flag !== '')
  const { child, port } = await processes.startGateway({
    flags: [
      ...['--grid', `${side}x${side}`, '--tile', String(TILE), '--replicas', String(REPLICAS)],
      ...['--heartbeat-ms', String(HEARTBEAT_MS)],
    ],
    command: { ...NODE, argv: [...gatewayFlags, ...PROBED] },
  })
  const run = new Run(child, { mqtt: port, echo: Number(/port=(\d+)/.exec(echo.ready)![1]) })
  try {
    await run.prepare()
    console.log(`${describeMachine()}; seed ${flags.seed}`)
    await run.measure()
  } finally {
    await run.close()
  }
})
