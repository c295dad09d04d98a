/**
 * Writes, from acceptance to the last replica. A write waits until it may have its place
 * (waiting-writes.ts); then it gets the next sequence number, and its parts go into the streams of all holders,
 * connected or not, and of nodes that are becoming holders. From there on it is applied in full,
 * whatever becomes of its deadline.
 *
 * Done: every in-sync holder of each tile has it on disk, and at least `max(1, minInSync)` of them,
 * never vacuously (recovery.md, One sequencer). The log keeps it until every holder has it, and as long
 * as a tile of it is being copied.
 */
import { assert } from '../../../shared/core/assert.ts'
import type { WriteOperation } from '../../../shared/operations/operation.ts'
import type { Applied } from '../../../shared/protocol/messages.ts'
import { isEnded } from '../../../shared/protocol/states.ts'
import type { TaskBody } from '../../../shared/protocol/task.ts'
import type { SealingRecord } from '../ledger-records.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { Move } from '../state/move-table.ts'
import type { OpenWrite } from '../state/open-write.ts'
import { goesOver, lsusIn, lsusOf, tilesOf } from '../state/task-extent.ts'
import { operationOf, type Task } from '../state/task-ledger.ts'
import type { Changes } from '../state/tile-waits.ts'
import type { WaitingWrites } from '../state/waiting-writes.ts'
import type { LogRows, WriteLog } from '../state/write-log.ts'
import { EdgeReads } from './edge-reads.ts'
import type { GhostWatch } from './ghost-watch.ts'
import { cutPlan, planWrites, type TilePlan, writeTilesMax } from './planner.ts'
import type { Reads } from './reads.ts'
import { StreamSender } from './stream-sender.ts'
import { completeTask, endTask, releaseBody } from './task-endings.ts'
import { tellFewer, tellWait } from './write-waits.ts'

/** At a time: a tile may come back for which thousands wait. */
const SEQUENCED_MAX = 256

/** Waiting writes that are looked at before others get their turn: after a start, all are due. */
const LOOKS_MAX = 1024

/** What a node says of an entry that it will never be able to apply, nor any other. */
const NEVER_APPLIED = ['entry-invalid', 'unknown-operation']

/** Of what was read, a write that gets its place in the order may make something old. */
export interface OrderFollower {
  noteWrite(body: TaskBody, seq: number): void
}

export class Writes {
  readonly #context: CoordinatorContext
  /** Accepted and not yet sequenced. */
  readonly #waiting: WaitingWrites
  readonly #log: WriteLog
  readonly #sender: StreamSender
  readonly #edges: EdgeReads
  readonly #followers: readonly OrderFollower[]
  readonly #ghosts: GhostWatch
  #last:
    | { readonly tiles: Uint32Array; readonly epoch: number; readonly plan: TilePlan }
    | undefined
  /** Of tiles, as far as writes have been looked at for them (tile-tally.ts). */
  #losses = 0

  constructor(
    context: CoordinatorContext,
    { reads, ghosts }: { reads: Reads; ghosts: GhostWatch },
    followers: readonly OrderFollower[],
  ) {
    this.#ghosts = ghosts
    this.#context = context
    this.#waiting = context.waiting
    this.#log = context.log
    this.#followers = followers
    this.#sender = new StreamSender(context)
    this.#edges = new EdgeReads(context, reads)
  }

  submit(task: Task): void {
    this.#waiting.add(task)
    this.#sequenceDue()
  }

  /** Gives up a write that has no sequence yet; false when it is too late for that. */
  withdraw(task: Task): boolean {
    const isWaiting = this.#waiting.remove(task)
    this.#sequenceDue()
    return isWaiting
  }

