/** What became of each task, as its client and the ledger's disk saw it. */
import { encodeBody, hashBody } from '../../broker/core/state/task-ledger.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import type { ProgramCall } from '../../shared/protocol/program-call.ts'
import { parseSubmission, type TaskContext } from '../../shared/protocol/task.ts'
import type { PlainTask } from './grid-model.ts'

export interface TaskStory {
  /** Of a task that names a program, once it is accepted: with the text of the version that it got. */
  plain: PlainTask
  readonly payload: Uint8Array
  /** Of what is asked for. */
  readonly hash: string
  readonly call: ProgramCall | undefined
  /** That it got. */
  version: number | undefined
  isWrite: boolean
  /** Once the ledger has it. */
  id: string | undefined
  /** By tile: the last write that was seen as done when this was first submitted, as far as it was not lost since. */
  readonly mustSee: number[]
  state: string | undefined
  effect: string | undefined
  /** When the gateway said so first. */
  endedMs: number | undefined
  /** How often the ledger says that it ended. */
  ends: number
  announcements: number
  /** Every copy of one of its tiles was lost, and that has begun anew, while it was under way. */
  isExcused: boolean
  /** A copy of the ledger has it that was restored: it does not run from then on. */
  isRestored: boolean
  seq: number | undefined
  result: Record<string, unknown> | undefined
  /** The last state that was published. */
  shown: Record<string, unknown> | undefined
}

export class TaskStories {
  readonly #context: TaskContext
  readonly #byHash = new Map<string, TaskStory>()
  readonly #byId = new Map<string, TaskStory>()

  constructor(context: TaskContext) {
    this.#context = context
  }

  get all(): TaskStory[] {
    return [...this.#byHash.values()]
  }

  /** Those that the ledger took. */
  get accepted(): TaskStory[] {
    return [...this.#byId.values()]
  }

  begin(plain: PlainTask, mustSee: readonly number[]): TaskStory {
    const payload = Buffer.from(JSON.stringify(plain))
    const parsed = parseSubmission(payload, this.#context)
    if (!parsed.ok) throw new Error(`a task of the test is refused: ${JSON.stringify(parsed)}`)
    const { body, call } = parsed.submission
    const story: TaskStory = {
      plain,
      payload,
      hash: hashBody(encodeBody(body)),
      call,
      version: undefined,
      isWrite: findOperation(body.op)?.kind === 'write',
      id: undefined,
      mustSee: [...mustSee],
      state: undefined,
      effect: undefined,
      endedMs: undefined,
      ends: 0,
      announcements: 0,
      isExcused: false,
      isRestored: false,
      seq: undefined,
      result: undefined,
      shown: undefined,
    }
    if (this.#byHash.has(story.hash)) throw new Error('every task of the test has its own body')
    this.#byHash.set(story.hash, story)
    return story
  }

  /** From now on it is a task that brings along this text, whatever becomes of the program that it names. */
  resolve(story: TaskStory, version: number, source: string): void {
    const { with: values, steps } = story.call!
    const args = { source, with: values, ...(steps === undefined ? {} : { steps }) }
    story.plain = { ...story.plain, op: 'program', args }
    story.version = version
    story.isWrite = !source.startsWith('return')
  }

  /** What came after `seq` on this tile is gone: whoever asked before that will not see it either. */
  forgetWrites(tile: number, seq: number): void {
    for (const { mustSee } of this.#byHash.values()) mustSee[tile] = Math.min(mustSee[tile]!, seq)
  }

  /** The ledger is lost: what had not ended is no task any more. */
  forgetOpen(): void {
    for (const [id, story] of this.#byId) {
      if (story.ends === 0 || story.effect === 'pending') this.#byId.delete(id)
    }
  }

  /** Nobody knows of it any more. */
  forget({ id }: TaskStory): void {
    this.#byId.delete(id!)
  }

  byHash(hash: string): TaskStory | undefined {
    return this.#byHash.get(hash)
  }

  find(id: string): TaskStory | undefined {
    return this.#byId.get(id)
  }

  /** The ledger holds the task under this id. */
  name(story: TaskStory, id: string): void {
    story.id = id
    this.#byId.set(id, story)
  }
}
