/**
 * Entries that go to disk in one transaction. A page is read once, acted on by each entry that
 * concerns its tile, and sealed once. An entry acts on a tile only if its sequence is above the
 * tile's `at`, so that what is applied again changes nothing (recovery.md). Tiles that hold the same values,
 * one in each column, share a page that never changes; an operation that does the same to all of them acts once.
 */
import { type Room, TilePage } from '../../shared/grid/tile-page.ts'
import { UniformPage } from '../../shared/grid/uniform-page.ts'
import { ghostIn } from '../../shared/operations/ghost.ts'
import { type TileDifference, type WriteRun, windowOf } from '../../shared/operations/operation.ts'
import {
  argsOf,
  type ControlOrder,
  type RulesOrder,
} from '../../shared/protocol/control-entries.ts'
import { type RuleRecord, recordsOf } from '../../shared/protocol/rule-changes.ts'
import { CountRuns } from '../../shared/protocol/written-counts.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import type { PartResult, StreamMark } from '../core/events.ts'
import { type CheckedEntry, invalid, type WriteAction } from './checked-entry.ts'
import type { Pace } from './pace.ts'
import type { PageArena } from './page-arena.ts'
import { PageDamagedError } from './page-damaged-error.ts'
import type { PageTable } from './page-table.ts'
import type { RuleEvaluator, RuleRows, RuleSet } from './rule-evaluator.ts'
import { evaluatorOf } from './rule-table.ts'
import { Shadow } from './shadow.ts'
import type { SliceGrid } from './slice-grid.ts'
import type { SliceStore } from './slice-store.ts'

/** What a tile takes of a batch whose page is shared and stored short, bytes, about: its places in tables, and its row. */
const SHARED_PAGE_BYTES = 256
/** Of tiles that are done in less than a microsecond, this many go between two looks at the clock. */
const TILES_PER_LOOK = 32

/** A write to some tiles. */
interface Acting {
  readonly seq: number
  readonly run: WriteRun
  readonly region: WriteAction['region']
  /** The rules that read what it stores. */
  readonly reading: RuleSet
  /** What became of a shared page, and so becomes of each like it. */
  readonly became: Map<UniformPage, Became>
  /** How many cells took a value, of those operations that tell. */
  readonly written: CountRuns | undefined
  /** Of a program with a ghost. */
  readonly shadow: Shadow | undefined
  /** LSUs of the tiles before. */
  lsus: number
}

interface Became {
  readonly page: TilePage | UniformPage
  readonly written: readonly number[] | undefined
  readonly difference: TileDifference | undefined
}

type Done = Pick<PartResult, 'lsus' | 'written' | 'ghost'>

export class WriteBatch {
  readonly #store: SliceStore
  readonly #grid: SliceGrid
  readonly #arena: PageArena
  readonly #room: Room
  #before: WriteBatch | undefined
  readonly #entries: CheckedEntry[] = []
  readonly #pages: PageTable<TilePage | UniformPage>
  readonly #results: PartResult[] = []
  readonly #marks: StreamMark[] = []
  /** What became of tiles beside their pages; each is in one of these at the most. */
  readonly #adopted = new Set<number>()
  readonly #dropped = new Set<number>()
  readonly #broken = new Set<number>()
  /** Versions of staged pages that were taken: none is taken twice. */
  readonly #spent = new Map<number, number>()
  /** What the entries of the batch changed in rules, of the last one those that are no records yet. */
  readonly #records: RuleRecord[] = []
  #rows: RuleRows = noRows()
  /** As the entries so far leave it. */
  #evaluator: RuleEvaluator | undefined
  #book: Record<string, unknown> | undefined
  #bytes = 0
  /** Whether a shared page is stored short. */
  readonly #mayPack: boolean

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
    this.#mayPack = store.mayPack
    this.#grid = grid
    this.#arena = arena
    this.#room = (bytes) => arena.take(bytes)
    this.#before = before
    this.#evaluator = before === undefined ? store.rules : before.#evaluator
    arena.clear()
    this.#pages = arena.pages
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

