/**
 * A node's disk: real tile pages, changed by the real operations, with the fence by `at` that
 * recovery.md asks for. What was not committed is gone after a crash. A torn commit, which LMDB does
 * not allow, leaves pages without their mark: the fence is to carry even that.
 */
import type { StoredState } from '../../firmware-agent/core/agent.ts'
import type { PartResult, StreamMark } from '../../firmware-agent/core/events.ts'
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
import type { Answer, Entry, GridShape, Read } from '../../shared/protocol/messages.ts'
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
}

export interface PreparedCommit {
  readonly pages: ReadonlyMap<number, Uint8Array>
  readonly mark: StreamMark
  readonly results: readonly PartResult[]
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
  }
}

export class SimulatedStore {
  readonly #grid: GridContext
  readonly #random: Random
  readonly #isFenced: boolean
  #disk: Disk

  constructor(grid: GridContext, options: { isFenced: boolean }, random: Random) {
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
    const { answers, results, ...rest } = structuredClone(this.#disk)
    return { ...rest, results, answers: [...answers.values()] }
  }

  tiles(): number[] {
    return [...this.#disk.pages.keys()].sort((a, b) => a - b)
  }

  page(tile: number): TilePage | undefined {
    const stored = this.#disk.pages.get(tile)
    if (stored === undefined) return undefined
    const page = TilePage.open(this.#layoutOf(tile), stored)
    if (typeof page === 'string') throw new Error(`the page of tile ${tile} is ${page}`)
    return page
  }

  adopt(ledgerId: string, grid: GridShape): void {
    if (this.#disk.ledgerId !== null) throw new Error('a store belongs to one ledger')
    Object.assign(this.#disk, { ledgerId, grid })
  }

  /** Computes what the entries do; nothing changes yet. Throws the trouble of the first bad one. */
  prepare(entries: readonly Entry[]): PreparedCommit {
    const pages = new Map<number, TilePage>()
    const results: PartResult[] = []
    let { mark } = this.#disk
    for (const entry of entries) {
      if (entry.position !== mark.position + 1) {
        throw new StoreTrouble(
          'entry-out-of-order',
          `${entry.position} does not follow ${mark.position}`,
        )
      }
      results.push({ position: entry.position, lsus: this.#act(entry, pages) })
      mark = { position: entry.position, chain: new Uint8Array(entry.chain), seq: entry.seq }
    }
    const sealed = new Map<number, Uint8Array>()
    for (const [tile, page] of pages) {
      page.seal()
      sealed.set(tile, page.bytes)
    }
    return { pages: sealed, mark, results }
  }

  #act(entry: Entry, pages: Map<number, TilePage>): number {
    const operation = findOperation(entry.op) as WriteOperation
    const run = operation.run(entry.args, this.#grid)
    const [x, y, w, h] = entry.region
    let lsus = 0
    for (const tile of unpackTiles(entry.tiles)) {
      const window = windowOf(this.#grid.geometry, tile, { x, y, w, h })
      const page = pages.get(tile) ?? this.page(tile) ?? TilePage.empty(this.#layoutOf(tile))
      if (entry.seq > page.at || !this.#isFenced) {
        run.act(page, window, lsus)
        page.at = entry.seq
        pages.set(tile, page)
      }
      lsus += window.w * window.h
    }
    return lsus
  }

  /** The flush is over: pages, mark and results, together. */
  commit({ pages, mark, results }: PreparedCommit): void {
    for (const [tile, bytes] of pages) this.#disk.pages.set(tile, bytes)
    this.#disk.mark = mark
    this.#disk.results.push(...results)
  }

  /** A crash in a store that is worse than ours: the pages are there, the mark is not. */
  tear({ pages }: PreparedCommit): void {
    for (const [tile, bytes] of pages) this.#disk.pages.set(tile, bytes)
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
      const page = this.page(tile)
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
