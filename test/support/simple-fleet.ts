/**
 * The real coordinator with a fleet of simple agents, as large as one likes: all join, tiles are born,
 * reads and writes run, some nodes in a hundred fail and come back, the gateway is killed once.
 * Checked: every task ends once, as completed, with a value that it may have; no part of it stays
 * behind; nodes and ledger agree at the end; memory comes back.
 *
 * Writes go one after the other and count up, so that no tile may show less than the last write that
 * was done when the read came, nor more than the last one that was begun.
 */
import { newIdentity } from '../../broker/core/coordinator.ts'
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import { decodeResult } from './checkers.ts'
import { drawOptions } from './drawn-options.ts'
import type { PlainRegion, PlainTask } from './grid-model.ts'
import { LedgerDisk } from './ledger-disk.ts'
import { type Programs, SHIPPED } from './programs.ts'
import { type LedgerOfNode, SimpleAgent, type SimpleSurroundings } from './simple-agent.ts'
import { SimulatedClock } from './simulated-clock.ts'
import { SimulatedGateway } from './simulated-gateway.ts'
import { SimulatedNetwork } from './simulated-network.ts'
import { violated } from './violation.ts'

export interface SimpleFleetSize {
  readonly nodes: number
  readonly width: number
  readonly height: number
}

const TILE = 4
const JOIN_MS = 1000
/** Failures begin and end; the gateway is killed in between, while no task is under way. */
const FAILURES_MS = 4000
const REST_MS = 60_000
const FAILING_SHARE = 0.03
const TASK_EVERY_MS = 100
const SUBMITTER = { via: 'mqtt', client: 'tester' } as const
const BANDS = 64

/** What every run must have met. */
export const MUST_HAPPEN_TO_SIMPLE: readonly string[] = [
  ...['fault-cut', 'fault-node-crash', 'fault-node-crash-silent', 'fault-gateway-crash'],
  ...['end-set', 'end-stat', 'end-digest', 'read-reissued', 'node-suspect', 'up-heartbeat'],
]

interface Asked {
  readonly plain: PlainTask
  /** No tile may show less. */
  readonly least: number
  ends: number
}

export class SimpleFleet {
  readonly counts = new Map<string, number>()
  onLine: ((line: string) => void) | undefined
  readonly #clock = new SimulatedClock()
  readonly #random: Random
  readonly #network: SimulatedNetwork
  readonly #ledger = new LedgerDisk()
  readonly #gateway: SimulatedGateway
  readonly #agents: SimpleAgent[]
  readonly #grid: GridContext
  readonly #asked = new Map<string, Asked>()
  /** By band: the last write that is done. */
  readonly #done = new Array<number>(BANDS).fill(0)
  #writes = 0
  #isWriting = false
  #open = 0
  #tasks = 0

