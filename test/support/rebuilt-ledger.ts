/**
 * A ledger that is rebuilt from the nodes: how many are waited for, who comes late, and what is still to be
 * seen of each tile. What only a late node has is missing until that comes; what nobody brought is lost once
 * the operator has the rest made anew.
 */
import type { IdentityRecord, LedgerRecord } from '../../broker/core/ledger-records.ts'
import type { Random } from '../../shared/core/random.ts'
import type { Up } from '../../shared/protocol/messages.ts'
import type { Checkers } from './checkers.ts'
import type { CodexChecker } from './codex-checker.ts'
import type { GridModel } from './grid-model.ts'
import type { HandOffChecker } from './hand-off-checker.ts'
import { NewcomerWatch } from './newcomer-watch.ts'
import type { ReadingChecker } from './reading-checker.ts'
import type { SimulatedClients } from './simulated-clients.ts'
import type { SimulatedFaults } from './simulated-faults.ts'
import type { SimulatedFleet } from './simulated-fleet.ts'
import type { SimulatedNode } from './simulated-node.ts'
import type { SimulatedSensors } from './simulated-sensors.ts'
import type { TaskStories } from './task-stories.ts'
import { violated } from './violation.ts'

const LATE_SHARE = 0.5
const LATE_MS_MAX = 4000
const PATIENCE_MS = 6000
const LOOK_MS = 250
const WORK_MS = 6000

interface Parts {
  readonly model: GridModel
  readonly faults: SimulatedFaults
  readonly checkers: Checkers
  readonly clients: SimulatedClients
  readonly stories: TaskStories
  readonly handOffs: HandOffChecker
  readonly readings: ReadingChecker
  readonly codex: CodexChecker | undefined
  readonly sensors: SimulatedSensors | undefined
  readonly readingsEveryMs: number
}

export class RebuiltLedger {
  readonly #fleet: SimulatedFleet
  readonly #parts: Parts
  /** Nodes that are not waited for. */
  #late: SimulatedNode[] = []
  #waitsMs: number[] = []
  /** Tiles that only a late node has. */
  readonly #missing = new Set<number>()
  #isRecovered = false
  /** Nodes of a ledger that is restored which its copy does not name, as long as nobody says how many there are. */
  #newcomers: readonly SimulatedNode[] = []
  readonly #newcomerWatch: NewcomerWatch
  /** Told how far the newest copy of each tile has come that a node has shown. */
  onRecovered: (atOf: (tile: number) => number) => void = () => {}

  constructor(fleet: SimulatedFleet, parts: Parts) {
    this.#fleet = fleet
    this.#parts = parts
    this.#newcomerWatch = new NewcomerWatch(fleet.network)
  }

  /** Whether sequences may leap. */
  get mayRaise(): boolean {
    return this.#late.length > 0
  }

  /** The gateway's disk is gone, in the middle of everything; a new ledger is built from the nodes. */
  async lose(random: Random, taskEveryMs: number): Promise<void> {
    const { clients, stories, handOffs, readings, codex, sensors, readingsEveryMs } = this.#parts
    const { clock, gateway, ledger } = this.#fleet
    const { geometry } = this.#parts.model.grid
    await clock.run(clock.nowMs + random.between(0, 3000))
    // Some of these may be all that only the holders of one tile have.
    const tile = random.integer(geometry.tiles)
    for (let count = random.integer(8); count > 0; count--) clients.write(geometry.tileRegion(tile))
    await clock.run(clock.nowMs + random.between(0, 1000))
    this.#fleet.count('fault-ledger-lost')
    clients.startAnew()
    sensors?.startAnew()
    readings.forget()
    codex?.startAnew()
    this.#parts.checkers.forgetOwn()
    stories.forgetOpen()
    gateway.crash()
    ledger.disk.replace()
    handOffs.forget()
    gateway.recoverNodes = this.begin(random)
    gateway.start()
    sensors?.keepTelling(readingsEveryMs, clock.nowMs + WORK_MS)
    codex?.keepPatching(clock.nowMs + WORK_MS)
    clients.keepSubmitting(taskEveryMs, clock.nowMs + WORK_MS)
    await clock.run(clock.nowMs + WORK_MS)
  }

