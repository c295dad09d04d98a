/**
 * Applies jobs of entries one after the other, in batches that each go to disk in one transaction.
 * While a batch is flushed the next is computed; a job hears of each batch of it that is on disk, and is settled
 * with the last: who waits for megabytes on a slow card must not be taken for one who gets on with nothing. An
 * entry that cannot be applied, or has no room, stops its job and, by the gap it leaves, all jobs behind
 * it; what came before it goes to disk first.
 */
import type { Entry } from '../../shared/protocol/messages.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import type { PartResult, StreamMark } from '../core/events.ts'
import { type CheckedEntry, checkEntry } from './checked-entry.ts'
import type { Pace } from './pace.ts'
import type { PageArena } from './page-arena.ts'
import type { SliceStore } from './slice-store.ts'
import { WriteBatch } from './write-batch.ts'

export interface Applied {
  readonly mark: StreamMark
  readonly results: readonly PartResult[]
}

/** A local trouble stopped the stream. What came before the entry is on disk: `applied`. */
export class ApplyError extends AppError {
  readonly applied: Applied

  constructor(cause: AppError, applied: Applied) {
    super(cause.code, cause.message, { cause, exitCode: cause.exitCode })
    this.applied = applied
  }
}

export interface ApplyJob {
  readonly kind: 'apply'
  readonly entries: readonly Entry[]
  /** So far, but for what it was told of before; so `settle` does, too. */
  readonly onProgress?: ((applied: Applied) => void) | undefined
  readonly settle: (outcome: Applied | ApplyError) => void
}

/** How far a job has come on disk. */
interface Progress {
  readonly job: ApplyJob
  /** That it was not told of. */
  readonly results: PartResult[]
  isSettled: boolean
}

/** A batch and, for each of its entries, the job that it belongs to. */
interface Stage {
  batch: WriteBatch
  readonly owners: Progress[]
}

/** One entry of a stage. */
interface Step {
  readonly checked: CheckedEntry
  readonly owner: Progress
}

const ENTRIES_PER_BATCH_MAX = 512
/** A job hears of what is on disk so often at the most, ms: each time is an acknowledgement. */
export const PROGRESS_MS = 100
/** The first transaction of a run is this much of one. */
const FIRST_SHARE = 0.25

export class ApplyRun {
  readonly #bytesMax: number
  readonly #pace: Pace
  readonly #progress: Pace
  readonly #store: SliceStore
  readonly #arenas: PageArena[]
  #filling: Stage | undefined
  #flushing: { readonly stage: Stage; readonly trouble: Promise<unknown> } | undefined
  /** The position of the last entry that was taken into a batch. */
  #position: number

  /** Two arenas, for this run alone until it has ended. */
  constructor(
    options: { bytesMax: number; pace: Pace; progress: Pace },
    store: SliceStore,
    arenas: readonly [PageArena, PageArena],
  ) {
    this.#bytesMax = options.bytesMax
    this.#arenas = [...arenas]
    this.#pace = options.pace
    this.#progress = options.progress
    this.#store = store
    this.#position = store.mark.position
  }

  /** Takes jobs as long as there are any. */
  async run(next: () => ApplyJob | undefined): Promise<void> {
    for (let job = next(); job !== undefined; job = next()) {
      const progress: Progress = { job, results: [], isSettled: false }
      if (job.entries.length === 0) settle(progress, this.#store.mark)
      for (const entry of job.entries) {
        if (progress.isSettled) break
        try {
          await this.#take(entry, progress)
        } catch (error) {
          await this.#drain()
          this.#fail([progress], error)
        }
      }
    }
    await this.#drain()
  }

  async #take(entry: Entry, progress: Progress): Promise<void> {
    const { grid } = this.#store
    if (grid === undefined) throw new AppError('grid-unknown', 'the store has no grid yet')
    this.#requireNext(entry)
    const checked = checkEntry(entry, grid)
    if (this.#filling !== undefined && this.#isFull(this.#filling.batch, checked)) {
      await this.#startFlush()
      if (progress.isSettled) return
      this.#requireNext(entry)
    }
    this.#filling ??= {
      batch: new WriteBatch(this.#store, grid, this.#nextArena(), this.#flushing?.stage.batch),
      owners: [],
    }
    const stage = this.#filling
    try {
      await stage.batch.add(checked, this.#pace)
    } catch (error) {
      stage.batch = await stage.batch.withoutFailed(this.#pace)
      throw error
    }
    stage.owners.push(progress)
    this.#position = entry.position
  }

  /** Two take turns: a batch is on disk before the one after the next begins. */
  #nextArena(): PageArena {
    this.#arenas.reverse()
    return this.#arenas[0]!
  }

  #requireNext({ position }: Entry): void {
    if (position === this.#position + 1) return
    throw new AppError('entry-out-of-order', `entry ${position} does not follow ${this.#position}`)
  }

  #isFull(batch: WriteBatch, next: CheckedEntry): boolean {
    const count = batch.entries.length
    if (count === 0) return false
    // The disk need not wait for a whole one where it has nothing else to do.
    const bytesMax = this.#flushing === undefined ? FIRST_SHARE * this.#bytesMax : this.#bytesMax
    return count >= ENTRIES_PER_BATCH_MAX || batch.bytesWith(next) > bytesMax
  }

