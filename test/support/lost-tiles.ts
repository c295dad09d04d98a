/**
 * Tiles of which every card that had them was taken away. What nobody has is missing until an operator has it
 * made anew; what was asked of it meanwhile may fail, and nothing else may.
 */
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
import type { Checkers } from './checkers.ts'
import { type GridModel, tilesOfPlain } from './grid-model.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { SimulatedNode } from './simulated-node.ts'
import type { TaskStories, TaskStory } from './task-stories.ts'

export interface LosingFleet {
  readonly clock: SimulatedClock
  readonly gateway: SimulatedGateway
  readonly nodes: readonly SimulatedNode[]
}

const LOOK_MS = 700

export class LostTiles {
  readonly #fleet: LosingFleet
  readonly #checkers: Checkers
  readonly #model: GridModel
  readonly #stories: TaskStories
  /** All that ever were. */
  readonly #tiles = new Set<number>()
  /** An operator has had these made anew, by the records of which this is the first; not on disk yet. */
  #recreated: { readonly tiles: readonly number[]; record: LedgerRecord | undefined }[] = []

  constructor(fleet: LosingFleet, checkers: Checkers, model: GridModel, stories: TaskStories) {
    this.#fleet = fleet
    this.#checkers = checkers
    this.#model = model
    this.#stories = stories
  }

  get isAny(): boolean {
    return this.#tiles.size > 0
  }

  /** Whether a tile is made anew, and the ledger's disk has not taken that yet. */
  isAwaited(tile: number): boolean {
    return this.#recreated.some(({ tiles }) => tiles.includes(tile))
  }

  /** Whether a task has to do with one of them. */
  concern({ plain }: Pick<TaskStory, 'plain'>): boolean {
    if (this.#tiles.size === 0 || plain.items !== undefined) return false
    return tilesOfPlain(plain, this.#model.grid).some((tile) => this.#tiles.has(tile))
  }

  /** The cards of these nodes are about to go. */
  note(taken: readonly SimulatedNode[]): void {
    const { nodes } = this.#fleet
    const others = nodes.filter((node) => !taken.includes(node))
    const atOf = (of: readonly SimulatedNode[], tile: number): number =>
      Math.max(0, ...of.map(({ card }) => card.at(tile)))
    const { view } = this.#fleet.gateway
    const isTaken = (id: string): boolean => taken.some((node) => node.id === id)
    for (let tile = 0; tile < this.#model.grid.geometry.tiles; tile++) {
      // Or the only holder never had it: its first write is on the way.
      const isBorn = this.#model.tileAt(tile, Number.POSITIVE_INFINITY).seq > 0
      const isGone = atOf(taken, tile) > atOf(others, tile)
      if (isGone || (isBorn && view?.holdersOf(tile).every(isTaken))) this.#tiles.add(tile)
    }
    this.#recreateLater()
  }

  /** The operator looks now and then, as long as some are missing. */
  #recreateLater(): void {
    const { clock, gateway } = this.#fleet
    clock.after(LOOK_MS, () => {
      const { tilesMissing = 0 } = gateway.view?.counts() ?? {}
      if (tilesMissing > 0) this.recreate()
      this.#recreateLater()
    })
  }

  recreate(): void {
    const { gateway } = this.#fleet
    gateway.recreate(() => {
      const { view } = gateway
      const moving = new Set(
        view!
          .moves()
          .open.filter(isAdopted)
          .map(({ tile }) => tile),
      )
      const { geometry } = this.#model.grid
      const tiles = Array.from({ length: geometry.tiles }, (_, tile) => tile).filter(
        (tile) => view!.holdersOf(tile).length === 0 && !moving.has(tile),
      )
      if (tiles.length > 0) this.#recreated.push({ tiles, record: undefined })
    })
  }

  /** The ledger is about to take these. */
  decided(records: readonly LedgerRecord[]): void {
    const last = this.#recreated.at(-1)
    if (last !== undefined) last.record ??= records[0]
  }

  /** The ledger's disk took these: before anything of them happens, what is made anew is as it never was. */
  flushed(records: readonly LedgerRecord[]): void {
    for (let next = this.#recreated[0]; next !== undefined; next = this.#recreated[0]) {
      if (next.record === undefined || !records.includes(next.record)) return
      this.#recreated.shift()
      this.#begin(next.tiles)
    }
  }

  #begin(tiles: readonly number[]): void {
    for (const tile of tiles) {
      this.#model.restart(tile)
      this.#checkers.forget(tile, 0)
    }
    for (const story of this.#stories.all) {
      if (story.result === undefined) story.isExcused ||= this.concern(story)
    }
  }

  /** A gateway that died had not taken it. */
  gatewayDied(): void {
    this.#recreated = []
  }
}

function isAdopted({ stage }: { stage: string }): boolean {
  return stage === 'catching-up'
}
