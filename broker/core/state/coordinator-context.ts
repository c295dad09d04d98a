/**
 * What the parts of the coordinator share: the tables, the deadlines, the moment of this step, and
 * the output that they write to. Made once by the coordinator; no part reaches further.
 */
import { assert } from '../../../shared/core/assert.ts'
import type { Random } from '../../../shared/core/random.ts'
import { findOperation } from '../../../shared/operations/catalog.ts'
import type { GridContext } from '../../../shared/operations/operation.ts'
import type { Down } from '../../../shared/protocol/messages.ts'
import { isEnded } from '../../../shared/protocol/states.ts'
import type { Topic } from '../../../shared/protocol/topics.ts'
import type { GatewayEffect, GatewayNotice, MessageRound } from '../effects.ts'
import type { ConnectionId, Instant } from '../events.ts'
import {
  type IdentityRecord,
  type LedgerContents,
  type LedgerRecord,
  wasRebuilt,
} from '../ledger-records.ts'
import { Alarms } from './alarms.ts'
import { Barriers } from './barriers.ts'
import type { LoadBound } from './bounded-loads.ts'
import { Codex } from './codex.ts'
import { ControlLog } from './control-log.ts'
import { CopiedReadings } from './copied-readings.ts'
import { Deadlines } from './deadlines.ts'
import { type DetectorOptions, FailureDetector } from './failure-detector.ts'
import { Ghosts } from './ghosts.ts'
import { type Member, Membership } from './membership.ts'
import { MoveTable } from './move-table.ts'
import { PageFormats } from './page-formats.ts'
import { Placement } from './placement.ts'
import { RaisedTiles } from './raised-tiles.ts'
import { RuleBook } from './rule-book.ts'
import { Sealing } from './sealing.ts'
import { SelfDoubt, type SelfDoubtOptions } from './self-doubt.ts'
import {
  ranMsOf,
  type Task,
  TaskLedger,
  type TaskLedgerOptions,
  type WaitReason,
} from './task-ledger.ts'
import { stateOf } from './task-messages.ts'
import type { Changes } from './tile-waits.ts'
import { UpgradeTable } from './upgrade-table.ts'
import { WaitingWrites } from './waiting-writes.ts'
import { WriteLog } from './write-log.ts'

/** How often the progress of a task is published at most, and of how many tasks each time. */
const PROGRESS_MS = 500
const PROGRESS_TASKS_MAX = 100

export interface WatchedCell {
  /** Index of the field. */
  readonly field: number
  readonly x: number
  readonly y: number
}

export interface CoordinatorOptions
  extends DetectorOptions,
    SelfDoubtOptions,
    TaskLedgerOptions,
    Omit<LoadBound, 'tiles'> {
  readonly grid: GridContext
  /** Of the program, for those who look at the ring. */
  readonly version: string
  /** How long a node that is new or was dead gets no tiles. */
  readonly probationMs: number
  /** A replica that is further behind than this does not hold up a write. */
  readonly lagMs: number
  /** How long a node may take over a read before it is issued again elsewhere. */
  readonly leaseMs: number
  /** What goes to so many nodes or more is kept and sent as one, so many at a time. */
  readonly flatMin: number
  /** Copies that a write needs at least; 1 or more. */
  readonly minInSync: number
  /** Bytes of log entries in flight to one node. */
  readonly streamWindowBytes: number
  /** An entry that is not acknowledged for this long is sent again. */
  readonly resendMs: number
  /** Tiles are born only once no node has joined for this long. */
  readonly settleMs: number
  /** After a start, tiles are not born on part of the fleet before this has passed. */
  readonly graceMs: number
  /** How long, after a start, open tasks wait for the nodes that they were with before. */
  readonly returnGraceMs: number
  /** Bodies of unfinished tasks, bytes. */
  readonly openBytesMax: number
  /** Bodies of ended writes that some replica has not applied, bytes. */
  readonly logBytesMax: number
  /** Readings of so long become one write of each field. */
  readonly cellsWindowMs: number
  /** Cells whose numbers are published whenever they have changed. */
  readonly watches: readonly WatchedCell[]
  /** Pages that go to other nodes, bytes a second. */
  readonly moveBytesPerSecond: number
  readonly movesMax: number
  /** A copy that has not arrived by then is asked for again, of another replica if there is one. */
  readonly copyTimeoutMs: number
  /** So many nodes are waited for when the ledger is rebuilt from what they hold. */
  readonly recoverNodes: number
  /** How often some more tiles are looked at on all their holders. */
  readonly scrubMs: number
  /** A move that takes longer is given up, and planned again later. */
  readonly moveDeadlineMs: number
}

type Publish = Extract<GatewayEffect, { type: 'publish' }>