  /** Sends the filling batch on its way to disk, behind the one before. */
  async #startFlush(): Promise<void> {
    await this.#filling?.batch.seal(this.#pace)
    await this.#finishFlush()
    const stage = this.#filling
    this.#filling = undefined
    if (stage === undefined || stage.batch.entries.length === 0) return
    let onTaken = (): void => {}
    const taken = new Promise<void>((resolve) => {
      onTaken = resolve
    })
    const trouble = stage.batch.commit(onTaken).then(
      () => undefined,
      (error: unknown) => error,
    )
    this.#flushing = { stage, trouble }
    // The disk only starts once the transaction was filled, which needs this thread.
    await Promise.race([taken, trouble])
  }

  async #finishFlush(): Promise<void> {
    if (this.#flushing === undefined) return
    const { stage, trouble } = this.#flushing
    const error = await trouble
    this.#flushing = undefined
    if (error === undefined) {
      this.#settleThoseIn(stage)
      return
    }
    // The batch behind was computed on pages that are not on disk.
    const steps = [
      ...stepsOf(stage),
      ...(this.#filling === undefined ? [] : stepsOf(this.#filling)),
    ]
    this.#filling = undefined
    const remaining = await this.#applyInParts(steps, error)
    this.#position = this.#store.mark.position
    if (remaining === undefined) return
    const owners = steps.map(({ owner }) => owner)
    this.#fail(owners, remaining)
  }

  /**
   * What has no room at once may have it in parts: all goes in up to the first entry that has none by
   * itself. Returns the trouble that remains.
   */
  async #applyInParts(steps: readonly Step[], trouble: unknown): Promise<unknown> {
    const isFull = trouble instanceof AppError && trouble.code === 'store-full'
    if (!isFull || steps.length === 1) return trouble
    const middle = Math.ceil(steps.length / 2)
    for (const part of [steps.slice(0, middle), steps.slice(middle)]) {
      const again = await this.#applyAtOnce(part)
      const remaining = again === undefined ? undefined : await this.#applyInParts(part, again)
      if (remaining !== undefined) return remaining
    }
    return undefined
  }

  /** In one transaction, while no other is under way. Returns the trouble if it has no effect. */
  async #applyAtOnce(steps: readonly Step[]): Promise<unknown> {
    const batch = new WriteBatch(this.#store, this.#store.grid!, this.#nextArena(), undefined)
    try {
      for (const { checked } of steps) await batch.add(checked, this.#pace)
      await batch.seal(this.#pace)
      await batch.commit(() => {})
    } catch (error) {
      return error
    }
    this.#settleThoseIn({ batch, owners: steps.map(({ owner }) => owner) })
    return undefined
  }

  /** The stage is on disk. */
  #settleThoseIn({ batch, owners }: Stage): void {
    owners.forEach((progress, index) => {
      progress.results.push(batch.results[index]!)
      const { entry } = batch.entries[index]!
      if (entry === progress.job.entries.at(-1)) settle(progress, batch.marks[index]!)
    })
    const last = owners.at(-1)
    if (last === undefined || last.isSettled || last.job.onProgress === undefined) return
    if (!this.#progress.isDue) return
    this.#progress.begin()
    last.job.onProgress({ mark: batch.marks.at(-1)!, results: last.results.splice(0) })
  }

  async #drain(): Promise<void> {
    await this.#startFlush()
    await this.#finishFlush()
  }

  #fail(jobs: readonly Progress[], error: unknown): void {
    const cause =
      error instanceof AppError
        ? error
        : new AppError('apply-failed', messageOf(error), { cause: error })
    for (const progress of jobs) {
      if (progress.isSettled) continue
      progress.isSettled = true
      const { mark } = this.#store
      progress.job.settle(new ApplyError(cause, { mark, results: progress.results }))
    }
  }
}

function settle(progress: Progress, mark: StreamMark): void {
  progress.isSettled = true
  progress.job.settle({ mark, results: progress.results })
}

function stepsOf({ batch, owners }: Stage): Step[] {
  return owners.map((owner, index) => ({ owner, checked: batch.entries[index]! }))
}
