/**
 * How a task ends: its state and result, the messages about it, and what may be forgotten then. Both
 * kinds of tasks end here, so that no end can leave one of them out.
 */
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { mirrorOf } from '../../../shared/protocol/result-mirror.ts'
import { type EndState, isEnded } from '../../../shared/protocol/states.ts'
import type { TaskProgram } from '../../../shared/protocol/task.ts'
import type { GatewayEvent } from '../events.ts'
import type { SealingRecord } from '../ledger-records.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { lsusOf } from '../state/task-extent.ts'
import type { Task } from '../state/task-ledger.ts'
import { encodeResult, type ResultFacts } from '../state/task-messages.ts'

/** Of a read that came to its deadline. */
export const UNANSWERED = {
  code: 'deadline',
  message: 'not every part was answered before the deadline',
}

/** The task has its value: it ends with that, or with what becomes of it for its recipient. */
export function completeTask(
  context: CoordinatorContext,
  task: Task,
  facts: ResultFacts,
  /** Of a write, which is not done once more after a start. */
  record?: SealingRecord,
): void {
  const { sealing } = context
  const to = task.body?.seal
  if (to === undefined) {
    endTask(context, task, 'completed', facts)
    return
  }
  const { value: plain, ...inClear } = facts
  const value = encodeCbor(plain)
  if (record !== undefined) {
    task.sealing = record
    context.taskChanged(task)
  } else if (!sealing.hasRoom(value.length)) {
    task.error = { code: 'overloaded', message: 'too much waits to be sealed: submit it again' }
    endTask(context, task, 'failed', { nodes: facts.nodes })
    return
  }
  sealing.add(task.id, inClear, value.length)
  context.taskWaits(task, 'sealing')
  context.emit({
    type: 'seal',
    order: { task: task.id, op: task.asked, to, ts: context.ts, value },
  })
}

type Sealed = Extract<GatewayEvent, { type: 'task-sealed' | 'sealing-failed' }>

/** What became of the value of a task; it may have ended before that. */
export function endSealed(context: CoordinatorContext, event: Sealed): void {
  const task = context.tasks.find(event.task)
  const facts = context.sealing.take(event.task)
  if (task === undefined || facts === undefined || isEnded(task.state)) return
  if (event.type === 'task-sealed') {
    endTask(context, task, 'completed', { ...facts, sealed: event.sealed })
    return
  }
  task.error = event.error
  endTask(context, task, 'failed', facts)
}

/** Ends the task. The result is persisted in the same step and published after it. */
export function endTask(
  context: CoordinatorContext,
  task: Task,
  state: EndState,
  facts: ResultFacts,
): void {
  if (task.isInternal) {
    task.state = state
    releaseBody(context, task)
    return
  }
  context.tasks.end(task, state, context)
  // What it takes is given back when the world has let go of it.
  if (context.sealing.has(task.id)) context.emit({ type: 'unseal', task: task.id })
  task.waitingFor = undefined
  context.deadlines.clear(`task/${task.id}`)
  context.taskChanged(task)
  const { body } = task
  const lsus = body?.region && lsusOf(body)
  const items = body?.items?.keys.length
  const program = body?.program && factsOfProgram(body.program)
  const result = encodeResult(task, { ...facts, lsus, items, program }, context.ts)
  context.persist({ table: 'result', key: task.id, value: result })
  releaseBody(context, task)
  context.retain({ kind: 'task-result', task: task.id }, result)
  context.retain({ kind: 'task-result-json', task: task.id }, mirrorOf(task, result))
  context.emit({ type: 'announce-end', task: task.id, state })
  const level = state === 'completed' ? 'info' : 'warn'
  context.notice(level, 'task-ended', `task ${task.id} ${state}`, {
    ...{ task: task.id, op: task.asked, state },
    ...(task.error === undefined ? {} : { error: task.error.code }),
  })
}

function factsOfProgram(program: TaskProgram): Omit<TaskProgram, 'as' | 'ghost'> {
  const { as: _asked, ghost: _ghost, ...facts } = program
  return facts
}

/** As far as the log needs it no more. */
export function releaseBody(context: CoordinatorContext, task: Task): void {
  if (task.body === undefined || context.log.needs(task)) return
  context.tasks.dropBody(task)
  context.persist({ table: 'body', key: task.id, value: undefined })
}