  /** What it comes to if `checked` is added and its tiles are as those were that are here already. */
  bytesWith({ tiles }: CheckedEntry): number {
    let count = 0
    for (const tile of tiles) if (!this.#pages.has(tile)) count += 1
    return this.#bytes + (count * this.#bytes) / Math.max(1, this.#pages.size)
  }

  /** Acts on the cells. A batch that failed here holds part of the entry and must be dropped. */
  async add(checked: CheckedEntry, pace: Pace): Promise<void> {
    const { entry, action } = checked
    let done: Done = { lsus: 0 }
    try {
      if (action.op === 'write') done = await this.#act(checked, action, pace)
      else await this.#obey(action, pace)
    } catch (error) {
      if (error instanceof AppError) throw error
      throw invalid(entry, messageOf(error), error)
    }
    const { position, chain, seq } = entry
    const before = this.#marks.at(-1) ?? this.#before?.marks.at(-1) ?? this.#store.mark
    this.#marks.push({ position, chain: new Uint8Array(chain), seq: Math.max(before.seq, seq) })
    this.#entries.push(checked)
    const changes = this.#takeRows(position)
    const book = action.op === '$rules' ? { rules: action.version } : {}
    this.#results.push({ position, ...done, ...book, ...(changes.length === 0 ? {} : { changes }) })
  }

  async #act({ entry, tiles }: CheckedEntry, action: WriteAction, pace: Pace): Promise<Done> {
    const { operation, region } = action
    const run = operation.run(entry.args, this.#grid)
    const reading = this.#evaluator?.reading(operation, entry.args) ?? 0
    const stores = operation.storesOf?.(entry.args)
    const written = stores && new CountRuns(stores.length)
    const shadow = run.ghost && new Shadow(run.ghost, ghostIn(entry.args), pace)
    const about = { seq: entry.seq, run, region, reading, written, shadow }
    const acting: Acting = { ...about, became: new Map(), lsus: 0 }
    for (let index = 0; index < tiles.length; index++) {
      shadow?.begin(index)
      const isShared = this.#actOn(tiles[index]!, acting)
      shadow?.end()
      if (isShared && index % TILES_PER_LOOK !== 0) continue
      if (pace.isDue) await pace.rest()
    }
    const { lsus } = acting
    return {
      lsus,
      ...(written === undefined ? {} : { written: written.take() }),
      ...(shadow === undefined ? {} : { ghost: shadow.take() }),
    }
  }

  /** Whether that was as little work as it is to look what became of another tile. */
  #actOn(tile: number, acting: Acting): boolean {
    const { run, region, seq } = acting
    const { geometry } = this.#grid
    const { mark } = this.#arena
    const page = this.#pageOf(tile)
    const mayShare = run.isAlike === true && page instanceof UniformPage
    if (mayShare && geometry.isWithin(tile, region)) {
      if (seq > page.at) {
        const became = acting.became.get(page) ?? this.#actOnce(tile, page, acting)
        this.#take(tile, became.page)
        this.#compare(tile, became.page, page, acting)
        acting.written?.add(became.written)
        acting.shadow?.found(became.difference)
      } else acting.written?.add()
      acting.lsus += page.layout.lsus
      return true
    }
    const window = windowOf(geometry, tile, region)
    if (page !== undefined && seq > page.at) {
      const before = this.#evaluator?.standing(tile, page, acting.reading)
      const own = page instanceof UniformPage ? TilePage.like(page, tile, this.#room) : page
      const act = (): void => run.act(own, window, acting.lsus)
      const { shadow } = acting
      if (shadow?.isAsked === true) shadow.found(shadow.compare(own, window, act))
      else act()
      own.at = seq
      this.#take(tile, own)
      this.#evaluator?.compare(tile, own, before, acting.reading, this.#rows)
      acting.written?.add(run.written!())
    } else {
      if (!this.#pages.has(tile)) this.#arena.giveBack(mark)
      acting.written?.add()
    }
    acting.lsus += run.countIn?.(window) ?? window.w * window.h
    return false
  }

  /** For all tiles that are as this one, if they still hold one value in each column. */
  #actOnce(tile: number, page: UniformPage, acting: Acting): Became {
    const { run, region, seq, lsus, became, shadow } = acting
    const { mark } = this.#arena
    const own = TilePage.like(page, tile, this.#room)
    const window = windowOf(this.#grid.geometry, tile, region)
    const act = (): void => run.act(own, window, lsus)
    // Also where others are asked: it stands for all tiles that are as this one.
    const difference = shadow?.compare(own, window, act)
    if (shadow === undefined) act()
    own.at = seq
    own.seal(tile)
    const { uniform } = own
    const written = acting.written && run.written!()
    if (uniform === undefined) return { page: own, written, difference }
    this.#arena.giveBack(mark)
    const done = { page: uniform, written, difference }
    became.set(page, done)
    return done
  }

  async #obey(order: ControlOrder, pace: Pace): Promise<void> {
    switch (order.op) {
      case '$adopt':
        this.#adopt(order)
        break
      case '$drop':
        for (const tile of order.tiles) this.#become(tile, this.#dropped)
        break
      case '$rules':
        await this.#setRules(order, pace)
        break
      case '$void':
        break
    }
  }

  #compare(
    tile: number,
    page: TilePage | UniformPage,
    before: UniformPage,
    { reading }: Acting,
  ): void {
    if (this.#evaluator === undefined || (reading === 0 && before.at > 0)) return
    const standing = this.#evaluator.standing(tile, before, reading)
    this.#evaluator.compare(tile, page, standing, reading, this.#rows)
  }

  /** From here on it counts; how all that is held stands to it is told. */
  async #setRules(order: RulesOrder, pace: Pace): Promise<void> {
    this.#book = argsOf(order)
    this.#evaluator = evaluatorOf(this.#book, this.#grid)
    // What a version from before has written since was told to nobody.
    const isFull = this.#store.staleRules === order.version
    for (const tile of this.#tilesHeld()) {
      const { mark } = this.#arena
      const page = this.#pageOf(tile)
      if (page !== undefined && page.at > 0) {
        this.#evaluator.state(tile, page, isFull, this.#rows)
      }
      this.#arena.giveBack(mark)
      if (pace.isDue) await pace.rest()
    }
  }

  /** With what is on its way to disk, ascending. */
  #tilesHeld(): number[] {
    const tiles = new Set(this.#store.heldTiles(0, Number.POSITIVE_INFINITY))
    const before = this.#before
    for (const pages of [...(before === undefined ? [] : [before.#pages]), this.#pages]) {
      pages.forEach((_page, tile) => {
        tiles.add(tile)
      })
    }
    return [...tiles].sort((a, b) => a - b)
  }

  #takeRows(position: number): RuleRecord[] {
    if (this.#rows.rules.length === 0) return []
    const records = recordsOf(position, this.#evaluator!.version, this.#rows)
    this.#rows = noRows()
    this.#records.push(...records)
    return records
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
    // Who held it may not have told how it stands.
    this.#evaluator?.state(tile, page, true, this.#rows)
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
    this.#bytes -= this.#bytesOf(page)
  }

  async seal(pace: Pace): Promise<void> {
    const open: [tile: number, page: TilePage][] = []
    this.#pages.forEach((page, tile) => {
      if (page instanceof TilePage) open.push([tile, page])
    })
    for (const [tile, page] of open) {
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
      records: this.#records,
      evaluator: this.#evaluator,
      ...(this.#book === undefined ? {} : { book: this.#book }),
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
  #pageOf(tile: number): TilePage | UniformPage | undefined {
    const own = this.#pages.get(tile)
    if (own !== undefined) return own
    const layout = this.#grid.layoutOf(tile)
    const room = this.#room
    switch (this.#fateOf(tile)) {
      case 'broken':
        return undefined
      case 'dropped':
        return UniformPage.empty(layout)
      case 'in-flight': {
        const page = this.#before!.#pages.get(tile)!
        return page instanceof UniformPage ? page : page.copy(room)
      }
      case 'stored':
        try {
          return this.#store.lookAtPage(tile, room) ?? UniformPage.empty(layout)
        } catch (error) {
          if (!(error instanceof PageDamagedError)) throw error
          this.#become(tile, this.#broken)
          return undefined
        }
    }
  }

  #fateOf(tile: number): 'broken' | 'dropped' | 'in-flight' | 'stored' {
    // Nearly always both are empty, and this is asked for each tile of each write.
    if (this.#broken.size > 0 && this.#broken.has(tile)) return 'broken'
    if (this.#dropped.size > 0 && this.#dropped.has(tile)) return 'dropped'
    const before = this.#before
    if (before !== undefined) {
      if (before.#pages.has(tile)) return 'in-flight'
      if (before.#broken.has(tile)) return 'broken'
      if (before.#dropped.has(tile)) return 'dropped'
    }
    return this.#store.broken.has(tile) ? 'broken' : 'stored'
  }

  #take(tile: number, page: TilePage | UniformPage): void {
    const before = this.#pages.get(tile)
    if (before === page) return
    this.#pages.set(tile, page)
    this.#bytes += this.#bytesOf(page) - (before === undefined ? 0 : this.#bytesOf(before))
  }

  #bytesOf(page: TilePage | UniformPage): number {
    return page instanceof UniformPage && this.#mayPack ? SHARED_PAGE_BYTES : page.layout.bytes
  }
}

function noRows(): RuleRows {
  return { rules: [], tiles: [], ats: [], counts: [] }
}
