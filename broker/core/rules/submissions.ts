/**
 * The door for tasks: what is refused and why, what is a repeat, and what is accepted. An accepted
 * task and its body are persisted in the step that answers, so the answer leaves after the flush.
 */
import { count } from '../../../shared/core/count.ts'
import { isTaskId, randomId, type TaskId } from '../../../shared/core/ids.ts'
import { LatestMap } from '../../../shared/core/latest-map.ts'
import { findOperation } from '../../../shared/operations/catalog.ts'
import {
  identityOf,
  mayCancel,
  ownerNameOf,
  readsAll,
  submitsAny,
  type UserPrincipal,
} from '../../../shared/protocol/access.ts'
import { type Parsed, PROBLEMS_MAX, type Problem } from '../../../shared/protocol/problems.ts'
import { isEnded } from '../../../shared/protocol/states.ts'
import type { Submission, TaskBody } from '../../../shared/protocol/task.ts'
import type { Refusal, RefusalCode } from '../effects.ts'
import type { GatewayEvent, Submitter, Ticket } from '../events.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { bytesReadOf, tilesOf } from '../state/task-extent.ts'
import { encodeBody, givenOf, hashBody, type Task } from '../state/task-ledger.ts'
import { wantOfRoom } from './birth-room.ts'
import { ungranted } from './grants.ts'
import type { LedgerRoom } from './ledger-room.ts'
import { resolveCall } from './program-calls.ts'
import { SubmissionRates } from './submission-rates.ts'
import type { TaskRunner } from './task-runner.ts'

/** Unnamed submissions of late whose resent packets are known again. */
const RECENT_PACKETS_MAX = 10_000

type Submitted = Extract<GatewayEvent, { type: 'task-submitted' }>
type CancelRequested = Extract<GatewayEvent, { type: 'cancel-requested' }>

const NO_NODE = 'no node has ever joined this gateway: start an agent (obelisk agent --id <name>)'

export class Submissions {
  readonly #context: CoordinatorContext
  readonly #room: LedgerRoom
  readonly #runner: TaskRunner
  readonly #rates = new SubmissionRates()
  readonly #recentPackets = new LatestMap<string, TaskId>(RECENT_PACKETS_MAX)

  constructor(context: CoordinatorContext, room: LedgerRoom, runner: TaskRunner) {
    this.#context = context
    this.#room = room
    this.#runner = runner
  }

