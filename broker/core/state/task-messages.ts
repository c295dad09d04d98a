/**
 * What the gateway says about a task: the payloads of `task/<task>/state` and `task/<task>/result`
 * (wire.md), built in this one place.
 */
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import type { Sealed } from '../../../shared/protocol/sealed.ts'
import type { TaskProgram } from '../../../shared/protocol/task.ts'
import type { Task } from './task-ledger.ts'

/** The payload of `task/<task>/state`. */
export function stateOf(task: Task, ts: number): Record<string, unknown> {
  return {
    id: task.id,
    op: task.asked,
    state: task.state,
    effect: task.effect,
    shards: task.shards,
    ...(task.error === undefined ? {} : { error: task.error }),
    ...(task.waitingFor === undefined ? {} : { waiting_for: task.waitingFor }),
    ts,
  }
}

export interface ResultFacts {
  readonly value?: unknown
  /** In the place of the value. */
  readonly sealed?: Sealed
  /** The fewest durable copies of a write when it completed. */
  readonly copies?: number
  /** Of a read over the grid: no write came between its parts. */
  readonly consistent?: boolean
  /** When not consistent: the sequences between which its parts were taken. */
  readonly range?: readonly [number, number]
  /** How many it went over. */
  readonly lsus?: number | undefined
  readonly items?: number | undefined
  /** Of a program: what it was. */
  readonly program?: Omit<TaskProgram, 'as' | 'ghost'> | undefined
  readonly nodes: number
}

/** The payload of `task/<task>/result`. */
export function encodeResult(
  task: Pick<Task, 'id' | 'asked' | 'state' | 'effect' | 'error' | 'shards' | 'acceptedTs'>,
  facts: ResultFacts,
  ts: number,
): Uint8Array {
  const { value, sealed, copies, consistent, range, lsus, items, program, nodes } = facts
  return encodeCbor({
    id: task.id,
    op: task.asked,
    state: task.state,
    ...(value === undefined ? {} : { value }),
    ...(sealed === undefined ? {} : { sealed }),
    effect: task.effect,
    ...(copies === undefined ? {} : { copies }),
    ...(consistent === undefined ? {} : { consistent }),
    ...(range === undefined ? {} : { range }),
    ...(lsus === undefined ? {} : { lsus }),
    ...(items === undefined ? {} : { items }),
    ...(program === undefined ? {} : { program }),
    ...(task.error === undefined ? {} : { error: task.error }),
    shards: task.shards.total,
    nodes,
    ms: Math.max(0, ts - task.acceptedTs),
    ts,
  })
}
