/**
 * Every task that was accepted, and what knows a repeat of it. A task is `accepted`, then `running`,
 * and ends once: `completed`, `failed`, `expired` or `cancelled`. State and result stay for the
 * retention (retention.ts); then both are cleared, and only id and hash remain for a while. An id
 * that the gateway made goes with its state: nobody who sends a task again can name it. A full table
 * refuses new tasks; it never forgets early.
 */
import { createHash } from 'node:crypto'
import { assert } from '../../../shared/core/assert.ts'
import type { TaskId } from '../../../shared/core/ids.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { findOperation } from '../../../shared/operations/catalog.ts'
import type { Operation } from '../../../shared/operations/operation.ts'
import { reachOf } from '../../../shared/operations/osl-near.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { SUBMISSION_LIMITS } from '../../../shared/protocol/limits.ts'
import { type EndState, isEnded, type TaskState } from '../../../shared/protocol/states.ts'
import { askedOp, type TaskBody } from '../../../shared/protocol/task.ts'
import type { LedgerContents, SealingRecord, TaskRecord } from '../ledger-records.ts'
import { Retention, type RetentionOptions } from './retention.ts'

/**
 * What a task waits for: nodes that are away, a fleet that has just come together, an earlier write of its
 * submitter, neighbours to be read, its value to be sealed, or a node that stopped, by the code that it gave (`store-full`, `disk-full`).
 */
export type WaitReason =
  | 'holders-away'
  | 'settling'
  | 'earlier-write'
  | 'neighbours'
  | 'sealing'
  | (string & {})

export interface Task {
  readonly id: TaskId
  /** By who submitted it, who may submit it again. */
  readonly isNamed: boolean
  /** A write of the gateway's own, which nobody can ask about: of it, the ledger has its body alone. */
  readonly isInternal?: true
  /** Who sent it: writes of one submitter over a common tile keep their order (waiting-writes.ts). */
  readonly submitter: string | undefined
  /** The identity that it is of. */
  readonly by: string | undefined
  /** The operation that runs it. */
  readonly op: string
  /** What was asked for, as everybody is told. */
  readonly asked: string
  readonly hash: string
  /** What knows a repeat: of what was asked for, whichever version of a program that was. */
  readonly askedHash: string
  readonly order: number
  readonly acceptedTs: number
  state: TaskState
  effect: 'none' | 'pending' | 'done'
  shards: { total: number; done: number; failed: number }
  error: { code: string; message: string } | undefined
  /** Why it does not go on at this moment; nobody's business after a start. */
  waitingFor: WaitReason | undefined
  endedTs: number | undefined
  /** On the time of the ledger. */
  endedMs: number | undefined
  /** Monotonic ms. */
  deadlineMs: number
  /** Of a sequenced write. */
  seq: number | undefined
  /** Of a task over the grid, as long as its body was there since the start. */
  region: Region | undefined
  /** Of a write that is done and whose value is not sealed yet: what its result says in clear. */
  sealing: SealingRecord | undefined
  /** There until the task ended and the log needs it no more. */
  body: TaskBody | undefined
  bodyBytes: number
  isCleared: boolean
}

export interface TaskLedgerOptions extends RetentionOptions {
  /** Tasks whose id is known, ended or not. */
  readonly tasksMax: number
}

/** What is accepted, as it is kept, and by what a repeat is known. */
export interface Given {
  readonly body: TaskBody
  readonly encoded: Uint8Array
  readonly hash: string
  /** Where it is another one. */
  readonly askedHash?: string
}

export function givenOf(body: TaskBody, askedHash?: string): Given {
  const encoded = encodeBody(body)
  const asked = askedHash === undefined ? {} : { askedHash }
  return { body, encoded, hash: hashBody(encoded), ...asked }
}