  submit({ ticket, submitter, result, lacksRecipient }: Submitted): void {
    const { user } = submitter
    const retryMs = user === undefined ? 0 : this.#rates.take(this.#context.nowMs, user)
    if (retryMs > 0) {
      const message = 'more tasks a second than this user may submit'
      const id = result.ok ? result.submission.id : result.id
      this.#refuse(ticket, submitter, id, { code: 'rate-limited', message, retryMs })
      return
    }
    if (!result.ok) {
      this.#refuse(ticket, submitter, result.id, refusalOf(result.problems))
      return
    }
    const { submission } = result
    const denied =
      user === undefined ? [] : ungranted(user, submission.body, this.#context.options.grid)
    if (denied.length > 0) {
      this.#refuse(ticket, submitter, submission.id, refusalOf(denied))
      return
    }
    // A task that names a program is compared by what it asks for: another version may have become current since.
    const asked = submission.call && hashBody(encodeBody(submission.body))
    const own = asked === undefined ? givenOf(submission.body) : undefined
    const askedHash = asked ?? own!.hash
    const known = this.#findRepeat(submission, submitter, askedHash)
    if (known !== undefined) {
      // Whose state one may not see, one is not told of: it is as if the body were another.
      if (known.askedHash === askedHash && maySee(submitter, known)) {
        this.#context.publishState(known)
        this.#accepted(ticket, known)
      } else {
        const message = `task ${known.id} was accepted with another body`
        this.#refuse(ticket, submitter, known.id, { code: 'task-id-conflict', message })
      }
      return
    }
    if (lacksRecipient === true) {
      const { seal } = submission.body
      const message = `there is no recipient "${seal}": obelisk seal recipient add, on a gateway that is secured`
      const problem = { path: 'seal', code: 'unknown-recipient', message } as const
      this.#refuse(ticket, submitter, submission.id, refusalOf([problem]))
      return
    }
    const resolved = this.#resolve(submission, user)
    if (!resolved.ok) {
      this.#refuse(ticket, submitter, submission.id, refusalOf(resolved.problems))
      return
    }
    const given = own ?? givenOf(resolved.value, asked)
    const { body, encoded } = given
    const moreBytes = bytesReadOf(body, this.#context.options.grid)
    const bytes = encoded.length + moreBytes
    const refusal = this.#openRefusal(user) ?? this.#capacityRefusal(body, bytes)
    if (refusal !== undefined) {
      this.#refuse(ticket, submitter, submission.id, refusal)
      return
    }
    const id = submission.id ?? (randomId(this.#context.random) as TaskId)
    const task = this.#context.tasks.accept(id, given, {
      ts: this.#context.ts,
      deadlineMs: this.#context.nowMs + submission.body.deadlineMs,
      isNamed: submission.id !== undefined,
      submitter: nameOf(submitter),
      moreBytes,
      ...(user === undefined ? {} : { by: ownerNameOf(user) }),
    })
    this.#room.take(bytes)
    if (submission.id === undefined) this.#remember(submitter, id)
    this.#context.persist({ table: 'body', key: id, value: encoded })
    this.#context.taskChanged(task)
    this.#runner.begin(task)
    this.#accepted(ticket, task)
  }

  cancel({ ticket, submitter, task: id }: CancelRequested): void {
    const task = this.#context.tasks.find(id)
    if (task === undefined || task.isCleared || !maySee(submitter, task)) {
      const message = `there is no task ${id}`
      this.#refuse(ticket, submitter, id, { code: 'unknown-task', message })
      return
    }
    if (submitter.user !== undefined && !mayCancel(submitter.user, task.by)) {
      const message = `task ${id} is not his to cancel`
      this.#refuse(ticket, submitter, id, { code: 'not-granted', message })
      return
    }
    if (isEnded(task.state) || !this.#runner.cancel(task)) {
      const why = isEnded(task.state) ? 'has ended' : 'is a write that is being applied'
      this.#refuse(ticket, submitter, id, { code: 'too-late', message: `task ${id} ${why}` })
      return
    }
    if (ticket !== undefined) this.#accepted(ticket, task)
  }

  /** What it runs, with the grants for what is in the code of that. */
  #resolve(submission: Submission, user: UserPrincipal | undefined): Parsed<TaskBody> {
    const resolved = resolveCall(this.#context, submission)
    if (!resolved.ok || submission.call === undefined || user === undefined) return resolved
    const denied = ungranted(user, resolved.value, this.#context.options.grid)
    return denied.length > 0 ? { ok: false, problems: denied } : resolved
  }

  /** By id; or, without one, a resent packet of the same client (best effort). */
  #findRepeat({ id }: Submission, submitter: Submitter, hash: string): Task | undefined {
    const { tasks } = this.#context
    if (id !== undefined) return tasks.find(id)
    if (submitter.isDuplicate !== true) return undefined
    const recent = this.#recentPackets.get(packetName(submitter))
    const task = recent === undefined ? undefined : tasks.find(recent)
    return task?.askedHash === hash ? task : undefined
  }

  #remember(submitter: Submitter, id: TaskId): void {
    if (submitter.packetId === undefined) return
    this.#recentPackets.set(packetName(submitter), id)
  }

  #openRefusal(user: UserPrincipal | undefined): Refusal | undefined {
    const openMax = user?.grant?.openTasksMax
    if (user === undefined || openMax === undefined || submitsAny(user)) return undefined
    if (this.#context.tasks.openOf(ownerNameOf(user)) < openMax) return undefined
    return { code: 'rate-limited', message: `${user.name} has ${count(openMax, 'task')} open` }
  }

  #capacityRefusal(body: TaskBody, bytes: number): Refusal | undefined {
    const { tasks, options, sealing } = this.#context
    const absence = fleetRefusal(this.#context)
    if (absence !== undefined) return absence
    const fullDisk = this.#room.diskRefusal(bytes)
    if (fullDisk !== undefined) return fullDisk
    if (tasks.isFull) {
      const message = `${options.tasksMax} task ids are kept; ended ones are forgotten after 7 days`
      return { code: 'ledger-full', message }
    }
    if (tasks.openBytes + bytes > options.openBytesMax) {
      const message = 'the tasks that wait or run take all the room there is for them'
      return { code: 'overloaded', message }
    }
    if (body.seal !== undefined && sealing.isBusy) {
      return {
        code: 'overloaded',
        message: 'the results that wait to be sealed take all the room there is',
      }
    }
    if (body.region === undefined) return undefined
    const isWrite = findOperation(body.op)?.kind === 'write'
    if (isWrite && !this.#room.hasLogRoom(bytes)) {
      const message =
        'writes that nodes have not caught up with take all the room there is for them'
      return { code: 'ledger-full', message }
    }
    const lost = tilesRefusal(this.#context, body)
    if (lost !== undefined || !isWrite) return lost
    const message = wantOfRoom(this.#context, body)
    return message === undefined ? undefined : { code: 'store-full', message }
  }

  #accepted(ticket: Ticket, task: Task): void {
    this.#context.emit({
      type: 'answer',
      ticket,
      outcome: { ok: true, task: task.id, state: task.state },
    })
  }