export class CoordinatorContext {
  readonly options: CoordinatorOptions
  readonly random: Random
  readonly members = new Membership()
  readonly detector: FailureDetector
  readonly doubt: SelfDoubt
  readonly placement: Placement
  readonly tasks: TaskLedger
  readonly codex: Codex
  readonly ghosts = new Ghosts()
  readonly moves = new MoveTable()
  readonly sealing = new Sealing()
  readonly controls = new ControlLog(this)
  readonly log = new WriteLog(this)
  readonly barriers = new Barriers(this)
  readonly waiting: WaitingWrites
  readonly copied = new CopiedReadings(this)
  readonly deadlines = new Deadlines()
  readonly book = new RuleBook(this)
  readonly alarms = new Alarms(this)
  readonly raised = new RaisedTiles(this)
  readonly upgrades = new UpgradeTable(this)
  readonly pages = new PageFormats(this.members, this.upgrades)
  identity: IdentityRecord
  now: Instant = { monotonicMs: 0, wallMs: 0 }
  startedMs = 0
  /** What `ledgerMs` counts from, monotonic ms. */
  #ledgerStartMs = 0
  lastJoinMs = Number.NEGATIVE_INFINITY

  #effects: GatewayEffect[] = []
  #records: LedgerRecord[] = []
  readonly #changedTasks = new Set<Task>()
  /** By table and sequence, what makes the record. */
  readonly #changedWrites = new Map<string, () => LedgerRecord>()
  /** Keys of their records. */
  readonly #changedStreams = new Set<number>()
  /** Tasks that have come on, or wait for something else, since their state was published. */
  readonly #progressed = new Set<Task>()
  #isIdentityChanged = false
  #isWide = false

  constructor(options: CoordinatorOptions, random: Random, identity: IdentityRecord) {
    this.options = options
    this.random = random
    this.identity = identity
    const { replicas, virtualNodes, loadBound } = options
    const { tiles } = options.grid.geometry
    const placed = { tiles, replicas, virtualNodes, loadBound, wasRebuilt: wasRebuilt(identity) }
    this.placement = new Placement(placed)
    this.waiting = new WaitingWrites(this)
    this.tasks = new TaskLedger(options)
    const { geometry, fields } = options.grid
    this.codex = new Codex({ fields, width: geometry.width }, this.ghosts)
    this.detector = new FailureDetector(options)
    this.doubt = new SelfDoubt(options)
  }

  get nowMs(): number {
    return this.now.monotonicMs
  }

  get ts(): number {
    return this.now.wallMs
  }

