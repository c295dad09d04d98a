/** The cards of a fleet: what those that are gone had on them, and which may go. */
import type { NodeId } from '../../shared/core/ids.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { SimulatedNode } from './simulated-node.ts'

export interface CardedFleet {
  readonly gateway: SimulatedGateway
  readonly nodes: readonly SimulatedNode[]
}

export class FleetCards {
  readonly #fleet: CardedFleet
  readonly #tiles: number
  /** By node: `at` by tile. */
  readonly #lost: { readonly node: string; readonly pages: ReadonlyMap<number, number> }[] = []
  /** Stores that were on an older image, by node. */
  readonly #restored = new Map<string, string>()

  constructor(fleet: CardedFleet, tiles: number) {
    this.#fleet = fleet
    this.#tiles = tiles
  }

  /** What a node had of a tile on a card or page that is lost since. */
  lostAt(node: string, tile: number): number {
    return Math.max(
      0,
      ...this.#lost.map((card) => (card.node === node && card.pages.get(tile)) || 0),
    )
  }

  /** Whether all that a node has is also on another holder's disk. */
  maySpare(node: SimulatedNode): boolean {
    const { view, isFrozen } = this.#fleet.gateway
    // A frozen gateway may still have a hello of this card to take, and place tiles on it.
    if (isFrozen) return false
    if (view === undefined || view.node(node.id as NodeId)?.state === 'alive') return false
    const isRestored = ({ id, card }: SimulatedNode): boolean =>
      this.#restored.has(id) && this.#restored.get(id) === card.storeId
    if (this.#fleet.nodes.some(isRestored)) return false
    for (let tile = 0; tile < this.#tiles; tile++) {
      const holders: readonly string[] = view.holdersOf(tile)
      const at = node.card.at(tile)
      if (!holders.includes(node.id) && at === 0) continue
      const isElsewhere = this.#fleet.nodes.some(
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
    const { view } = this.#fleet.gateway
    if (view === undefined || this.#fleet.nodes.some((other) => other.card.isRotten)) return false
    // The other copy may be the one that is about to go.
    if (view.moves().open.some((move) => move.tile === tile)) return false
    const at = node.card.at(tile)
    const holders: readonly string[] = view.holdersOf(tile)
    return this.#fleet.nodes.some(
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
    this.#lost.push({ node: node.id, pages })
  }

  /** With an older image on it, or with nothing. */
  replace(node: SimulatedNode, image: unknown): void {
    this.noteLoss(node, node.card.tiles())
    node.card.disk.replace(image)
    if (image !== undefined) this.#restored.set(node.id, node.card.storeId!)
  }

  /** How many nodes have, or had on a card that was lost, this tile on disk up to `seq`. */
  countCopies(tile: number, seq: number): number {
    const having = new Set<string>()
    for (const { id, card } of this.#fleet.nodes) {
      if (card.at(tile) >= seq) having.add(id)
    }
    for (const { node, pages } of this.#lost) {
      if ((pages.get(tile) ?? 0) >= seq) having.add(node)
    }
    return having.size
  }
}
