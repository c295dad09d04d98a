/**
 * Writes, from acceptance to the last replica. A write waits until each of its tiles has an in-sync
 * holder; then it gets the next sequence number, and its parts go into the streams of all holders,
 * connected or not. From there on it is applied in full, whatever becomes of its deadline.
 *
 * Done: every in-sync holder of each tile has it on disk, and at least `max(1, minInSync)` of them,
 * never vacuously (recovery.md, One sequencer). The log keeps it until every holder has it.
 */
import { assert } from '../../shared/core/assert.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import { unpackTiles } from '../../shared/operations/columns.ts'
import type { WriteOperation } from '../../shared/operations/operation.ts'
import type { Applied, Entry } from '../../shared/protocol/messages.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import type { WriteRecord } from './ledger-records.ts'
import type { Member } from './membership.ts'
import type { LogEntry } from './node-stream.ts'
import { partsOf, planWrites, regionsTouch, writeTilesMax } from './planner.ts'
import { endTask, releaseBody } from './task-endings.ts'
import { bodyMark, operationOf, type Task } from './task-ledger.ts'

interface WritePart {
  readonly member: number
  readonly position: number
  readonly tiles: Uint32Array
}

interface OpenWrite {
  readonly seq: number
  readonly task: Task
  parts: WritePart[]
  /** Holders that have not acknowledged all of their parts, with the position of the last one. */
  readonly waitingFor: Map<number, number>
  isDone: boolean
  /** It was open already when the gateway started. */
  readonly isRestored: boolean
}

/** Entries of one message, bytes; small enough that other traffic gets between two of them. */
const MESSAGE_ENTRY_BYTES_MAX = 64 * 1024
const ENTRY_OVERHEAD_BYTES = 160

export class Writes {
  readonly #context: CoordinatorContext
  /** Accepted and not yet sequenced, in order of acceptance. */
  readonly #waiting = new Set<Task>()
  readonly #open = new Map<number, OpenWrite>()
  readonly #onSequenced: (region: Region, seq: number) => void