/** The bytes whose SHA-256 says whether two submissions are the same task. */
export function encodeBody(body: TaskBody): Uint8Array {
  const { op, region, items, args, deadlineMs, seal, program } = body
  return encodeCbor({
    op,
    ...(region === undefined ? {} : { region: [region.x, region.y, region.w, region.h] }),
    ...(items === undefined ? {} : { items }),
    args,
    deadlineMs,
    ...(seal === undefined ? {} : { seal }),
    ...(program === undefined ? {} : { program }),
  })
}

/** The normal form is as large as the submission it came from, packed lists aside. */
const BODY_LIMITS = { ...SUBMISSION_LIMITS, bytesMax: 32 * 1024 * 1024 }

export function decodeBody(bytes: Uint8Array): TaskBody {
  const decoded = decodeCbor(bytes, BODY_LIMITS)
  assert(decoded.ok, 'a body of the ledger decodes')
  const { region, ...rest } = decoded.value as { region?: [number, number, number, number] }
  const body = rest as Omit<TaskBody, 'region'>
  if (region === undefined) return body
  const [x, y, w, h] = region
  return { ...body, region: { x, y, w, h } }
}

export function hashBody(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export function operationOf(task: Pick<Task, 'op'>): Operation {
  const operation = findOperation(task.op)
  assert(operation !== undefined, `operation ${task.op} of an accepted task exists`)
  return operation
}

/** How far the time of a ledger has come for sure, ms: it is not written each time it goes on. */
export function ranMsOf({ meta, task }: Pick<LedgerContents, 'meta' | 'task'>): number {
  let ranMs = meta[0]?.value.ranMs ?? 0
  for (const { value } of task) ranMs = Math.max(ranMs, value.endedMs ?? 0)
  return ranMs
}

/** An id that no submission can have, of the write that has this place in the order. */
export function internalId(seq: number): TaskId {
  return `$${seq}` as TaskId
}

function isInternalId(key: string | number): key is TaskId {
  return String(key).startsWith('$')
}

/** The place in the order of the gateway's own write with this id; nothing, if it is of a task. */
export function seqOfInternal(key: string | number): number | undefined {
  return isInternalId(key) ? Number(key.slice(1)) : undefined
}

export class TaskLedger {
  readonly #options: TaskLedgerOptions
  readonly #tasks = new Map<TaskId, Task>()
  readonly #internal = new Map<TaskId, Task>()
  readonly #retention: Retention
  /** Of tasks that have not ended, by whose they are. */
  readonly #open = new Map<string, number>()
  #orders = 0
  #openBytes = 0
  #logBytes = 0

  constructor(options: TaskLedgerOptions) {
    this.#options = options
    this.#retention = new Retention(options)
  }

  get isFull(): boolean {
    return this.#tasks.size >= this.#options.tasksMax
  }

  /** Bytes of the bodies of unfinished tasks. */
  get openBytes(): number {
    return this.#openBytes
  }

  /** Bytes of the bodies of ended tasks that some replica still needs, and of the gateway's own writes. */
  get logBytes(): number {
    return this.#logBytes
  }

  get size(): number {
    return this.#tasks.size
  }

  find(id: TaskId): Task | undefined {
    return this.#tasks.get(id)
  }

  /** Of a write of the log, which may be the gateway's own. */
  findWrite(id: TaskId): Task | undefined {
    return this.#tasks.get(id) ?? this.#internal.get(id)
  }

  /** How many tasks of an identity have not ended. */
  openOf(by: string): number {
    return this.#open.get(by) ?? 0
  }

  #countOpen({ by }: Task, change: 1 | -1): void {
    if (by === undefined) return
    const count = this.openOf(by) + change
    if (count === 0) this.#open.delete(by)
    else this.#open.set(by, count)
  }

  /** All tasks that still show state, in order of acceptance. */
  get all(): Task[] {
    return [...this.#tasks.values()].filter((task) => !task.isCleared)
  }

  /** Of the same, one by one: what comes or goes meanwhile may be among them. */
  *shownIds(): Generator<TaskId> {
    let left = this.#tasks.size
    for (const [id, { isCleared }] of this.#tasks) {
      if (left-- === 0) return
      if (!isCleared) yield id
    }
  }

  accept(
    id: TaskId,
    given: Given,
    at: {
      ts: number
      deadlineMs: number
      isNamed: boolean
      submitter?: string
      by?: string
      /** What its body will have beside, bytes. */
      moreBytes?: number
    },
  ): Task {
    assert(!this.#tasks.has(id), 'a task is accepted once')
    this.#orders += 1
    const task: Task = {
      ...newTask(id, given, this.#orders, at.ts),
      isNamed: at.isNamed,
      submitter: at.submitter,
      by: at.by,
      deadlineMs: at.deadlineMs,
      region: given.body.region,
      bodyBytes: given.encoded.length + (at.moreBytes ?? 0),
    }
    this.#tasks.set(id, task)
    this.#countOpen(task, 1)
    this.#openBytes += task.bodyBytes
    return task
  }

  /** A write of the gateway's own. It is sequenced in the same step: what it takes is of the log from the beginning. */
  acceptInternal(id: TaskId, given: Given, ts: number): Task {
    assert(!this.#internal.has(id), 'a write is accepted once')
    this.#orders += 1
    const task: Task = {
      ...newTask(id, given, this.#orders, ts),
      isInternal: true,
      state: 'running',
      effect: 'pending',
    }
    this.#internal.set(id, task)
    this.#logBytes += task.bodyBytes
    return task
  }

  /** `ts` is Unix ms, to be shown; `ledgerMs` is what the retention counts from. */
  end(task: Task, state: EndState, { ts, ledgerMs }: { ts: number; ledgerMs: number }): void {
    assert(!isEnded(task.state), `task ${task.id} ends once`)
    task.state = state
    task.sealing = undefined
    this.#countOpen(task, -1)
    task.endedTs = ts
    task.endedMs = ledgerMs
    if (task.body !== undefined) {
      this.#openBytes -= task.bodyBytes
      this.#logBytes += task.bodyBytes
    }
    this.#retention.add(task)
  }

  /** It is to do what it was accepted for, with what was found out since. */
  replaceBody(task: Task, body: TaskBody, bytes: number): void {
    this.#openBytes += bytes - task.bodyBytes
    task.body = body
    task.bodyBytes = bytes
  }

  /** The body is needed by nobody any more. */
  dropBody(task: Task): void {
    if (task.body === undefined) return
    task.body = undefined
    if (task.isInternal) {
      this.#internal.delete(task.id)
      this.#logBytes -= task.bodyBytes
      return
    }
    if (isEnded(task.state)) this.#logBytes -= task.bodyBytes
    else this.#openBytes -= task.bodyBytes
    this.#retention.release(task)
  }

  /** Some of the tasks whose state and result have been kept long enough, now marked as cleared. */
  takeExpiredRetention(ledgerMs: number): Task[] {
    const cleared = this.#retention.takeExpired(ledgerMs)
    for (const task of cleared) {
      task.isCleared = true
      task.region = undefined
      if (task.isNamed) this.#retention.add(task)
      else this.#tasks.delete(task.id)
    }
    return cleared
  }

  /** Some of the tasks whose ids have been kept long enough, now forgotten. */
  takeForgotten(ledgerMs: number): Task[] {
    const forgotten = this.#retention.takeForgotten(ledgerMs)
    for (const task of forgotten) this.#tasks.delete(task.id)
    return forgotten
  }

  record(task: Task, nowMs: number): TaskRecord {
    return {
      ...(task.isNamed ? {} : { isNamed: false as const }),
      ...(task.submitter === undefined || task.state !== 'accepted'
        ? {}
        : { submitter: task.submitter }),
      ...(task.by === undefined ? {} : { by: task.by }),
      op: task.op,
      ...(task.asked === task.op ? {} : { asked: task.asked }),
      hash: task.hash,
      ...(task.askedHash === task.hash ? {} : { askedHash: task.askedHash }),
      state: task.state,
      effect: task.effect,
      order: task.order,
      acceptedTs: task.acceptedTs,
      endedTs: task.endedTs ?? null,
      ...(task.endedMs === undefined ? {} : { endedMs: task.endedMs }),
      remainingMs: isEnded(task.state) ? 0 : Math.max(0, Math.round(task.deadlineMs - nowMs)),
      seq: task.seq ?? null,
      ...(task.sealing === undefined ? {} : { sealing: task.sealing }),
      shards: { ...task.shards },
      error: task.error ?? null,
      isCleared: task.isCleared,
    }
  }

  restore(
    records: readonly { key: string | number; value: TaskRecord }[],
    bodies: ReadonlyMap<string | number, Uint8Array>,
    { nowMs, ledgerMs }: { nowMs: number; ledgerMs: number },
  ): void {
    for (const { key, value } of [...records].sort((a, b) => a.value.order - b.value.order)) {
      const encoded = bodies.get(key)
      const body = encoded === undefined ? undefined : decodeBody(encoded)
      const { remainingMs, ...kept } = value
      const task: Task = {
        ...kept,
        id: key as TaskId,
        isNamed: value.isNamed ?? true,
        submitter: value.submitter,
        by: value.by,
        asked: value.asked ?? value.op,
        askedHash: value.askedHash ?? value.hash,
        shards: { ...value.shards },
        error: value.error ?? undefined,
        waitingFor: undefined,
        endedTs: value.endedTs ?? undefined,
        // A ledger from before had only wall times: what ended then is kept from now on.
        endedMs: isEnded(value.state) ? (value.endedMs ?? ledgerMs) : undefined,
        deadlineMs: nowMs + remainingMs,
        seq: value.seq ?? undefined,
        region: body?.region,
        sealing: value.sealing,
        body,
        bodyBytes: encoded?.length ?? 0,
      }
      this.#tasks.set(task.id, task)
      if (!isEnded(task.state)) this.#countOpen(task, 1)
      if (isEnded(task.state)) this.#logBytes += task.bodyBytes
      else this.#openBytes += task.bodyBytes
      this.#orders = Math.max(this.#orders, task.order)
    }
    const ended = [...this.#tasks.values()].filter((task) => isEnded(task.state))
    ended.sort((a, b) => a.endedMs! - b.endedMs!)
    for (const task of ended) this.#retention.add(task)
    for (const [key, encoded] of bodies) {
      if (isInternalId(key)) this.acceptInternal(key, givenOf(decodeBody(encoded)), 0)
    }
  }
}

/** The 8 bytes by which stream chains know a body, with what was read for it. */
export function bodyMark({ hash, body }: Pick<Task, 'hash' | 'body'>): Uint8Array {
  const isAsAccepted = body === undefined || reachOf(body) === 0
  const own = isAsAccepted ? hash : hashBody(encodeBody(body))
  return Buffer.from(own.slice(0, 16), 'hex')
}

function newTask(
  id: TaskId,
  { body, encoded, hash, askedHash = hash }: Given,
  order: number,
  acceptedTs: number,
): Task {
  return {
    ...{ id, order, acceptedTs, body, hash, askedHash, op: body.op, asked: askedOp(body) },
    isNamed: false,
    submitter: undefined,
    by: undefined,
    state: 'accepted',
    effect: 'none',
    shards: { total: 0, done: 0, failed: 0 },
    error: undefined,
    waitingFor: undefined,
    endedTs: undefined,
    endedMs: undefined,
    deadlineMs: Number.POSITIVE_INFINITY,
    seq: undefined,
    region: undefined,
    sealing: undefined,
    bodyBytes: encoded.length,
    isCleared: false,
  }
}
