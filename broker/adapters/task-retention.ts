/**
 * What late subscribers get of tasks: state and results lie in the ledger already, so the broker asks
 * here instead of holding a second copy of every result in memory.
 */
import type { TaskId } from '../../shared/core/ids.ts'
import { mirrorOf } from '../../shared/protocol/result-mirror.ts'
import { filterMatches } from '../../shared/protocol/topic-filters.ts'
import { buildTopic, parseTopic } from '../../shared/protocol/topics.ts'
import type { TaskView } from '../../shared/protocol/views.ts'

export interface TaskSource {
  task(id: TaskId): TaskView | undefined
  tasks(query: { limit: number }): TaskView[]
  /** Those that `task` knows. */
  taskIds(): Iterable<TaskId>
}

interface ResultSource {
  result(id: TaskId): Uint8Array | undefined
}

interface Retained {
  readonly topic: string
  readonly payload: Uint8Array
}

const KINDS = ['task-state', 'task-result', 'task-result-json'] as const
type Kind = (typeof KINDS)[number]

export class TaskRetention {
  readonly #base: string
  readonly #source: TaskSource
  readonly #results: ResultSource

  constructor(base: string, source: TaskSource, results: ResultSource) {
    this.#base = base
    this.#source = source
    this.#results = results
  }

  owns(topic: string): boolean {
    const parsed = parseTopic(this.#base, topic)
    return parsed !== undefined && (KINDS as readonly string[]).includes(parsed.kind)
  }

  /** The retained messages that match a filter, one by one: results are read as they are sent. */
  *match(filter: string): Generator<Retained> {
    const exact = parseTopic(this.#base, filter)
    if (exact !== undefined) {
      if ('task' in exact) yield* this.#one(exact.task, (kind) => kind === exact.kind)
      return
    }
    if (!/[+#]/.test(filter)) return
    const wantedOf =
      (task: TaskId) =>
      (kind: Kind): boolean =>
        filterMatches(filter, buildTopic(this.#base, { kind, task }))
    const id = filter.split('/')[this.#base.split('/').length + 1] ?? '#'
    const isAny = id === '+' || id === '#'
    const one = (isAny ? 'x' : id) as TaskId
    // A filter for something else costs nothing, and one for a certain task no more than that.
    if (!KINDS.some(wantedOf(one))) return
    if (!isAny) {
      yield* this.#one(one, wantedOf(one))
      return
    }
    for (const { id } of this.#source.tasks({ limit: Number.POSITIVE_INFINITY })) {
      yield* this.#one(id, wantedOf(id))
    }
  }

  *topics(filter: string): Generator<string> {
    const exact = parseTopic(this.#base, filter)
    if (!/[+#]/.test(filter)) {
      if (exact !== undefined && this.owns(filter)) yield filter
      return
    }
    for (const id of this.#source.taskIds()) {
      for (const kind of KINDS) {
        const topic = buildTopic(this.#base, { kind, task: id })
        if (filterMatches(filter, topic)) yield topic
      }
    }
  }

  *#one(id: TaskId, wanted: (kind: Kind) => boolean): Generator<Retained> {
    const task = this.#source.task(id)
    if (task === undefined) return
    const topic = (kind: Kind): string => buildTopic(this.#base, { kind, task: id })
    if (wanted('task-state')) {
      const { accepted_ts: _accepted, ended_ts: _ended, deadline_ts: _deadline, ...state } = task
      yield { topic: topic('task-state'), payload: Buffer.from(JSON.stringify(state)) }
    }
    if (!wanted('task-result') && !wanted('task-result-json')) return
    const result = this.#results.result(id)
    if (result === undefined) return
    if (wanted('task-result')) yield { topic: topic('task-result'), payload: result }
    if (wanted('task-result-json')) {
      yield { topic: topic('task-result-json'), payload: Buffer.from(mirrorOf(task, result)) }
    }
  }
}
