/**
 * Reads what lies around the tiles of a write, behind its barrier (barriers.ts): of each tile the cells that others have
 * for neighbours. A barrier stands for a while at the most; if not all was read by then it falls, those who waited have
 * their turn, and the write is tried again.
 */
import { type Region, regionsTouch } from '../../../shared/grid/geometry.ts'
import { OSL_EDGES } from '../../../shared/operations/osl-edges.ts'
import { edgesArgsOf } from '../../../shared/operations/osl-near.ts'
import type { EdgesPartial } from '../../../shared/operations/tile-edges.ts'
import type { Barrier } from '../state/barriers.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Task } from '../state/task-ledger.ts'
import { UNTOLD } from './read-asker.ts'
import type { Reads } from './reads.ts'

/** A tile that is away never stops the writes of others for longer. */
export const BARRIER_MS = 10_000
/** Before it is tried again. */
export const RETRY_MS = 1000

export class EdgeReads {
  readonly #context: CoordinatorContext
  readonly #reads: Reads
  /** What is read, and is not given up. */
  readonly #begun = new Map<Task, Barrier>()

  constructor(context: CoordinatorContext, reads: Reads) {
    this.#context = context
    this.#reads = reads
  }

  /** To be called when barriers may have been raised or have fallen. */
  follow(): void {
    const { barriers, deadlines } = this.#context
    for (const [task, barrier] of this.#begun) {
      if (barriers.find(task) === barrier) continue
      this.#begun.delete(task)
      this.#reads.abandon(barrier.id)
      deadlines.clear(deadlineOf(barrier))
    }
    for (const barrier of barriers.all) {
      if (this.#begun.has(barrier.task)) continue
      this.#begun.set(barrier.task, barrier)
      this.#begin(barrier)
    }
  }

  /** These tiles begin anew: what was read of them and around is not what will be there. */
  releaseAt(tiles: readonly number[]): void {
    const { barriers, options } = this.#context
    const regions = tiles.map((tile) => options.grid.geometry.tileRegion(tile))
    for (const barrier of [...barriers.all]) {
      const isHit = (region: Region): boolean => regionsTouch(region, barrier.region)
      if (regions.some(isHit)) this.#release(barrier)
    }
  }

  #begin(barrier: Barrier): void {
    const { deadlines, nowMs, options } = this.#context
    const { task, region, id } = barrier
    const giveUp = (): void => this.#release(barrier)
    // Not at once: who tells it is in the middle of the read.
    const giveUpSoon = (): void => deadlines.set(deadlineOf(barrier), this.#context.nowMs, giveUp)
    deadlines.set(deadlineOf(barrier), nowMs + BARRIER_MS, giveUp)
    const deadlineMs = Math.min(task.deadlineMs, nowMs + BARRIER_MS)
    const args = edgesArgsOf(task.body!.args, options.grid)
    this.#reads.submit({
      ...UNTOLD,
      id,
      body: { op: OSL_EDGES, region, args, deadlineMs: BARRIER_MS },
      deadlineMs,
      shards: { total: 0, done: 0, failed: 0 },
      waits(reason) {
        if (reason !== undefined) giveUpSoon()
      },
      completed: ({ value }) => {
        barrier.edges = value as EdgesPartial
        this.#context.waiting.goOn(task)
      },
      failed: giveUpSoon,
    })
  }

  #release({ task }: Barrier): void {
    const { waiting, deadlines, nowMs } = this.#context
    waiting.release(task)
    this.follow()
    deadlines.set(`edges-again/${task.id}`, nowMs + RETRY_MS, () => waiting.goOn(task))
  }
}

function deadlineOf({ id }: Barrier): string {
  return `edges/${id}`
}
