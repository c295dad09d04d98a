/** Submits tasks by the client library, and hears the gateway's events. */
import type { Region } from '../../shared/grid/geometry.ts'
import { connect, type Obelisk, type TaskResult } from '../client/connect.ts'
import { clockMs } from './light-node.ts'

export interface Task {
  readonly op: string
  readonly args: Record<string, unknown>
  readonly region?: Region
}

export interface GatewayNotice {
  readonly code: string
  readonly node?: string
}

type OnNotice = (notice: GatewayNotice, heardMs: number) => void

const DEADLINE_MS = 60_000

export class TaskClient {
  readonly #obelisk: Obelisk
  readonly #end = new AbortController()
  #submitted = 0
  #open = 0

  static async connect(port: number, onNotice?: OnNotice): Promise<TaskClient> {
    const client = new TaskClient(await connect(`mqtt://127.0.0.1:${port}`))
    if (onNotice !== undefined) void client.#listen(onNotice)
    return client
  }

  private constructor(obelisk: Obelisk) {
    this.#obelisk = obelisk
  }

  get openCount(): number {
    return this.#open
  }

  /** Resolves with the result once the task has ended; one that does not complete is an error. */
  submit(task: Task): { readonly id: string; readonly ended: Promise<TaskResult> } {
    this.#submitted += 1
    this.#open += 1
    const id = `bench-${this.#submitted}`
    const ended = this.#obelisk.run({ id, ...task, deadline_ms: DEADLINE_MS }).finally(() => {
      this.#open -= 1
    })
    return { id, ended }
  }

  async close(): Promise<void> {
    this.#end.abort()
    await this.#obelisk.close()
  }

  async #listen(onNotice: OnNotice): Promise<void> {
    const events = this.#obelisk.watch({ kinds: ['event'], signal: this.#end.signal })
    for await (const event of events) onNotice(event as unknown as GatewayNotice, clockMs())
  }
}
