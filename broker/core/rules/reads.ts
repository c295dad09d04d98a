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

import type { TaskId } from '../../../shared/core/ids.ts'
import { regionsTouch } from '../../../shared/grid/geometry.ts'
import type {
  ItemsOperation,
  Operation,
  ReadOperation,
  Wire,
} from '../../../shared/operations/operation.ts'
import type { Answer } from '../../../shared/protocol/messages.ts'
import type { TaskBody } from '../../../shared/protocol/task.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import { operationOf } from '../state/task-ledger.ts'
import type { Changes } from '../state/tile-waits.ts'
import { JoinedParts } from './merge.ts'
import type { TilePlan } from './planner.ts'
import { faultOf, isHopeless, lacksBornTile, soundOf } from './read-answers.ts'
import type { ReadAsker } from './read-asker.ts'
import { isAlike, messageOf, roundOf, sendCancels } from './read-messages.ts'
import { extentOf, planRound, type ReadPart } from './read-plan.ts'
import type { ReadRound } from './read-round.ts'
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
  /** Those of the current round that are not answered, by id; but for what `round` has. */
  parts: Map<string, ReadPart>
  /** How many of these somebody was asked for. */
  leasedCount: number
  /** Sent to very many as one: each was asked for what is open of it. */
  round: ReadRound | undefined
  joined: JoinedParts
  readonly nodes: Set<number>
  low: number
  high: number
  /** Names of the deadlines of its leases. */
  readonly leases: string[]
}

export class Reads {
  readonly #context: CoordinatorContext
  readonly #open = new Map<string, OpenRead>()
  /** By member: the parts that it was asked for, but for those of `#flat`. */
  readonly #leased = new Map<number, Map<ReadPart, OpenRead>>()
  /** Those with a `round`. */
  readonly #flat = new Set<OpenRead>()
  readonly #waiting: WaitingParts<OpenRead>
  /** Those of which something was answered, or asked as unborn: what is written from now on they have not seen. */
  readonly #overtaken = new Set<OpenRead>()
  /** Bad ones were no answer to what was asked. */
  readonly counters = { reissued: 0, lateAnswers: 0, badAnswers: 0 }

  constructor(context: CoordinatorContext) {
    this.#context = context
    this.#waiting = new WaitingParts(context)
  }

  get openCount(): number {
    return this.#open.size
  }

  submit(asker: ReadAsker, { isRestored = false } = {}): void {
    const operation = operationOf(asker.body) as ReadOperation | ItemsOperation
    const read: OpenRead = {
      asker,
      isRestored,
      operation,
      args: asker.body.args,
      rounds: [],
      parts: new Map(),
      leasedCount: 0,
      round: undefined,
      joined: new JoinedParts(operation.merge),
      nodes: new Set(),
      low: 0,
      high: Number.POSITIVE_INFINITY,
      leases: [],
    }
    this.#open.set(asker.id, read)
    this.#startRound(read)
  }

  #startRound(read: OpenRead): void {
    const { asker, args, rounds, isRestored } = read
    const { flatMin } = this.#context.options
    const extent = extentOf(this.#context, asker.body)
    const isFlat = isAlike(read) && !isRestored
    const round = { round: rounds.length, args, extent, ...(isFlat ? { flatMin } : {}) }
    const { parts, flat } = planRound(this.#context, asker.body, round, (index) =>
      this.#mayAnswer(read, index),
    )
    read.joined = new JoinedParts(read.operation.merge)
    read.round = undefined
    this.#flat.delete(read)
    for (const part of parts) read.parts.set(part.id, part)
    if (flat !== undefined) this.#sendRound(read, flat)
    asker.shards.total += openCountOf(read)
    if (flat === undefined || parts.length > 0) this.#issue(read, parts)
  }

