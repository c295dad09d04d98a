/**
 * Entries that go to disk in one transaction. A page is read once, acted on by each entry that
 * concerns its tile, and sealed once. An entry acts on a tile only if its sequence is above the
 * tile's `at`, so that what is applied again changes nothing (recovery.md).
 */
import { type Room, TilePage } from '../../shared/grid/tile-page.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { unpackTiles } from '../../shared/operations/columns.ts'
import { type WriteOperation, windowOf } from '../../shared/operations/operation.ts'
import { type ControlOrder, isControl, orderOf } from '../../shared/protocol/control-entries.ts'
import type { Entry } from '../../shared/protocol/messages.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import type { PartResult, StreamMark } from '../core/events.ts'
import type { Pace } from './pace.ts'
import type { PageArena } from './page-arena.ts'
import { PageDamagedError } from './page-damaged-error.ts'
import type { SliceGrid } from './slice-grid.ts'
import type { SliceStore } from './slice-store.ts'

/** An entry that was found sound, with what it names. */
export interface CheckedEntry {
  readonly entry: Entry
  readonly tiles: Uint32Array
  readonly action: WriteAction | ControlOrder
}

interface WriteAction {
  readonly op: 'write'
  readonly operation: WriteOperation
  readonly region: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
  }
}

/** Checks what can be known before cells are touched; fails with the entry's own trouble. */
export function checkEntry(entry: Entry, grid: SliceGrid): CheckedEntry {
  if (isControl(entry.op)) return checkOrder(entry, grid)
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
  return { entry, tiles, action: { op: 'write', operation, region } }
}

function checkOrder(entry: Entry, grid: SliceGrid): CheckedEntry {
  const order = orderOf(entry)
  if (order === undefined) {
    throw new AppError('unknown-operation', `there is no order "${entry.op}" here`)
  }
  const tiles = unpackTiles(entry.tiles)
  const stray = tiles.find((tile) => tile >= grid.geometry.tiles)
  if (stray !== undefined) throw invalid(entry, `there is no tile ${stray}`)
  return { entry, tiles, action: order }
}

