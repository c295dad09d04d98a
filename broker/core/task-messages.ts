/** What the gateway says about a task: the payloads of wire.md, built in this one place. */
import type { Region } from '../../shared/grid/geometry.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { JSON_MIRROR_BYTES_MAX, MESSAGE_LIMITS } from '../../shared/protocol/limits.ts'
import type { Task } from './task-ledger.ts'

/** The payload of `task/<task>/state`. */
export function stateOf(task: Task, ts: number): Record<string, unknown> {
  return {
    id: task.id,
    op: task.op,
    state: task.state,
    effect: task.effect,
    shards: task.shards,
    ...(task.error === undefined ? {} : { error: task.error }),
    ts,
  }
}

export interface ResultFacts {
  readonly value?: unknown
  /** The fewest durable copies of a write when it completed. */
  readonly copies?: number
  /** Of a read over the grid: no write came between its parts. */
  readonly consistent?: boolean
  /** When not consistent: the sequences between which its parts were taken. */
  readonly range?: readonly [number, number]
  readonly region?: Region | undefined
  readonly items?: number | undefined
  readonly nodes: number
}

/** The payload of `task/<task>/result`. */
export function encodeResult(task: Task, facts: ResultFacts, ts: number): Uint8Array {
  const { value, copies, consistent, range, region, items, nodes } = facts
  return encodeCbor({
    id: task.id,
    op: task.op,
    state: task.state,
    ...(value === undefined ? {} : { value }),
    effect: task.effect,
    ...(copies === undefined ? {} : { copies }),
    ...(consistent === undefined ? {} : { consistent }),
    ...(range === undefined ? {} : { range }),
    ...(region === undefined ? {} : { lsus: region.w * region.h }),
    ...(items === undefined ? {} : { items }),
    ...(task.error === undefined ? {} : { error: task.error }),
    shards: task.shards.total,
    nodes,
    ms: Math.max(0, ts - task.acceptedTs),
    ts,
  })
}

const RESULT_LIMITS = { ...MESSAGE_LIMITS, bytesMax: 64 * 1024 * 1024, itemsMax: 4_000_000 }

/** A result as plain data; bytes become base64 when it is turned into JSON. */
export function decodeResult(result: Uint8Array): Record<string, unknown> {
  const decoded = decodeCbor(result, RESULT_LIMITS)
  if (!decoded.ok) throw new Error(`a result of our own does not decode: ${decoded.message}`)
  return decoded.value as Record<string, unknown>
}

/** The payload of `task/<task>/result/json`: the whole, or where it is when it is too large. */
export function mirrorOf(task: Pick<Task, 'id' | 'op' | 'state'>, result: Uint8Array): string {
  const link = {
    id: task.id,
    op: task.op,
    state: task.state,
    href: `/api/tasks/${task.id}/result`,
  }
  // JSON is never shorter than a quarter of the CBOR of the same numbers.
  if (result.length > 4 * JSON_MIRROR_BYTES_MAX) return JSON.stringify(link)
  const json = toJsonText(decodeResult(result))
  return Buffer.byteLength(json) > JSON_MIRROR_BYTES_MAX ? JSON.stringify(link) : json
}
