/** A task and its end, as docs/protocol.md has them, and who carries tasks to a gateway. */
import type { Region } from '../grid/geometry.ts'
import type { Message } from './events.ts'
import type { Looks } from './looks.ts'
import { ObeliskError } from './obelisk-error.ts'

export interface Task {
  /** The same id with the same task is the same task: it is run once. One is made unless given. */
  readonly id?: string
  readonly op: string
  readonly region?: Region
  readonly items?: readonly { readonly key: string; readonly data: string | Uint8Array }[]
  readonly args?: Readonly<Record<string, unknown>>
  /** From the moment on at which the gateway accepts it; 60 s unless given. */
  readonly deadline_ms?: number
  readonly seal?: string
}

export interface TaskResult {
  readonly id: string
  readonly op: string
  readonly state: string
  // biome-ignore lint/suspicious/noExplicitAny: what it is depends on the operation
  readonly value?: any
  readonly copies?: number
  readonly consistent?: boolean
  readonly shards: number
  readonly nodes: number
  readonly ms: number
  readonly error?: { readonly code: string; readonly message: string }
}

/** How many shards there are, and how many of them have ended. */
export interface Progress {
  readonly done: number
  readonly total: number
}

/** Of whatever takes one task or several. */
export interface WorkOptions {
  /** Each step once; of what is done, the last one is all of it. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** The gateway is away, or has no room or no node now: it is asked again. */
  readonly onAway?: ((error: ObeliskError) => void) | undefined
  /** Cancels the task; `run` then rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined
}

export interface RunOptions extends WorkOptions {
  /** The gateway has the task on disk: it runs, whatever breaks from now on. Called once, before the task's end is told. */
  readonly onAccepted?: (() => void) | undefined
}

export interface WatchOptions {
  /** `task-state` and `event` unless given; `nodes` and `moves` over HTTP alone. */
  readonly kinds?: readonly string[] | undefined
  readonly signal: AbortSignal
}

export interface RingFacts {
  readonly grid: { readonly width: number; readonly height: number }
  readonly fields?: readonly { readonly name: string; readonly type: string }[]
}

/** What carries tasks to a gateway, and their ends back: HTTP or MQTT. */
export interface Door {
  /** Resolves when the task has ended, however it did; sends it again until there is an answer. */
  run(task: Task & { readonly id: string }, options: RunOptions): Promise<TaskResult>
  /** What happens; `missed` where some of it was. */
  watch(options: WatchOptions): AsyncGenerator<Message | { readonly kind: 'missed' }, void>
  ring(): Promise<RingFacts>
  /** Where there are any: over HTTP. */
  readonly looks?: Looks
  close(): Promise<void>
}

/** Nobody guesses it, and no two are the same. */
export function randomTaskId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** The result of a task that completed; else an error, with its code or the state that it ended in. */
export function completed(result: TaskResult): TaskResult {
  const { id, state, error } = result
  if (state === 'completed') return result
  const why = error === undefined ? '' : `: ${error.message}`
  const code = error?.code ?? state
  throw new ObeliskError({ code, detail: `task ${id} ${wordOf(state)}${why}` })
}

function wordOf(state: string): string {
  return state === 'cancelled' ? 'was cancelled' : state
}
