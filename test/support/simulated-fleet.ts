/**
 * A whole fleet in one process, drawn from one seed: the real coordinator and the real agents on simulated
 * network, disks and time, with clients, faults and checkers. The same seed gives the same run.
 */
import { createHash, type Hash } from 'node:crypto'
import { type CoordinatorOptions, newIdentity } from '../../broker/core/coordinator.ts'
import type { GatewayEffect, GatewayNotice } from '../../broker/core/effects.ts'
import type { AgentEffect } from '../../firmware-agent/core/effects.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { OPERATION_NAMES } from '../../shared/operations/catalog.ts'
import type { Down, Up } from '../../shared/protocol/messages.ts'
import { Checkers } from './checkers.ts'
import { linesOf } from './effect-lines.ts'
import { ALARMS, PATHS, REFUSALS_EXPECTED } from './expected-notices.ts'
import { type FleetShape, SMALL } from './fleet-shape.ts'
import { GridModel } from './grid-model.ts'
import { HandOffChecker } from './hand-off-checker.ts'
import { FLUSH_MS_MAX, HeardTimes } from './heard-times.ts'
import { LedgerDisk } from './ledger-disk.ts'
import { MoveWatch } from './move-watch.ts'
import { type Programs, SHIPPED } from './programs.ts'
import { RebuiltLedger } from './rebuilt-ledger.ts'
import { SimulatedClients } from './simulated-clients.ts'
import { SimulatedClock } from './simulated-clock.ts'
import { REST_CHECK_MS, SimulatedFaults } from './simulated-faults.ts'
import { type GatewayWitness, SimulatedGateway } from './simulated-gateway.ts'
import { SimulatedNetwork } from './simulated-network.ts'
import { type NodeWitness, SimulatedNode } from './simulated-node.ts'
import { SliceCard } from './slice-card.ts'
import { TaskStories } from './task-stories.ts'
import { violated } from './violation.ts'

const FAULTS_MS = 12_000
/** Longer than every deadline, and than all it takes for the last node to come back and catch up. */
const REST_MS = 45_000
/** The longest deadline of a task. */
const DEADLINE_MS_MAX = 20_000
const TASK_EVERY_MS = 180
const MOVES_LOOK_MS = 500

/** What is nothing at rest. */
const QUIET = ['writesWaiting', 'writesInLog', 'readsOpen', 'openBytes', 'logBytes', 'movesOpen']

/** Connections of the simulated network are named after their node. */
const nodeOf = (connection: string): string => connection.replace(/-\d+$/, '')

export class SimulatedFleet {
  readonly clock = new SimulatedClock()
  readonly network: SimulatedNetwork
  readonly ledger = new LedgerDisk()
  readonly gateway: SimulatedGateway
  readonly nodes: SimulatedNode[]
  readonly counts = new Map<string, number>()
  /** Hears every effect as a line of text. */
  onLine: ((line: string) => void) | undefined
  readonly #shape: FleetShape
  readonly #random: Random
  readonly #options: CoordinatorOptions
  readonly #model: GridModel
  readonly #stories: TaskStories
  readonly #checkers: Checkers
  readonly #clients: SimulatedClients
  readonly #faults: SimulatedFaults
  readonly #losesLedger: boolean
  readonly #rebuild: RebuiltLedger
  readonly #moves: MoveWatch
  /** What cards that are gone had on them, by node: `at` by tile. */
  readonly #lostCards: { readonly node: string; readonly pages: ReadonlyMap<number, number> }[] = []
  readonly #restored = new Map<string, string>()
  readonly #handOffs: HandOffChecker
  readonly #sentUpTo = new Map<string, number>()
  readonly #askedInLife = new Map<string, number>()
  readonly #heard = new HeardTimes()
  readonly #nodesUsed = new Set<string>()
  readonly #trace: Hash = createHash('sha256')

