/**
 * Reads over the grid and pure operations on items. Each part goes to one node under a lease; it is
 * issued again elsewhere with the next attempt when the node's socket closes, when it reports a
 * trouble of its own, or when the lease ends, and the first valid answer counts.
 *
 * A part carries `after`, the head of that node's stream, and is answered only once that is applied:
 * so a read sees every write that completed before it was accepted. A read is consistent when one
 * place in the order of writes exists at which all of its parts were taken: `low` is the greatest
 * sequence that some part has seen, `high` the lowest one that touches the region and that some part
 * has not seen.
 */

import type { TaskId } from '../../shared/core/ids.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import type {
  ItemsOperation,
  Operation,
  ReadOperation,
  Wire,
} from '../../shared/operations/operation.ts'
import type { Answer, Read } from '../../shared/protocol/messages.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import type { Member } from './membership.ts'
import { mergeAll } from './merge.ts'
import { OpenParts } from './open-parts.ts'
import { regionsTouch } from './planner.ts'
import type { ReadAsker } from './read-asker.ts'
import { extentOf, planRound, type ReadPart } from './read-plan.ts'
import { lsusIn } from './task-extent.ts'
import { operationOf } from './task-ledger.ts'
import type { Changes } from './tile-waits.ts'
import { WaitingParts } from './waiting-parts.ts'

interface OpenRead {
  readonly asker: ReadAsker
  /** Taken up at a start: nodes may bring answers to what was asked before. */
  readonly isRestored: boolean
  readonly operation: ReadOperation | ItemsOperation
  /** Of the current round. */
  args: Wire
  /** Merged partial results of the finished rounds. */
  readonly rounds: Wire[]
  parts: OpenParts
  partials: Wire[]
  readonly nodes: Set<number>
  low: number
  high: number
  /** Names of the deadlines of its leases. */
  readonly leases: string[]
}

export interface ReadCounters {
  reissued: number
  lateAnswers: number
  /** That were no answer to what was asked. */
  badAnswers: number
}

type NextTouching = (member: Member, position: number, region: Region) => number

export class Reads {
  readonly #context: CoordinatorContext
  readonly #nextTouching: NextTouching
  readonly #open = new Map<string, OpenRead>()
  /** By member: those of which it has a lease. */
  readonly #asked = new Map<number, Set<OpenRead>>()
  readonly #waiting: WaitingParts<OpenRead>
  /** Those of which something was answered, or asked as unborn: what is written from now on they have not seen. */
  readonly #overtaken = new Set<OpenRead>()
  readonly counters: ReadCounters = { reissued: 0, lateAnswers: 0, badAnswers: 0 }

  /** `nextTouching` gives the first sequence after a stream position that touches a region. */
  constructor(context: CoordinatorContext, nextTouching: NextTouching) {
    this.#context = context
    this.#nextTouching = nextTouching
    this.#waiting = new WaitingParts(context)
  }

  get openCount(): number {
    return this.#open.size
  }

  submit(asker: ReadAsker, { isRestored = false } = {}): void {
    const read: OpenRead = {
      asker,
      isRestored,
      operation: operationOf(asker.body) as ReadOperation | ItemsOperation,
      args: asker.body.args,
      rounds: [],
      parts: new OpenParts(),
      partials: [],
      nodes: new Set(),
      low: 0,
      high: Number.POSITIVE_INFINITY,
      leases: [],
    }
    this.#open.set(asker.id, read)
    this.#startRound(read)
  }

  #startRound(read: OpenRead): void {
    const { asker, args, rounds } = read
    const extent = extentOf(this.#context, asker.body)
    const round = { round: rounds.length, args, extent }
    const parts = planRound(this.#context, asker.body, round, (index) =>
      this.#mayAnswer(read, index),
    )
    read.partials = []
    read.parts = new OpenParts(parts)
    asker.shards.total += parts.length
    this.#issue(read, parts)
  }

