/** Tasks over HTTP. */
import { isEnded, type TaskState } from '../protocol/states.ts'
import type { GridView } from '../protocol/views.ts'
import { writeCbor } from './cbor-writer.ts'
import { follow, type Message } from './events.ts'
import type { Answer, GatewayClient } from './http.ts'
import { Looks } from './looks.ts'
import type { Door, RingFacts, RunOptions, Task, TaskResult, WatchOptions } from './task.ts'
import { untilAnswered } from './waits.ts'

/** How results are asked for and read; JSON unless given, in which bytes are base64. */
export interface ResultForm {
  readonly type: string
  readonly read: (body: Uint8Array) => unknown
}

const JSON_FORM: ResultForm = {
  type: 'application/json',
  read: (body) => JSON.parse(new TextDecoder().decode(body)),
}

/** One wait of many: short enough for any proxy between; and for who wants to see how it goes on. */
const WAIT_MS = 30_000
const PROGRESS_MS = 500
/** What an answer may take beyond the wait that it was asked for. */
const SLACK_MS = 30_000
const CANCEL_MS = 5_000
/** The wait was over before the task. */
const ACCEPTED = 202

interface TaskView {
  readonly state: TaskState
  readonly shards: { readonly done: number; readonly total: number }
}

export class HttpDoor implements Door {
  readonly #gateway: GatewayClient
  readonly #form: ResultForm
  readonly looks: Looks

  constructor(gateway: GatewayClient, form: ResultForm = JSON_FORM) {
    this.#gateway = gateway
    this.#form = form
    this.looks = new Looks(gateway)
  }

  async run(task: Task & { readonly id: string }, options: RunOptions): Promise<TaskResult> {
    const { signal, onProgress, onAccepted } = options
    const path = `/api/tasks/${encodeURIComponent(task.id)}`
    try {
      signal?.throwIfAborted()
      const waitMs = onProgress === undefined ? WAIT_MS : PROGRESS_MS
      const body = writeCbor(task)
      // An answer that waits for the end would not tell when it was accepted.
      const wait = onAccepted === undefined ? `?wait=${waitMs}ms` : ''
      const first = await this.#ask(`/process${wait}`, options, body)
      onAccepted?.()
      if (first.status !== ACCEPTED) return this.#read(first)
      while (true) {
        const view = await untilAnswered(
          () =>
            this.#gateway.json<TaskView>({
              path: `${path}?wait=${waitMs}ms`,
              timeoutMs: waitMs + SLACK_MS,
              signal,
            }),
          options,
        )
        onProgress?.({ done: view.shards.done, total: view.shards.total })
        if (isEnded(view.state)) {
          return this.#read(await this.#ask(`${path}/result`, options))
        }
      }
    } catch (error) {
      // Even if nobody has said that it was accepted: it may have been.
      if (signal?.aborted) await this.#cancel(path)
      throw error
    }
  }

  async *watch({ kinds, signal }: WatchOptions): AsyncGenerator<Message | { kind: 'missed' }> {
    const query = kinds === undefined ? '' : `?kinds=${kinds.map(encodeURIComponent).join(',')}`
    let isFirst = true
    for await (const item of follow(this.#gateway, { path: `/api/events${query}`, signal })) {
      if (item.kind === 'message') yield item
      else if (item.kind === 'missed') yield item
      else if (item.kind === 'open') {
        if (!isFirst && !item.isWhole) yield { kind: 'missed' }
        isFirst = false
      }
    }
  }

  async ring(): Promise<RingFacts> {
    const { width, height, fields } = await this.#gateway.json<GridView>({ path: '/api/grid' })
    return { grid: { width, height }, fields }
  }

  async close(): Promise<void> {}

  async #ask(path: string, options: RunOptions, body?: Uint8Array): Promise<Answer> {
    const { signal } = options
    const sent = body && { method: 'POST' as const, body, contentType: 'application/cbor' }
    const question = {
      path,
      ...sent,
      accept: this.#form.type,
      timeoutMs: WAIT_MS + SLACK_MS,
      signal,
    }
    return await untilAnswered(() => this.#gateway.request(question), options)
  }

  #read({ body }: Answer): TaskResult {
    return this.#form.read(body) as TaskResult
  }

  async #cancel(path: string): Promise<void> {
    const question = { method: 'DELETE', path, timeoutMs: CANCEL_MS } as const
    await this.#gateway.request(question).catch(() => {})
  }
}
