/**
 * Gives memory back while the agent has nothing to do. V8 collects garbage for want of memory, which an agent
 * at rest never has: what was left of messages and pages of the last work, 4 to 6 MB, would stay for a minute
 * or for hours. Needs Node's `--expose-gc`, as the unit has it.
 */
import { getHeapStatistics } from 'node:v8'

const LOOK_INTERVAL_MS = 5000
/** Two collections take 20 to 40 ms on a fast machine, and a slow one needs longer: not for less. */
const GARBAGE_BYTES_MIN = 3e6

export interface CollectedHeap {
  /** Bytes of objects and of buffers outside, dead ones too. */
  usedBytes(): number
  collect(): void
}

export interface Worker {
  readonly isIdle: boolean
  /** How many jobs there have been. */
  readonly jobs: number
  /** Lets go of what it keeps for its next work. */
  releaseMemory(): void
}

export class IdleCollection {
  readonly #heap: CollectedHeap
  readonly #worker: Worker
  readonly #timer: NodeJS.Timeout
  /** What lived after the last collection, or less. */
  #liveBytes: number
  /** At the last look. */
  #jobs: number

  constructor(heap: CollectedHeap, worker: Worker) {
    this.#heap = heap
    this.#worker = worker
    this.#liveBytes = heap.usedBytes()
    this.#jobs = worker.jobs
    this.#timer = setInterval(() => this.look(), LOOK_INTERVAL_MS).unref()
  }

  /** Collects if that is worth it and there was nothing to do since the last look: work would have to wait. */
  look(): void {
    const usedBytes = this.#heap.usedBytes()
    this.#liveBytes = Math.min(this.#liveBytes, usedBytes)
    const { isIdle, jobs } = this.#worker
    const isAtRest = isIdle && jobs === this.#jobs
    this.#jobs = jobs
    if (!isAtRest || usedBytes - this.#liveBytes < GARBAGE_BYTES_MIN) return
    this.#worker.releaseMemory()
    this.#heap.collect()
    this.#liveBytes = this.#heap.usedBytes()
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

/** The heap of this process, if Node lets it be collected. */
export function ownHeap(): CollectedHeap | undefined {
  const { gc } = globalThis
  if (gc === undefined) return undefined
  return {
    usedBytes() {
      const { used_heap_size, external_memory } = getHeapStatistics()
      return used_heap_size + external_memory
    },
    collect() {
      gc()
      // The first learns how much of each page lives; the second can empty those with little and give them back.
      gc()
    },
  }
}
