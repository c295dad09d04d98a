import { isDeepStrictEqual } from 'node:util'
import type { Region } from '../../shared/grid/geometry.ts'
import type { Obelisk, TaskResult } from '../client/connect.ts'

export interface TaskRequest {
  readonly op: 'put' | 'get' | 'stat' | 'add'
  readonly region: Region
  readonly args: Readonly<Record<string, unknown>>
}

/** One task, from its first submission to its end. */
export interface SubmittedTask {
  readonly id: string
  readonly request: TaskRequest
  /** Monotonic ms. */
  acceptedMs?: number
  endedMs?: number
  result?: TaskResult
  readonly accepted: Promise<void>
  readonly ended: Promise<TaskResult>
}

const DEADLINE_MS = 120_000

/** Submits tasks by the client library, which sends them again after whatever breaks, and keeps how they went. */
export class TaskClient {
  readonly #obelisk: Obelisk
  readonly #onAway: (error: Error) => void
  readonly #onFault: (error: Error) => void
  readonly #tasks: SubmittedTask[] = []

  /** `onFault` is told of what must never happen: a refusal, or a task that does not complete. */
  constructor(
    obelisk: Obelisk,
    { onAway, onFault }: Record<'onAway' | 'onFault', (error: Error) => void>,
  ) {
    this.#obelisk = obelisk
    this.#onAway = onAway
    this.#onFault = onFault
  }

  get tasks(): readonly SubmittedTask[] {
    return this.#tasks
  }

  /** Accepted or not, and without an end so far. */
  get open(): readonly SubmittedTask[] {
    return this.#tasks.filter(({ endedMs }) => endedMs === undefined)
  }

  submit(request: TaskRequest): SubmittedTask {
    const id = `${request.op}-${this.#tasks.length + 1}`
    let accept = (): void => {}
    const accepted = new Promise<void>((resolve) => (accept = resolve))
    const onAccepted = (): void => {
      task.acceptedMs = performance.now()
      accept()
    }
    const ended = this.#run(id, request, onAccepted).then(
      (result) => {
        task.endedMs = performance.now()
        task.result = result
        return result
      },
      (error: Error) => {
        this.#onFault(error)
        return new Promise<never>(() => {})
      },
    )
    const task: SubmittedTask = { id, request, accepted, ended }
    this.#tasks.push(task)
    return task
  }

  /** Runs what has ended under its id again: the first task whose end is another then, if there is one. */
  async runAgain(): Promise<SubmittedTask | undefined> {
    const again = await Promise.all(
      this.#tasks.map(async (task) => ({ task, end: await this.#run(task.id, task.request) })),
    )
    return again.find(({ task, end }) => !isDeepStrictEqual(end, task.result))?.task
  }

  #run(id: string, request: TaskRequest, onAccepted?: () => void): Promise<TaskResult> {
    const options = { onAccepted, onAway: this.#onAway }
    return this.#obelisk.run({ id, ...request, deadline_ms: DEADLINE_MS }, options)
  }
}
