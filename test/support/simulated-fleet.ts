/**
 * A whole fleet in one process, drawn from one seed: the real coordinator and the real agents on simulated
 * network, disks and time, with clients, faults and checkers. The same seed gives the same run.
 */
import { createHash, type Hash } from 'node:crypto'
import { type CoordinatorOptions, newIdentity } from '../../broker/core/coordinator.ts'
import type { GatewayEffect } from '../../broker/core/effects.ts'
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
import type { AgentEffect } from '../../firmware-agent/core/effects.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { Checkers } from './checkers.ts'
import { CodexChecker, PLAIN_NAMES } from './codex-checker.ts'
import { drawNode } from './drawn-options.ts'
import { linesOf } from './effect-lines.ts'
import { FleetCards } from './fleet-cards.ts'
import { unrestOf } from './fleet-rest.ts'
import { type FleetShape, PATCHED, SENSED, SMALL } from './fleet-shape.ts'
import { GridModel } from './grid-model.ts'
import { HandOffChecker } from './hand-off-checker.ts'
import { FLUSH_MS_MAX, HeardTimes } from './heard-times.ts'
import { LedgerDisk } from './ledger-disk.ts'
import { LostTiles } from './lost-tiles.ts'
import { MessageWatch } from './message-watch.ts'
import { MoveWatch } from './move-watch.ts'
import { tellWithoutOne } from './node-away.ts'
import { NoticeWatch } from './notice-watch.ts'
import { type Programs, SHIPPED } from './programs.ts'
import { ReadingChecker } from './reading-checker.ts'
import { RebuiltLedger } from './rebuilt-ledger.ts'
import { RestoredCopy } from './restored-copy.ts'
import { RuleChecker } from './rule-checker.ts'
import { SimulatedClients } from './simulated-clients.ts'
import { SimulatedClock } from './simulated-clock.ts'
import { REST_CHECK_MS, SimulatedFaults } from './simulated-faults.ts'
import { type GatewayWitness, SimulatedGateway } from './simulated-gateway.ts'
import { SimulatedLookers } from './simulated-lookers.ts'
import { SimulatedNetwork } from './simulated-network.ts'
import { type NodeWitness, SimulatedNode } from './simulated-node.ts'
import { SimulatedSensors } from './simulated-sensors.ts'
import { SliceCard } from './slice-card.ts'
import { TaskStories } from './task-stories.ts'
import { violated } from './violation.ts'
import { WatchChecker } from './watch-checker.ts'

