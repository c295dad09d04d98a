/**
 * What waits for tiles, found by who holds them: a member that comes, catches up or goes concerns what waits for
 * its tiles, and a tile that changes hands what waits for that one. Nothing else that waits is looked at.
 *
 * A tile that was never written has the holders that the ring gives it, which change with every member: it concerns
 * all changes. Invariant: a tile is listed under each of its holders, as they were when it was listed.
 */
import type { MemberChange } from './member-changes.ts'
import type { Placement, TouchedTiles } from './placement.ts'

/** What may let go on what waits. */
export interface Changes {
  readonly members: readonly MemberChange[]
  readonly touched: TouchedTiles
  /** Whatever waits is to be looked at. */
  readonly isWide: boolean
}

/** A tile; nothing where anybody will do. */
export type Place = number | undefined

interface Waited<T> {
  readonly items: Set<T>
  /** Nothing where it was never written. */
  readonly holders: readonly number[] | undefined
}

export class TileWaits<T> {
  readonly #placement: Placement
  readonly #byTile = new Map<Place, Waited<T>>()
  readonly #byHolder = new Map<number, Set<Place>>()
  /** Those without a holder of their own. */
  readonly #unborn = new Set<Place>()

  constructor(placement: Placement) {
    this.#placement = placement
  }

  add(tile: Place, item: T): void {
    const waited = this.#byTile.get(tile)
    if (waited === undefined) this.#list(tile, new Set([item]))
    else waited.items.add(item)
  }

  delete(tile: Place, item: T): void {
    const waited = this.#byTile.get(tile)
    waited?.items.delete(item)
    if (waited?.items.size === 0) this.#unlist(tile, waited)
  }

  /** What waits for the tile, which it does no more. */
  take(tile: Place): Iterable<T> {
    const waited = this.#byTile.get(tile)!
    this.#unlist(tile, waited)
    return waited.items
  }

  itemsOf(tile: Place): ReadonlySet<T> {
    return this.#byTile.get(tile)?.items ?? new Set()
  }

  /** The tiles that something waits for and that the changes concern, each once. */
  concernedBy({ members, touched, isWide }: Changes): Place[] {
    if (this.#byTile.size === 0) return []
    const concerned = new Set<Place>()
    const isAll = isWide || touched.areMany
    for (const tile of isAll ? [...this.#byTile.keys()] : touched.tiles) {
      const waited = this.#byTile.get(tile)
      if (waited === undefined) continue
      concerned.add(tile)
      this.#unlist(tile, waited)
      this.#list(tile, waited.items)
    }
    for (const { member } of members) {
      for (const tile of this.#byHolder.get(member.index) ?? []) concerned.add(tile)
    }
    if (members.length > 0 || touched.isRingChanged) {
      for (const tile of this.#unborn) concerned.add(tile)
    }
    return [...concerned]
  }

  #list(tile: Place, items: Set<T>): void {
    const isBorn = tile !== undefined && this.#placement.isBorn(tile)
    const holders = isBorn ? this.#placement.holdersOf(tile) : undefined
    this.#byTile.set(tile, { items, holders })
    if (holders === undefined) this.#unborn.add(tile)
    for (const index of holders ?? []) {
      const tiles = this.#byHolder.get(index)
      if (tiles === undefined) this.#byHolder.set(index, new Set([tile]))
      else tiles.add(tile)
    }
  }

  #unlist(tile: Place, { holders }: Waited<T>): void {
    this.#byTile.delete(tile)
    this.#unborn.delete(tile)
    for (const index of holders ?? []) {
      const tiles = this.#byHolder.get(index)!
      tiles.delete(tile)
      if (tiles.size === 0) this.#byHolder.delete(index)
    }
  }
}
