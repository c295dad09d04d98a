/**
 * Values on their way to be sealed (security.md, 12). A task that names a recipient has not ended when its value is there: the
 * value is in memory alone, the world seals it, and what is sealed ends the task. So no value is in the ledger or leaves in
 * clear, whenever the gateway dies: a read is then done once more, and of a write its record says what the result had.
 *
 * What waits is bounded by bytes and by number: beyond that no such task is accepted, and beyond twice as many bytes a
 * read fails, since what was accepted before may all end at once. What the world still holds counts, also if its task
 * has ended. The value of a write is too small to count.
 */
import type { TaskId } from '../../../shared/core/ids.ts'
import type { ResultFacts } from './task-messages.ts'

/** What one takes beside its value. */
const OVERHEAD_BYTES = 4096
const ACCEPTED_BYTES_MAX = 32 * 1024 * 1024
const WAITING_BYTES_MAX = 2 * ACCEPTED_BYTES_MAX
const ACCEPTED_MAX = 256

interface Waiting {
  readonly facts: ResultFacts
  readonly bytes: number
}

export class Sealing {
  readonly #waiting = new Map<TaskId, Waiting>()
  #bytes = 0

  /** No task is to be accepted that would come here. */
  get isBusy(): boolean {
    return this.#bytes >= ACCEPTED_BYTES_MAX || this.#waiting.size >= ACCEPTED_MAX
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= WAITING_BYTES_MAX
  }

  /** `facts` are without the value, which has so many bytes. */
  add(task: TaskId, facts: ResultFacts, valueBytes: number): void {
    const bytes = valueBytes + OVERHEAD_BYTES
    this.#waiting.set(task, { facts, bytes })
    this.#bytes += bytes
  }

  has(task: TaskId): boolean {
    return this.#waiting.has(task)
  }

  /** It is not held any more, sealed or not. A task that ended meanwhile counts until then. */
  take(task: TaskId): ResultFacts | undefined {
    const waiting = this.#waiting.get(task)
    if (waiting === undefined) return undefined
    this.#waiting.delete(task)
    this.#bytes -= waiting.bytes
    return waiting.facts
  }
}