  constructor(
    seed: number,
    { nodes, width, height }: SimpleFleetSize,
    programs: Programs = SHIPPED,
  ) {
    const random = new Random(seed)
    this.#random = random
    this.#grid = {
      geometry: new Geometry({ width, height, tile: TILE }),
      fields: [{ name: 'value', type: 'f64' }],
    }
    const options = {
      ...drawOptions(random, this.#grid),
      replicas: 2,
      minInSync: 1,
      virtualNodes: 8,
      // Beats cost most of the time here, and tell least.
      heartbeatMs: 4000,
      suspectAfterMs: 12_000,
      deadAfterMs: 60_000,
      // Its own beats are late for up to 3 s now and then: not for too long, which would be an error.
      doubtMaxMs: 60_000,
      leaseMs: 3000,
      lagMs: 2000,
      resendMs: 3000,
      returnGraceMs: 2000,
      // As the gateway has it: in pairs, the last of a hundred thousand would leave after its lease.
      flatMin: 256,
      streamWindowBytes: 64 * 1024,
    }
    const latency = { latencyMinMs: 1, latencyMaxMs: 30, keepaliveMs: 2000 }
    this.#network = new SimulatedNetwork(latency, this.#clock, new Random(random.uint32()))
    const setUp = {
      programs,
      options,
      identity: newIdentity(options, 'ledger'),
      flushMinMs: 1,
      flushMaxMs: 10,
    }
    this.#gateway = new SimulatedGateway(setUp, {
      clock: this.#clock,
      network: this.#network,
      disk: this.#ledger.disk,
      random: new Random(random.uint32()),
      strikes: () => false,
      witness: {
        started: () => {},
        flushed: (records) => this.#flushed(records),
        effect: (effect) => this.onLine?.(`${this.#clock.nowMs} ${effect.type}`),
        received: (_, { t }) => this.#count(`up-${t}`),
        sent: (_, { t }) => this.#count(`down-${t}`),
        sentRound: (messages) => {
          this.onLine?.(`${this.#clock.nowMs} send-round`)
          this.#count('down-in-rounds', messages)
        },
        notice: ({ code, level, message, fields }) => {
          const isExpected = fields?.reason === 'id-taken'
          this.#count(isExpected ? 'id-taken' : code)
          if (level === 'error' && !isExpected) violated(`${code}: ${message}`)
        },
        announced: () => {},
        published: () => {},
      },
    })
    const ledgers = new Map<string, LedgerOfNode>()
    const around: SimpleSurroundings = {
      clock: this.#clock,
      network: this.#network,
      tileLsus: TILE ** 2,
      ledgerOf: ({ ledgerId: id, grid }) => {
        if (!ledgers.has(id)) ledgers.set(id, { id, grid })
        return ledgers.get(id)!
      },
    }
    this.#agents = Array.from({ length: nodes }, (_, index) => new SimpleAgent(`n${index}`, around))
  }

  async run(): Promise<void> {
    const { geometry } = this.#grid
    this.#gateway.start()
    for (const agent of this.#agents) {
      this.#clock.at(this.#random.between(0, JOIN_MS), () => agent.start())
    }
    await this.#until('all nodes are here', () =>
      this.#agents.every(({ isAdmitted }) => isAdmitted),
    )
    this.#submitRead(geometry.whole)
    await this.#until('the unborn grid is read', () => this.#open === 0)
    this.#submitWrite(geometry.whole)
    await this.#until('all tiles are born', () => this.#open === 0)
    await this.#work(FAILURES_MS / 2)
    this.#gateway.crash()
    this.#count('fault-gateway-crash')
    await this.#clock.run(this.#clock.nowMs + 500)
    this.#gateway.start()
    await this.#until('all nodes are back', () =>
      this.#agents.every(({ isAdmitted }) => isAdmitted),
    )
    await this.#work(FAILURES_MS / 2)
    this.#submitWrite(geometry.whole)
    await this.#until('the last write is done', () => this.#open === 0)
    this.#submitRead(geometry.whole)
    await this.#until('the last read is done', () => this.#open === 0)
    await this.#until('everything rests', () => this.#unrest() === undefined)
    for (const [id, { ends }] of this.#asked) {
      if (ends !== 1) violated(`task ${id} ended ${ends} times`)
    }
  }

  /** Tasks on bands of the grid and on items, while nodes fail and come back. */
  async #work(lastsMs: number): Promise<void> {
    const endMs = this.#clock.nowMs + lastsMs
    const failures = Math.ceil((this.#agents.length * FAILING_SHARE) / 2)
    for (let failure = 0; failure < failures; failure++) {
      const agent = this.#agents[this.#random.integer(this.#agents.length)]!
      this.#clock.after(this.#random.between(0, lastsMs), () => this.#fail(agent))
    }
    const ask = (): void => {
      if (this.#clock.nowMs > endMs) return
      const band = this.#regionOf(this.#random.integer(BANDS))
      const draw = this.#random.unit()
      if (draw < 0.3 && !this.#isWriting) this.#submitWrite(band)
      else if (draw < 0.95) this.#submitRead(band)
      else this.#submitDigest()
      this.#clock.after(this.#random.between(0, 2 * TASK_EVERY_MS), ask)
    }
    this.#submitDigest()
    ask()
    await this.#clock.run(endMs)
    await this.#until('no node is away', () => this.#agents.every(({ isAdmitted }) => isAdmitted))
    await this.#until('no task is open', () => this.#open === 0)
  }

  #fail(agent: SimpleAgent): void {
    if (!agent.isUp) return
    const draw = this.#random.unit()
    if (draw < 0.4) {
      if (this.#network.cut(agent.node)) this.#count('fault-cut')
      return
    }
    const isSilent = draw < 0.6
    agent.crash({ isSilent })
    this.#count(isSilent ? 'fault-node-crash-silent' : 'fault-node-crash')
    this.#clock.after(this.#random.between(100, 3000), () => agent.start())
  }

  #regionOf(band: number): PlainRegion {
    const { width, height } = this.#grid.geometry
    return { x: 0, y: (band * height) / BANDS, w: width, h: height / BANDS }
  }

  #bandsOf({ y, h }: PlainRegion): number[] {
    const rows = this.#grid.geometry.height / BANDS
    return Array.from({ length: h / rows }, (_, index) => y / rows + index)
  }

  #submitWrite(region: PlainRegion): void {
    this.#writes += 1
    this.#isWriting = true
    this.#submit({ op: 'set', region, args: { fields: { value: this.#writes } } }, this.#writes)
  }

  #submitRead(region: PlainRegion): void {
    const least = Math.min(...this.#bandsOf(region).map((band) => this.#done[band]!))
    this.#submit({ op: 'stat', region, args: { field: 'value' } }, least)
  }

  #submitDigest(): void {
    this.#submit({ op: 'digest', items: [{ key: `key-${this.#tasks}`, data: 'text' }] }, 0)
  }

  #submit(task: Omit<PlainTask, 'id' | 'deadline_ms'>, least: number): void {
    this.#tasks += 1
    const plain = { ...task, id: `task-${this.#tasks}`, deadline_ms: REST_MS }
    this.#open += 1
    this.#asked.set(plain.id, { plain, least, ends: 0 })
    this.#gateway.submit(Buffer.from(JSON.stringify(plain)), SUBMITTER, (outcome) => {
      if (!outcome.ok) violated(`task ${plain.id} is refused: ${outcome.refusal.message}`)
    })
  }

  #flushed(records: readonly LedgerRecord[]): void {
    for (const { table, key, value } of records) {
      if (table !== 'task' || value === undefined || !isEnded(value.state)) continue
      const asked = this.#asked.get(String(key))!
      if (asked.ends > 0) continue
      if (value.state !== 'completed') violated(`task ${key} is ${value.state}`)
      asked.ends += 1
      this.#open -= 1
      this.#count(`end-${asked.plain.op}`)
      this.#ended(asked)
    }
    for (const { table, key, value } of records) {
      if (table === 'result' && value !== undefined) this.#checkResult(String(key), value)
    }
  }

  #ended({ plain, least }: Asked): void {
    if (plain.op !== 'set') return
    this.#isWriting = false
    for (const band of this.#bandsOf(plain.region!)) this.#done[band] = least
  }

  #checkResult(id: string, bytes: Uint8Array): void {
    const { plain, least } = this.#asked.get(id)!
    if (plain.op !== 'stat') return
    const { value } = decodeResult(bytes) as { value: { count: number; min: number; max: number } }
    const { w, h } = plain.region!
    if (value.count !== w * h) violated(`read ${id} counts ${value.count} of ${w * h} LSUs`)
    if (value.min < least) violated(`read ${id} shows write ${value.min}, but ${least} was done`)
    if (value.max > this.#writes) violated(`read ${id} shows a write that never was`)
  }

  async #until(what: string, isSo: () => boolean): Promise<void> {
    const endMs = this.#clock.nowMs + REST_MS
    while (!isSo()) {
      if (this.#clock.nowMs >= endMs) violated(`${what}: not in time, ${this.#unrest()}`)
      await this.#clock.run(this.#clock.nowMs + 50)
    }
  }

  /** What has not come to rest. */
  #unrest(): string | undefined {
    const { view } = this.#gateway
    if (view === undefined) return 'the gateway is down'
    const counts = view.counts()
    for (const what of ['writesWaiting', 'writesInLog', 'readsOpen', 'openBytes', 'logBytes']) {
      if (counts[what] !== 0) return `${what} is ${counts[what]}`
    }
    for (const table of ['write', 'body'] as const) {
      if (this.#ledger.count(table) !== 0) return `the ledger keeps a ${table}`
    }
    const nodes = new Map(view.nodes().map(({ id, stream }) => [id, stream!]))
    for (const { node: id, position, isAdmitted } of this.#agents) {
      const { head, acked } = nodes.get(id as NodeId)!
      if (!isAdmitted) return `${id} is away`
      if (head !== position || acked !== head) return `${id} is at ${position}, head is ${head}`
    }
    return undefined
  }

  #count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times)
  }
}
