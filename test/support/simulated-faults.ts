/**
 * What goes wrong, drawn from the seed: processes die at any effect, paths break and stall, nodes freeze
 * and slow down, cards are lost, restored or full. The budget of recovery.md is kept: a card is taken
 * only where another holder has all that it had.
 */
import type { NodeId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import { CardFaults } from './simulated-card-faults.ts'
import type { SimulatedFleet } from './simulated-fleet.ts'
import type { Way } from './simulated-network.ts'
import type { SimulatedNode } from './simulated-node.ts'
import { violated } from './violation.ts'

/** How often it is looked whether all is at rest, and how long what just happened may have an effect. */
export const REST_CHECK_MS = 250

/** Two stops for a full disk, one after the other, and a look. */
const BACK_OFF_MS = 110_000

export interface FaultOptions {
  /** Mean time between two faults. */
  readonly everyMs: number
  readonly untilMs: number
  /** Share of the kinds of faults that this seed has. */
  readonly share: number
  /** Share of the gateway's own faults that come to be. */
  readonly gatewayShare: number
  /** Cards are lost and restored. */
  readonly losesCards: boolean
  /** All cards of a tile are lost. */
  readonly losesTiles: boolean
}

type Fault = (node: SimulatedNode) => string | undefined

const flushOf = (node: string): string => `${node}/flush`

/** Why a node is away: its key is gone, or it comes late to a ledger that is rebuilt. */
type Absence = 'revoked' | 'late'

export class SimulatedFaults {
  readonly #options: FaultOptions
  readonly #fleet: SimulatedFleet
  readonly #random: Random
  readonly #faults: Fault[]
  /** Effects until a process dies, by node id or `gateway`, and flushes of a node, by `flushOf`. */
  readonly #strikes = new Map<string, number>()
  readonly #drained = new Set<string>()
  readonly #everDrained = new Set<string>()
  readonly #everRevoked = new Set<string>()
  /** Nodes that nobody starts, and all that keeps them. */
  readonly #away = new Map<string, Set<Absence>>()
  readonly #cards: CardFaults
  #slowsTarget = false
  #isOver = false
  /** How long a node may wait before it goes on by itself. */
  backOffMs = 0

  constructor(options: FaultOptions, fleet: SimulatedFleet, random: Random) {
    this.#options = options
    this.#fleet = fleet
    this.#random = random
    this.#cards = new CardFaults(fleet, random, this)
    const all: Fault[] = [
      (node) => this.#crashNode(node),
      (node) => this.#strikeNode(node),
      (node) => this.#strikeFlush(node),
      (node) => this.#stopNode(node),
      () => this.#crashGateway(),
      () => this.#strikeGateway(),
      () => this.#freezeGateway(),
      (node) => this.#cut(node),
      (node) => this.#cut(node),
      (node) => this.#stall(node),
      (node) => this.#freeze(node),
      (node) => this.#slow(node),
      () => this.#slowTarget(),
      (node) => this.#fillDisk(node),
      () => this.#fillTarget(),
      () => this.#shed(),
      (node) => this.#drain(node),
      (node) => this.#cards.rot(node),
      () => this.#jumpClock(),
    ]
    // Each seed has its own troubles: all at once would hide what only one of them shows.
    this.#faults = all.filter(() => random.unit() < options.share)
    const takeCard: Fault = (node) => this.#cards.takeCard(node)
    if (options.losesCards) this.#faults.push(takeCard, takeCard)
    if (options.losesTiles) this.#faults.push(() => this.#cards.takeAllCards())
  }

  begin(): void {
    if (this.#faults.length === 0) return
    const { everyMs, untilMs } = this.#options
    const { clock, nodes } = this.#fleet
    const waitMs = this.#random.between(0, 2 * everyMs)
    if (clock.nowMs + waitMs > untilMs) return
    clock.after(waitMs, () => {
      if (this.#options.losesCards && this.#random.unit() < 0.3) this.#cards.keepImage()
      const fault = this.#faults[this.#random.integer(this.#faults.length)]!
      const name = fault(nodes[this.#random.integer(nodes.length)]!)
      if (name !== undefined) this.#fleet.count(`fault-${name}`)
      this.begin()
    })
  }

  /** Everything heals, and stays well. */
  end(): void {
    this.#isOver = true
    this.#cards.end()
    this.#strikes.clear()
    const { gateway, nodes, network } = this.#fleet
    network.healAll()
    if (!gateway.isUp) gateway.start()
    // Again, since the gateway may have died before the first time was on its disk.
    for (const id of this.#everDrained) gateway.drain(id, false)
    const staysFull = this.#random.unit() < 0.5
    for (const node of nodes) {
      node.slowness = 1
      if (node.card.disk.isFull && !staysFull) this.#makeRoom(node)
      if (!node.isUp) node.start()
    }
  }

  /** Whether the disk of some node is full, and nobody is about to make room. */
  get someStayFull(): boolean {
    return this.#fleet.nodes.some(({ card }) => card.disk.isFull)
  }

  /** At last somebody does. */
  makeRoomEverywhere(): void {
    for (const node of this.#fleet.nodes) if (node.card.disk.isFull) this.#makeRoom(node)
  }

  /** When all is at rest an operator empties a node, whose disk may be slow, and it leaves. */
  async drainOne(withinMs: number): Promise<void> {
    const { gateway, nodes, clock } = this.#fleet
    const node = nodes[this.#random.integer(nodes.length)]!
    node.slowness = this.#random.between(1, 100)
    gateway.drain(node.id, true)
    const hasLeft = (): boolean => gateway.view?.node(node.id as NodeId)?.state === 'left'
    const endMs = clock.nowMs + withinMs
    while (!hasLeft() && clock.nowMs < endMs) await clock.run(clock.nowMs + REST_CHECK_MS)
    if (!hasLeft()) violated(`node ${node.id} was drained and has not left in ${withinMs} ms`)
    // Its farewell goes out, and is checked as all else.
    await clock.run(clock.nowMs + REST_CHECK_MS)
  }

  wasRevoked(node: string): boolean {
    return this.#everRevoked.has(node)
  }

  /** Takes a node down until it is brought back from all that it was taken for. */
  takeAway(node: SimulatedNode, why: Absence): void {
    this.#away.set(node.id, (this.#away.get(node.id) ?? new Set()).add(why))
    node.crash()
  }

  /** What is away for another reason stays so. */
  bringBack(node: SimulatedNode, why?: Absence): void {
    const kept = this.#away.get(node.id)
    if (why !== undefined && kept?.delete(why) && kept.size === 0) this.#away.delete(node.id)
    if (!node.isUp && !this.#away.has(node.id)) node.start()
  }

  /** Whether the process dies at this effect. */
  strikes(process: string): boolean {
    if (!this.#isStruck(process)) return false
    this.#fleet.count(`fault-${process === 'gateway' ? 'gateway' : 'node'}-crash-at-effect`)
    this.#later(50, 3000, () => this.#restart(process))
    return true
  }

  /** Whether the node dies in the middle of this flush. */
  strikesFlush(node: string): boolean {
    if (!this.#isStruck(flushOf(node))) return false
    this.#fleet.count('fault-node-crash-in-flush')
    this.#later(50, 3000, () => this.#restart(node))
    return true
  }

  #isStruck(at: string): boolean {
    const left = this.#strikes.get(at)
    if (left === undefined) return false
    this.#strikes.set(at, left - 1)
    if (left > 0) return false
    this.#strikes.delete(at)
    return true
  }

  tears(): boolean {
    const isTorn = !this.#isOver && this.#random.unit() < 0.5
    if (isTorn) this.#fleet.count('fault-torn-commit')
    return isTorn
  }

  /** The service manager starts again what ended by itself. */
  exited(node: string): void {
    this.#later(500, 1500, () => this.#restart(node))
  }

  #restart(process: string): void {
    const { gateway, nodes } = this.#fleet
    const node = nodes.find(({ id }) => id === process)
    if (node !== undefined) this.bringBack(node)
    else if (!gateway.isUp) gateway.start()
  }

  /** Also when the faults are over, since something may have to come back up. */
  #later(minMs: number, maxMs: number, act: () => void): void {
    this.#fleet.clock.after(this.#random.between(minMs, maxMs), act)
  }

  #crashNode(node: SimulatedNode): string | undefined {
    if (!node.isUp) return undefined
    const isSilent = this.#random.unit() < 0.3
    node.crash({ isSilent })
    const longest = this.#random.unit() < 0.3 ? 12_000 : 2000
    this.#later(50, longest, () => this.#restart(node.id))
    return isSilent ? 'node-crash-silent' : 'node-crash'
  }

  #strikeNode(node: SimulatedNode): undefined {
    this.#strikes.set(node.id, this.#random.integer(40))
  }

  #strikeFlush(node: SimulatedNode): undefined {
    this.#strikes.set(flushOf(node.id), this.#random.integer(4))
  }

  #stopNode(node: SimulatedNode): string | undefined {
    if (!node.isUp) return undefined
    node.stop()
    return 'node-stop'
  }

  #crashGateway(): string | undefined {
    const { gateway } = this.#fleet
    if (!gateway.isUp || !this.#reachesGateway()) return undefined
    gateway.crash()
    this.#later(50, 3000, () => this.#restart('gateway'))
    return 'gateway-crash'
  }

  #freezeGateway(): string | undefined {
    const { gateway, clock } = this.#fleet
    if (!gateway.isUp || !this.#reachesGateway()) return undefined
    const untilMs = clock.nowMs + this.#random.between(1000, 8000)
    gateway.freeze(Math.min(untilMs, this.#options.untilMs))
    return 'gateway-freeze'
  }

  #reachesGateway(): boolean {
    const { gatewayShare } = this.#options
    return gatewayShare === 1 || this.#random.unit() < gatewayShare
  }

  #strikeGateway(): undefined {
    if (!this.#reachesGateway()) return
    this.#strikes.set('gateway', this.#random.integer(150))
  }

  #cut(node: SimulatedNode): string | undefined {
    return this.#fleet.network.cut(node.id) ? 'cut' : undefined
  }

  #stall(node: SimulatedNode): string {
    const untilMs = this.#fleet.clock.nowMs + this.#random.between(100, 5000)
    const draw = this.#random.unit()
    const ways: readonly Way[] = draw < 0.25 ? ['up'] : draw < 0.5 ? ['down'] : ['up', 'down']
    this.#fleet.network.stall(node.id, Math.min(untilMs, this.#options.untilMs), ways)
    return ways.length === 2 ? 'stall' : 'stall-one-way'
  }

  #freeze(node: SimulatedNode): string | undefined {
    if (!node.isUp) return undefined
    const untilMs = this.#fleet.clock.nowMs + this.#random.between(100, 4000)
    node.freeze(Math.min(untilMs, this.#options.untilMs))
    return 'freeze'
  }

  #slow(node: SimulatedNode): string {
    node.slowness = this.#random.between(20, 400)
    this.#later(500, 4000, () => {
      node.slowness = 1
    })
    return 'slow'
  }

  /** The next node that has a page for itself does nothing but live, for longer than a move may stand still. */
  #slowTarget(): undefined {
    this.#slowsTarget = true
  }

  /** A node says that it has staged a page. */
  staged(id: string): void {
    if (!this.#slowsTarget || this.#isOver) return
    this.#slowsTarget = false
    this.#fleet.count('fault-slow-target')
    this.slowDown(this.#fleet.nodes.find((one) => one.id === id)!)
  }

  /** The gateway asks for the page of a tile. */
  copying(tile: number): void {
    this.#cards.copying(tile)
  }

  slowDown(node: SimulatedNode): void {
    node.slowness = this.#random.between(1000, 2500)
    this.#later(3000, 9000, () => {
      node.slowness = 1
    })
  }

  #fillTarget(): string | undefined {
    const node = this.#drawTarget()
    return node && this.#fillDisk(node) && 'full-target'
  }

  /** A node that a tile is just going to. */
  #drawTarget(): SimulatedNode | undefined {
    const open = this.#fleet.gateway.view?.moves().open ?? []
    if (open.length === 0) return undefined
    const { to } = open[this.#random.integer(open.length)]!
    return this.#fleet.nodes.find(({ id }) => id === to)
  }

  #fillDisk(node: SimulatedNode): string | undefined {
    if (!node.isUp || node.card.disk.isFull) return undefined
    node.card.disk.isFull = true
    // Nobody makes room, at times, until all is over.
    if (this.#random.unit() < 0.3) return 'full-disk-for-good'
    this.#later(200, 3000, () => {
      if (node.card.disk.isFull) this.#makeRoom(node)
    })
    return 'full-disk'
  }

  /** An operator does; the node goes on by itself, if nobody starts it again. */
  #makeRoom(node: SimulatedNode): void {
    node.card.disk.isFull = false
    if (this.#random.unit() < 0.5) {
      this.#fleet.count('room-by-itself')
      this.backOffMs = BACK_OFF_MS
      return
    }
    node.crash()
    this.bringBack(node)
  }

  #shed(longestMs = 2000): string | undefined {
    if (!this.#reachesGateway()) return undefined
    this.#fleet.network.dropShare = this.#random.between(0.01, 0.3)
    this.#later(100, longestMs, () => {
      this.#fleet.network.dropShare = 0
    })
    return 'shed'
  }

  /** An operator empties a node, and thinks better of it some time later. */
  #drain(node: SimulatedNode): string | undefined {
    const { id } = node
    const { gateway } = this.#fleet
    if (!gateway.isUp || this.#drained.size > 0) return undefined
    // Without a draw of its own: who goes on is as it was.
    if (this.#everDrained.size % 2 === 1) this.#revoke(node)
    else gateway.drain(id, true)
    this.#drained.add(id)
    this.#everDrained.add(id)
    if (this.#options.losesTiles) this.#cards.takeAllCards()
    // Pages lose pieces, and are asked for again when writes have changed them.
    if (this.#random.unit() < 0.4 && this.#shed(5000) !== undefined) {
      this.#fleet.count('fault-shed-under-drain')
    }
    this.#later(1000, 8000, () => this.#takeBackDrain(id))
    return 'drain'
  }

  /** A node loses its key: it is out at once, and comes back with another key when somebody wants it back. */
  #revoke(node: SimulatedNode): void {
    const { gateway } = this.#fleet
    this.#fleet.count('fault-revoke')
    this.takeAway(node, 'revoked')
    this.#everRevoked.add(node.id)
    gateway.revoke(node.id, () => {
      const state = gateway.view?.node(node.id as NodeId)?.state
      if (state !== undefined && state !== 'dead' && state !== 'left') {
        violated(`node ${node.id} was revoked and is ${state}`)
      }
    })
  }

  #takeBackDrain(id: string): void {
    const { gateway, nodes } = this.#fleet
    if (!this.#drained.has(id)) return
    if (gateway.isUp) {
      gateway.drain(id, false)
      this.#drained.delete(id)
      if (this.#away.get(id)?.has('revoked')) {
        this.bringBack(nodes.find((one) => one.id === id)!, 'revoked')
      }
    } else this.#later(500, 500, () => this.#takeBackDrain(id))
  }

  /** Somebody sets the gateway's clock: forth or back by up to a day. */
  #jumpClock(): string {
    this.#fleet.gateway.setWall(this.#random.between(-86_400_000, 86_400_000))
    return 'clock-jump'
  }
}
