/**
 * Barriers before writes that read neighbours (osl-near.ts). Such a write is in two phases: what lies around its tiles is
 * read, then it gets its place with that in its arguments. From before the read until it has its place, no other write
 * that touches what it reads gets one: so its place is the first in the order after everything that was read.
 *
 * Not in the ledger: after a start of the gateway, the first phase begins anew.
 */
import { randomId, type TaskId } from '../../../shared/core/ids.ts'
import { type Region, regionsTouch } from '../../../shared/grid/geometry.ts'
import type { NearArgs } from '../../../shared/operations/osl-near.ts'
import type { EdgesPartial } from '../../../shared/operations/tile-edges.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import { regionRead } from './task-extent.ts'
import { encodeBody, type Task } from './task-ledger.ts'

/** At a time: each write that gets its place is compared with all of them. */
export const BARRIERS_MAX = 16

export interface Barrier {
  readonly task: Task
  readonly region: Region
  /** By which nodes know the read: another each time, so that no answer of before a barrier fell is taken for one of now. */
  readonly id: TaskId
  /** Once they are read. */
  edges: EdgesPartial | undefined
}

export class Barriers {
  readonly #context: CoordinatorContext
  readonly #up = new Map<Task, Barrier>()

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  get all(): Iterable<Barrier> {
    return this.#up.values()
  }

  find(task: Task): Barrier | undefined {
    return this.#up.get(task)
  }

  raise(task: Task): void {
    const { random, options } = this.#context
    const region = regionRead(task.body!, options.grid)
    const id = randomId(random) as TaskId
    this.#up.set(task, { task, region, id, edges: undefined })
  }

  fall(task: Task): void {
    this.#up.delete(task)
  }

  /** One that keeps others from writing to the region, but for that of the task itself. */
  inTheWayOf(region: Region, task?: Task): Barrier | undefined {
    for (const barrier of this.#up.values()) {
      if (barrier.task !== task && regionsTouch(barrier.region, region)) return barrier
    }
    return undefined
  }

  /** The one that would have to fall before the task may raise another. */
  beforeOneMore(region: Region, task: Task): Barrier | undefined {
    const touching = this.inTheWayOf(region, task)
    if (touching !== undefined || this.#up.size < BARRIERS_MAX) return touching
    return this.#up.values().next().value
  }

  /** It is about to get its place: what was read becomes part of what it does, in the ledger with that place. */
  bringEdges(task: Task): void {
    const edges = this.#up.get(task)?.edges
    if (edges === undefined) return
    const body = task.body!
    const args: NearArgs = { ...(body.args as NearArgs), edges }
    const whole = { ...body, args }
    const encoded = encodeBody(whole)
    this.#context.tasks.replaceBody(task, whole, encoded.length)
    this.#context.persist({ table: 'body', key: task.id, value: encoded })
  }
}
