/**
 * Which ended tasks may go, oldest end first. State and result stay for `retentionMs` and are among the
 * last `retentionTasks`; a task whose body the log still needs goes later, and holds up no other. Of a
 * named task the id then stays until `IDS_KEPT_MS` after the end.
 *
 * The time here is that of the ledger (`CoordinatorContext.ledgerMs`): how long the gateway has run on it.
 * A wall clock may run ahead, leap or go back.
 */
import type { Task } from './task-ledger.ts'

export interface RetentionOptions {
  readonly retentionMs: number
  readonly retentionTasks: number
}

/** A named id and its hash are known for this long after the end (recovery.md, The ledger). */
export const IDS_KEPT_MS = 7 * 24 * 3600 * 1000

/** What goes at a time: each is some records and messages. */
export const SWEPT_MAX = 256

export class Retention {
  readonly #options: RetentionOptions
  /** Whose state is kept. */
  #ended: Task[] = []
  /** They were kept long enough, but the log needs their bodies. */
  readonly #held = new Set<Task>()
  /** Those of them that it needs no more. */
  #released: Task[] = []
  /** Of which only the id is known still. */
  #cleared: Task[] = []

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  add(task: Task): void {
    if (task.isCleared) this.#cleared.push(task)
    else this.#ended.push(task)
  }

  /** The body of an ended task is gone. */
  release(task: Task): void {
    if (this.#held.delete(task)) this.#released.push(task)
  }

  /** Tasks whose state and result were kept long enough; at most `SWEPT_MAX`. */
  takeExpired(ledgerMs: number): Task[] {
    const { retentionMs, retentionTasks } = this.#options
    const taken = this.#released.splice(0, SWEPT_MAX)
    const isOld = oldBy(retentionMs, ledgerMs)
    let count = 0
    while (taken.length < SWEPT_MAX && this.#ended.length - count > retentionTasks) {
      const task = this.#ended[count]!
      if (!isOld(task)) break
      if (task.body === undefined) taken.push(task)
      else this.#held.add(task)
      count++
    }
    this.#ended.splice(0, count)
    return taken
  }

  /** Tasks whose id was kept long enough; at most `SWEPT_MAX`. */
  takeForgotten(ledgerMs: number): Task[] {
    const isOld = oldBy(IDS_KEPT_MS, ledgerMs)
    let count = 0
    while (count < Math.min(this.#cleared.length, SWEPT_MAX) && isOld(this.#cleared[count]!))
      count++
    return this.#cleared.splice(0, count)
  }
}

function oldBy(keptMs: number, ledgerMs: number): (task: Task) => boolean {
  return ({ endedMs }) => ledgerMs - endedMs! >= keptMs
}