export class WriteBatch {
  readonly #store: SliceStore
  readonly #grid: SliceGrid
  readonly #arena: PageArena
  readonly #room: Room
  #before: WriteBatch | undefined
  readonly #entries: CheckedEntry[] = []
  readonly #pages = new Map<number, TilePage>()
  readonly #results: PartResult[] = []
  readonly #marks: StreamMark[] = []
  /** What became of tiles beside their pages; each is in one of these at the most. */
  readonly #adopted = new Set<number>()
  readonly #dropped = new Set<number>()
  readonly #broken = new Set<number>()
  /** Versions of staged pages that were taken: none is taken twice. */
  readonly #spent = new Map<number, number>()
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
    this.#room = (bytes) => arena.take(bytes)
    this.#before = before
    arena.clear()
  }

  get entries(): readonly CheckedEntry[] {
    return this.#entries
  }

  get results(): readonly PartResult[] {
    return this.#results
  }

  /** Where the stream stands after each entry. Writes that a move catches up with come late. */
  get marks(): readonly StreamMark[] {
    return this.#marks
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
    const { entry, action } = checked
    let lsus = 0
    try {
      if (action.op === 'write') lsus = await this.#act(checked, action, pace)
      else this.#obey(action)
    } catch (error) {
      if (error instanceof AppError) throw error
      throw invalid(entry, messageOf(error), error)
    }
    const { position, chain, seq } = entry
    const before = this.#marks.at(-1) ?? this.#before?.marks.at(-1) ?? this.#store.mark
    this.#marks.push({ position, chain: new Uint8Array(chain), seq: Math.max(before.seq, seq) })
    this.#entries.push(checked)
    this.#results.push({ position, lsus })
  }

  async #act({ entry, tiles }: CheckedEntry, action: WriteAction, pace: Pace): Promise<number> {
    const { operation, region } = action
    const run = operation.run(entry.args, this.#grid)
    let lsus = 0
    for (const tile of tiles) {
      const window = windowOf(this.#grid.geometry, tile, region)
      const { mark } = this.#arena
      const page = this.#pageOf(tile)
      if (page !== undefined && entry.seq > page.at) {
        run.act(page, window, lsus)
        page.at = entry.seq
        this.#take(tile, page)
      } else if (!this.#pages.has(tile)) {
        this.#arena.giveBack(mark)
      }
      lsus += run.countIn?.(window) ?? window.w * window.h
      if (pace.isDue) await pace.rest()
    }
    return lsus
  }

  #obey(order: ControlOrder): void {
    if (order.op === '$adopt') this.#adopt(order)
    if (order.op !== '$drop') return
    for (const tile of order.tiles) this.#become(tile, this.#dropped)
  }

  /** Without the page that was staged the tile is as good as damaged: it is asked for again. */
  #adopt(order: Extract<ControlOrder, { op: '$adopt' }>): void {
    const { tile } = order
    const { mark } = this.#arena
    const version = this.#store.stagedVersion(tile)
    const page = this.#isSpent(tile, version)
      ? undefined
      : this.#store.readStaged(tile, order, this.#room)
    if (page === undefined) {
      this.#arena.giveBack(mark)
      this.#become(tile, this.#broken)
      return
    }
    this.#become(tile, this.#adopted)
    this.#spent.set(tile, version)
    this.#take(tile, page)
  }

  #isSpent(tile: number, version: number): boolean {
    const before = this.#before
    return [this.#spent, ...(before ? [before.#spent] : [])].some((of) => of.get(tile) === version)
  }

  #become(tile: number, kind: Set<number>): void {
    for (const other of [this.#adopted, this.#dropped, this.#broken]) other.delete(tile)
    kind.add(tile)
    const page = this.#pages.get(tile)
    if (page === undefined) return
    this.#pages.delete(tile)
    this.#bytes -= page.layout.bytes
  }

  async seal(pace: Pace): Promise<void> {
    for (const [tile, page] of this.#pages) {
      page.seal(tile)
      if (pace.isDue) await pace.rest()
    }
  }

  /**
   * Writes the sealed batch; resolves once it is on disk. `before` must be there already. `onTaken`
   * is called when the disk alone is waited for.
   */
  async commit(onTaken: () => void): Promise<void> {
    this.#before = undefined
    const commit = {
      pages: this.#pages,
      adopted: this.#adopted,
      spent: this.#spent,
      dropped: this.#dropped,
      broken: this.#broken,
      mark: this.#marks.at(-1)!,
      results: this.#results,
    }
    await this.#store.commit(commit, onTaken)
  }

  /** The batch as it was before `add` failed. */
  async withoutFailed(pace: Pace): Promise<WriteBatch> {
    const again = new WriteBatch(this.#store, this.#grid, this.#arena, this.#before)
    for (const checked of this.#entries) await again.add(checked, pace)
    return again
  }

  /** As the entries so far leave it; nothing if it is damaged, and then known as such. */
  #pageOf(tile: number): TilePage | undefined {
    const own = this.#pages.get(tile)
    if (own !== undefined) return own
    const layout = this.#grid.layoutOf(tile)
    const room = this.#room
    switch (this.#fateOf(tile)) {
      case 'broken':
        return undefined
      case 'dropped':
        return TilePage.empty(layout, room)
      case 'in-flight':
        return this.#before!.#pages.get(tile)!.copy(room)
      case 'stored':
        try {
          return this.#store.readPage(tile, room) ?? TilePage.empty(layout, room)
        } catch (error) {
          if (!(error instanceof PageDamagedError)) throw error
          this.#become(tile, this.#broken)
          return undefined
        }
    }
  }

  #fateOf(tile: number): 'broken' | 'dropped' | 'in-flight' | 'stored' {
    if (this.#broken.has(tile)) return 'broken'
    if (this.#dropped.has(tile)) return 'dropped'
    const before = this.#before
    if (before !== undefined) {
      if (before.#pages.has(tile)) return 'in-flight'
      if (before.#broken.has(tile)) return 'broken'
      if (before.#dropped.has(tile)) return 'dropped'
    }
    return this.#store.broken.has(tile) ? 'broken' : 'stored'
  }

  #take(tile: number, page: TilePage): void {
    if (this.#pages.has(tile)) return
    this.#pages.set(tile, page)
    this.#bytes += page.layout.bytes
  }
}

function invalid(entry: Entry, why: string, cause?: unknown): AppError {
  return new AppError('entry-invalid', `entry ${entry.position} (${entry.op}): ${why}`, { cause })
}
