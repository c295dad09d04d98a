/**
 * Runs entries and reads against the store, one after the other in the order they came: a read sees
 * one state. Entries that stand in the queue together share transactions, and while one goes to disk
 * the next is computed. Computing is cut into slices, so that no message waits for it.
 */

import { assert } from '../../shared/core/assert.ts'
import { DIGEST_BYTES } from '../../shared/core/hash.ts'
import { PACKED_FORMAT } from '../../shared/grid/page-layout.ts'
import type { Room, TilePage } from '../../shared/grid/tile-page.ts'
import type { Answer, Copy, Entry, Read } from '../../shared/protocol/messages.ts'
import { type Clock, SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import type { IncomingPage } from '../core/effects.ts'
import type { ExaminedPage } from '../core/events.ts'
import { type Applied, ApplyError, type ApplyJob, ApplyRun, PROGRESS_MS } from './apply-run.ts'
import { Pace } from './pace.ts'
import { PageArena } from './page-arena.ts'
import { PageDamagedError } from './page-damaged-error.ts'
import { runRead } from './read-run.ts'
import type { SliceStore } from './slice-store.ts'

export interface OperationRunnerOptions {
  /** After this much computing, messages are taken and sent. */
  readonly sliceMs?: number
  /** Pages of one transaction, bytes; one entry may have more. */
  readonly transactionBytesMax?: number
  /** Between two times that who waits for entries hears of those that are done. */
  readonly progressMs?: number
  /** Bounds a message that lists what is held. */
  readonly tilesPerList?: number
}

interface ReadJob {
  readonly kind: 'read'
  readonly read: Read
  readonly settle: (answer: Answer | undefined) => void
  isCancelled: boolean
}

interface OtherJob {
  readonly kind: 'other'
  readonly run: () => Promise<void>
}

type Job = ApplyJob | ReadJob | OtherJob

const NO_DIGEST = new Uint8Array(DIGEST_BYTES)
/** Bounds a message to some tens of kilobytes. */
const TILES_PER_LIST = 2048
const SLICE_MS = 10
const TRANSACTION_BYTES_MAX = 1024 * 1024
/** Of each arena between runs: a transaction, and what its chunks leave over. */
const ARENA_BYTES_KEPT = 1.5 * TRANSACTION_BYTES_MAX

export class OperationRunner {
  readonly #store: SliceStore
  readonly #clock: Clock
  readonly #sliceMs: number
  readonly #transactionBytesMax: number
  readonly #progressMs: number
  readonly #tilesPerList: number
  readonly #arenas = [new PageArena(), new PageArena()] as const
  readonly #queue: Job[] = []
  #runningRead: ReadJob | undefined
  #isRunning = false
  #jobs = 0

  constructor(options: OperationRunnerOptions, store: SliceStore, clock: Clock = SYSTEM_CLOCK) {
    this.#store = store
    this.#clock = clock
    this.#sliceMs = options.sliceMs ?? SLICE_MS
    this.#progressMs = options.progressMs ?? PROGRESS_MS
    this.#tilesPerList = options.tilesPerList ?? TILES_PER_LIST
    this.#transactionBytesMax = options.transactionBytesMax ?? TRANSACTION_BYTES_MAX
  }

  /** Whether nothing runs or waits. */
  get isIdle(): boolean {
    return !this.#isRunning
  }

  /** Jobs so far, those that wait too. */
  get jobs(): number {
    return this.#jobs
  }

  /** Lets go of memory that the next work would use again. Only when idle. */
  releaseMemory(): void {
    assert(this.isIdle, 'nobody uses the memory')
    for (const arena of this.#arenas) arena.shrink(0)
  }

  /** Reads that wait or run. */
  get readsOpen(): number {
    const waiting = this.#queue.filter((job) => job.kind === 'read').length
    return waiting + (this.#runningRead === undefined ? 0 : 1)
  }

  /**
   * Resolves once all entries are on disk; fails with an `ApplyError`. `onProgress` is told of some of them that are
   * there before, and of these nothing is said again.
   */
  async apply(
    entries: readonly Entry[],
    onProgress?: (applied: Applied) => void,
  ): Promise<Applied> {
    const outcome = await new Promise<Applied | ApplyError>((settle) => {
      this.#enqueue({ kind: 'apply', entries, onProgress, settle })
    })
    if (outcome instanceof ApplyError) throw outcome
    return outcome
  }

  /** The answer, which may be an error, or nothing if the read was cancelled. */
  async read(read: Read): Promise<Answer | undefined> {
    return await new Promise((settle) => {
      this.#enqueue({ kind: 'read', read, settle, isCancelled: false })
    })
  }

  /** Nobody waits for reads of this task any more. */
  cancel(task: string): void {
    for (const job of [...this.#queue, this.#runningRead]) {
      if (job?.kind === 'read' && job.read.task === task) job.isCancelled = true
    }
  }

  /** The page of a tile for another node; `tile-missing` or `page-damaged` if it has no sound one. */
  async copy(copy: Copy): Promise<IncomingPage> {
    return await this.exclusively(async () => {
      const page = await this.#readSound(copy.tile)
      if (page === undefined) {
        throw new AppError('tile-missing', `tile ${copy.tile} is not held here`)
      }
      const { at, digest } = page
      const bytes = page.stored((copy.pages ?? 1) >= PACKED_FORMAT)
      return { move: copy.move, tile: copy.tile, at, digest, bytes }
    })
  }

  /** The sound pages from tile `from` on, some at a time, and where the next ones begin. */
  async list(from: number): Promise<{ pages: ExaminedPage[]; next: number | null }> {
    const tiles = this.#store.heldTiles(from, this.#tilesPerList + 1)
    const next = tiles[this.#tilesPerList] ?? null
    const examined = await this.examine(tiles.subarray(0, this.#tilesPerList))
    return { pages: examined.filter(({ at }) => at > 0), next }
  }

  /** What the pages of these tiles are; damaged ones count as not held from then on. */
  async examine(tiles: Uint32Array): Promise<ExaminedPage[]> {
    return await this.exclusively(async () => {
      const pace = this.#newPace()
      const examined: ExaminedPage[] = []
      const damaged: number[] = []
      // Nothing is applied meanwhile. This goes on all the time: fresh memory for each page would pile up.
      const [arena] = this.#arenas
      const room = (bytes: number): Uint8Array => arena.take(bytes)
      for (const tile of tiles) {
        arena.clear()
        const page = this.#readOrNote(tile, room, damaged)
        examined.push({
          tile,
          at: page?.at ?? 0,
          digest: page === undefined ? NO_DIGEST : page.digest,
        })
        if (pace.isDue) await pace.rest()
      }
      // At once: a card that dies may have thousands.
      if (damaged.length > 0) await this.#store.giveUp(damaged)
      return examined
    })
  }

  #readOrNote(tile: number, room: Room, damaged: number[]): TilePage | undefined {
    try {
      return this.#store.readPage(tile, room)
    } catch (error) {
      if (!(error instanceof PageDamagedError)) throw error
      damaged.push(tile)
      return undefined
    }
  }

  /** A page that turns out to be damaged is given up before the error goes on. */
  async #readSound(tile: number): Promise<TilePage | undefined> {
    try {
      return this.#store.readPage(tile)
    } catch (error) {
      if (error instanceof PageDamagedError) await this.#store.giveUp([tile])
      throw error
    }
  }

  /** Runs something that needs the store for itself, as emptying it, in its turn. */
  async exclusively<T>(run: () => Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      this.#enqueue({ kind: 'other', run: () => run().then(resolve, reject) })
    })
  }

  #newPace(): Pace {
    return new Pace(this.#sliceMs, this.#clock)
  }

  #enqueue(job: Job): void {
    this.#queue.push(job)
    this.#jobs += 1
    if (!this.#isRunning) void this.#run()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    for (let job = this.#queue[0]; job !== undefined; job = this.#queue[0]) {
      if (job.kind === 'apply') {
        const progress = new Pace(this.#progressMs, this.#clock)
        const options = { bytesMax: this.#transactionBytesMax, pace: this.#newPace(), progress }
        await new ApplyRun(options, this.#store, this.#arenas).run(() => this.#nextApply())
        for (const arena of this.#arenas) arena.shrink(ARENA_BYTES_KEPT)
      } else {
        this.#queue.shift()
        if (job.kind === 'read') await this.#answer(job)
        else await job.run()
      }
    }
    this.#isRunning = false
  }

  #nextApply(): ApplyJob | undefined {
    const job = this.#queue[0]
    if (job?.kind !== 'apply') return undefined
    this.#queue.shift()
    return job
  }

  async #answer(job: ReadJob): Promise<void> {
    const { task, part, attempt } = job.read
    const { position, seq } = this.#store.mark
    const startMs = this.#clock.monotonicMs
    this.#runningRead = job
    const outcome = await this.#valueOrError(job)
    this.#runningRead = undefined
    const ms = Math.round((this.#clock.monotonicMs - startMs) * 1000) / 1000
    const head = { t: 'answer', task, part, attempt, position, seq, ms } as const
    job.settle(job.isCancelled ? undefined : { ...head, ...outcome })
  }

  async #valueOrError(job: ReadJob): Promise<Pick<Answer, 'value' | 'error'>> {
    if (job.isCancelled) return {}
    try {
      const pace = this.#newPace()
      const value = await runRead(job.read, this.#store, pace, () => job.isCancelled)
      return value === undefined ? {} : { value }
    } catch (error) {
      if (error instanceof PageDamagedError) await this.#store.giveUp([error.tile])
      const code = error instanceof AppError ? error.code : 'read-failed'
      return { error: { code, message: messageOf(error).slice(0, 1024) } }
    }
  }
}