  constructor(seed: number, programs: Programs = SHIPPED, shape: FleetShape = SMALL) {
    this.#shape = shape
    const random = new Random(seed)
    const fork = (): Random => new Random(random.uint32())
    this.#random = random
    const grid = shape.drawGrid(random)
    this.#options = shape.drawOptions(random, grid)
    this.#model = new GridModel(grid)
    this.#stories = new TaskStories(grid)
    this.#checkers = new Checkers(
      {
        minInSync: this.#options.minInSync,
        isRaised: () => this.#rebuild.mayRaise,
        count: (what) => this.count(what),
      },
      this.#model,
      this.#stories,
      { countCopies: (tile, seq) => this.#countCopies(tile, seq) },
    )
    this.#handOffs = new HandOffChecker({
      tiles: grid.geometry.tiles,
      lastDone: () => this.#checkers.lastDone,
      holdersOf: (tile) => this.gateway.view?.holdersOf(tile),
      dueAt: (tile) => this.#model.tileAt(tile, Number.POSITIVE_INFINITY).seq,
      atOf: (node, tile) => this.nodes.find(({ id }) => id === node)!.card.at(tile),
      lostAt: (node, tile) =>
        Math.max(
          0,
          ...this.#lostCards.map((card) => (card.node === node && card.pages.get(tile)) || 0),
        ),
      count: (what) => this.count(what),
    })
    const latencyMaxMs = random.between(1, 40)
    const network = { latencyMinMs: 0.2, latencyMaxMs, keepaliveMs: 6000 }
    this.network = new SimulatedNetwork(network, this.clock, fork())
    this.network.onDrop = () => this.count('dropped')
    this.gateway = this.#createGateway(programs, fork())
    this.nodes = Array.from({ length: shape.drawNodes(random, this.#options) }, (_, index) =>
      this.#createNode(`node-${index}`, programs, fork()),
    )
    this.#clients = new SimulatedClients({
      grid,
      clock: this.clock,
      random: fork(),
      gateway: this.gateway,
      stories: this.#stories,
      checkers: this.#checkers,
      regionSideMax: shape.regionSideMax,
      count: (what) => this.count(what),
    })
    const faults = {
      everyMs: random.between(...shape.faultsEveryMs),
      share: shape.faultsShare,
      gatewayShare: shape.gatewayFaultsShare,
      untilMs: FAULTS_MS,
      // With too few copies left, such writes would rightly wait for good.
      losesCards: this.#options.minInSync === 1 && random.unit() < 0.6,
    }
    this.#faults = new SimulatedFaults(faults, this, fork())
    this.#moves = new MoveWatch(this.gateway, this.#options.moveDeadlineMs)
    this.#rebuild = new RebuiltLedger(this, this.#faults, this.#checkers, this.#model)
    this.#losesLedger = shape === SMALL && random.unit() < 0.2
  }

  /** Runs to the end; throws the first violation. */
  async run(): Promise<void> {
    this.gateway.start()
    for (const [index, node] of this.nodes.entries()) {
      const isLate = index >= this.#options.replicas && this.#random.unit() < this.#shape.lateShare
      const startMs = this.#random.between(0, isLate ? 3000 : 100)
      this.clock.at(startMs, () => {
        if (!node.isUp) node.start()
      })
    }
    this.clock.at(50, () => this.#clients.keepSubmitting(TASK_EVERY_MS, FAULTS_MS))
    this.clock.at(500, () => this.#faults.begin())
    if (this.#shape === SMALL) this.#watchMoves()
    await this.clock.run(FAULTS_MS)
    this.#faults.end()
    if (this.#losesLedger) await this.#loseLedger()
    const withinMs = REST_MS + this.#faults.backOffMs
    const restMs = this.clock.nowMs + withinMs
    while (this.clock.nowMs < restMs && this.#unrest() !== undefined) {
      await this.clock.run(this.clock.nowMs + REST_CHECK_MS)
    }
    const unrest = this.#unrest()
    if (unrest !== undefined) violated(`no rest ${withinMs} ms after the last fault: ${unrest}`)
    // What was forgotten and comes late, as a deadline of something that has ended, comes now.
    await this.clock.run(this.clock.nowMs + DEADLINE_MS_MAX)
    this.#checkers.finished()
    this.#handOffs.atRest(this.nodes.map(({ id }) => id))
    if (this.nodes.length > this.#options.replicas) await this.#faults.drainOne(REST_MS)
    const used = this.#nodesUsed.size
    if (used < this.#shape.nodesUsedMin) violated(`only ${used} nodes ever held a written tile`)
  }

  #watchMoves(): void {
    this.clock.after(MOVES_LOOK_MS, () => {
      this.#moves.look()
      this.#watchMoves()
    })
  }

  /** The gateway's disk is gone, in the middle of everything; a new ledger is built from the nodes. */
  async #loseLedger(): Promise<void> {
    await this.clock.run(this.clock.nowMs + this.#random.between(0, 3000))
    this.count('fault-ledger-lost')
    this.#clients.startAnew()
    this.#stories.forgetOpen()
    this.gateway.crash()
    this.ledger.disk.replace()
    this.#handOffs.forget()
    this.gateway.recoverNodes = this.#rebuild.begin(this.#random)
    this.gateway.start()
    this.#clients.keepSubmitting(TASK_EVERY_MS, this.clock.nowMs + 6000)
    await this.clock.run(this.clock.nowMs + 6000)
  }

  /** Of everything that processes did, in order. */
  get fingerprint(): string {
    return this.#trace.copy().digest('hex')
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  /** Whether all that a node has is also on another holder's disk. */
  maySpare(node: SimulatedNode): boolean {
    const { view } = this.gateway
    if (view === undefined || view.node(node.id as NodeId)?.state === 'alive') return false
    const isRestored = ({ id, card }: SimulatedNode): boolean =>
      this.#restored.has(id) && this.#restored.get(id) === card.storeId
    if (this.nodes.some(isRestored)) return false
    for (let tile = 0; tile < this.#model.grid.geometry.tiles; tile++) {
      const holders: readonly string[] = view.holdersOf(tile)
      const at = node.card.at(tile)
      if (!holders.includes(node.id) && at === 0) continue
      const isElsewhere = this.nodes.some(
        (other) =>
          other !== node &&
          holders.includes(other.id) &&
          other.isAdmitted &&
          other.card.at(tile) >= at,
      )
      if (!isElsewhere) return false
    }
    return true
  }

  /** Whether a page may rot: another holder, which is here, has it as it is or later. */
  mayRot(node: SimulatedNode, tile: number): boolean {
    const { view } = this.gateway
    if (view === undefined || this.nodes.some((other) => other.card.isRotten)) return false
    // The other copy may be the one that is about to go.
    if (view.moves().open.some((move) => move.tile === tile)) return false
    const at = node.card.at(tile)
    const holders: readonly string[] = view.holdersOf(tile)
    return this.nodes.some(
      (other) =>
        other !== node &&
        other.isAdmitted &&
        holders.includes(other.id) &&
        other.card.at(tile) >= at,
    )
  }

  /** These pages were on a disk, and will not be. */
  noteLoss(node: SimulatedNode, tiles: readonly number[]): void {
    const pages = new Map(tiles.map((tile) => [tile, node.card.at(tile)]))
    this.#lostCards.push({ node: node.id, pages })
  }

  replaceCard(node: SimulatedNode, image: unknown): void {
    this.noteLoss(node, node.card.tiles())
    node.card.disk.replace(image)
    if (image !== undefined) this.#restored.set(node.id, node.card.storeId!)
  }

  #createGateway(programs: Programs, random: Random): SimulatedGateway {
    const identity = newIdentity(this.#options, 'ledger')
    const setUp = {
      programs,
      options: this.#options,
      identity,
      flushMinMs: 0.5,
      flushMaxMs: random.between(1, FLUSH_MS_MAX),
    }
    return new SimulatedGateway(setUp, {
      clock: this.clock,
      network: this.network,
      disk: this.ledger.disk,
      random,
      witness: this.#gatewayWitness(),
      strikes: () => this.#faults.strikes('gateway'),
    })
  }

  #createNode(id: string, programs: Programs, random: Random): SimulatedNode {
    const setUp = {
      programs,
      options: {
        node: id as NodeId,
        weight: 1 + random.integer(2),
        operations: OPERATION_NAMES,
        telemetryIntervalMs: 60_000,
        outboxBytesMax: 64 * 1024,
        pieceBytes: 100,
        birth: {},
        backoff: { baseMs: 100, capMs: 2000 },
        answerTimeoutMs: 1500,
      },
      flushMinMs: 0.5,
      flushMaxMs: random.between(1, 8),
      store: { sliceBytesMax: 2 ** 30, outboxBytesMax: 64 * 1024, diskCheckMs: 0 },
      // Each second node yields as often as it can.
      sliceMs: random.integer(2) * 1000,
    }
    return new SimulatedNode(setUp, new SliceCard(this.#options.grid), {
      clock: this.clock,
      network: this.network,
      random,
      witness: this.#nodeWitness(),
      strikes: () => this.#faults.strikes(id),
      tears: () => this.#faults.tears(),
    })
  }

  #note(process: string, effect: AgentEffect | GatewayEffect): void {
    for (const line of this.onLine === undefined ? [] : linesOf(effect)) {
      this.onLine!(`${this.clock.nowMs.toFixed(3)} ${process} ${line}`)
    }
    this.#trace.update(`${this.clock.nowMs} ${process} ${effect.type}\n`)
  }

  #gatewayWitness(): GatewayWitness {
    return {
      effect: (effect) => this.#note('gateway', effect),
      flushed: (records) => {
        this.#checkers.flushed(records)
        this.#handOffs.flushed(records)
      },
      sent: (connection, message) => this.#sent(connection, message),
      received: (connection, message) => this.#received(connection, message),
      notice: (notice) => this.#noticed(notice),
      announced: (task, state) => {
        this.#checkers.announced(task, state)
        const story = this.#stories.find(task)!
        if (state === 'failed') violated(`task ${task} failed, and nothing here makes one fail`)
        this.count(`end-${state}${story.isWrite ? `-${story.effect}` : ''}`)
      },
      published: (effect) => this.#checkers.published(effect),
      started: (openWrites) => {
        this.#handOffs.forget()
        this.#heard.restart(this.gateway.awakeMs)
        if (openWrites > 0) this.count('cold-restart-with-open-writes')
      },
    }
  }

  #nodeWitness(): NodeWitness {
    return {
      effect: (node, effect) => {
        this.#note(node, effect)
        if (effect.type !== 'log') return
        if (effect.code === 'chain-differs') violated(`node ${node}: ${effect.message}`)
        if (effect.code === 'wipe-refused') this.count('wipe-refused')
      },
      committed: (node, tiles) => {
        if (tiles.length > 0) this.#nodesUsed.add(node.id)
        for (const tile of tiles) {
          const page = node.card.page(tile)
          if (page !== undefined) this.#checkers.pageChanged(node.id, tile, page)
        }
      },
      exited: (node, code) => {
        this.count(`exit-${code}`)
        this.#faults.exited(node)
      },
    }
  }

  #sent(connection: string, message: Down): void {
    this.#checkers.sent(message)
    if (message.t === 'welcome') this.#heard.heard(nodeOf(connection), this.gateway.awakeMs)
    if (message.t === 'copy') this.count('move-copying')
    if (message.t === 'entries') {
      const upTo = this.#sentUpTo.get(connection) ?? 0
      for (const { position } of message.entries) {
        if (position <= upTo) this.count('resend')
        else this.#sentUpTo.set(connection, position)
      }
    }
    if (message.t === 'read') {
      this.#askedInLife.set(`${message.task}/${message.part}`, this.gateway.life)
    }
  }

  #received(connection: string, message: Up): void {
    const node = nodeOf(connection)
    // A store that the gateway cannot use is as good as none, however often its node says hello.
    if (message.t !== 'hello') this.#heard.heard(node, this.gateway.awakeMs)
    if (message.t === 'gap') this.count('gap')
    if (message.t !== 'answer') return
    const { life, view } = this.gateway
    if (this.#askedInLife.get(`${message.task}/${message.part}`) === life) return
    const story = this.#stories.find(message.task)!
    const done = (): number => view!.task(story.id as never)?.shards.done ?? 0
    const before = done()
    this.clock.after(0, () => {
      if (this.gateway.life === life && done() > before) this.count('answer-outlived-gateway')
    })
  }

  #noticed({ code, message, fields }: GatewayNotice): void {
    if (ALARMS.includes(code)) violated(`${code}: ${message}`)
    if (code === 'node-refused') {
      const reason = String(fields?.reason)
      if (!REFUSALS_EXPECTED.includes(reason)) violated(`refused as ${reason}: ${message}`)
      this.count(reason)
    }
    this.#rebuild.noticed(code, String(fields?.node))
    if (PATHS.includes(code)) this.count(code)
    if (code.startsWith('doubt-')) this.count(`${code}-${fields?.reason}`)
    if (code === 'node-dead') {
      this.#heard.checkDeath(String(fields?.node), this.gateway.awakeMs, this.#options.deadAfterMs)
    }
  }

  #countCopies(tile: number, seq: number): number {
    const having = new Set<string>()
    for (const { id, card } of this.nodes) {
      if (card.at(tile) >= seq) having.add(id)
    }
    for (const { node, pages } of this.#lostCards) {
      if ((pages.get(tile) ?? 0) >= seq) having.add(node)
    }
    return having.size
  }

  /** What has not come to rest. */
  #unrest(): string | undefined {
    const { view } = this.gateway
    if (view === undefined) return 'the gateway is down'
    const away = this.nodes.find((node) => !node.isAdmitted)
    if (away !== undefined) return `node ${away.id} is not admitted`
    if (!this.#clients.isIdle) return 'a client waits for an answer'
    const open = this.#stories.accepted.find(({ ends }) => ends === 0)
    if (open !== undefined) return `task ${open.id} is ${open.state}`
    const rotten = this.nodes.find(({ card }) => card.isRotten)
    if (rotten !== undefined) return `node ${rotten.id} has a damaged page`
    const counts = view.counts()
    // Who comes and goes gets no more tiles for longer than a simulation lasts.
    const { planned_tiles: planned, waiting } = view.moves()
    if (planned > (waiting['on-probation'] ?? 0)) return `moves wait: ${JSON.stringify(waiting)}`
    for (const what of QUIET) {
      if (counts[what] !== 0) return `${what} is ${counts[what]}`
    }
    const streams = new Map(view.nodes().map(({ id, stream }) => [id as string, stream!]))
    for (const { id, card } of this.nodes) {
      const { head, acked } = streams.get(id)!
      if (acked !== head || card.position !== head) {
        return `node ${id} stands at ${card.position}, acknowledged ${acked} of ${head}`
      }
    }
    for (const table of ['write', 'body', 'control', 'move'] as const) {
      if (this.ledger.count(table) !== 0) return `the ledger keeps a ${table}`
    }
    return undefined
  }
}