  /** The deadline passed: without a sequence it has no effect, with one it is still applied. */
  expire(task: Task): void {
    const isSequenced = !this.withdraw(task)
    task.error = isSequenced
      ? {
          code: 'deadline',
          message: 'not every replica answered in time; the write is still applied',
        }
      : { code: 'deadline', message: 'no replica of some tile was in sync before the deadline' }
    endTask(this.#context, task, 'expired', { nodes: 0 })
  }

  /** Sequences what can be now; where more are due already, tiles that were just born by some are no reason to hurry. */
  wake(changes: Changes): void {
    this.#followLosses()
    this.#waiting.wake(changes)
    this.goOn()
  }

  /** To be called with each step: what a write read around its tiles may have come. */
  goOn(): void {
    if (this.#waiting.hasDue && !this.#context.deadlines.has('sequence')) this.#sequenceDue()
  }

  #sequenceDue(): void {
    const looks = { left: LOOKS_MAX }
    for (let count = 0; count < SEQUENCED_MAX; count++) {
      const task = this.#waiting.take(looks)
      if (task === undefined) break
      this.sequence(task)
    }
    this.#edges.follow()
    if (!this.#waiting.hasDue) return
    const { deadlines, nowMs } = this.#context
    deadlines.set('sequence', nowMs, () => this.#sequenceDue())
  }

  /** Gives its place to a write that has nothing to wait for. */
  sequence(task: Task): void {
    const context = this.#context
    const { placement, options } = context
    assert(task.body?.region !== undefined, 'a write has its body')
    const tiles = tilesOf(task.body, options.grid)
    const operation = operationOf(task) as WriteOperation
    const seq = context.nextSequence()
    placement.bear(tiles)
    for (const follower of this.#followers) follower.noteWrite(task.body, seq)
    const tilesMax = writeTilesMax(operation, task.body.args, tiles, options.grid)
    const write = this.#log.add(seq, task, cutPlan(this.#planOf(tiles), tilesMax))
    const { body } = task
    for (const move of context.moves.all) {
      if (!goesOver(body, move.tile, options.grid)) continue
      if (move.stage === 'catching-up') this.#log.addPart(write, move.to, move.tile)
      else {
        move.missed.push(seq)
        write.retained += 1
      }
    }
    task.seq = seq
    task.state = 'running'
    task.effect = 'pending'
    task.shards = { total: write.parts.size, done: 0, failed: 0 }
    context.taskChanged(task)
    this.#log.persist(write)
    this.#sender.pump(write.awaitedMembers)
  }

  /** One over the whole grid is that of the last such write, if nobody has come to hold anything else since. */
  #planOf(tiles: Uint32Array): TilePlan {
    const { slots, replicas, epoch } = this.#context.placement
    const last = this.#last
    if (last?.tiles === tiles && last.epoch === epoch) return last.plan
    const plan = planWrites({ tiles, slots, replicas })
    if (tiles.length === slots.length / replicas) this.#last = { tiles, epoch, plan }
    return plan
  }

  /** The target of a move adopts a page of this `at`, by its entry at `adopted`; the rest follows. */
  catchUp(move: Move, page: { at: number; adopted: number }): void {
    const target = this.#context.members.at(move.to)
    this.#log.follow(move, page)
    this.release(move)
    this.returned(target)
    this.pump(target)
  }

  /** A move does not need the writes any more that it had to catch up with. */
  release(move: Move): void {
    for (const seq of move.missed.splice(0)) {
      const write = this.#log.find(seq)
      // Given up meanwhile.
      if (write === undefined) continue
      write.retained -= 1
      this.#evaluate(write)
    }
  }

  /** Sends what is due of a member's stream. */
  pump(member: Member): void {
    if (!member.stream.isAtHead) this.#sender.pump([member.index])
  }

  /** The node has its stream on disk up to `position`; without `results`, it will tell of them. */
  acknowledge(member: Member, upTo: number, results?: Applied['results']): void {
    const { stream } = member
    const position = results === undefined ? this.#untold(member, upTo) : upTo
    const wasLagging = stream.isLagging
    if (wasLagging) member.mayChange()
    if (results !== undefined) this.#checkResults(member, results)
    const { nowMs, options } = this.#context
    let at = stream.acked
    const freed = stream.acknowledge(position, nowMs, options.lagMs)
    if (freed.length > 0) this.#context.streamChanged(member)
    for (const item of freed) {
      at += 1
      if (item.order === undefined) this.#partDone(this.#log.find(item.seq)!, member, at)
      else {
        this.#context.controls.forget(item)
        for (const write of this.#log.givenBy(item, member, at)) this.#partDone(write, member, at)
      }
    }
    if (wasLagging && !stream.isLagging) {
      this.#context.notice('info', 'replica-in-sync', `node ${member.id} caught up`, {
        node: member.id,
      })
    }
    this.pump(member)
  }

  /** Up to where nothing is that has to be counted: what is acknowledged, the node may forget. */
  #untold({ stream }: Member, upTo: number): number {
    for (let at = stream.acked + 1; at <= upTo; at++) {
      const { seq, order } = stream.itemAt(at)!
      if (order === undefined && this.#log.counts(this.#log.find(seq)!)) return at - 1
    }
    return upTo
  }

  #partDone(write: OpenWrite, member: Member, position: number): void {
    const { shards } = write.task
    if (write.outcome !== 'lost') shards.done = Math.min(shards.total, shards.done + 1)
    this.#context.progressed(write.task)
    if (!write.acknowledged(write.parts.find(member.index, position)!)) return
    this.#evaluate(write)
    tellFewer(this.#context, write, member)
  }

  /** What a node says it did must be what the plan asked of it. */
  #checkResults(member: Member, results: Applied['results']): void {
    const { grid } = this.#context.options
    let last = member.stream.acked
    for (const { position, lsus, written, ghost } of results) {
      // They ascend. Who tells of one entry again and again is looked at once: its tiles may be thousands.
      if (position <= last) continue
      last = position
      const { seq = 0, parts } = member.stream.itemAt(position) ?? {}
      const write = this.#log.find(seq)
      const part = parts?.find(member.index, position)
      if (part === undefined || write?.task.body === undefined) continue
      const tiles = parts!.tilesOf(part)
      const expected = lsusIn(write.task.body, tiles, grid)
      if (ghost !== undefined) this.#ghosts.told(write, tiles, ghost)
      const drift =
        lsus === expected
          ? written && this.#log.addWritten(write, tiles, written)
          : `wrote ${lsus} of ${expected} LSUs`
      if (drift === undefined) continue
      const message = `node ${member.id} ${drift}`
      this.#context.notice('error', 'drift', message, { node: member.id, seq })
    }
  }

  /**
   * A replica cannot apply its next entry, and not for want of room or luck. If no replica of the write can,
   * and all stand just before it, the write is given up: a void takes its place in every stream. Returns the
   * replicas, which go on from there once they have connected again.
   */
  voidStuck(member: Member): Member[] {
    const { members } = this.#context
    const next = member.stream.itemAt(member.stream.acked + 1)
    const write = next?.order === undefined ? this.#log.find(next?.seq ?? 0) : undefined
    if (write === undefined || write.outcome === 'done') return []
    const { parts } = write
    const first = new Map<number, number>()
    for (const part of parts.byMember()) {
      const index = parts.members[part]!
      if (!first.has(index)) first.set(index, parts.positionOf(part))
    }
    const isStuck = [...first].every(([index, position]) => {
      const { stream, stopReason } = members.at(index)
      return stream.acked === position - 1 && NEVER_APPLIED.includes(stopReason?.code ?? '')
    })
    if (!isStuck) return []
    for (const part of parts.byMember()) {
      const member = members.at(parts.members[part]!)
      this.#context.controls.replace(member, parts.positionOf(part), { op: '$void' })
    }
    this.#log.remove(write)
    const replicas = [...first.keys()].map((index) => members.at(index))
    this.#endVoided(write.task, replicas[0]!.stopReason!.message)
    return replicas
  }

  #endVoided(task: Task, message: string): void {
    const context = this.#context
    task.effect = 'none'
    context.notice('error', 'write-voided', `no replica can apply task ${task.id}: ${message}`, {
      task: task.id,
    })
    if (isEnded(task.state)) {
      context.taskChanged(task)
      releaseBody(context, task)
      return
    }
    task.error = { code: 'write-voided', message: `no replica can apply it: ${message}` }
    task.shards.failed = task.shards.total
    endTask(context, task, 'failed', { nodes: 0 })
  }