  /** All to those of the plan, who can answer now; what nobody can is in `parts`. */
  #sendRound(read: OpenRead, plan: TilePlan): void {
    const round = roundOf(this.#context, read, plan, this.#leaseMs(read))
    read.round = round
    this.#flat.add(read)
    if (round.hasUnborn) this.#overtaken.add(read)
    this.#context.sendRound(round)
    this.#setLease(read, () => {
      if (read.round !== round) return
      for (const at of round.open) this.#endLease(read, this.#takeOut(read, at))
    })
    if (read.parts.size === 0) read.asker.waits(undefined)
    read.asker.begun()
  }

  /** Something happens to a part of a round. */
  #takeOut(read: OpenRead, at: number): ReadPart {
    const part = read.round!.takeOut(at)
    read.parts.set(part.id, part)
    this.#lease(read, part)
    return part
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
    if (openCountOf(read) === 0) {
      this.#finishRound(read)
      return
    }
    const { members } = this.#context
    const { asker, operation } = read
    const leased: ReadPart[] = []
    for (const part of parts) {
      const { member } = part
      if (member !== undefined && isReady(operation, members.at(member))) leased.push(part)
      else this.#waiting.add(read, part)
    }
    if (leased.length < parts.length) asker.waits('holders-away')
    if (leased.length === 0) return
    for (const part of leased) this.#send(read, part)
    this.#setLease(read, () => {
      for (const part of leased) if (read.parts.get(part.id) === part) this.#endLease(read, part)
    })
    if (read.leasedCount === read.parts.size) asker.waits(undefined)
    asker.begun()
  }

  #leaseMs({ asker }: OpenRead): number {
    const { nowMs, options } = this.#context
    return Math.max(1, Math.min(options.leaseMs, Math.ceil(asker.deadlineMs - nowMs)))
  }

  /** One deadline for all: a task on the whole fleet has thousands of leases that end together. */
  #setLease(read: OpenRead, ended: () => void): void {
    const { nowMs, deadlines } = this.#context
    const { asker, leases } = read
    const name = `lease/${asker.id}/${leases.length}`
    leases.push(name)
    deadlines.set(name, nowMs + this.#leaseMs(read), ended)
  }

  #endLease(read: OpenRead, part: ReadPart): void {
    const { id, index } = this.#context.members.at(part.member!)
    read.asker.notice('warn', 'lease-ended', `node ${id} did not answer in time`, {
      node: id,
      task: read.asker.id,
    })
    this.#issue(read, this.#replan(read, part, index))
  }

  #send(read: OpenRead, part: ReadPart): void {
    const { asker } = read
    const member = this.#context.members.at(part.member!)
    part.attempt += 1
    this.#waiting.delete(part)
    this.#lease(read, part)
    if (part.attempt > 1) this.#noteReissue(asker, part, member)
    const leaseMs = this.#leaseMs(read)
    const message = messageOf(this.#context, read, { part, leaseMs, member })
    if (message.grid !== undefined && message.grid.unborn.length > 0) this.#overtaken.add(read)
    this.#context.send(member, message)
  }

  #lease(read: OpenRead, part: ReadPart): void {
    const leased = this.#leased.get(part.member!) ?? new Map<ReadPart, OpenRead>()
    this.#leased.set(part.member!, leased.set(part, read))
    read.leasedCount += 1
  }

  /** True if its member was asked for it. */
  #remove(read: OpenRead, part: ReadPart): boolean {
    read.parts.delete(part.id)
    this.#waiting.delete(part)
    const wasLeased = this.#leased.get(part.member!)?.delete(part) === true
    if (wasLeased) read.leasedCount -= 1
    return wasLeased
  }

  #noteReissue(asker: ReadAsker, part: ReadPart, member: Member): void {
    this.counters.reissued += 1
    const message = `part ${part.id} of task ${asker.id} goes to node ${member.id}`
    const fields = { task: asker.id, part: part.id, node: member.id, attempt: part.attempt }
    asker.notice('info', 'read-reissued', message, fields)
  }

  /** Puts others in the place of a part, away from `avoid` where there is another choice. */
  #replan(read: OpenRead, part: ReadPart, avoid: number | undefined): ReadPart[] {
    const { asker, operation, rounds, args } = read
    const plan = (accepts: (index: number) => boolean): ReadPart[] =>
      planRound(this.#context, asker.body, { round: rounds.length, args, extent: part }, accepts)
        .parts
    const ready = (index: number): boolean =>
      !part.failed.has(index) && isReady(operation, this.#context.members.at(index))
    let parts = plan((index) => index !== avoid && ready(index))
    if (avoid !== undefined && parts.some(({ member }) => member === undefined)) parts = plan(ready)
    this.#remove(read, part)
    asker.shards.total += parts.length - 1
    for (const next of parts) {
      next.attempt = part.attempt
      next.failed = part.failed
      read.parts.set(next.id, next)
    }
    return parts
  }

  /** A member's connection is gone: what it was to answer goes elsewhere at once. */
  withdrawFrom(member: Member): void {
    for (const read of this.#flat) {
      for (const at of read.round!.openOf(member.index)) this.#takeOut(read, at)
    }
    const lost = new Map<OpenRead, ReadPart[]>()
    for (const [part, read] of this.#leased.get(member.index) ?? []) {
      const parts = lost.get(read)
      if (parts === undefined) lost.set(read, [part])
      else parts.push(part)
    }
    for (const [read, parts] of lost) {
      const others = parts.flatMap((part) => this.#replan(read, part, member.index))
      this.#issue(read, others)
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
    if (canAnswer && !lacksBornTile(this.#context, part, member)) this.#issue(read, [part])
    else if (canAnswer || member === undefined || nowMs >= returnGraceEndMs) {
      this.#issue(read, this.#replan(read, part, undefined))
    }
  }

  /**
   * A write got its place: parts that were answered have not seen it, nor will those that were sent
   * with tiles as unborn.
   */
  noteWrite({ region }: TaskBody, seq: number): void {
    for (const read of this.#overtaken) {
      if (regionsTouch(read.asker.body.region!, region!)) read.high = Math.min(read.high, seq)
    }
  }

  receive(member: Member, answer: Answer): void {
    const read = this.#open.get(answer.task)
    const part = read && this.#find(read, answer.part)
    if (read === undefined || part === undefined) {
      this.counters.lateAnswers += 1
      return
    }
    const { error, value } = answer
    const fault = value === undefined ? 'no value' : faultOf(this.#context, read, part, value)
    if (error !== undefined || value === undefined || fault !== undefined) {
      if (error === undefined) this.counters.badAnswers += 1
      this.#refuse(read, part, member, error ?? { code: 'bad-answer', message: fault! })
      return
    }
    this.#remove(read, part)
    read.joined.add(soundOf(this.#context, read, part, value))
    read.nodes.add(member.index)
    read.asker.shards.done += 1
    read.asker.progressed()
    const { region } = read.asker.body
    if (region !== undefined) {
      this.#overtaken.add(read)
      const next = this.#context.log.nextTouching(member, answer.position, region)
      read.low = Math.max(read.low, answer.seq)
      // Entries that the log no longer has: only the very place it was taken at is certain.
      read.high = Math.min(read.high, next === 0 ? answer.seq + 1 : next)
      // Asked by an earlier start of the gateway, it has read such a tile as zeros.
      if (read.isRestored && lacksBornTile(this.#context, part, member))
        read.high = Math.min(read.high, 1)
    }
    if (openCountOf(read) === 0) this.#finishRound(read)
  }

  #find(read: OpenRead, id: string): ReadPart | undefined {
    const part = read.parts.get(id)
    const at = part === undefined ? read.round?.find(id) : undefined
    return at === undefined ? part : this.#takeOut(read, at)
  }

  /** The node could not answer for a reason of its own; without any other holder the task fails. */
  #refuse(
    read: OpenRead,
    part: ReadPart,
    member: Member,
    error: { code: string; message: string },
  ): void {
    read.asker.notice('warn', 'read-refused', `node ${member.id}: ${error.message}`, {
      node: member.id,
      task: read.asker.id,
      error: error.code,
    })
    // It was asked while it held all of them. Others do now, and it may be sound for the rest.
    const isElsewhere = lacksBornTile(this.#context, part, member)
    if (!isElsewhere) part.failed = new Map(part.failed).set(member.index, error)
    if (isElsewhere || !isHopeless(this.#context, part)) {
      if (part.member === member.index) this.#issue(read, this.#replan(read, part, member.index))
      return
    }
    read.asker.shards.failed += 1
    this.#close(read)
    read.asker.failed(error, read.nodes.size)
  }

  #finishRound(read: OpenRead): void {
    const { operation, asker } = read
    const { grid } = this.#context.options
    const { total } = read.joined
    read.rounds.push(total)
    const next = operation.kind === 'read' ? operation.nextRound?.(total, read.args) : undefined
    if (next !== undefined) {
      read.args = next
      this.#startRound(read)
      return
    }
    const { args, region } = asker.body
    const value =
      operation.kind === 'read'
        ? operation.finish(read.rounds, args, region!, grid)
        : operation.finish(total, args)
    if (operation.kind === 'read' && operation.finishGhost !== undefined) {
      asker.shadowed(value, operation.finishGhost(read.rounds, args, region!, grid))
    }
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
    const asked = new Set<Member>()
    for (const part of read.parts.values()) {
      if (this.#remove(read, part)) asked.add(members.at(part.member!))
    }
    const { round } = read
    for (const at of round?.open ?? []) asked.add(members.at(round!.memberOf(at)))
    sendCancels(this.#context, read.asker.id, asked)
    this.#overtaken.delete(read)
    this.#flat.delete(read)
    this.#open.delete(read.asker.id)
  }
}

/** Parts that are not answered. */
function openCountOf({ parts, round }: OpenRead): number {
  return parts.size + (round?.openCount ?? 0)
}

/** Whether it can answer what is asked of the tiles that it holds. */
export function isReady(operation: Operation, member: Member): boolean {
  return member.isInSync && member.operations.has(operation.name)
}
