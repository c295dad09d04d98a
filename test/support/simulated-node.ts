/**
 * A node's process as main.ts makes it, the real agent, driver, runner and slice store, on a simulated card,
 * network and time. A crash at any effect loses what is not on the card; a frozen node sleeps through
 * its events.
 */
import type { DeviceSample } from '../../firmware-agent/adapters/device-metrics.ts'
import type { SliceStoreOptions } from '../../firmware-agent/adapters/slice-store.ts'
import type { Agent } from '../../firmware-agent/core/agent.ts'
import type { AgentOptions } from '../../firmware-agent/core/agent-options.ts'
import type { AgentEffect } from '../../firmware-agent/core/effects.ts'
import type { AgentDriver, AgentLink, AgentOutcome } from '../../firmware-agent/driver.ts'
import { Random } from '../../shared/core/random.ts'
import { buildTopic } from '../../shared/protocol/topics.ts'
import type { Clock } from '../../shared/runtime/clock.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import type { Programs } from './programs.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { DiskTiming } from './simulated-disk.ts'
import type { NodeEnd, SimulatedNetwork } from './simulated-network.ts'
import { SimulatedProcess } from './simulated-process.ts'
import type { SliceCard } from './slice-card.ts'

export interface NodeWitness {
  effect(node: string, effect: AgentEffect): void
  /** These tiles changed on the node's card. */
  committed(node: SimulatedNode, tiles: readonly number[]): void
  exited(node: string, code: number): void
}

export interface NodeHarness {
  readonly clock: SimulatedClock
  readonly network: SimulatedNetwork
  readonly random: Random
  readonly witness: NodeWitness
  strikes(): boolean
  strikesFlush(): boolean
  /** Whether a crash now tears the commit that runs. */
  tears(): boolean
}

export interface NodeSetUp {
  readonly programs: Programs
  readonly options: Omit<AgentOptions, 'process'>
  readonly store: SliceStoreOptions
  /** After this much computing the node turns to other things; 0: as often as it can. */
  readonly sliceMs: number
  readonly flushMinMs: number
  readonly flushMaxMs: number
}

const TOPIC_BASE = 'o/v1'
/** Few, so that small slices have several. */
const TILES_PER_LIST = 5
const TRANSACTION_BYTES_MAX = 1024
/** A crash in a flush comes before the node is started again. */
const CRASH_MS_MAX = 40
/** Effects that begin nothing that goes on beside the next ones. */
const INSTANT: readonly AgentEffect['type'][] = ['send', 'publish', 'connect', 'disconnect', 'log']
const SAMPLE: DeviceSample = {
  uptime_seconds: 0,
  cpu_percent: null,
  load1: 0,
  mem_total_bytes: null,
  mem_available_bytes: null,
  rss_bytes: 0,
  temp_celsius: null,
  disk_free_bytes: null,
  net_rx_bytes: null,
  net_tx_bytes: null,
  loop_busy_percent: 0,
}

export class SimulatedNode {
  readonly card: SliceCard
  readonly #setUp: NodeSetUp
  readonly #harness: NodeHarness
  readonly #process: SimulatedProcess
  #agent: Agent | undefined
  #driver: AgentDriver | undefined
  #end: NodeEnd | undefined

  constructor(setUp: NodeSetUp, card: SliceCard, harness: NodeHarness) {
    this.card = card
    this.#setUp = setUp
    this.#harness = harness
    // A board has no clock that goes on without power.
    this.#process = new SimulatedProcess(harness.clock, harness.random, 0)
    card.disk.onFlushed = (changes) => {
      const tiles = changes.filter(({ table }) => table === 'tiles').map(({ key }) => Number(key))
      if (tiles.length > 0) harness.witness.committed(this, tiles)
    }
  }

  get id(): string {
    return this.#setUp.options.node
  }

  get isUp(): boolean {
    return this.#process.isUp
  }

  get slowness(): number {
    return this.#process.slowness
  }

  /** How much longer its disk and its computing take. */
  set slowness(slowness: number) {
    this.#process.slowness = slowness
  }

  get isAdmitted(): boolean {
    return this.#agent?.isAdmitted ?? false
  }

  start(): void {
    const clock = this.#process.begin()
    const fail = this.#process.own((error: unknown) => this.#harness.clock.fail(error))
    this.#run(clock, fail).catch(fail)
    this.#harness.clock.stir()
  }