  /** The ledger is gone; how many nodes are waited for. */
  begin(random: Random): number {
    const { nodes } = this.#fleet
    if (nodes.length > 1 && random.unit() < LATE_SHARE) {
      const late = random.unit() < 0.5 ? this.#drawLate(random) : this.#holdersOfLast()
      // Where all others have new cards, an operator waits for one of these.
      const areOthers = nodes.some((node) => node.card.isOfLedger && !late.includes(node))
      this.#late = areOthers ? late : []
      const longestMs = random.unit() < 0.5 ? LATE_MS_MAX : LATE_MS_MAX / 20
      this.#waitsMs = this.#late.map(() => random.between(0, longestMs))
      for (const node of this.#late) this.#parts.faults.takeAway(node, 'late')
    }
    this.#lookAgainAt(this.#waitedFor)
    return this.#waitedFor
  }

  /** It is restored from a copy that waits for these nodes, one of which may be in no hurry. */
  beginRestored(random: Random, waitedFor: readonly string[]): void {
    const { nodes } = this.#fleet
    this.#newcomers = nodes.filter(({ id }) => !waitedFor.includes(id))
    const node = nodes[random.integer(nodes.length)]!
    if (waitedFor.includes(node.id) && random.unit() < LATE_SHARE) {
      this.#fleet.count('restore-waits')
      this.#parts.faults.takeAway(node, 'late')
      this.#fleet.clock.after(random.between(0, PATIENCE_MS), () => {
        this.#parts.faults.bringBack(node, 'late')
      })
    }
    this.#waitPatiently()
  }

  /** An operator sees at last that one of them will not come, as it has another card. */
  #waitPatiently(): void {
    const { clock, gateway } = this.#fleet
    clock.after(2 * PATIENCE_MS, () => {
      if (this.#isRecovered) return
      this.#fleet.count('restore-counted')
      this.#newcomers = []
      gateway.recoverNodes = this.#waitedFor
      gateway.crash()
      gateway.start()
      this.#lookAgainAt(this.#waitedFor)
    })
  }

  /** An operator does not count a board whose card is a new one: nothing comes from it. */
  get #waitedFor(): number {
    const isWaitedFor = (node: SimulatedNode): boolean =>
      node.card.isOfLedger && !this.#late.includes(node)
    return this.#fleet.nodes.filter(isWaitedFor).length
  }

  /** A board that was told to empty itself before has nothing to show once it has: it is not waited for any more. */
  #lookAgainAt(counted: number): void {
    const { clock, gateway } = this.#fleet
    clock.after(LOOK_MS, () => {
      if (this.#isRecovered) return
      const count = this.#waitedFor
      if (count < counted) {
        this.#fleet.count('fewer-to-recover')
        gateway.recoverNodes = count
        gateway.crash()
        gateway.start()
      }
      this.#lookAgainAt(count)
    })
  }

  #drawLate(random: Random): SimulatedNode[] {
    const { nodes } = this.#fleet
    const first = random.integer(nodes.length)
    const count = 1 + random.integer(Math.min(2, nodes.length - 1))
    return Array.from({ length: count }, (_, at) => nodes[(first + at) % nodes.length]!)
  }

  /** All that have the last write, as far as others are left: nobody knows then how far the sequence had come. */
  #holdersOfLast(): SimulatedNode[] {
    const { nodes } = this.#fleet
    const lastOf = ({ card }: SimulatedNode): number =>
      Math.max(0, ...card.tiles().map((tile) => card.at(tile)))
    const last = Math.max(...nodes.map(lastOf))
    return nodes.filter((node) => lastOf(node) === last).slice(0, nodes.length - 1)
  }

  gatewayStarted(): void {
    this.#newcomerWatch.gatewayStarted(this.#fleet.clock.nowMs)
  }

  received(connection: string, message: Up): void {
    this.#newcomerWatch.received(connection, message)
  }

  /** The ledger is about to take these; the notice of it comes when the disk has. */
  decided(records: readonly LedgerRecord[]): void {
    if (this.#newcomers.length === 0) return
    const isDone = ({ table, value }: LedgerRecord): boolean =>
      table === 'meta' && value?.isRecovering === false
    if (!records.some(isDone)) return
    const { clock, gateway } = this.#fleet
    const since = { nowMs: clock.nowMs, waitMs: gateway.reconnectMs! }
    for (const node of this.#newcomerWatch.late(this.#newcomers, since)) {
      this.#fleet.count('late-newcomer')
      this.#late.push(node)
      this.#waitsMs.push(0)
    }
    this.#newcomers = []
  }

  noticed(code: string, node: string): void {
    if (code === 'recovered') this.#recovered()
    if (code === 'recovered-late') this.#cameLate(node)
  }

  #recovered(): void {
    this.#isRecovered = true
    const { nodes, clock, gateway } = this.#fleet
    const here = nodes.filter((node) => !this.#late.includes(node))
    const lastDone = this.#parts.checkers.lastDone
    const ats = lastDone.map((_, tile) => Math.max(0, ...here.map(({ card }) => card.at(tile))))
    this.onRecovered((tile) => ats[tile]!)
    for (let tile = 0; tile < lastDone.length; tile++) {
      const at = ats[tile]!
      const lateAt = Math.max(0, ...this.#late.map(({ card }) => card.at(tile)))
      if (Math.max(at, lateAt) < lastDone[tile]!) {
        violated(`tile ${tile} is recovered at ${at}, ${lastDone[tile]} was shown as done`)
      }
      const holders: readonly string[] = gateway.view?.holdersOf(tile) ?? []
      if (at > 0 && !here.some(({ id, card }) => holders.includes(id) && card.at(tile) === at)) {
        violated(`tile ${tile} is recovered without its copy at ${at}`)
      }
      if (at === 0 && lateAt > 0) this.#missing.add(tile)
      else this.#forget(tile, at)
    }
    this.#continueFrom(this.#fleet.ledger.get<IdentityRecord>('meta', 'identity')!)
    this.#late.forEach((node, index) => {
      clock.after(this.#waitsMs[index]!, () => this.#parts.faults.bringBack(node, 'late'))
    })
    this.#recreateLater()
  }

  #continueFrom({ seq }: IdentityRecord): void {
    const { sequences } = this.#parts.model
    sequences.splice(sequences.findLastIndex((one) => one <= seq) + 1)
    if (seq > this.#parts.model.lastSeq) sequences.push(seq)
  }

  #cameLate(id: string): void {
    this.#fleet.count('late-node')
    const { card } = this.#fleet.nodes.find((node) => node.id === id)!
    for (const tile of this.#missing) {
      const at = card.at(tile)
      if (at === 0) continue
      this.#forget(tile, at)
      this.#missing.delete(tile)
      this.#fleet.count('late-tile')
      this.#parts.clients.write(this.#parts.model.grid.geometry.tileRegion(tile))
    }
    const { seq } = this.#fleet.ledger.get<IdentityRecord>('meta', 'identity')!
    if (seq > this.#parts.model.lastSeq) this.#parts.model.sequences.push(seq)
  }

  /** An operator has the rest made anew, once all nodes are there. */
  #recreateLater(): void {
    const { clock, nodes, lost } = this.#fleet
    clock.after(this.#late.length === 0 ? 1 : LOOK_MS, () => {
      if (this.#late.length === 0 || nodes.every(({ isAdmitted }) => isAdmitted)) lost.recreate()
      else this.#recreateLater()
    })
  }

  #forget(tile: number, seq: number): void {
    this.#parts.model.truncate(tile, seq)
    this.#parts.checkers.forget(tile, seq)
  }
}
