/**
 * Accepted tasks on their way: a write goes to writes.ts, everything else to reads.ts, and both end when their time is
 * over. What has no effect yet can be cancelled; a write that has its place in the order cannot.
 */
import { isEnded } from '../../../shared/protocol/states.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { operationOf, type Task } from '../state/task-ledger.ts'
import type { GhostWatch } from './ghost-watch.ts'
import { askerOf } from './read-asker.ts'
import type { Reads } from './reads.ts'
import { endTask, UNANSWERED } from './task-endings.ts'
import type { Writes } from './writes.ts'

export class TaskRunner {
  readonly #context: CoordinatorContext
  readonly #writes: Writes
  readonly #reads: Reads
  readonly #ghosts: GhostWatch

  constructor(
    context: CoordinatorContext,
    { writes, reads, ghosts }: { writes: Writes; reads: Reads; ghosts: GhostWatch },
  ) {
    this.#context = context
    this.#writes = writes
    this.#reads = reads
    this.#ghosts = ghosts
  }

  begin(task: Task): void {
    this.#watchDeadline(task)
    if (isWrite(task)) this.#writes.submit(task)
    else this.#reads.submit(askerOf(this.#context, task, this.#ghosts))
  }

  /** Goes on with those that had not ended at the last end of the gateway; writes.ts has its own of the ledger already. */
  resume(open: readonly Task[]): void {
    for (const task of open) {
      // A write may be done now that nobody is here to hold it up.
      if (isEnded(task.state)) continue
      this.#watchDeadline(task)
      if (isWrite(task)) this.#writes.sealAgain(task)
      else {
        task.shards = { total: 0, done: 0, failed: 0 }
        this.#reads.submit(askerOf(this.#context, task, this.#ghosts), { isRestored: true })
      }
    }
  }

  /** False when a sequenced write can no longer be taken back. */
  cancel(task: Task): boolean {
    if (!isWrite(task)) this.#reads.abandon(task.id)
    else if (!this.#writes.withdraw(task)) return false
    endTask(this.#context, task, 'cancelled', { nodes: 0 })
    return true
  }

  #watchDeadline(task: Task): void {
    this.#context.deadlines.set(`task/${task.id}`, task.deadlineMs, () => this.#expire(task))
  }

  #expire(task: Task): void {
    if (this.#context.sealing.has(task.id)) {
      task.error = { code: 'deadline', message: 'its value was not sealed before the deadline' }
      endTask(this.#context, task, 'expired', { nodes: 0 })
    } else if (isWrite(task)) this.#writes.expire(task)
    else {
      this.#reads.abandon(task.id)
      task.error = UNANSWERED
      endTask(this.#context, task, 'expired', { nodes: 0 })
    }
  }
}

function isWrite(task: Task): boolean {
  return operationOf(task).kind === 'write'
}
