/**
 * Entries that go to disk in one transaction. A page is read once, acted on by each entry that
 * concerns its tile, and sealed once. An entry acts on a tile only if its sequence is above the
 * tile's `at`, so that what is applied again changes nothing (recovery.md).
 */
import { TilePage } from '../../shared/grid/tile-page.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { unpackTiles } from '../../shared/operations/columns.ts'
import { type WriteOperation, windowOf } from '../../shared/operations/operation.ts'
import type { Entry } from '../../shared/protocol/messages.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import type { PartResult, StreamMark } from '../core/events.ts'
import type { Pace } from './pace.ts'
import type { PageArena } from './page-arena.ts'
import type { SliceGrid } from './slice-grid.ts'
import type { SliceStore } from './slice-store.ts'

/** An entry that was found sound, with what it names. */
export interface CheckedEntry {
  readonly entry: Entry
  readonly operation: WriteOperation
  readonly tiles: Uint32Array
  readonly region: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
  }
}

/** Checks what can be known before cells are touched; fails with the entry's own trouble. */
export function checkEntry(entry: Entry, grid: SliceGrid): CheckedEntry {
  const operation = findOperation(entry.op)
  if (operation?.kind !== 'write') {
    throw new AppError('unknown-operation', `there is no write operation "${entry.op}" here`)
  }
  const [x, y, w, h] = entry.region
  const region = { x, y, w, h }
  if (!grid.geometry.contains(region)) throw invalid(entry, 'its region lies outside the grid')
  const tiles = unpackTiles(entry.tiles)
  let last = -1
  for (const tile of tiles) {
    if (tile <= last) throw invalid(entry, 'its tiles are not in order')
    if (!grid.geometry.touches(tile, region)) {
      throw invalid(entry, `tile ${tile} does not touch its region`)
    }
    last = tile
  }
  return { entry, operation, tiles, region }
}

export class WriteBatch {
  readonly #store: SliceStore
  readonly #grid: SliceGrid
  readonly #arena: PageArena
  #before: WriteBatch | undefined
  readonly #entries: CheckedEntry[] = []
  readonly #pages = new Map<number, TilePage>()
  readonly #results: PartResult[] = []
  #bytes = 0

  /**
   * `before` is a batch that is on its way to disk: its pages are the state. The batch's own lie in
   * `arena`, which must not be used again before it is on disk.
   */
  constructor(
    store: SliceStore,
    grid: SliceGrid,
    arena: PageArena,
    before: WriteBatch | undefined,
  ) {
    this.#store = store
    this.#grid = grid
    this.#arena = arena
    this.#before = before
    arena.clear()
  }

  get entries(): readonly CheckedEntry[] {
    return this.#entries
  }

  get results(): readonly PartResult[] {
    return this.#results
  }

  /** The bytes of its pages if `checked` were added. */
  bytesWith({ tiles }: CheckedEntry): number {
    let bytes = this.#bytes
    for (const tile of tiles) {
      if (!this.#pages.has(tile)) bytes += this.#grid.layoutOf(tile).bytes
    }
    return bytes
  }

  /** Acts on the cells. A batch that failed here holds part of the entry and must be dropped. */
  async add(checked: CheckedEntry, pace: Pace): Promise<void> {
    const { entry, operation, tiles, region } = checked
    let lsus = 0
    try {
      const run = operation.run(entry.args, this.#grid)
      for (const tile of tiles) {
        const window = windowOf(this.#grid.geometry, tile, region)
        const page = this.#pageOf(tile)
        if (entry.seq > page.at) {
          run.act(page, window, lsus)
          page.at = entry.seq
          this.#take(tile, page)
        } else if (!this.#pages.has(tile)) {
          this.#arena.giveBack()
        }
        lsus += window.w * window.h
        if (pace.isDue) await pace.rest()
      }
    } catch (error) {
      if (error instanceof AppError) throw error
      throw invalid(entry, messageOf(error), error)
    }
    this.#entries.push(checked)
    this.#results.push({ position: entry.position, lsus })
  }

  async seal(pace: Pace): Promise<void> {
    for (const page of this.#pages.values()) {
      page.seal()
      if (pace.isDue) await pace.rest()
    }
  }

  /**
   * Writes the sealed batch; resolves once it is on disk. `before` must be there already. `onTaken`
   * is called when the disk alone is waited for.
   */
  async commit(onTaken: () => void): Promise<void> {
    const mark = markOf(this.#entries.at(-1)!.entry)
    this.#before = undefined
    await this.#store.commit({ pages: this.#pages, mark, results: this.#results }, onTaken)
  }

  /** The batch as it was before `add` failed. */
  async withoutFailed(pace: Pace): Promise<WriteBatch> {
    const again = new WriteBatch(this.#store, this.#grid, this.#arena, this.#before)
    for (const checked of this.#entries) await again.add(checked, pace)
    return again
  }

  #pageOf(tile: number): TilePage {
    const own = this.#pages.get(tile)
    if (own !== undefined) return own
    const layout = this.#grid.layoutOf(tile)
    const room = this.#arena.take(layout.bytes)
    const before = this.#before === undefined ? undefined : this.#before.#pages.get(tile)
    if (before !== undefined) {
      room.set(before.bytes)
      return new TilePage(layout, room)
    }
    return this.#store.readPage(tile, room) ?? TilePage.empty(layout, room)
  }

  #take(tile: number, page: TilePage): void {
    if (this.#pages.has(tile)) return
    this.#pages.set(tile, page)
    this.#bytes += page.bytes.length
  }
}

export function markOf({ position, chain, seq }: Entry): StreamMark {
  return { position, chain: new Uint8Array(chain), seq }
}

function invalid(entry: Entry, why: string, cause?: unknown): AppError {
  return new AppError('entry-invalid', `entry ${entry.position} (${entry.op}): ${why}`, { cause })
}