  /**
   * The time of the ledger: how long the gateway has run on it, ms. It neither goes back nor leaps,
   * whatever becomes of the wall clock.
   */
  get ledgerMs(): number {
    return Math.round(this.nowMs - this.#ledgerStartMs)
  }

  /** The ledger's time goes on where its records stand. */
  resumeLedgerTime(contents: LedgerContents): void {
    this.#ledgerStartMs = this.nowMs - ranMsOf(contents)
  }

  /** Until then after a start, open tasks wait for the nodes that they were with before. */
  get returnGraceEndMs(): number {
    return this.startedMs + this.options.returnGraceMs
  }

  /** Until then after a start, members that are away may only not have come back yet. */
  get graceEndMs(): number {
    return this.startedMs + this.options.graceMs
  }

  /**
   * Whether the fleet has settled: nobody joined just now, and all known members are here, are gone
   * for good, or had the time to come back. Only then is anything placed on it that has no holders yet. Otherwise
   * `settle` falls due when it will have.
   */
  isSettled(): boolean {
    const { settledMs } = this
    if (this.nowMs >= settledMs) return true
    this.deadlines.set('settle', settledMs, () => this.wakeAll())
    return false
  }

  /** Nobody is away who may come back. */
  get isComplete(): boolean {
    return this.members.stateCounts.suspect === 0
  }

  /** When it has, if nothing changes until then. */
  get settledMs(): number {
    const quietMs = this.lastJoinMs + this.options.settleMs
    return this.isComplete ? quietMs : Math.max(quietMs, this.graceEndMs)
  }

  /** Whatever waits is to be looked at. */
  wakeAll(): void {
    this.#isWide = true
  }

  /** What changed since the last call that something may wait for. */
  takeChanges(): Changes | undefined {
    const members = this.members.takeChanges()
    const touched = this.placement.takeTouched()
    const isWide = this.#isWide
    this.#isWide = false
    const { tiles, areMany, isRingChanged } = touched
    const isAny = members.length + tiles.length > 0 || areMany || isRingChanged || isWide
    return isAny ? { members, touched, isWide } : undefined
  }

  emit(effect: GatewayEffect): void {
    this.#effects.push(effect)
  }

  send(member: Member, message: Down): void {
    assert(member.session !== undefined, 'only a connected node is sent to')
    this.sendTo(member.session.connection, message)
  }

  /** To a node that is not admitted, perhaps. */
  sendTo(connection: ConnectionId, message: Down): void {
    this.emit({ type: 'send', connection, message })
  }

  /** It stands on the topic until something else does; the empty text takes it away. */
  retain(topic: Topic, payload: string | Uint8Array, about: Pick<Publish, 'touches'> = {}): void {
    this.emit({ type: 'publish', topic, payload, qos: 1, retain: true, ...about })
  }

  /** In slices, between which the loop takes what has come. */
  sendRound(round: MessageRound): void {
    const { flatMin } = this.options
    for (let from = 0; from < round.size; from += flatMin) {
      const to = Math.min(from + flatMin, round.size)
      this.emit({ type: 'send-round', round, from, to })
    }
  }

  notice(
    level: GatewayNotice['level'],
    code: string,
    message: string,
    fields: Record<string, string | number | boolean> = {},
  ): void {
    this.emit({ type: 'notice', notice: { level, code, message, fields } })
  }

  persist(record: LedgerRecord): void {
    this.#records.push(record)
  }

  /** The task is persisted and its state published at the end of the step; that of the gateway's own is nobody's business. */
  taskChanged(task: Task): void {
    if (!task.isInternal) this.#changedTasks.add(task)
  }

  /**
   * More of its parts are done. Said now and then, and not persisted: it follows from what is. The last state is
   * published with the end.
   */
  progressed(task: Task): void {
    if (!isEnded(task.state)) this.#publishLater(task)
  }

  /** Of the gateway's own nothing is published. */
  #publishLater(task: Task): void {
    if (task.isInternal) return
    this.#progressed.add(task)
    if (this.deadlines.has('progress')) return
    this.deadlines.set('progress', this.nowMs + PROGRESS_MS, () => this.#publishProgress())
  }

  #publishProgress(): void {
    let left = PROGRESS_TASKS_MAX
    for (const task of this.#progressed) {
      this.#progressed.delete(task)
      if (isEnded(task.state)) continue
      this.publishState(task)
      left -= 1
      if (left === 0) break
    }
    if (this.#progressed.size === 0) return
    this.deadlines.set('progress', this.nowMs + PROGRESS_MS, () => this.#publishProgress())
  }

  /** Its record is made at the end of the step: one of the whole grid is large, and may change for hundreds of members. */
  writeChanged(table: 'write' | 'written', seq: number, record: () => LedgerRecord): void {
    this.#changedWrites.set(`${table}/${seq}`, record)
  }

  writeRemoved(table: 'write' | 'written', seq: number): void {
    this.#changedWrites.delete(`${table}/${seq}`)
    this.persist({ table, key: seq, value: undefined })
  }

  /** Where its stream stands is persisted at the end of the step. */
  streamChanged({ index, stream }: Member): void {
    this.#changedStreams.add(this.members.streams.put(index, stream))
  }

  /** The member is none any more, and no record of it is left. */
  forget(member: Member): void {
    this.members.forget(member)
    this.persist({ table: 'member', key: member.id, value: undefined })
  }

  nextSequence(): number {
    this.changeIdentity({ seq: this.identity.seq + 1 })
    return this.identity.seq
  }

  changeIdentity(change: Partial<IdentityRecord>): void {
    this.identity = { ...this.identity, ...change }
    this.#isIdentityChanged = true
  }

  /** The effects of this step: one `persist` of everything first, then the rest in order. */
  takeEffects(): GatewayEffect[] {
    for (const record of this.#changedWrites.values()) this.persist(record())
    for (const task of this.#changedTasks) this.#recordTask(task)
    for (const { chunk, record } of this.placement.takeChanges()) {
      this.persist({ table: 'placement', key: chunk, value: record })
    }
    if (this.placement.epoch !== this.identity.epoch) {
      this.changeIdentity({ epoch: this.placement.epoch })
    }
    for (const key of [...this.#changedStreams].sort((a, b) => a - b)) {
      this.persist({ table: 'stream', key, value: this.members.streams.record(key) })
    }
    if (this.#isIdentityChanged) {
      this.identity = { ...this.identity, ranMs: this.ledgerMs }
      this.persist({ table: 'meta', key: 'identity', value: this.identity })
    }
    const [records, effects] = [this.#records, this.#effects]
    this.#records = []
    this.#effects = []
    this.#changedTasks.clear()
    this.#changedWrites.clear()
    this.#changedStreams.clear()
    this.#isIdentityChanged = false
    return records.length === 0 ? effects : [{ type: 'persist', records }, ...effects]
  }

  #recordTask(task: Task): void {
    const value = this.tasks.record(task, this.nowMs)
    this.persist({ table: 'task', key: task.id, value })
    this.publishState(task)
  }

  /**
   * Says so soon where that is news: thousands may wait for one node that comes and goes. A task that was
   * accepted in this step is published at its end.
   */
  taskWaits(task: Task, reason: WaitReason | undefined): void {
    if (task.waitingFor === reason) return
    task.waitingFor = reason
    if (!this.#changedTasks.has(task)) this.#publishLater(task)
  }

  publishState(task: Task): void {
    const state = JSON.stringify(stateOf(task, this.ts))
    this.retain({ kind: 'task-state', task: task.id }, state, touchesOf(task))
  }
}

/** Of a write: whoever shows what it touches is to look again. */
function touchesOf({ op, region, seq }: Task) {
  if (region === undefined || findOperation(op)?.kind !== 'write') return {}
  return { touches: { region, ...(seq === undefined ? {} : { seq }) } }
}
