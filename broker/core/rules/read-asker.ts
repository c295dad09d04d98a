/**
 * What a read needs of whoever asks for it: what is asked, and whom to tell how it goes on. A task keeps all
 * of that in the ledger; a look (looks.ts) keeps nothing.
 */
import type { TaskId } from '../../../shared/core/ids.ts'
import type { TaskBody } from '../../../shared/protocol/task.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Task, WaitReason } from '../state/task-ledger.ts'
import type { ResultFacts } from '../state/task-messages.ts'
import type { GhostWatch } from './ghost-watch.ts'
import { completeTask, endTask } from './task-endings.ts'

export interface ReadAsker {
  /** By which nodes know it. */
  readonly id: TaskId
  readonly body: TaskBody
  /** Monotonic ms. */
  readonly deadlineMs: number
  /** Counted by the read. */
  readonly shards: { total: number; done: number; failed: number }
  /** Some of its parts were sent. */
  begun(): void
  waits(reason: WaitReason | undefined): void
  /** One more part is answered. */
  progressed(): void
  notice: CoordinatorContext['notice']
  /** By a ghost, the value would be this; nothing if that is not known. It is told before the read is completed. */
  shadowed(current: unknown, ghost: unknown): void
  completed(facts: ResultFacts): void
  failed(error: { readonly code: string; readonly message: string }, nodes: number): void
}

/** Nobody follows how it goes on. */
export const UNTOLD = { begun() {}, waits() {}, progressed() {}, notice() {}, shadowed() {} }

/** A task, which has not ended. */
export function askerOf(context: CoordinatorContext, task: Task, ghosts: GhostWatch): ReadAsker {
  const { id, deadlineMs, shards } = task
  return {
    ...{ id, deadlineMs, shards, body: task.body! },
    begun() {
      if (task.state !== 'accepted') return
      task.state = 'running'
      context.taskChanged(task)
    },
    waits: (reason) => context.taskWaits(task, reason),
    progressed: () => context.progressed(task),
    notice: (...said) => context.notice(...said),
    shadowed: (current, ghost) => ghosts.compared(task, current, ghost),
    completed: (facts) => completeTask(context, task, facts),
    failed(error, nodes) {
      task.error = error
      endTask(context, task, 'failed', { nodes })
    },
  }
}
