/**
 * The node's slice in LMDB: pages of its tiles, where its stream stands, results that the gateway
 * has not confirmed, and the outbox. Pages, mark and results change in one transaction, so that
 * after any crash they agree (recovery.md, The stores). Everything is checked when it is read: LMDB
 * has no checksums. Whether there is room is asked before anything is written.
 */
import type { Random } from '../../shared/core/random.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { type Room, TilePage } from '../../shared/grid/tile-page.ts'
import { UniformPage } from '../../shared/grid/uniform-page.ts'
import type { Answer, GridShape } from '../../shared/protocol/messages.ts'
import { CHAIN_START } from '../../shared/protocol/stream-chain.ts'
import { type Clock, SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import type { Table, Tables } from '../../shared/runtime/tables.ts'
import type { AnswerName, IncomingPage } from '../core/effects.ts'
import type { StreamMark } from '../core/events.ts'
import type { StoredState, StoreFacts } from '../core/stored-state.ts'
import { AnswerTable } from './answer-table.ts'
import { PageDamagedError } from './page-damaged-error.ts'
import { ResultTable } from './result-table.ts'
import type { RuleEvaluator } from './rule-evaluator.ts'
import { RuleTable } from './rule-table.ts'
import { sealRecord } from './sealed-record.ts'
import {
  arePacked,
  brokenAfter,
  NO_TILES,
  type SliceCommit,
  sizesOf,
  storedPage,
} from './slice-commit.ts'
import { openSliceDatabase, type SliceDatabaseOptions } from './slice-database.ts'
import { SliceGrid } from './slice-grid.ts'
import { metaTable, readRecord, type SliceStats } from './slice-records.ts'
import { isSoundPage, type StagedName, StagedPages, stagedSizes } from './staged-pages.ts'
import { StoreIdentity } from './store-identity.ts'
import {
  diskBytesOf,
  StoreRoom,
  type StoreRoomOptions,
  sizeOf,
  TREE_BYTES_PER_COMMIT,
} from './store-room.ts'
import { TileSet } from './tile-set.ts'

export type SliceStoreOptions = StoreRoomOptions & SliceDatabaseOptions

/** A version from before rules writes none. */
type StoredMark = StreamMark & { readonly rules?: number }

const OUTBOX_RECORDS_MAX = 4096
const MARK_START: StreamMark = { position: 0, chain: CHAIN_START, seq: 0 }

export class SliceStore {
  readonly #database: Tables
  readonly #tiles: Table<number>
  readonly #results: ResultTable
  readonly #meta: Table<string>
  readonly #rules: RuleTable
  readonly #answers: AnswerTable
  readonly #staged: StagedPages
  readonly #room: StoreRoom
  /** Tiles whose page is damaged, and gone. */
  #broken: ReadonlySet<number>
  readonly #held = new TileSet((tile) => sizeOf(this.#grid?.layoutOf(tile)))
  /** Why the store that was here before could not be used, and where it is now. */
  readonly setAside: string | undefined
  readonly #identity: StoreIdentity
  /** Whether pages may be written in format 2: who does not know it never gets one. */
  mayPack = false
  #grid: SliceGrid | undefined
  #mark: StreamMark
  #stamp: (() => number) | undefined

  /** `onFatal` hears of a failed commit: the process must end then. */
  static async open(
    directory: string,
    options: SliceStoreOptions,
    random: Random,
    onFatal: (error: AppError) => void,
  ): Promise<SliceStore> {
    const { database, setAside } = await openSliceDatabase(directory, options, onFatal)
    return await SliceStore.over(options, random, database, SYSTEM_CLOCK, setAside)
  }

  /** The store that lies in `database`, at another start. */
  static async over(
    options: SliceStoreOptions,
    random: Random,
    database: Tables,
    clock: Clock,
    setAside?: string,
  ): Promise<SliceStore> {
    const store = new SliceStore(options, random, database, clock, setAside)
    await store.#writeIdentity(store.identity)
    return store
  }

  private constructor(
    options: SliceStoreOptions,
    random: Random,
    database: Tables,
    clock: Clock,
    setAside: string | undefined,
  ) {
    this.#database = database
    this.setAside = setAside
    this.#tiles = database.table<number>('tiles', 'uint32')
    this.#meta = metaTable(database)
    const written = readRecord<number>(this.#meta, 'written') ?? 0
    const leaves = (): number => database.leavesOf(this.#tiles)
    const owed = (): number =>
      this.#identity.hasPacked ? this.#held.diskBytes - database.bytesOf(this.#tiles) : 0
    this.#room = new StoreRoom(options, database, { leaves, owed, clock, written })
    this.#answers = new AnswerTable(
      { bytesMax: options.outboxBytesMax, recordsMax: OUTBOX_RECORDS_MAX },
      database.table<number>('answers', 'ordered-binary'),
    )
    this.#staged = new StagedPages(database.table<number>('staged', 'uint32'))
    this.#broken = new Set(readRecord<number[]>(this.#meta, 'broken') ?? [])
    this.#identity = new StoreIdentity(this.#meta, random)
    const { position, chain, seq } = readRecord<StoredMark>(this.#meta, 'mark') ?? MARK_START
    this.#mark = { position, chain, seq }
    const former = database.table<number>('results', 'ordered-binary')
    this.#results = new ResultTable(this.#meta, former, this.#mark.position)
    if (this.identity.grid !== null) this.#setGrid(new SliceGrid(this.identity.grid))
    const { rules } = readRecord<StoredMark>(this.#meta, 'mark') ?? {}
    this.#rules = new RuleTable(this.#meta, rules, this.#grid)
    for (const tile of this.#tiles.getKeys()) this.#held.add(tile)
  }

  /** What the core begins with, if it does now; results and answers in their order. */
  get stored(): StoredState {
    return {
      ...this.identity,
      mark: this.#mark,
      results: this.#results.list(),
      answers: this.#answers.list(),
      broken: [...this.#broken],
      rules: this.rules?.version ?? 0,
      changes: this.#rules.list(),
      // A damaged one is no reason to give up the rest.
      timeFloorMs: readRecord<number>(this.#meta, 'time') ?? 0,
    }
  }

  get identity(): StoreFacts {
    return this.#identity.facts
  }

  /** The rules that count; nothing without a book. */
  get rules(): RuleEvaluator | undefined {
    return this.#rules.evaluator
  }

  /** The version of a rule book that did not count while the store was written to. */
  get staleRules(): number | undefined {
    return this.#rules.staleVersion
  }

  get mark(): StreamMark {
    return this.#mark
  }

  /** The grid, once the store belongs to a ledger. */
  get grid(): SliceGrid | undefined {
    return this.#grid
  }

  get #knownGrid(): SliceGrid {
    if (this.#grid === undefined) throw new AppError('grid-unknown', 'the store has no grid yet')
    return this.#grid
  }

  /** From now on each write stores the time that `stamp` tells. */
  stampWith(stamp: () => number): void {
    this.#stamp = stamp
  }

  /** Stores the time, unless there is no room for a write. */
  async keepTime(): Promise<void> {
    if (!this.#room.fits(TREE_BYTES_PER_COMMIT, 'answer')) return
    this.#room.take(TREE_BYTES_PER_COMMIT)
    await this.#write(() => {})
  }

  /** Why there is no room for any write, or for the one that was refused last. */
  get missingRoom(): string | undefined {
    return this.#room.missing
  }

  /** Since when the oldest write waits for the disk, monotonic ms. */
  get waitingSinceMs(): number | undefined {
    return this.#database.waitingSinceMs
  }

  /** Binds a new store to a ledger and its grid. */
  async adopt(ledgerId: string, grid: GridShape): Promise<void> {
    const { ledgerId: own } = this.identity
    if (own !== null) throw new AppError('store-adopted', `the store belongs to ledger ${own}`)
    const sliceGrid = new SliceGrid(grid)
    await this.#writeIdentity({ ...this.identity, ledgerId, grid })
    this.#setGrid(sliceGrid)
  }

  holds(tile: number): boolean {
    return this.#held.has(tile)
  }

  /** Up to `count` tiles that are held, from `from` on, ascending. */
  heldTiles(from: number, count: number): Uint32Array {
    return this.#held.from(from, count)
  }

  /** Tiles whose page was damaged and that have no new one yet. */
  get broken(): ReadonlySet<number> {
    return this.#broken
  }

  /**
   * A private copy of a tile's page, in memory of `room` if given; fails with `page-damaged` if its digest is
   * not its own.
   */
  readPage(tile: number, room?: Room): TilePage | undefined {
    const page = this.lookAtPage(tile, room)
    return page instanceof UniformPage ? TilePage.like(page, tile, room) : page
  }

  /** The same, or the page that all such tiles share. */
  lookAtPage(tile: number, room?: Room): TilePage | UniformPage | undefined {
    // To look for what is not there costs as much.
    if (!this.#held.has(tile)) return undefined
    const stored = this.#tiles.getBinaryFast(tile)
    if (stored === undefined) return undefined
    const layout = this.#knownGrid.layoutOf(tile)
    const known = UniformPage.knownIn(layout, stored, tile)
    if (known !== undefined) return known
    // The library's buffer is longer than it says; only a view cut by its length is the value.
    const bytes = new Uint8Array(stored.buffer, stored.byteOffset, stored.length)
    const page = TilePage.open(layout, bytes, room, tile)
    if (typeof page === 'string') throw new PageDamagedError(tile, page)
    return page.uniform ?? page
  }

  /** A private copy of the page that was staged for a tile, if it is exactly this one. */
  readStaged(tile: number, page: StagedName, room: Room): TilePage | undefined {
    return this.#staged.read(tile, page, this.#knownGrid.layoutOf(tile), room)
  }

  /** Tells the page that is staged for a tile from one that comes for it later. */
  stagedVersion(tile: number): number {
    return this.#staged.versionOf(tile)
  }

  /**
   * Puts pages aside until their entries adopt them; resolves with those that are sound, once they are
   * on disk. `store-full` leaves everything as it was.
   */
  async stage(pages: readonly IncomingPage[]): Promise<IncomingPage[]> {
    const grid = this.#knownGrid
    const sound = pages.filter((page) => isSoundPage(page, grid))
    if (sound.length === 0) return sound
    this.#room.require(stagedSizes(sound, grid), () => true)
    await this.#write(() => this.#staged.putAll(sound))
    return sound
  }

  /** What was staged for a tile will not be adopted. */
  async discard(tile: number): Promise<void> {
    await this.#write(() => this.#staged.remove(tile))
  }

  /** Gives up damaged pages; resolves once that is on disk. */
  async giveUp(tiles: readonly number[]): Promise<void> {
    const broken = new Set([...this.#broken, ...tiles])
    await this.#write(() => {
      for (const tile of tiles) void this.#tiles.remove(tile)
      void this.#meta.put('broken', sealRecord([...broken]))
    })
    this.#broken = broken
    for (const tile of tiles) this.#held.delete(tile)
  }

  /**
   * Resolves once all of it is on disk; `store-full` leaves everything as it was. `onTaken` is called
   * when the pages have been copied and their memory may be used again.
   */
  async commit(commit: SliceCommit, onTaken?: () => void): Promise<void> {
    const { adopted = NO_TILES, dropped = NO_TILES } = commit
    const { mayPack } = this
    const sizes = sizesOf(commit, mayPack)
    // What is staged has its room already, but for the time until that is free again.
    const isNew = (tile: number): boolean => !this.#held.has(tile) && !adopted.has(tile)
    this.#room.require(sizes, isNew)
    const hasPacked = this.#identity.hasPacked || arePacked(sizes)
    const { position, chain, seq } = commit.mark
    const { records = [], evaluator = this.rules } = commit
    const rules = evaluator === undefined ? {} : { rules: evaluator.version }
    const mark = sealRecord({ position, chain, seq, ...rules })
    const broken = brokenAfter(commit, this.#broken)
    await this.#write(() => {
      for (const tile of [...dropped, ...(commit.broken ?? NO_TILES)]) void this.#tiles.remove(tile)
      commit.pages.forEach((page, tile) => {
        void this.#tiles.put(tile, storedPage(page, tile, mayPack))
      })
      // Not with a drop, and no other version: what is staged may be of the next move already.
      for (const [tile, version] of commit.spent ?? []) this.#staged.remove(tile, version)
      this.#results.put(commit.results)
      this.#rules.put(records, commit.book)
      if (broken !== this.#broken) void this.#meta.put('broken', sealRecord([...broken]))
      void this.#meta.put('mark', mark)
      if (hasPacked !== this.#identity.hasPacked) this.#identity.put(this.identity, hasPacked)
      onTaken?.()
    })
    this.#identity.became(this.identity, hasPacked)
    this.#mark = { position, chain, seq }
    for (const tile of [...dropped, ...broken]) this.#held.delete(tile)
    commit.pages.forEach((_page, tile) => {
      this.#held.add(tile)
    })
    this.#broken = broken
    this.#results.added(commit.results)
    this.#rules.added(records, evaluator)
  }

  /** Results up to `position` are confirmed. They leave the disk with the next write. */
  forgetResults(position: number): void {
    this.#results.forget(position)
  }

  /** What was changed in rules is taken up to here. It leaves the disk with the next write. */
  forgetChanges(number: number): void {
    this.#rules.forget(number)
  }

  /** Resolves once the answers are on disk, in one transaction; those that there is no room for are shed. */
  async storeAnswers(answers: readonly Answer[]): Promise<void> {
    let diskBytes = TREE_BYTES_PER_COMMIT
    const changes = this.#answers.addAll(answers, (bytes) => {
      const isRoom = this.#room.fits(diskBytes + diskBytesOf(bytes), 'answer')
      if (isRoom) diskBytes += diskBytesOf(bytes)
      return isRoom
    })
    if (changes.length === 0) return
    this.#room.take(diskBytes)
    await this.#write(() => {
      for (const change of changes) change()
    })
  }

  /** These answers arrived. They leave the disk with the next write. */
  forgetAnswers(names: readonly AnswerName[]): void {
    this.#answers.forget(names)
  }

  /** Empties the store: a new one, of no ledger. It goes on counting starts. */
  async wipe(): Promise<StoreFacts> {
    const identity = this.#identity.renewed()
    await this.#beginAnew(identity, () => this.#tiles.clearSync(), false)
    this.#grid = undefined
    this.#held.clear()
    return identity
  }

  /** The store goes over to another ledger with these tiles and no others; its stream begins. */
  async rebase(ledgerId: string, keep: Uint32Array): Promise<void> {
    const kept = new Set(keep)
    const given = [...this.heldTiles(0, this.#held.size)].filter((tile) => !kept.has(tile))
    await this.#beginAnew({ ...this.identity, ledgerId }, () => {
      for (const tile of given) void this.#tiles.remove(tile)
    })
    for (const tile of given) this.#held.delete(tile)
  }

  /** Forgets the stream and all that hangs on it. */
  async #beginAnew(identity: StoreFacts, changeTiles: () => void, hasPacked?: false) {
    const clearAnswers = this.#answers.clear()
    await this.#database.write(() => {
      changeTiles()
      this.#results.clear()
      this.#rules.clear()
      this.#staged.clear()
      clearAnswers()
      void this.#meta.remove('mark')
      void this.#meta.remove('broken')
      this.#identity.put(identity, hasPacked)
    })
    this.#identity.became(identity, hasPacked)
    this.#mark = MARK_START
    this.#results.cleared()
    this.#rules.cleared()
    this.#broken = NO_TILES
  }

  stats(): SliceStats {
    return {
      tiles: this.#held.size,
      lsus: this.#held.lsus,
      storeBytes: this.#database.fileBytes(),
      writtenBytesTotal: this.#room.writtenBytes,
      outboxRecords: this.#answers.records,
      outboxBytes: this.#answers.bytes,
      answersShed: this.#answers.shed,
    }
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#database.close()
  }

  /** Writes `change`, and with it what waited for a write to come. */
  async #write(change: () => void): Promise<void> {
    const sweepResults = this.#results.sweep()
    const sweepChanges = this.#rules.sweep()
    await this.#database.write(() => {
      change()
      sweepResults()
      sweepChanges()
      void this.#meta.put('written', sealRecord(this.#room.writtenBytes))
      if (this.#stamp !== undefined) void this.#meta.put('time', sealRecord(this.#stamp()))
      this.#answers.sweep()
    })
  }

  async #writeIdentity(identity: StoreFacts): Promise<void> {
    await this.#write(() => this.#identity.put(identity))
    this.#identity.became(identity)
  }

  #setGrid(grid: SliceGrid): void {
    this.#grid = grid
    this.#room.expectTiles(createLayout(grid.fields, grid.geometry.tile ** 2).bytes)
  }
}
