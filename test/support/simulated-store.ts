/**
 * A node's disk: real tile pages, changed by the real operations, with the fence by `at` that
 * recovery.md asks for. What was not committed is gone after a crash. A torn commit, which LMDB does
 * not allow, leaves pages without their mark: the fence is to carry even that.
 */
import type { IncomingPage } from '../../firmware-agent/core/effects.ts'
import type { ExaminedPage, PartResult, StreamMark } from '../../firmware-agent/core/events.ts'
import type { StoredState } from '../../firmware-agent/core/stored-state.ts'
import { equalBytes } from '../../shared/core/hash.ts'
import { randomId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { unpackTiles } from '../../shared/operations/columns.ts'
import {
  type GridContext,
  type Wire,
  type WriteOperation,
  windowOf,
} from '../../shared/operations/operation.ts'
import { type ControlOrder, isControl, orderOf } from '../../shared/protocol/control-entries.ts'
import type { Answer, Copy, Entry, GridShape, Read } from '../../shared/protocol/messages.ts'
import { CHAIN_START } from '../../shared/protocol/stream-chain.ts'

interface Disk {
  storeId: string
  boot: number
  ledgerId: string | null
  grid: GridShape | null
  mark: StreamMark
  pages: Map<number, Uint8Array>
  results: PartResult[]
  answers: Map<string, Answer>
  staged: Map<number, Uint8Array>
  broken: Set<number>
}

const TILES_PER_LIST = 5

/** What entries make of the disk; a page that is undefined goes. */
export interface PreparedCommit {
  readonly pages: ReadonlyMap<number, Uint8Array | undefined>
  readonly adopted: ReadonlyMap<number, Uint8Array>
  readonly broken: ReadonlySet<number>
  readonly mark: StreamMark
  readonly results: readonly PartResult[]
}

interface Prepared {
  readonly pages: Map<number, TilePage | undefined>
  /** The staged pages that were taken. */
  readonly adopted: Map<number, Uint8Array>
  readonly broken: Set<number>
}

/** Why an entry or a read cannot be done here. */
export class StoreTrouble extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

function emptyDisk(storeId: string, boot: number): Disk {
  return {
    storeId,
    boot,
    ledgerId: null,
    grid: null,
    mark: { position: 0, chain: CHAIN_START, seq: 0 },
    pages: new Map(),
    results: [],
    answers: new Map(),
    staged: new Map(),
    broken: new Set(),
  }
}

export class SimulatedStore {
  readonly #grid: GridContext
  readonly #random: Random
  readonly #isFenced: boolean
  /** A mutant: pages are taken as they come. */
  readonly #isMixing: boolean
  #disk: Disk

  constructor(
    grid: GridContext,
    options: { isFenced: boolean; isMixing?: boolean },
    random: Random,
  ) {
    this.#isMixing = options.isMixing ?? false
    this.#grid = grid
    this.#isFenced = options.isFenced
    this.#random = random
    this.#disk = emptyDisk(randomId(random), 0)
  }

  get storeId(): string {
    return this.#disk.storeId
  }

  get mark(): StreamMark {
    return this.#disk.mark
  }

  /** What a process finds when it starts. */
  start(): StoredState {
    this.#disk.boot += 1
    const { answers, broken, ...rest } = structuredClone(this.#disk)
    return { ...rest, answers: [...answers.values()], broken: [...broken], timeFloorMs: 0 }
  }

  get broken(): ReadonlySet<number> {
    return this.#disk.broken
  }

  tiles(): number[] {
    return [...this.#disk.pages.keys()].sort((a, b) => a - b)
  }

  page(tile: number): TilePage | undefined {
    const stored = this.#disk.pages.get(tile)
    if (stored === undefined) return undefined
    const page = TilePage.open(this.#layoutOf(tile), stored, undefined, tile)
    return typeof page === 'string' ? undefined : page
  }

  /** The page as a process reads it: one that is damaged is given up. */
  #readSound(tile: number): TilePage | undefined {
    const page = this.page(tile)
    if (page === undefined && this.#disk.pages.delete(tile)) this.#disk.broken.add(tile)
    return page
  }

  /** Tiles whose page on the disk is damaged, found out or not. */
  get rotten(): ReadonlySet<number> {
    const silent = this.tiles().filter((tile) => this.page(tile) === undefined)
    return new Set([...this.#disk.broken, ...silent])
  }

  /** The card rots: a byte of this page is another one. */
  rot(tile: number, random: Random): void {
    const stored = this.#disk.pages.get(tile)!.slice()
    stored[random.integer(stored.length)]! ^= 1 + random.integer(255)
    this.#disk.pages.set(tile, stored)
  }

  /** For another node. */
  copy({ move, tile }: Copy): IncomingPage {
    const page = this.#readSound(tile)
    if (page === undefined) throw new StoreTrouble('tile-missing', `tile ${tile} is not held here`)
    const { at, digest, bytes } = page
    return { move, tile, at, digest: digest.slice(), bytes }
  }

  /** Keeps those that are what they are said to be. */
  stage(pages: readonly IncomingPage[]): IncomingPage[] {
    const sound = pages.filter(({ tile, at, digest, bytes }) => {
      if (this.#isMixing) return true
      const page = TilePage.open(this.#layoutOf(tile), bytes, undefined, tile)
      return typeof page !== 'string' && page.at === at && equalBytes(page.digest, digest)
    })
    for (const page of sound) this.#disk.staged.set(page.tile, this.#asStaged(page))
    return sound
  }

  #asStaged({ tile, at, bytes }: IncomingPage): Uint8Array {
    if (!this.#isMixing) return bytes.slice()
    const page = new TilePage(this.#layoutOf(tile), bytes.slice())
    page.at = at
    page.seal(tile)
    return page.bytes
  }

  discard(tile: number): void {
    this.#disk.staged.delete(tile)
  }

  examine(tiles: Uint32Array): ExaminedPage[] {
    return [...tiles].map((tile) => {
      const page = this.#readSound(tile)
      return { tile, at: page?.at ?? 0, digest: page?.digest.slice() ?? new Uint8Array(8) }
    })
  }

  adopt(ledgerId: string, grid: GridShape): void {
    if (this.#disk.ledgerId !== null) throw new Error('a store belongs to one ledger')
    Object.assign(this.#disk, { ledgerId, grid })
  }

  /** Computes what the entries do; nothing changes yet. Throws the trouble of the first bad one. */
  prepare(entries: readonly Entry[]): PreparedCommit {
    const state: Prepared = {
      pages: new Map(),
      adopted: new Map(),
      broken: new Set(this.#disk.broken),
    }
    const results: PartResult[] = []
    let { mark } = this.#disk
    for (const entry of entries) {
      if (entry.position !== mark.position + 1) {
        throw new StoreTrouble(
          'entry-out-of-order',
          `${entry.position} does not follow ${mark.position}`,
        )
      }
      const order = isControl(entry.op) ? orderOf(entry) : undefined
      if (order !== undefined) this.#obey(order, state)
      const lsus = order === undefined ? this.#act(entry, state) : 0
      results.push({ position: entry.position, lsus })
      const seq = Math.max(mark.seq, entry.seq)
      mark = { position: entry.position, chain: new Uint8Array(entry.chain), seq }
    }
    const sealed = new Map<number, Uint8Array | undefined>()
    for (const [tile, page] of state.pages) {
      page?.seal(tile)
      sealed.set(tile, page?.bytes)
    }
    return { pages: sealed, adopted: state.adopted, broken: state.broken, mark, results }
  }

  #obey(order: ControlOrder, { pages, adopted, broken }: Prepared): void {
    if (order.op === '$drop') {
      for (const tile of order.tiles) {
        pages.set(tile, undefined)
        broken.delete(tile)
      }
    }
    if (order.op !== '$adopt') return
    const { tile, at, digest } = order
    const staged = this.#disk.staged.get(tile)
    const page = staged && TilePage.open(this.#layoutOf(tile), staged, undefined, tile)
    const isIt =
      page instanceof TilePage &&
      adopted.get(tile) !== staged &&
      page.at === at &&
      (this.#isMixing || equalBytes(page.digest, digest))
    if (isIt) {
      adopted.set(tile, staged!)
      broken.delete(tile)
    } else broken.add(tile)
    pages.set(tile, isIt ? page : undefined)
  }

  #act(entry: Entry, state: Prepared): number {
    const { pages, broken } = state
    const operation = findOperation(entry.op) as WriteOperation
    const run = operation.run(entry.args, this.#grid)
    const [x, y, w, h] = entry.region
    let lsus = 0
    for (const tile of unpackTiles(entry.tiles)) {
      const window = windowOf(this.#grid.geometry, tile, { x, y, w, h })
      const page = broken.has(tile) ? undefined : this.#pageFor(tile, state)
      if (page !== undefined && (entry.seq > page.at || !this.#isFenced)) {
        run.act(page, window, lsus)
        page.at = entry.seq
        pages.set(tile, page)
      }
      lsus += window.w * window.h
    }
    return lsus
  }

  #pageFor(tile: number, { pages, broken }: Prepared): TilePage | undefined {
    if (pages.has(tile)) return pages.get(tile) ?? TilePage.empty(this.#layoutOf(tile))
    const stored = this.#disk.pages.get(tile)
    if (stored === undefined) return TilePage.empty(this.#layoutOf(tile))
    const page = this.page(tile)
    if (page !== undefined) return page
    pages.set(tile, undefined)
    broken.add(tile)
    return undefined
  }

  /** The flush is over: pages, mark and results, together. */
  commit({ pages, adopted, broken, mark, results }: PreparedCommit): void {
    this.#putPages(pages)
    for (const [tile, page] of adopted) {
      if (this.#disk.staged.get(tile) === page) this.#disk.staged.delete(tile)
    }
    this.#disk.broken = new Set(broken)
    this.#disk.mark = mark
    this.#disk.results.push(...results)
  }

  /** A crash in a store that is worse than ours: the pages are there, the mark is not. */
  tear({ pages, adopted }: PreparedCommit): void {
    // Of writes only: what a node holds changes with the mark or not at all.
    const written = [...pages].filter(
      ([tile, bytes]) => bytes !== undefined && this.#disk.pages.has(tile) && !adopted.has(tile),
    )
    this.#putPages(new Map(written))
  }

  #putPages(pages: PreparedCommit['pages']): void {
    for (const [tile, bytes] of pages) {
      if (bytes === undefined) this.#disk.pages.delete(tile)
      else this.#disk.pages.set(tile, bytes)
    }
  }

  forgetResults(position: number): void {
    this.#disk.results = this.#disk.results.filter((result) => result.position > position)
  }

  storeAnswer(answer: Answer): void {
    this.#disk.answers.set(`${answer.task}/${answer.part}`, structuredClone(answer))
  }

  forgetAnswers(names: readonly { task: string; part: string }[]): void {
    for (const { task, part } of names) this.#disk.answers.delete(`${task}/${part}`)
  }

  wipe(): { storeId: string; boot: number } {
    this.#disk = emptyDisk(randomId(this.#random), this.#disk.boot)
    return { storeId: this.#disk.storeId, boot: this.#disk.boot }
  }

  /** What is held from a tile on, as the runner lists it; a few at a time. */
  list(from: number): { pages: ExaminedPage[]; next: number | null } {
    const tiles = this.tiles().filter((tile) => tile >= from)
    const pages = this.examine(Uint32Array.from(tiles.slice(0, TILES_PER_LIST)))
    return { pages: pages.filter(({ at }) => at > 0), next: tiles[TILES_PER_LIST] ?? null }
  }

  /** These tiles go over to another ledger, and no others. */
  rebase(ledgerId: string, keep: Uint32Array): void {
    const { storeId, boot, grid, pages } = this.#disk
    const kept = [...pages].filter(([tile]) => keep.includes(tile))
    this.#disk = { ...emptyDisk(storeId, boot), ledgerId, grid, pages: new Map(kept) }
  }

  /** Another card is put in: an empty one, or one with an older image. */
  replace(image?: unknown): void {
    this.#disk =
      image === undefined ? emptyDisk(randomId(this.#random), 0) : structuredClone(image as Disk)
  }

  image(): unknown {
    return structuredClone(this.#disk)
  }

  /** The partial result of a read, as the runner gives it. */
  read(read: Read): Wire {
    const operation = findOperation(read.op)
    if (operation?.kind === 'items') {
      const run = operation.run(read.args)
      read.items!.keys.forEach((key, index) => {
        run.visit(key, read.items!.values[index]!)
      })
      return run.finish()
    }
    if (operation?.kind !== 'read') throw new StoreTrouble('unknown-operation', read.op)
    const [x, y, w, h] = read.grid!.region
    const unborn = new Set(unpackTiles(read.grid!.unborn))
    const run = operation.run(read.args, this.#grid)
    for (const tile of [...unpackTiles(read.grid!.tiles), ...unborn].sort((a, b) => a - b)) {
      const page = this.#readSound(tile)
      if (page === undefined && !unborn.has(tile)) {
        throw new StoreTrouble('tile-missing', `tile ${tile} is not held here`)
      }
      const window = windowOf(this.#grid.geometry, tile, { x, y, w, h })
      run.visit(page ?? TilePage.empty(this.#layoutOf(tile)), window)
    }
    return run.finish()
  }

  #layoutOf(tile: number): ReturnType<typeof createLayout> {
    return createLayout(this.#grid.fields, this.#grid.geometry.tileLsus(tile))
  }
}