  async #run(clock: Clock, fatal: (error: unknown) => void): Promise<void> {
    const { programs, options, store: bounds, sliceMs } = this.#setUp
    const { random } = this.#harness
    const process = `p${random.uint32().toString(16)}`
    const own = new Random(random.uint32())
    const tables = this.card.disk.open(this.#timing(clock))
    // A process that dies here never comes back from the flush.
    const store = await programs.SliceStore.over(bounds, random, tables, clock)
    const runner = new programs.OperationRunner(
      { sliceMs, transactionBytesMax: TRANSACTION_BYTES_MAX, tilesPerList: TILES_PER_LIST },
      store,
      clock,
    )
    const agent = new programs.Agent({ ...options, process }, store.stored, own)
    const { node } = options
    const driver = new programs.AgentDriver(
      { node, topicBase: TOPIC_BASE },
      agent,
      { clock, store, runner, metrics: { sample: () => SAMPLE }, log: this.#log() },
      this.#outcome(fatal),
    )
    this.#agent = agent
    this.#driver = driver
    driver.begin(this.#link(driver))
  }

  /** `isSilent`: nobody is there to close the connection. */
  crash({ isSilent = false } = {}): void {
    if (!this.isUp) return
    this.#process.end()
    this.#agent = undefined
    this.#driver = undefined
    this.card.crash(this.#harness.tears)
    if (this.#end === undefined) return
    this.#harness.network.closeFromNode(this.#end, { isSilent, isDead: true })
    this.#end = undefined
  }

  /** The process stands still; its events wait. */
  freeze(untilMs: number): void {
    this.#process.freeze(untilMs)
  }

  stop(): void {
    this.#driver?.deliver({ type: 'stop-requested' })
  }

  #timing(clock: Clock): DiskTiming {
    const { flushMinMs, flushMaxMs } = this.#setUp
    const later = (act: () => void, ms: number): void => {
      const flushed = this.#process.own(() => {
        this.#harness.clock.stir()
        act()
      })
      this.#harness.clock.after(ms * this.slowness, flushed)
    }
    const { random, strikesFlush } = this.#harness
    return {
      get nowMs() {
        return clock.monotonicMs
      },
      begin: (act) => later(act, random.between(0, flushMinMs)),
      flush: (act) => {
        const ms = random.between(flushMinMs, flushMaxMs)
        if (strikesFlush())
          later(() => this.crash(), Math.min(ms / 2, CRASH_MS_MAX / this.slowness))
        later(act, ms)
      },
    }
  }

  /** A link of this life: as the real one, it sends at once or not at all. */
  #link(driver: AgentDriver): AgentLink {
    const { network } = this.#harness
    const { life } = this.#process
    const up = buildTopic(TOPIC_BASE, { kind: 'node-up', node: this.#setUp.options.node })
    let connection: string | undefined
    const own = <Given extends unknown[]>(
      act: (...given: Given) => void,
    ): ((connection: string, ...given: Given) => void) =>
      this.#process.own((of, ...given) => {
        if (of === connection) act(...given)
      })
    const end: NodeEnd = {
      node: this.id,
      connected: own(() => driver.deliver({ type: 'connected' })),
      received: own((payload: Uint8Array) => driver.received(payload)),
      closed: own((reason: string) => {
        connection = undefined
        driver.deliver({ type: 'disconnected', reason })
      }),
    }
    this.#end = end
    const isMine = (): boolean => life === this.#process.life
    return {
      connect() {
        if (isMine()) connection = network.connect(end)
      },
      disconnect() {
        if (isMine()) network.closeFromNode(end)
      },
      publish({ topic, payload }) {
        if (!isMine() || topic !== up || connection === undefined) return
        network.up(connection, payload as Uint8Array)
      },
    }
  }

  #outcome(fatal: (error: unknown) => void): AgentOutcome {
    const { life } = this.#process
    const { clock, strikes, witness } = this.#harness
    const isMine = (): boolean => life === this.#process.life
    return {
      performing: (effect) => {
        if (!isMine()) return
        if (strikes()) {
          this.crash()
          return
        }
        witness.effect(this.id, effect)
        if (!INSTANT.includes(effect.type)) clock.stir()
      },
      ready() {},
      link() {},
      key() {},
      exit: (code) => {
        if (!isMine()) return
        this.crash()
        witness.exited(this.id, code)
      },
      fatal,
    }
  }

  /** What the core logs is seen as an effect. */
  #log(): Logger {
    const isHeard = (fields: object, message: string): void => {
      if ((fields as { code?: string }).code !== 'malformed-message') return
      this.#harness.clock.fail(new Error(`a message to node ${this.id} is malformed: ${message}`))
    }
    return { debug: isHeard, info: isHeard, warn: isHeard, error: isHeard }
  }
}