  #refuse(
    ticket: Ticket | undefined,
    submitter: Submitter,
    task: TaskId | undefined,
    refusal: Refusal,
  ): void {
    const named = task === undefined ? {} : { task }
    if (ticket !== undefined) {
      this.#context.emit({ type: 'answer', ticket, outcome: { ok: false, ...named, refusal } })
    }
    this.#context.notice('warn', 'task-rejected', refusal.message, {
      client: submitter.client,
      via: submitter.via,
      reason: refusal.code,
      ...(submitter.user === undefined ? {} : { by: identityOf(submitter.user) }),
      ...named,
    })
    if (submitter.via !== 'mqtt') return
    const { client } = submitter
    const what = isTaskId(task) ? { id: task, client } : { client }
    publishRefusal(this.#context, what, submitter, refusal)
  }
}

/** One refusal for all problems: their code when they share one, else `invalid`. */
export function refusalOf(problems: readonly Problem[]): Refusal {
  const codes = new Set(problems.map(({ code }) => code))
  const [first] = codes
  const code: RefusalCode = codes.size === 1 ? first! : 'invalid'
  const message = problems.map((problem) => problem.message).join('; ')
  return { code, message: message.slice(0, 1000), errors: problems.slice(0, PROBLEMS_MAX) }
}

/** On `task/rejected`: `what` says what was refused, and whose it is. */
export function publishRefusal(
  context: CoordinatorContext,
  what: Readonly<Record<string, string>>,
  { user }: Submitter,
  { code, message, errors }: Refusal,
): void {
  const named = { ...what, code, message }
  const more = errors === undefined ? {} : { errors }
  context.emit({
    type: 'publish',
    topic: { kind: 'task-rejected' },
    payload: JSON.stringify({ ...named, ...more, ts: context.ts }),
    qos: 1,
    retain: false,
    ...(user === undefined ? {} : { owner: ownerNameOf(user) }),
  })
}

/** There is no fleet that could do anything. */
export function fleetRefusal({ identity, members }: CoordinatorContext): Refusal | undefined {
  if (identity.isRecovering === true) {
    return { code: 'recovering', message: RECOVERING }
  }
  return members.size === 0 ? { code: 'no-node', message: NO_NODE } : undefined
}

const RECOVERING = 'the ledger is being rebuilt from the nodes; obelisk node ls says who is awaited'

const MISSING =
  'its copies are lost, or away since a recovery, or it was never written before one; once all boards are back, obelisk ring recreate lets such tiles begin as zeros, and gives up what they had'

/** Some tile of what is asked for is nowhere any more, and may not be left out. */
export function tilesRefusal(
  { options, placement }: CoordinatorContext,
  body: TaskBody,
): Refusal | undefined {
  const operation = findOperation(body.op)
  if (operation?.kind === 'read' && operation.leavesHoles?.(body.args)) return undefined
  // Nearly always none is, of very many.
  if (body.region === undefined || placement.tally.missing === 0) return undefined
  const missing = placement.findMissing(tilesOf(body, options.grid))
  if (missing === undefined) return undefined
  return { code: 'tile-missing', message: `nobody has tile ${missing}: ${MISSING}` }
}

/** Whose writes keep their order. */
function nameOf({ via, client, connection }: Submitter): string {
  return `${via}/${connection ?? client}`
}

function packetName({ client, packetId, user }: Submitter): string {
  return `${packetId}/${user === undefined ? '' : ownerNameOf(user)}/${client}`
}

function maySee({ user }: Submitter, task: Task): boolean {
  return user === undefined || readsAll(user) || task.by === ownerNameOf(user)
}
