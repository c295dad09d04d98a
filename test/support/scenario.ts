/** A small fleet without chance: commands in, and out comes what every process did. */
import { type CoordinatorOptions, newIdentity } from '../../broker/core/coordinator.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { linesOf } from './effect-lines.ts'
import { BENCH_OPTIONS } from './gateway-bench.ts'
import { LedgerDisk } from './ledger-disk.ts'
import { SHIPPED } from './programs.ts'
import { SimulatedClock } from './simulated-clock.ts'
import { SimulatedGateway } from './simulated-gateway.ts'
import { SimulatedNetwork } from './simulated-network.ts'
import { SimulatedNode } from './simulated-node.ts'
import { SliceCard } from './slice-card.ts'

const OPTIONS: CoordinatorOptions = {
  ...BENCH_OPTIONS,
  grid: { ...BENCH_OPTIONS.grid, geometry: new Geometry({ width: 8, height: 4, tile: 4 }) },
  retentionTasks: 10_000,
  tasksMax: 10_000,
}

const never = (): boolean => false
const nothing = (): void => {}

export class Scenario {
  readonly #clock = new SimulatedClock()
  readonly #network: SimulatedNetwork
  readonly #gateway: SimulatedGateway
  readonly #nodes = new Map<string, SimulatedNode>()
  #lines: string[] = []

  constructor() {
    const options = { latencyMinMs: 1, latencyMaxMs: 1, keepaliveMs: 15_000 }
    this.#network = new SimulatedNetwork(options, this.#clock, new Random(1))
    const identity = newIdentity(OPTIONS, 'ledger')
    const setUp = {
      programs: SHIPPED,
      options: OPTIONS,
      identity,
      flushMinMs: 1,
      flushMaxMs: 1,
    }
    this.#gateway = new SimulatedGateway(setUp, {
      clock: this.#clock,
      network: this.#network,
      disk: new LedgerDisk().disk,
      random: new Random(2),
      strikes: never,
      witness: {
        effect: (effect) => this.#note('gateway', linesOf(effect)),
        started: nothing,
        flushed: nothing,
        received: nothing,
        sent: nothing,
        notice: nothing,
        announced: nothing,
        published: nothing,
      },
    })
  }

  /** Performs a command; returns what happened because of it, one line each. */
  async run(command: string): Promise<string[]> {
    const [, verb = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(command) ?? []
    const [name = '', ...words] = rest.split(' ')
    this.#lines = []
    switch (verb) {
      case 'start':
        this.#start(name, words)
        break
      case 'wait':
        await this.#clock.run(this.#clock.nowMs + Number(rest))
        break
      case 'submit':
        this.#gateway.submit(Buffer.from(rest), { via: 'mqtt', client: 'tester' }, nothing)
        break
      case 'drain':
        this.#gateway.drain(name as NodeId, words[0] !== 'off')
        break
      case 'crash':
        if (name === 'gateway') this.#gateway.crash()
        else this.#node(name).crash()
        break
      case 'cut':
        this.#network.cut(name)
        break
      case 'slow':
        this.#node(name).slowness = Number(words[0])
        break
      default:
        throw new Error(`there is no command "${command}"`)
    }
    await this.#clock.run(this.#clock.nowMs)
    return this.#lines
  }

  #note(process: string, lines: readonly string[]): void {
    const at = this.#clock.nowMs.toFixed(0).padStart(6)
    for (const line of lines) this.#lines.push(`${at} ${process}: ${line}`)
  }

  #node(name: string): SimulatedNode {
    const node = this.#nodes.get(name)
    if (node === undefined) throw new Error(`node ${name} was never started`)
    return node
  }

  #start(name: string, [how, what = '']: readonly string[]): void {
    if (name === 'gateway') {
      this.#gateway.start()
      return
    }
    if (!this.#nodes.has(name)) {
      const id = how === 'as' ? what : name
      const operations = how === 'with' ? what.split(',') : ['add', 'get', 'digest']
      this.#nodes.set(name, this.#createNode(name, id, operations))
    }
    this.#node(name).start()
  }

  #createNode(name: string, id: string, operations: readonly string[]): SimulatedNode {
    const random = new Random(10 + this.#nodes.size)
    const setUp = {
      programs: SHIPPED,
      options: {
        node: id as NodeId,
        weight: 1,
        operations,
        telemetryIntervalMs: 60_000,
        outboxBytesMax: 65_536,
        birth: { version: '0' },
        backoff: { baseMs: 1000, capMs: 60_000 },
        answerTimeoutMs: 10_000,
      },
      flushMinMs: 1,
      flushMaxMs: 1,
      store: { sliceBytesMax: 2 ** 30, outboxBytesMax: 65_536 },
      sliceMs: 1000,
    }
    return new SimulatedNode(setUp, new SliceCard(OPTIONS.grid), {
      clock: this.#clock,
      network: this.#network,
      random,
      strikes: never,
      strikesFlush: never,
      tears: never,
      witness: {
        effect: (_, effect) => this.#note(name, linesOf(effect)),
        committed: nothing,
        exited: nothing,
      },
    })
  }
}