  /** In sync now; or expected back from a restart of the gateway, perhaps with the answer. */
  #mayAnswer({ operation, isRestored }: OpenRead, index: number): boolean {
    const { members, nowMs, returnGraceEndMs } = this.#context
    const member = members.at(index)
    if (isReady(operation, member)) return true
    return isRestored && member.state === 'suspect' && nowMs < returnGraceEndMs
  }

  /** Sends parts to those of their members that can answer now; the others wait. */
  #issue(read: OpenRead, parts: readonly ReadPart[]): void {
    // All that was still to be answered for is lost, and may be left out.
    if (read.parts.size === 0) {
      this.#finishRound(read)
      return
    }
    const { members, nowMs, options, deadlines } = this.#context
    const { asker, operation, leases } = read
    const leaseMs = Math.max(1, Math.min(options.leaseMs, Math.ceil(asker.deadlineMs - nowMs)))
    const leased: ReadPart[] = []
    for (const part of parts) {
      const { member } = part
      if (member !== undefined && isReady(operation, members.at(member))) leased.push(part)
      else this.#waiting.add(read, part)
    }
    if (leased.length < parts.length) asker.waits('holders-away')
    if (leased.length === 0) return
    for (const part of leased) this.#send(read, part, leaseMs)
    // One deadline for all: a task on the whole fleet has thousands of leases that end together.
    const name = `lease/${asker.id}/${leases.length}`
    leases.push(name)
    deadlines.set(name, nowMs + leaseMs, () => {
      for (const part of leased) if (read.parts.has(part)) this.#endLease(read, part)
    })
    if (leased.length === parts.length && !read.parts.isAnyWaiting) {
      asker.waits(undefined)
    }
    asker.begun()
  }

  #endLease(read: OpenRead, part: ReadPart): void {
    const { id, index } = this.#context.members.at(part.member!)
    read.asker.notice('warn', 'lease-ended', `node ${id} did not answer in time`, {
      node: id,
      task: read.asker.id,
    })
    this.#issue(read, this.#replan(read, part, index))
  }

  #send(read: OpenRead, part: ReadPart, leaseMs: number): void {
    const { asker } = read
    const member = this.#context.members.at(part.member!)
    part.attempt += 1
    this.#waiting.delete(part)
    if (read.parts.lease(part)) this.#readsOf(member.index).add(read)
    if (part.attempt > 1) this.#noteReissue(asker, part, member)
    const message: Read = {
      t: 'read',
      session: member.session!.number,
      task: asker.id,
      part: part.id,
      attempt: part.attempt,
      leaseMs,
      after: member.stream.head,
      op: asker.body.op,
      args: this.#argsOf(read, part),
      ...(part.items === undefined
        ? { grid: this.#gridOf(read, part.tiles!) }
        : { items: { keys: part.items.keys, values: part.items.values } }),
    }
    this.#context.send(member, message)
  }

  #readsOf(index: number): Set<OpenRead> {
    let reads = this.#asked.get(index)
    if (reads === undefined) {
      reads = new Set()
      this.#asked.set(index, reads)
    }
    return reads
  }

  #remove(read: OpenRead, part: ReadPart): void {
    this.#waiting.delete(part)
    if (read.parts.remove(part)) this.#asked.get(part.member!)!.delete(read)
  }

  #argsOf({ operation, args }: OpenRead, { tiles }: ReadPart): Wire {
    if (operation.kind === 'items' || operation.cut === undefined) return args
    return operation.cut(args, tiles!, this.#context.options.grid)
  }

  #noteReissue(asker: ReadAsker, part: ReadPart, member: Member): void {
    this.counters.reissued += 1
    const message = `part ${part.id} of task ${asker.id} goes to node ${member.id}`
    const fields = { task: asker.id, part: part.id, node: member.id, attempt: part.attempt }
    asker.notice('info', 'read-reissued', message, fields)
  }

  #gridOf(read: OpenRead, tiles: Uint32Array): NonNullable<Read['grid']> {
    const { x, y, w, h } = read.asker.body.region!
    const { born, unborn } = this.#context.placement.divide(tiles)
    if (unborn.length > 0) this.#overtaken.add(read)
    return { region: [x, y, w, h], tiles: bytesOfTiles(born), unborn: bytesOfTiles(unborn) }
  }

  /** Puts others in the place of a part, away from `avoid` where there is another choice. */
  #replan(read: OpenRead, part: ReadPart, avoid: number | undefined): ReadPart[] {
    const { asker, operation, rounds, args } = read
    const plan = (accepts: (index: number) => boolean): ReadPart[] =>
      planRound(this.#context, asker.body, { round: rounds.length, args, extent: part }, accepts)
    const ready = (index: number): boolean =>
      !part.failed.has(index) && isReady(operation, this.#context.members.at(index))
    let parts = plan((index) => index !== avoid && ready(index))
    if (avoid !== undefined && parts.some(({ member }) => member === undefined)) parts = plan(ready)
    this.#remove(read, part)
    asker.shards.total += parts.length - 1
    for (const next of parts) {
      next.attempt = part.attempt
      next.failed = part.failed
      read.parts.add(next)
    }
    return parts
  }

  /** A member's connection is gone: what it was to answer goes elsewhere at once. */
  withdrawFrom(member: Member): void {
    for (const read of [...(this.#asked.get(member.index) ?? [])]) {
      const lost = read.parts.leasedBy(member.index)
      const parts = lost.flatMap((part) => this.#replan(read, part, member.index))
      this.#issue(read, parts)
    }
  }

  /** Parts that wait for what has changed may find somebody. */
  wake(changes: Changes): void {
    for (const { read, part } of this.#waiting.concernedBy(changes)) this.#retry(read, part)
  }

  #retry(read: OpenRead, part: ReadPart): void {
    const { members, nowMs, returnGraceEndMs } = this.#context
    const member = part.member === undefined ? undefined : members.at(part.member)
    const canAnswer = member !== undefined && isReady(read.operation, member)
    if (canAnswer && !this.#lacksBornTile(part, member)) this.#issue(read, [part])
    else if (canAnswer || member === undefined || nowMs >= returnGraceEndMs) {
      this.#issue(read, this.#replan(read, part, undefined))
    }
  }

  /**
   * A write got its place: parts that were answered have not seen it, nor will those that were sent
   * with tiles as unborn.
   */
  noteWrite(region: Region, seq: number): void {
    for (const read of this.#overtaken) {
      if (regionsTouch(read.asker.body.region!, region)) read.high = Math.min(read.high, seq)
    }
  }

  receive(member: Member, answer: Answer): void {
    const read = this.#open.get(answer.task)
    const part = read?.parts.find(answer.part)
    if (read === undefined || part === undefined) {
      this.counters.lateAnswers += 1
      return
    }
    const { error, value } = answer
    const fault = value === undefined ? 'no value' : this.#faultOf(read, part, value)
    if (error !== undefined || value === undefined || fault !== undefined) {
      if (error === undefined) this.counters.badAnswers += 1
      this.#refuse(read, part, member, error ?? { code: 'bad-answer', message: fault! })
      return
    }
    this.#remove(read, part)
    read.partials.push(value)
    read.nodes.add(member.index)
    read.asker.shards.done += 1
    read.asker.progressed()
    member.tasksDone += 1
    const { region } = read.asker.body
    if (region !== undefined) {
      this.#overtaken.add(read)
      const next = this.#nextTouching(member, answer.position, region)
      read.low = Math.max(read.low, answer.seq)
      // Entries that the log no longer has: only the very place it was taken at is certain.
      read.high = Math.min(read.high, next === 0 ? answer.seq + 1 : next)
      // Asked by an earlier start of the gateway, it has read such a tile as zeros.
      if (read.isRestored && this.#lacksBornTile(part, member)) read.high = Math.min(read.high, 1)
    }
    if (read.parts.size === 0) this.#finishRound(read)
  }

  /** What keeps a partial result from being that of a part: other code may have made it, or none of ours. */
  #faultOf({ operation, args, asker }: OpenRead, part: ReadPart, value: Wire): string | undefined {
    if (operation.kind === 'items') return operation.faultOf(value, part.items!.keys)
    const { grid } = this.#context.options
    const tiles = part.tiles!
    const region = asker.body.region!
    const lsus = lsusIn(asker.body, tiles, grid)
    return operation.faultOf(value, { args, tiles, region, lsus }, grid)
  }

  /** Since the part was planned, one of its tiles was born on other nodes. */
  #lacksBornTile({ tiles }: ReadPart, { index }: Member): boolean {
    const { placement } = this.#context
    if (tiles === undefined) return false
    return tiles.some(
      (tile) => placement.isBorn(tile) && !placement.holdersOf(tile).includes(index),
    )
  }

  /** The node could not answer for a reason of its own; without any other holder the task fails. */
  #refuse(
    read: OpenRead,
    part: ReadPart,
    member: Member,
    error: { code: string; message: string },
  ): void {
    const { placement, members } = this.#context
    read.asker.notice('warn', 'read-refused', `node ${member.id}: ${error.message}`, {
      node: member.id,
      task: read.asker.id,
      error: error.code,
    })
    // It was asked while it held all of them. Others do now, and it may be sound for the rest.
    if (this.#lacksBornTile(part, member)) {
      if (part.member === member.index) this.#issue(read, this.#replan(read, part, member.index))
      return
    }
    part.failed = new Map(part.failed).set(member.index, error)
    const isHopeless =
      part.tiles === undefined
        ? members.all.every(({ index }) => part.failed.has(index))
        : this.#tilesThatFail(part.tiles).some((tile) => {
            const holders = placement.holdersOf(tile)
            return holders.length > 0 && holders.every((index) => part.failed.has(index))
          })
    if (!isHopeless) {
      if (part.member === member.index) this.#issue(read, this.#replan(read, part, member.index))
      return
    }
    read.asker.shards.failed += 1
    this.#fail(read, error)
  }

  /** Which of them a node may have trouble with: an unborn one is nowhere, and is zeros on any node. */
  #tilesThatFail(tiles: Uint32Array): Uint32Array {
    const { born } = this.#context.placement.divide(tiles)
    return born.length > 0 ? born : tiles
  }

  #fail(read: OpenRead, error: { code: string; message: string }): void {
    this.#close(read)
    read.asker.failed(error, read.nodes.size)
  }

  #finishRound(read: OpenRead): void {
    const { operation, asker } = read
    const { grid } = this.#context.options
    const total = mergeAll(read.partials, operation.merge)
    read.rounds.push(total)
    const next = operation.kind === 'read' ? operation.nextRound?.(total, read.args) : undefined
    if (next !== undefined) {
      read.args = next
      this.#startRound(read)
      return
    }
    const value =
      operation.kind === 'read'
        ? operation.finish(read.rounds, asker.body.args, asker.body.region!, grid)
        : operation.finish(total)
    this.#close(read)
    const nodes = read.nodes.size
    if (operation.kind === 'items') {
      asker.completed({ value, nodes })
      return
    }
    const consistent = read.low < read.high
    const range: [number, number] = [Math.min(read.low, read.high), Math.max(read.low, read.high)]
    const facts = consistent ? { value, nodes, consistent } : { value, nodes, consistent, range }
    asker.completed(facts)
  }

  /** Ends a read that nobody waits for any more; nodes drop what they have not begun. */
  abandon(id: TaskId): void {
    const read = this.#open.get(id)
    if (read !== undefined) this.#close(read)
  }

  #close(read: OpenRead): void {
    const { members, deadlines } = this.#context
    for (const name of read.leases) deadlines.clear(name)
    for (const index of read.parts.holders()) {
      this.#asked.get(index)!.delete(read)
      const member = members.at(index)
      if (member.session === undefined) continue
      const { number } = member.session
      this.#context.send(member, { t: 'cancel', session: number, task: read.asker.id })
    }
    for (const part of read.parts.waiting()) this.#waiting.delete(part)
    this.#overtaken.delete(read)
    this.#open.delete(read.asker.id)
  }
}

/** Whether it can answer what is asked of the tiles that it holds. */
export function isReady(operation: Operation, member: Member): boolean {
  return member.isInSync && member.operations.has(operation.name)
}

function bytesOfTiles(tiles: Uint32Array): Uint8Array {
  return new Uint8Array(tiles.buffer, tiles.byteOffset, tiles.byteLength)
}