const FAULTS_MS = 12_000
/** Longer than every deadline, and than all it takes for the last node to come back and catch up. */
const REST_MS = 45_000
/** The longest deadline of a task. */
const DEADLINE_MS_MAX = 20_000
const TASK_EVERY_MS = 180
const MOVES_LOOK_MS = 500
/** A gateway that starts just now, and how late a loop may be. */
const LATE_MS = 5000
/** Of the gateway, and a look. */
const SWEEP_MS = 61_000

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
  readonly #lookers: SimulatedLookers | undefined
  readonly #readings: ReadingChecker
  readonly #sensors: SimulatedSensors | undefined
  readonly #watches: WatchChecker
  readonly #rules: RuleChecker
  readonly #codex: CodexChecker | undefined
  readonly #faults: SimulatedFaults
  readonly #losesLedger: boolean
  readonly #rebuild: RebuiltLedger
  /** Of a seed whose ledger comes back by a copy. */
  readonly #copy: RestoredCopy | undefined
  readonly #moves: MoveWatch
  readonly cards: FleetCards
  readonly lost: LostTiles
  readonly #handOffs: HandOffChecker
  readonly #messages: MessageWatch
  readonly #notices: NoticeWatch
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
    this.#watches = new WatchChecker(this.#options, this.#model, (what) => this.count(what))
    this.#stories = new TaskStories(shape.patchesPrograms ? { ...grid, codex: PLAIN_NAMES } : grid)
    this.#readings = new ReadingChecker(grid, this.ledger)
    this.cards = new FleetCards(this, grid.geometry.tiles)
    this.#checkers = new Checkers(
      {
        minInSync: this.#options.minInSync,
        retentionMs: this.#options.retentionMs,
        isLost: (story) => this.lost.concern(story),
        readingsDecided: (write, plain) => this.#readings.decided(write, plain),
        readingsWritten: (seq, write) => this.#readings.written(seq, write),
        isRaised: () => this.#rebuild.mayRaise,
        isTorn: () => this.counts.has('fault-torn-commit'),
        count: (what) => this.count(what),
      },
      this.#model,
      this.#stories,
      this.cards,
    )
    this.lost = new LostTiles(this, this.#checkers, this.#model, this.#stories)
    this.#handOffs = new HandOffChecker({
      tiles: grid.geometry.tiles,
      lastDone: () => this.#checkers.lastDone,
      // Those of a tile that is made anew count from when the ledger's disk has taken that.
      holdersOf: (tile) => (this.lost.isAwaited(tile) ? [] : this.gateway.view?.holdersOf(tile)),
      dueAt: (tile) => this.#model.tileAt(tile, Number.POSITIVE_INFINITY).seq,
      atOf: (node, tile) => this.nodes.find(({ id }) => id === node)!.card.at(tile),
      lostAt: (node, tile) => this.cards.lostAt(node, tile),
      count: (what) => this.count(what),
    })
    const network = { latencyMinMs: 0.2, latencyMaxMs: random.between(1, 40), keepaliveMs: 6000 }
    this.network = new SimulatedNetwork(network, this.clock, fork())
    this.network.onDrop = () => this.count('dropped')
    this.gateway = this.#createGateway(programs, fork())
    const count = (what: string): void => this.count(what)
    const around = { grid, clock: this.clock, gateway: this.gateway, count }
    this.#rules = new RuleChecker({ ...around, model: this.#model })
    if (shape.patchesPrograms) {
      const own = { random: new Random(seed), stories: this.#stories }
      this.#codex = new CodexChecker({ ...around, ...own })
    }
    this.nodes = Array.from({ length: shape.drawNodes(random, this.#options) }, (_, index) =>
      this.#createNode(`node-${index}`, programs, fork()),
    )
    this.#clients = new SimulatedClients({
      ...around,
      random: fork(),
      stories: this.#stories,
      checkers: this.#checkers,
      codex: this.#codex,
      regionSideMax: shape.regionSideMax,
    })
    if (shape.looksEveryMs !== undefined) {
      this.#lookers = new SimulatedLookers({
        ...around,
        random: fork(),
        model: this.#model,
        checkers: this.#checkers,
      })
    }
    if (shape.readingsEveryMs !== undefined) {
      this.#sensors = new SimulatedSensors({ ...around, random: fork(), checker: this.#readings })
    }
    // With too few copies left, such writes would rightly wait for good.
    const losesCards = this.#options.minInSync === 1 && random.unit() < 0.6
    const faults = {
      everyMs: random.between(...shape.faultsEveryMs),
      share: shape.faultsShare,
      gatewayShare: shape.gatewayFaultsShare,
      untilMs: FAULTS_MS,
      losesCards,
      losesTiles: shape.meetsAll && losesCards && random.unit() < 0.3,
    }
    this.#faults = new SimulatedFaults(faults, this, fork())
    this.#messages = new MessageWatch(this, this.#heard, this.#faults, this.#stories)
    this.#moves = new MoveWatch(this.gateway, this.#options)
    const parts = {
      model: this.#model,
      faults: this.#faults,
      stories: this.#stories,
      clients: this.#clients,
      handOffs: this.#handOffs,
      checkers: this.#checkers,
      readings: this.#readings,
      codex: this.#codex,
      sensors: this.#sensors,
      readingsEveryMs: shape.readingsEveryMs ?? 0,
    }
    this.#rebuild = new RebuiltLedger(this, parts)
    this.#losesLedger = shape.meetsAll && random.unit() < 0.2 && !faults.losesTiles
    const isCopied = [SMALL, SENSED, PATCHED].includes(shape)
    if (isCopied && !this.#losesLedger && !faults.losesTiles) {
      this.#copy = RestoredCopy.drawn(seed, this, programs, { ...parts, rebuild: this.#rebuild })
    }
    this.#notices = new NoticeWatch(this, {
      heard: this.#heard,
      faults: this.#faults,
      rebuild: this.#rebuild,
      copy: this.#copy,
      deadAfterMs: this.#options.deadAfterMs,
    })
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
    const { looksEveryMs, readingsEveryMs } = this.#shape
    if (readingsEveryMs !== undefined) {
      this.clock.at(50, () => this.#sensors!.keepTelling(readingsEveryMs, FAULTS_MS))
    }
    if (looksEveryMs !== undefined) {
      this.clock.at(50, () => this.#lookers!.keepLooking(looksEveryMs, FAULTS_MS))
    }
    if (this.#shape.setsRules) this.#rules.keepSetting(300, FAULTS_MS / 3)
    this.#codex?.keepPatching(FAULTS_MS)
    this.clock.at(500, () => this.#faults.begin())
    if (this.#shape.meetsAll) this.#watchMoves()
    this.#copy?.begin(FAULTS_MS)
    await this.clock.run(FAULTS_MS)
    this.#faults.end()
    if (this.#faults.someStayFull) await this.#goOnWithoutRoom()
    if (this.#losesLedger) await this.#rebuild.lose(this.#random, TASK_EVERY_MS)
    if (this.#copy !== undefined) await this.#copy.restore(TASK_EVERY_MS)
    await this.#comeToRest()
    if (this.#sensors !== undefined) {
      await tellWithoutOne(this, {
        options: this.#options,
        random: this.#random,
        model: this.#model,
        clients: this.#clients,
        sensors: this.#sensors,
        readings: this.#readings,
      })
      await this.#comeToRest()
      this.#readings.atRest()
    }
    // What was forgotten and comes late, as a deadline of something that has ended, comes now.
    await this.clock.run(this.clock.nowMs + DEADLINE_MS_MAX)
    this.#checkers.finished()
    this.#copy?.atRest()
    if (this.#lookers?.isIdle === false) violated('a look was never answered')
    if (!this.#losesLedger) this.#watches.atRest()
    if (!this.#losesLedger) this.#rules.atRest()
    this.#codex?.atRest()
    if (this.#options.retentionMs < DEADLINE_MS_MAX) await this.#outliveResults()
    this.#handOffs.atRest(this.nodes.map(({ id }) => id))
    if (this.nodes.length > this.#options.replicas) await this.#faults.drainOne(REST_MS)
    const used = this.#nodesUsed.size
    if (used < this.#shape.nodesUsedMin) violated(`only ${used} nodes ever held a written tile`)
  }

  async #comeToRest(): Promise<void> {
    const withinMs = REST_MS + this.#faults.backOffMs
    const endMs = this.clock.nowMs + withinMs
    while (this.clock.nowMs < endMs && this.#unrest !== undefined) {
      await this.clock.run(this.clock.nowMs + REST_CHECK_MS)
    }
    const unrest = this.#unrest
    if (unrest !== undefined) violated(`no rest ${withinMs} ms after the last fault: ${unrest}`)
  }

  get #unrest(): string | undefined {
    if (this.#sensors?.isIdle === false) return 'a sensor waits for its acknowledgement'
    return unrestOf(this, this.#clients, this.#stories)
  }

  /** Nobody makes room on a full disk: all that was asked ends all the same, and what moves elsewhere. */
  async #goOnWithoutRoom(): Promise<void> {
    this.count('fault-full-disk-for-ever')
    await this.clock.run(this.clock.nowMs + DEADLINE_MS_MAX + LATE_MS)
    const open = this.#stories.accepted.find(({ ends }) => ends === 0)
    if (open !== undefined) violated(`task ${open.id} is ${open.state} after its deadline`)
    this.#faults.makeRoomEverywhere()
  }

  /** All that was kept for long enough goes, whatever the clock said. */
  async #outliveResults(): Promise<void> {
    const { retentionMs, retentionTasks } = this.#options
    await this.clock.run(this.clock.nowMs + retentionMs + SWEEP_MS)
    const kept = this.ledger.count('result')
    if (kept > retentionTasks)
      violated(`${kept} results are kept, ${retentionTasks} at the most are due`)
  }

  #watchMoves(): void {
    this.clock.after(MOVES_LOOK_MS, () => {
      this.#moves.look()
      this.#watchMoves()
    })
  }

  /** Of everything that processes did, in order. */
  get fingerprint(): string {
    return this.#trace.copy().digest('hex')
  }

  writeEverywhere(): void {
    this.#clients.write(this.#options.grid.geometry.whole)
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
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
    const setUp = drawNode(random, id as NodeId)
    return new SimulatedNode({ programs, ...setUp }, new SliceCard(this.#options.grid), {
      clock: this.clock,
      network: this.network,
      random,
      witness: this.#nodeWitness(),
      strikes: () => this.#faults.strikes(id),
      strikesFlush: () => this.#faults.strikesFlush(id),
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
      effect: (effect) => {
        this.#note('gateway', effect)
        if (effect.type !== 'persist') return
        this.#checkers.decided(effect.records, this.clock.nowMs)
        this.lost.decided(effect.records)
        this.#rebuild.decided(effect.records)
      },
      flushed: (records) => {
        this.lost.flushed(records)
        this.#codex?.flushed(records)
        this.#checkers.flushed(records)
        this.#readings.flushed(records)
        // A node of a lost ledger may have been the last one to get a write, and is not the first one here.
        const isLate = ({ table, value }: LedgerRecord): boolean =>
          table === 'member' && value?.rebaseFrom !== undefined
        if (records.some(isLate)) this.#handOffs.forget()
        this.#handOffs.flushed(records)
      },
      sent: (connection, message) => {
        this.#checkers.sent(message)
        this.#messages.sent(connection, message)
      },
      received: (connection, message) => {
        this.#messages.received(connection, message)
        this.#rebuild.received(connection, message)
      },
      notice: (notice) => this.#notices.noticed(notice),
      announced: (task, state) => {
        this.#checkers.announced(task, state)
        const story = this.#stories.find(task)!
        this.count(`end-${state}${story.isWrite ? `-${story.effect}` : ''}`)
      },
      published: (effect) => {
        for (const checker of [this.#checkers, this.#watches, this.#rules]) {
          checker.published(effect)
        }
      },
      started: (openWrites) => {
        this.#rebuild.gatewayStarted()
        this.#rules.gatewayStarted()
        this.lost.gatewayDied()
        this.#handOffs.forget()
        this.#heard.restart(this.gateway.awakeMs)
        if (openWrites > 0) this.count('cold-restart-with-open-writes')
        if (this.ledger.count('cell') > 0) this.count('journal-taken-up')
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
}
