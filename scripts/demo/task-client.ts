import type { Region } from '../../shared/grid/geometry.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import type { GatewayLink } from './gateway-link.ts'

export interface TaskRequest {
  readonly op: 'put' | 'get' | 'stat' | 'add'
  readonly region: Region
  readonly args: object
}

/** The payload of `task/<task>/result`, as far as the demo reads it. */
export interface TaskResult {
  readonly id: string
  readonly state: string
  readonly value?: unknown
  readonly copies?: number
  readonly shards: number
  readonly ms: number
  readonly error?: { readonly code: string; readonly message: string }
}

/** One task, from its first submission to its end. */
export interface SubmittedTask {
  readonly id: string
  readonly request: TaskRequest
  readonly payload: string
  /** How often it was published. */
  sends: number
  /** Monotonic ms of the PUBACK. */
  acceptedMs?: number
  endedMs?: number
  result?: TaskResult
  /** Its result as it came first; a second end would differ. */
  resultBytes?: Buffer
  readonly accepted: Promise<void>
  readonly ended: Promise<TaskResult>
}

interface Settlers {
  readonly accept: () => void
  readonly end: (result: TaskResult) => void
}

const DEADLINE_MS = 120_000
const RESULT_LIMITS = { bytesMax: 64 * 1024 * 1024, depthMax: 8, itemsMax: 4_000_000 }

/**
 * Submits tasks and waits for their ends. A submission that was not acknowledged when the connection
 * closed is sent again on the next one, with the same id, which makes it the same task.
 */
export class TaskClient {
  readonly #tasks = new Map<string, SubmittedTask>()
  readonly #settlers = new Map<string, Settlers>()
  readonly #onFault: (error: Error) => void
  #link: GatewayLink | undefined
  #resent = 0
  #open = 0

  /** `onFault` is told of what must never happen: a refusal, a result of nobody, a second end. */
  constructor(onFault: (error: Error) => void) {
    this.#onFault = onFault
  }

  get tasks(): readonly SubmittedTask[] {
    return [...this.#tasks.values()]
  }

  /** Submissions that had to be sent a second time. */
  get resent(): number {
    return this.#resent
  }

  /** Accepted or not, and without an end so far. */
  get openCount(): number {
    return this.#open
  }

  submit(request: TaskRequest): SubmittedTask {
    const id = `${request.op}-${this.#tasks.size + 1}`
    const { op, region, args } = request
    let accept: Settlers['accept'] = () => {}
    let end: Settlers['end'] = () => {}
    const task: SubmittedTask = {
      id,
      request,
      payload: JSON.stringify({ id, op, region, args, deadline_ms: DEADLINE_MS }),
      sends: 0,
      accepted: new Promise((resolve) => {
        accept = resolve
      }),
      ended: new Promise((resolve) => {
        end = resolve
      }),
    }
    this.#settlers.set(id, { accept, end })
    this.#tasks.set(id, task)
    this.#open += 1
    this.#send(task)
    return task
  }

  /** Goes on over a new connection. */
  attach(link: GatewayLink): void {
    this.#link = link
    for (const task of this.#tasks.values()) {
      if (task.acceptedMs !== undefined) continue
      if (task.sends > 0) this.#resent += 1
      this.#send(task)
    }
  }

  detach(): void {
    this.#link = undefined
  }

  #send(task: SubmittedTask): void {
    if (this.#link === undefined) return
    task.sends += 1
    this.#link.submit(task.payload, () => {
      task.acceptedMs ??= performance.now()
      this.#settlers.get(task.id)?.accept()
    })
  }

  takeResult(payload: Buffer): void {
    const decoded = decodeCbor(payload, RESULT_LIMITS)
    if (!decoded.ok) {
      this.#onFault(new Error(`a result does not decode: ${decoded.message}`))
      return
    }
    const result = decoded.value as TaskResult
    const task = this.#tasks.get(result.id)
    if (task === undefined) {
      this.#onFault(new Error(`a result of task ${result.id}, which nobody submitted`))
      return
    }
    // The retained result comes again after each subscription.
    if (task.resultBytes?.equals(payload)) return
    if (task.result !== undefined) {
      this.#onFault(new Error(`task ${task.id} ended twice, with different results`))
      return
    }
    task.endedMs = performance.now()
    task.result = result
    task.resultBytes = payload
    this.#open -= 1
    this.#settlers.get(task.id)?.end(result)
  }

  takeRejection(payload: Buffer): void {
    const { id, code, message } = JSON.parse(payload.toString()) as Record<string, string>
    this.#onFault(new Error(`the gateway refused task ${id}: ${code}, ${message}`))
  }
}
