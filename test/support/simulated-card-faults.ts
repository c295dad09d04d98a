/**
 * Cards that rot, that are lost, and that come back as they once were. One is taken only where another holder has all
 * that it had, and in fleets that may lose tiles also all of a tile.
 */
import type { Random } from '../../shared/core/random.ts'
import type { SimulatedFleet } from './simulated-fleet.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** What becomes of a node beside its card. */
export interface NodeActs {
  slowDown(node: SimulatedNode): unknown
  bringBack(node: SimulatedNode): void
}

export class CardFaults {
  readonly #fleet: SimulatedFleet
  readonly #random: Random
  readonly #acts: NodeActs
  readonly #images = new Map<string, unknown>()
  #takesAllCards = false
  #isOver = false

  constructor(fleet: SimulatedFleet, random: Random, acts: NodeActs) {
    this.#fleet = fleet
    this.#random = random
    this.#acts = acts
  }

  /** No card goes from now on. */
  end(): void {
    this.#isOver = true
  }

  #later(minMs: number, maxMs: number, act: () => void): void {
    this.#fleet.clock.after(this.#random.between(minMs, maxMs), act)
  }

  /** A page rots on the card, where another holder has it. */
  rot(node: SimulatedNode): string | undefined {
    const tiles = node.card.tiles().filter((tile) => this.#fleet.cards.mayRot(node, tile))
    if (tiles.length === 0) return undefined
    const tile = tiles[this.#random.integer(tiles.length)]!
    this.#fleet.cards.noteLoss(node, [tile])
    node.card.rot(tile, this.#random)
    return 'rot'
  }

  keepImage(): void {
    const { nodes } = this.#fleet
    const node = nodes[this.#random.integer(nodes.length)]!
    this.#images.set(node.id, node.card.disk.image())
  }

  /** The node goes down; once that is known, it comes back with another card. */
  takeCard(node: SimulatedNode): string | undefined {
    if (!node.isUp) return undefined
    node.crash()
    this.#later(100, 2000, () => {
      if (node.isUp) return
      const image = this.#random.unit() < 0.7 ? this.#images.get(node.id) : undefined
      if (!this.#isOver && this.#fleet.cards.maySpare(node)) {
        this.#fleet.count(image === undefined ? 'fault-card-lost' : 'fault-card-restored')
        this.#fleet.cards.replace(node, image)
      }
      this.#acts.bringBack(node)
    })
    return undefined
  }

  /** With the next page that is copied all cards of a tile go. */
  takeAllCards(): undefined {
    this.#takesAllCards = true
  }

  /**
   * The gateway asks for the page of a tile. Its target is slow, and all cards of another one go while a write over
   * both is under way.
   */
  copying(tile: number): void {
    if (!this.#takesAllCards || this.#isOver) return
    this.#takesAllCards = false
    const { clock, gateway, nodes } = this.#fleet
    clock.after(0, () => {
      const move = gateway.view?.moves().open.find((one) => one.tile === tile)
      if (move === undefined) return
      const taken = this.#drawHolders(tile)
      this.#acts.slowDown(nodes.find(({ id }) => id === move.to)!)
      this.#fleet.writeEverywhere()
      this.#later(1, 20, () => {
        for (const node of taken) node.crash()
      })
      this.#later(30, 1000, () => this.#replaceAll(taken))
    })
  }

  /** All that hold a written tile: another one than this, if it then has some holder left. */
  #drawHolders(tile: number): SimulatedNode[] {
    const { gateway, nodes } = this.#fleet
    const holdersOf = (of: number): SimulatedNode[] => {
      const holders: readonly string[] = gateway.view!.holdersOf(of)
      return nodes.filter(({ id }) => holders.includes(id))
    }
    const own = holdersOf(tile)
    const others = [...new Set(nodes.flatMap(({ card }) => card.tiles()))]
      .sort((a, b) => a - b)
      .map(holdersOf)
      .filter((holders) => own.some((node) => !holders.includes(node)))
    return others[this.#random.integer(Math.max(1, others.length))] ?? own
  }

  #replaceAll(taken: readonly SimulatedNode[]): void {
    const { gateway, cards, lost } = this.#fleet
    const isTaken = !this.#isOver && gateway.isUp
    if (isTaken) {
      this.#fleet.count('fault-all-cards')
      for (const node of taken) node.crash()
      lost.note(taken)
    }
    for (const node of taken) {
      if (isTaken) cards.replace(node, undefined)
      this.#acts.bringBack(node)
    }
  }
}