  /** `onSequenced` is told of each write that gets its place in the order. */
  constructor(context: CoordinatorContext, onSequenced: (region: Region, seq: number) => void) {
    this.#context = context
    this.#onSequenced = onSequenced
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  get openCount(): number {
    return this.#open.size
  }

  submit(task: Task): void {
    this.#waiting.add(task)
    this.sequenceWaiting()
  }

  /** Gives up a write that has no sequence yet; false when it is too late for that. */
  withdraw(task: Task): boolean {
    return this.#waiting.delete(task)
  }

  /** The deadline passed: without a sequence it has no effect, with one it is still applied. */
  expire(task: Task): void {
    const isSequenced = !this.#waiting.delete(task)
    task.error = isSequenced
      ? {
          code: 'deadline',
          message: 'not every replica answered in time; the write is still applied',
        }
      : { code: 'deadline', message: 'no replica of some tile was in sync before the deadline' }
    const isInLog = task.seq !== undefined && this.#open.has(task.seq)
    endTask(this.#context, task, 'expired', { nodes: 0 }, isInLog)
  }

  /** Sequences what can be; called when members come, catch up, or settle. */
  sequenceWaiting(): void {
    for (const task of this.#waiting) {
      if (this.#canSequence(task)) {
        this.#waiting.delete(task)
        this.#sequence(task)
      }
    }
  }

  #canSequence(task: Task): boolean {
    const { placement, members, options } = this.#context
    const tiles = this.#tilesOf(task)
    if (placement.hasUnborn(tiles) && !this.#context.isSettled()) return false
    const { slots, replicas } = placement
    const inSync = new Uint8Array(members.size + 1)
    const announced = new Uint8Array(members.size + 1)
    for (const member of members.all) {
      inSync[member.index + 1] = member.isInSync ? 1 : 0
      announced[member.index + 1] = member.operations.has(task.op) ? 1 : 0
    }
    const needed = Math.max(1, options.minInSync)
    for (const tile of tiles) {
      let copies = 0
      for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
        const holder = slots[slot]!
        if (inSync[holder] === 0) continue
        if (announced[holder] === 0) return false
        copies++
      }
      if (copies < needed) return false
    }
    return true
  }

  #sequence(task: Task): void {
    const context = this.#context
    const { placement, members, options } = context
    assert(task.body?.region !== undefined, 'a write has its body')
    const tiles = this.#tilesOf(task)
    const operation = operationOf(task) as WriteOperation
    const seq = context.nextSequence()
    placement.bear(tiles)
    this.#onSequenced(task.body.region, seq)
    const plan = planWrites({ tiles, slots: placement.slots, replicas: placement.replicas })
    const tilesMax = writeTilesMax(operation, task.body.args, options.grid)
    const perTile = operation.argumentBytesPerTile(task.body.args, options.grid) + 4
    const write: OpenWrite = {
      seq,
      task,
      parts: [],
      waitingFor: new Map(),
      isDone: false,
      isRestored: false,
    }
    for (const part of partsOf(plan, tilesMax)) {
      const member = members.at(part.member)
      const entry = member.stream.append({
        seq,
        body: bodyMark(task),
        tiles: part.tiles,
        queuedMs: context.nowMs,
        bytes: ENTRY_OVERHEAD_BYTES + part.tiles.length * perTile,
      })
      write.parts.push({ ...part, position: entry.position })
      write.waitingFor.set(part.member, entry.position)
      context.streamChanged(member)
    }
    task.seq = seq
    task.state = 'running'
    task.effect = 'pending'
    task.shards = { total: write.parts.length, done: 0, failed: 0 }
    context.taskChanged(task)
    context.persist({ table: 'write', key: seq, value: this.#recordOf(write) })
    this.#open.set(seq, write)
    for (const index of write.waitingFor.keys()) this.pump(members.at(index))
  }

  #recordOf(write: OpenWrite): WriteRecord {
    return {
      task: write.task.id,
      parts: write.parts.map(({ member, position, tiles }) => ({
        node: this.#context.members.at(member).id,
        position,
        tiles: new Uint8Array(tiles.buffer, tiles.byteOffset, tiles.byteLength).slice(),
      })),
    }
  }

  /** Sends what the window allows, and watches for lag and for silence. */
  pump(member: Member): void {
    const { options, nowMs, deadlines } = this.#context
    const { stream, session } = member
    if (session === undefined || member.stopReason !== undefined || stream.isAtHead) return
    let batch: Entry[] = []
    let bytes = 0
    const flush = (): void => {
      if (batch.length === 0) return
      const confirmed = stream.acked
      this.#context.send(member, {
        t: 'entries',
        session: session.number,
        confirmed,
        entries: batch,
      })
      batch = []
      bytes = 0
    }
    for (const entry of stream.takeSendable(options.streamWindowBytes)) {
      if (bytes + entry.bytes > MESSAGE_ENTRY_BYTES_MAX) flush()
      batch.push(this.#entryOf(entry))
      bytes += entry.bytes
    }
    flush()
    this.#watchLag(member)
    const resend = `resend/${member.index}`
    if (!deadlines.has(resend)) {
      const ackedThen = stream.acked
      deadlines.set(resend, nowMs + options.resendMs, () => {
        if (member.stream === stream && stream.acked === ackedThen) stream.rewind()
        this.pump(member)
      })
    }
  }

