/**
 * What a read needs of whoever asks for it: what is asked, and whom to tell how it goes on. A task keeps all
 * of that in the ledger; a look (looks.ts) keeps nothing.
 */
import type { TaskId } from '../../../shared/core/ids.ts'
import type { TaskBody } from '../../../shared/protocol/task.ts'
import type { GatewayNotice } from '../effects.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Task, WaitReason } from '../state/task-ledger.ts'
import type { ResultFacts } from '../state/task-messages.ts'
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
  notice(
    level: GatewayNotice['level'],
    code: string,
    message: string,
    fields: Record<string, string | number>,
  ): void
  completed(facts: ResultFacts): void
  failed(error: { readonly code: string; readonly message: string }, nodes: number): void
}

/** Nobody follows how it goes on. */
export const UNTOLD = { begun() {}, waits() {}, progressed() {}, notice() {} }

export class TaskRead implements ReadAsker {
  readonly body: TaskBody
  readonly #context: CoordinatorContext
  readonly #task: Task

  /** It has not ended. */
  constructor(context: CoordinatorContext, task: Task) {
    this.body = task.body!
    this.#context = context
    this.#task = task
  }

  get id(): TaskId {
    return this.#task.id
  }

  get deadlineMs(): number {
    return this.#task.deadlineMs
  }

  get shards(): Task['shards'] {
    return this.#task.shards
  }

  begun(): void {
    if (this.#task.state !== 'accepted') return
    this.#task.state = 'running'
    this.#context.taskChanged(this.#task)
  }

  waits(reason: WaitReason | undefined): void {
    this.#context.taskWaits(this.#task, reason)
  }

  progressed(): void {
    this.#context.progressed(this.#task)
  }

  notice(...said: Parameters<ReadAsker['notice']>): void {
    this.#context.notice(...said)
  }

  completed(facts: ResultFacts): void {
    completeTask(this.#context, this.#task, facts)
  }

  failed(error: { readonly code: string; readonly message: string }, nodes: number): void {
    this.#task.error = error
    endTask(this.#context, this.#task, 'failed', { nodes })
  }
}