  /** A member left in-sync, or follows no more: writes that waited for it may be done. */
  reconsider(member: Member): void {
    for (const write of this.#log.waitingFor(member)) this.#reconsider(write)
  }

  /** A member gets on again, or is waited for as well: what waits for it says so no more. */
  returned(member: Member): void {
    for (const write of this.#log.waitingFor(member)) tellWait(this.#context, write)
  }

  /** Where a tile has just lost its last copy, a write that waited for more of them may have lost all. */
  #followLosses(): void {
    const { losses } = this.#context.placement.tally
    if (losses === this.#losses) return
    this.#losses = losses
    for (const write of this.#log.all) if (write.outcome === 'open') this.#reconsider(write)
  }

  #reconsider(write: OpenWrite): void {
    this.#evaluate(write)
    tellWait(this.#context, write)
  }

  /** The member's copies are gone: nothing waits for it any more, and its stream ends here. */
  forget(member: Member): void {
    member.stream.end()
    for (const item of member.stream.items)
      if (item.order !== undefined) this.#context.controls.forget(item)
    for (const write of this.#log.all) {
      if (!write.forget(member.index)) continue
      this.#log.changed(write)
      // It has no more copies than before: who did not hold it up ends nothing, unless nobody else is awaited.
      const mayEnd = write.awaitedCount === 0 || this.#holdsUp(write, member.index)
      if (mayEnd) this.#evaluate(write)
      tellWait(this.#context, write)
    }
  }

  /** In sync; or, just after a start, expected back, so that a write does not end on fewer copies. */
  #holdsUp({ isRestored }: OpenWrite, index: number): boolean {
    const { members, nowMs, returnGraceEndMs } = this.#context
    const member = members.at(index)
    if (member.isInSync) return true
    return isRestored && member.state === 'suspect' && nowMs < returnGraceEndMs
  }

  /** The members that were expected back had their time. */
  endGrace(): void {
    for (const write of this.#log.all) this.#reconsider(write)
  }

  #evaluate(write: OpenWrite): void {
    const { options } = this.#context
    const { task } = write
    const isAtWork = (index: number): boolean => this.#holdsUp(write, index)
    if (write.outcome === 'open' && write.findAwaited(isAtWork) === undefined) {
      const copies = this.#log.copiesOf(write)
      if (copies >= Math.max(1, options.minInSync)) this.#finish(write, copies)
      else if (write.awaitedCount === 0 && copies === 0) this.#lose(write)
    }
    // Not done with all parts acknowledged: a copy was lost, and the new one will have it.
    if (write.outcome === 'open' || write.awaitedCount > 0 || write.retained > 0) return
    this.#log.remove(write)
    if (isEnded(task.state)) releaseBody(this.#context, task)
  }

  #finish(write: OpenWrite, copies: number): void {
    const { task } = write
    const written = this.#log.takeWritten(write)
    this.#ghosts.done(write)
    write.outcome = 'done'
    task.effect = 'done'
    if (isEnded(task.state)) {
      this.#context.taskChanged(task)
      this.#context.notice('info', 'effect-done', `the write of task ${task.id} is done`, {
        task: task.id,
      })
      return
    }
    const nodes = write.parts.memberCount - write.awaitedCount
    this.#complete(task, { copies, nodes, ...(written === undefined ? {} : { written }) })
    // Whether it was done nobody else knows. Mostly the log needs it no more.
    if (task.isInternal && (write.awaitedCount > 0 || write.retained > 0)) {
      this.#log.persist(write)
    }
  }

  #complete(task: Task, facts: SealingRecord): void {
    const { written, ...inClear } = facts
    const lsus = lsusOf(task.body!)
    const value = written === undefined ? { lsus } : { lsus, written }
    completeTask(this.#context, task, { value, ...inClear }, facts)
  }

  /** The last copy of one of its tiles went before it was acknowledged. */
  #lose(write: OpenWrite): void {
    const { task } = write
    write.outcome = 'lost'
    this.#log.takeWritten(write)
    this.#log.persist(write)
    if (isEnded(task.state)) {
      const message = `part of the write of task ${task.id} is lost with the last copy of a tile`
      this.#context.notice('error', 'effect-lost', message, { task: task.id })
      return
    }
    if (task.isInternal) {
      const message = 'readings are lost with the last copy of their tile'
      this.#context.notice('error', 'effect-lost', message, { seq: write.seq })
    }
    task.error = { code: 'tile-missing', message: 'every replica of a tile was lost' }
    task.shards.failed = task.shards.total - task.shards.done
    endTask(this.#context, task, 'failed', { nodes: 0 })
  }

  /** These tiles begin anew, without what was on its way to them. */
  giveUp(tiles: readonly number[]): void {
    this.#edges.releaseAt(tiles)
    const { grid } = this.#context.options
    for (const write of this.#log.all) {
      const isHit = (tile: number): boolean => goesOver(write.task.body!, tile, grid)
      if (write.outcome !== 'open' || !tiles.some(isHit)) continue
      this.#lose(write)
      this.#evaluate(write)
    }
  }

  /** Takes up waiting writes and the log after a start. */
  restore(rows: LogRows, waiting: readonly Task[]): void {
    this.#log.restore(rows)
    for (const task of waiting) this.#waiting.add(task)
    this.#sequenceDue()
    for (const write of this.#log.all) this.#evaluate(write)
  }

  /** A write that was done before the start; its value was not sealed. One that the start itself completed is on its way. */
  sealAgain(task: Task): void {
    const isOnItsWay = this.#context.sealing.has(task.id)
    if (task.sealing !== undefined && !isOnItsWay) this.#complete(task, task.sealing)
  }
}
