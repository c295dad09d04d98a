/**
 * Pages of tiles that move here, on disk until an entry of the stream adopts them: one a tile, the last
 * one that came. Rows are whole tile pages, which carry their own `at` and digest.
 */
import { equalBytes } from '../../shared/core/hash.ts'
import type { PageLayout } from '../../shared/grid/page-layout.ts'
import { type Room, TilePage } from '../../shared/grid/tile-page.ts'
import type { Table } from '../../shared/runtime/tables.ts'
import type { IncomingPage } from '../core/effects.ts'
import type { PageSizes } from './slice-commit.ts'
import type { SliceGrid } from './slice-grid.ts'

/** What an entry that adopts a page calls it. */
export interface StagedName {
  readonly at: number
  readonly digest: Uint8Array
}

export class StagedPages {
  readonly #table: Table<number>
  readonly #versions = new Map<number, number>()
  #puts = 0

  constructor(table: Table<number>) {
    this.#table = table
  }

  /** Inside a transaction, as all that changes something here. */
  putAll(pages: readonly IncomingPage[]): void {
    for (const { tile, bytes } of pages) {
      this.#puts += 1
      this.#versions.set(tile, this.#puts)
      void this.#table.put(tile, bytes)
    }
  }

  /** Another number for each page that comes for a tile; 0 for one that was here at the start. */
  versionOf(tile: number): number {
    return this.#versions.get(tile) ?? 0
  }

  /** `version`: only if no other has come since. */
  remove(tile: number, version = this.versionOf(tile)): void {
    if (version !== this.versionOf(tile)) return
    this.#versions.delete(tile)
    void this.#table.remove(tile)
  }

  clear(): void {
    this.#versions.clear()
    this.#table.clearSync()
  }

  /** A private copy of exactly this page, in `room`; nothing if another one is here, or none. */
  read(tile: number, page: StagedName, layout: PageLayout, room: Room): TilePage | undefined {
    const stored = this.#table.getBinaryFast(tile)
    if (stored === undefined) return undefined
    const found = TilePage.open(layout, stored.subarray(0, stored.length), room, tile)
    if (typeof found === 'string') return undefined
    return found.at === page.at && equalBytes(found.digest, page.digest) ? found : undefined
  }
}

export function stagedSizes(pages: readonly IncomingPage[], grid: SliceGrid): PageSizes {
  return (visit) => {
    for (const { tile, bytes } of pages) visit(tile, bytes.length, grid.layoutOf(tile).bytes)
  }
}

/** Whether these bytes are the page that they are said to be. */
export function isSoundPage({ tile, at, digest, bytes }: IncomingPage, grid: SliceGrid): boolean {
  if (tile >= grid.geometry.tiles) return false
  const page = TilePage.open(grid.layoutOf(tile), bytes, undefined, tile)
  return typeof page !== 'string' && page.at === at && equalBytes(page.digest, digest)
}