  #entryOf(entry: LogEntry): Entry {
    const { grid } = this.#context.options
    const { task } = this.#open.get(entry.seq)!
    const { region, args } = task.body!
    const operation = operationOf(task) as WriteOperation
    return {
      position: entry.position,
      seq: entry.seq,
      chain: entry.chain,
      op: task.op,
      region: [region!.x, region!.y, region!.w, region!.h],
      args: operation.cut(args, region!, entry.tiles, grid),
      tiles: new Uint8Array(entry.tiles.buffer, entry.tiles.byteOffset, entry.tiles.byteLength),
      body: entry.body,
    }
  }

  #watchLag(member: Member): void {
    const { deadlines, options } = this.#context
    const name = `lag/${member.index}`
    const oldestMs = member.stream.oldestQueuedMs
    if (oldestMs === undefined || member.stream.isLagging || deadlines.has(name)) return
    deadlines.set(name, oldestMs + options.lagMs, () => {
      if (member.stream.checkLag(this.#context.nowMs, options.lagMs)) {
        this.#context.notice('warn', 'replica-lagging', `node ${member.id} leaves in-sync`, {
          node: member.id,
        })
        this.reconsider(member)
      } else {
        this.#watchLag(member)
      }
    })
  }

  /** The node has its stream on disk up to `position`. */
  acknowledge(member: Member, position: number, results: Applied['results'] = []): void {
    const wasLagging = member.stream.isLagging
    this.#checkResults(member, results)
    const freed = member.stream.acknowledge(position)
    if (freed.length > 0) this.#context.streamChanged(member)
    const finished = new Set<OpenWrite>()
    for (const entry of freed) {
      const write = this.#open.get(entry.seq)
      if (write === undefined) continue
      write.task.shards.done += 1
      if (write.waitingFor.get(member.index) === entry.position) {
        write.waitingFor.delete(member.index)
        finished.add(write)
      }
    }
    for (const write of finished) this.#evaluate(write)
    if (wasLagging && !member.stream.isLagging) {
      this.#context.notice('info', 'replica-in-sync', `node ${member.id} caught up`, {
        node: member.id,
      })
    }
    this.pump(member)
  }

  /** What a node says it did must be what the plan asked of it. */
  #checkResults(member: Member, results: Applied['results']): void {
    const { geometry } = this.#context.options.grid
    for (const { position, lsus } of results) {
      const entry = member.stream.entryAt(position)
      const region = entry && this.#open.get(entry.seq)?.task.body?.region
      if (entry === undefined || region === undefined) continue
      let expected = 0
      for (const tile of entry.tiles) {
        const { w, h } = geometry.overlap(tile, region)
        expected += w * h
      }
      if (lsus === expected) continue
      this.#context.notice(
        'error',
        'drift',
        `node ${member.id} wrote ${lsus} of ${expected} LSUs`,
        {
          node: member.id,
          seq: entry.seq,
        },
      )
    }
  }

  /** A member left in-sync or came back: writes that waited for it may be done, others may start. */
  reconsider(member: Member): void {
    for (const write of [...this.#open.values()]) {
      if (write.waitingFor.has(member.index)) this.#evaluate(write)
    }
    this.sequenceWaiting()
  }

  /** The member's copies are gone: nothing waits for it any more. */
  forget(member: Member): void {
    for (const write of [...this.#open.values()]) {
      if (!write.parts.some((part) => part.member === member.index)) continue
      write.parts = write.parts.filter((part) => part.member !== member.index)
      write.waitingFor.delete(member.index)
      this.#context.persist({ table: 'write', key: write.seq, value: this.#recordOf(write) })
      this.#evaluate(write)
    }
  }

  #isHeldUp(write: OpenWrite): boolean {
    for (const index of write.waitingFor.keys()) if (this.#holdsUp(write, index)) return true
    return false
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
    for (const write of [...this.#open.values()]) this.#evaluate(write)
  }

  #evaluate(write: OpenWrite): void {
    const { options } = this.#context
    const { waitingFor, task } = write
    if (!write.isDone && !this.#isHeldUp(write)) {
      const copies = this.#copiesOf(write)
      if (copies >= Math.max(1, options.minInSync)) this.#finish(write, copies)
      else if (waitingFor.size === 0 && copies === 0) this.#lose(write)
    }
    if (waitingFor.size > 0) return
    this.#open.delete(write.seq)
    this.#context.persist({ table: 'write', key: write.seq, value: undefined })
    if (isEnded(task.state)) releaseBody(this.#context, task)
  }

  #finish(write: OpenWrite, copies: number): void {
    const { task } = write
    write.isDone = true
    task.effect = 'done'
    if (isEnded(task.state)) {
      this.#context.taskChanged(task)
      this.#context.notice('info', 'effect-done', `the write of task ${task.id} is done`, {
        task: task.id,
      })
      return
    }
    const { w, h } = task.body!.region!
    const nodes = new Set(write.parts.map((part) => part.member)).size - write.waitingFor.size
    const facts = { value: { lsus: w * h }, copies, nodes }
    endTask(this.#context, task, 'completed', facts, write.waitingFor.size > 0)
  }

  /** The last copy of one of its tiles went before it was acknowledged. */
  #lose(write: OpenWrite): void {
    const { task } = write
    write.isDone = true
    if (isEnded(task.state)) return
    task.error = { code: 'tile-missing', message: 'every replica of a tile was lost' }
    task.shards.failed = task.shards.total - task.shards.done
    endTask(this.#context, task, 'failed', { nodes: 0 })
  }

  /** The fewest holders that have this write on disk, over its tiles. */
  #copiesOf(write: OpenWrite): number {
    const { geometry } = this.#context.options.grid
    const counts = new Uint8Array(geometry.tiles)
    for (const { member, tiles } of write.parts) {
      if (write.waitingFor.has(member)) continue
      for (const tile of tiles) counts[tile]! += 1
    }
    let fewest = 255
    for (const tile of this.#tilesOf(write.task)) fewest = Math.min(fewest, counts[tile]!)
    return fewest
  }

  #tilesOf(task: Task): Uint32Array {
    return this.#context.options.grid.geometry.tilesOf(task.body!.region!)
  }

  /** The lowest sequence after `position` of the member's stream that touches the region. */
  nextTouching(member: Member, position: number, region: Region): number {
    const { stream } = member
    if (position < stream.acked) return 0
    for (let at = position + 1; at <= stream.head; at++) {
      const { seq } = stream.entryAt(at)!
      if (regionsTouch(this.#open.get(seq)!.task.body!.region!, region)) return seq
    }
    return Number.POSITIVE_INFINITY
  }

  /** Rebuilds waiting writes and the log of every stream after a start. */
  restore(
    records: readonly { key: string | number; value: WriteRecord }[],
    waiting: readonly Task[],
  ): void {
    const { members, tasks, nowMs, options } = this.#context
    for (const { key, value } of [...records].sort((a, b) => Number(a.key) - Number(b.key))) {
      const task = tasks.find(value.task as Task['id'])
      assert(task?.body !== undefined, 'a write of the log has its task and body')
      const operation = operationOf(task) as WriteOperation
      const perTile = operation.argumentBytesPerTile(task.body.args, options.grid) + 4
      const write: OpenWrite = {
        seq: Number(key),
        task,
        parts: [],
        waitingFor: new Map(),
        isDone: task.effect === 'done',
        isRestored: true,
      }
      for (const part of value.parts) {
        const member = members.find(part.node as Member['id'])
        assert(member !== undefined, 'a part of the log has its member')
        const tiles = unpackTiles(part.tiles)
        write.parts.push({ member: member.index, position: part.position, tiles })
        if (part.position <= member.stream.acked) continue
        const entry = member.stream.append({
          seq: write.seq,
          body: bodyMark(task),
          tiles,
          queuedMs: nowMs,
          bytes: ENTRY_OVERHEAD_BYTES + tiles.length * perTile,
        })
        assert(entry.position === part.position, 'the log of a stream has no gaps')
        write.waitingFor.set(member.index, entry.position)
      }
      task.shards.done = write.parts.filter(
        ({ member, position }) => position <= members.at(member).stream.acked,
      ).length
      this.#open.set(write.seq, write)
    }
    for (const task of waiting) this.#waiting.add(task)
    for (const write of [...this.#open.values()]) this.#evaluate(write)
  }
}
