/**
 * What the coordinator shows of itself: read-only, as plain JSON, for HTTP, metrics and the retained
 * ring. It reads the tables as they are after the last step.
 */
import type { NodeId, TaskId } from '../../../shared/core/ids.ts'
import { isEnded, type MemberState } from '../../../shared/protocol/states.ts'
import type {
  DetectorView,
  GridView,
  MovesView,
  NodeView,
  PlanView,
  ProbationView,
  RingView,
  RuleBookView,
  TaskView,
  UpgradePlanRow,
  UpgradeView,
} from '../../../shared/protocol/views.ts'
import type { ConnectionId, UpgradeWish } from '../events.ts'
import { missingViewOf } from '../rules/missing-tiles.ts'
import type { Moves } from '../rules/moves.ts'
import type { Readings } from '../rules/readings.ts'
import type { Reads } from '../rules/reads.ts'
import type { Change, Rebalancer } from '../rules/rebalancer.ts'
import type { Recovery } from '../rules/recovery.ts'
import { type RemovalProblem, removalProblem } from '../rules/removal.ts'
import type { UpgradeProblem, Upgrades } from '../rules/upgrades.ts'
import type { Codex } from '../state/codex.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Ghosts } from '../state/ghosts.ts'
import type { Member } from '../state/membership.ts'
import type { Task } from '../state/task-ledger.ts'
import { stateOf } from '../state/task-messages.ts'
import { departuresOf, type MoveParts, movesViewOf } from './move-views.ts'
import { nodeViewOf, probationSeconds } from './node-views.ts'
import {
  listed,
  type RingTiles,
  readRingHolders,
  readRingTiles,
  ringOf,
  type TileArea,
} from './ring-tiles.ts'

/** Nodes whose rows are made in one go. */
const SLICE_NODES = 200

export interface RulesSeen {
  readonly reads: Reads
  readonly moves: Moves
  readonly rebalancer: Rebalancer
  readonly upgrades: Upgrades
  readonly readings: Readings
  readonly recovery: Recovery
}

export class CoordinatorView {
  readonly #context: CoordinatorContext
  readonly #rules: RulesSeen

  constructor(context: CoordinatorContext, rules: RulesSeen) {
    this.#context = context
    this.#rules = rules
  }

  /** For those who look, and for the check of tasks. */
  get codex(): Codex {
    return this.#context.codex
  }

  get ghosts(): Ghosts {
    return this.#context.ghosts
  }

  get isRecovering(): boolean {
    return this.#context.identity.isRecovering === true
  }

  /** Names the fleet, also when its ledger was lost and is another now; nothing until the nodes or a copy have told. */
  get fleetId(): string | undefined {
    const { ledgerId, formerLedgerIds = [] } = this.#context.identity
    const first = formerLedgerIds[0] ?? (this.isRecovering ? undefined : ledgerId)
    return first?.slice(0, 8)
  }

  task(id: TaskId): TaskView | undefined {
    const task = this.#context.tasks.find(id)
    return task === undefined || task.isCleared ? undefined : this.#taskView(task)
  }

  /** The identity that a task is of, also one whose state is cleared. */
  ownerOf(id: TaskId): string | undefined {
    return this.#context.tasks.find(id)?.by
  }

  /** Newest first. */
  tasks({ limit, state }: { limit: number; state?: string }): TaskView[] {
    return this.#context.tasks.all
      .filter((task) => state === undefined || task.state === state)
      .slice(-limit)
      .reverse()
      .map((task) => this.#taskView(task))
  }

  /** Of all tasks that still show their state. */
  taskIds(): Iterable<TaskId> {
    return this.#context.tasks.shownIds()
  }

  node(id: NodeId): NodeView | undefined {
    const member = this.#context.members.find(id)
    return member && this.#nodeViews([member])[0]
  }

  /** For those who need not know more, which costs a look at every tile. */
  stateOf(id: NodeId): MemberState | undefined {
    return this.#context.members.find(id)?.state
  }

  /** The connection of a member on which it can be asked for its log; nothing while it is away. */
  logWay(
    id: NodeId,
  ): { readonly connection: ConnectionId; readonly givesLog: boolean } | undefined {
    const { session, givesLog = false } = this.#context.members.find(id) ?? {}
    return session && { connection: session.connection, givesLog }
  }

  nodes(): NodeView[] {
    return this.nodesFrom(0, this.nodeCount)
  }

  /** It is known, and has not left. */
  isMember(id: NodeId): boolean {
    const member = this.#context.members.find(id)
    return member !== undefined && member.state !== 'left'
  }

  countByState(): Record<MemberState, number> {
    return { ...this.#context.members.stateCounts }
  }

  get nodeCount(): number {
    return this.#context.members.size
  }

  /** Some of them, in the order in which they joined. */
  nodesFrom(first: number, count: number): NodeView[] {
    return this.#nodeViews(this.#context.members.all.slice(first, first + count))
  }

  /** All that are known at the beginning and when it is their turn, each once. */
  *nodesInSlices(): Generator<NodeView[]> {
    const { members } = this.#context
    const all = [...members.all]
    for (let first = 0; first < all.length; first += SLICE_NODES) {
      const some = all.slice(first, first + SLICE_NODES)
      yield this.#nodeViews(some.filter((member) => members.find(member.id) === member))
    }
  }

  #nodeViews(members: readonly Member[]): NodeView[] {
    const { placement } = this.#context
    const all = placement.tileCounts
    const written = placement.tally.written
    const departures = departuresOf(this.#moveParts, members, written)
    return members.map((member) => {
      const { index } = member
      return nodeViewOf(this.#context, member, {
        tiles: all.get(index) ?? 0,
        written: written.get(index) ?? 0,
        departure: departures.get(index),
      })
    })
  }

  get areMovesUnderWay(): boolean {
    return this.#context.moves.size > 0 || this.#rules.rebalancer.plannedCount > 0
  }

  detector(): DetectorView {
    const { doubt, nowMs, ts } = this.#context
    const recovery = this.#rules.recovery.view()
    return {
      doubts: doubt.reasons.map(({ reason, beganMs }) => ({
        reason,
        since_ts: Math.round(ts + beganMs - nowMs),
      })),
      ...(recovery === undefined ? {} : { recovery }),
      ...missingViewOf(this.#context),
    }
  }

  grid(): GridView {
    const { options, placement, identity } = this.#context
    const { width, height, tile } = options.grid.geometry
    return {
      ...{ width, height, tile },
      fields: options.grid.fields,
      replicas: options.replicas,
      epoch: placement.epoch,
      ledger: identity.ledgerId,
    }
  }

  ring(): RingView {
    return ringOf(this.#context)
  }

  /** Of each tile, some at a time, in ring order: where its holders stand in `members` of the ring. */
  ringHolders(): Generator<number[][]> {
    return readRingHolders(this.#context, listed(this.#context))
  }

  /** Who holds the tiles of a part of the grid. */
  ringTiles(area: TileArea): RingTiles {
    return readRingTiles(this.#context, area)
  }

  /** Tiles on their way to other nodes, and those that are to follow. */
  moves(): MovesView {
    return movesViewOf(this.#moveParts, this.#onProbation())
  }

  get #moveParts(): MoveParts {
    return { context: this.#context, moves: this.#rules.moves, rebalancer: this.#rules.rebalancer }
  }

  /**
   * What would move if these nodes joined (with a weight of 1) or left; as it is now, if none is named. In slices: the
   * ring is of the fleet as it is at first, and all else as it is at last.
   */
  *plan({ join, leave }: Change): Generator<void, PlanView> {
    const { members, placement } = this.#context
    const staying = this.#rules.rebalancer.ringFor({ join, leave })
    const ids = new Map(staying.map(({ index, id }) => [index, id]))
    const ideal = placement.idealSlots(staying)
    yield
    const found = this.#rules.rebalancer.planTo(ideal, leave)
    const bytes = found.reduce((sum, { tile }) => sum + this.#rules.moves.pageBytes(tile), 0)
    const counts = new Map<string, { from?: string; to: string; tiles: number }>()
    for (const { from, to } of found) {
      const names = {
        ...(from === undefined ? {} : { from: members.at(from).id as string }),
        to: ids.get(to)!,
      }
      const key = `${names.from ?? ''}>${names.to}`
      const row = counts.get(key) ?? { ...names, tiles: 0 }
      row.tiles += 1
      counts.set(key, row)
    }
    return {
      tiles: found.length,
      bytes,
      seconds: this.#rules.moves.pace.secondsFor({ tiles: found.length, bytes }),
      moves: [...counts.values()].sort((a, b) => b.tiles - a.tiles || (a.to < b.to ? -1 : 1)),
      probation: this.#onProbation(),
      stalled: this.#rules.rebalancer.stallsFor({ join: join.length, leave }),
    }
  }

  /** The boards' next version, and how far it has come; nothing if there never was one. */
  upgrade(): UpgradeView | undefined {
    const { hindrance } = this.#rules.upgrades
    const { latest, targets } = this.#context.upgrades
    if (latest === undefined) return undefined
    const counts = new Map<string, number>()
    for (const [, { state }] of targets) counts.set(state, (counts.get(state) ?? 0) + 1)
    const { id, version, state, stopped, wave, packages } = latest
    return {
      ...{ id, version, state },
      ...(stopped === undefined ? {} : { stopped }),
      ...(hindrance === undefined ? {} : { waits_for: hindrance }),
      ...{ wave, pause_seconds: latest.pauseMs / 1000, canary_done: latest.isCanaryDone },
      ...{ started_ts: latest.startedTs, packages, counts: Object.fromEntries(counts) },
      nodes: targets.map(([node, { state, code }]) => {
        return { node, state, ...(code === undefined ? {} : { code }) }
      }),
    }
  }

  upgradeProblem(wish: Pick<UpgradeWish, 'mayBeAway'>): UpgradeProblem | undefined {
    return this.#rules.upgrades.problemOf(wish)
  }

  upgradePlan(wish: UpgradeWish): UpgradePlanRow[] {
    return this.#rules.upgrades.planFor(wish)
  }

  ruleBook(): RuleBookView {
    return this.#context.book.view()
  }

  /** Why a node may not be forgotten. */
  removalProblem(id: NodeId): RemovalProblem | undefined {
    const member = this.#context.members.find(id)
    return member && removalProblem(this.#context, member)
  }

  /** Why a node that is to be emptied never will be, as the fleet is. */
  drainProblem(id: NodeId): string | undefined {
    const { members } = this.#context
    if (members.find(id)?.leaving !== undefined) return undefined
    return this.#rules.rebalancer
      .stallsFor({ leave: [id] })
      .find(({ node, reason }) => node === id && reason === 'too-few-nodes')?.message
  }

  /** Who holds a tile, in ring order. */
  holdersOf(tile: number): NodeId[] {
    const { placement, members } = this.#context
    return placement.holdersOf(tile).map((index) => members.at(index).id)
  }

  counts(): Record<string, number> {
    const { members, tasks, placement, identity, doubt } = this.#context
    return {
      members: members.size,
      membersAlive: members.stateCounts.alive,
      tasksKnown: tasks.size,
      openBytes: tasks.openBytes,
      logBytes: tasks.logBytes,
      writesWaiting: this.#context.waiting.size,
      writesInLog: this.#context.log.size,
      readsOpen: this.#rules.reads.openCount,
      readsReissued: this.#rules.reads.counters.reissued,
      answersLate: this.#rules.reads.counters.lateAnswers,
      answersBad: this.#rules.reads.counters.badAnswers,
      sequence: identity.seq,
      epoch: placement.epoch,
      movesOpen: this.#context.moves.size,
      movesPlanned: this.#rules.rebalancer.plannedCount,
      movesEnded: this.#rules.moves.counters.ended,
      movesRolledBack: this.#rules.moves.counters.rolledBack,
      movedBytes: this.#rules.moves.counters.copiedBytes,
      doubts: doubt.reasons.length,
      recovering: identity.isRecovering === true ? 1 : 0,
      cellsPending: this.#rules.readings.counts.pending,
      cellsTaken: this.#rules.readings.counts.taken,
      cellsWritten: this.#rules.readings.counts.written,
      tilesMissing: placement.tally.missing,
    }
  }

  /** Readings that were not taken, by reason. */
  cellsRefused(): Readonly<Record<string, number>> {
    return this.#rules.readings.refused
  }

  #onProbation(): ProbationView[] {
    const { members, nowMs } = this.#context
    return members.all
      .filter(({ state, steadiness }) => state === 'alive' && steadiness.isOnProbation(nowMs))
      .map((member) => ({ node: member.id, seconds: probationSeconds(member, nowMs) }))
  }

  #taskView(task: Task): TaskView {
    const { nowMs, ts } = this.#context
    return {
      ...(stateOf(task, task.endedTs ?? ts) as unknown as TaskView),
      accepted_ts: task.acceptedTs,
      ...(task.endedTs === undefined ? {} : { ended_ts: task.endedTs }),
      ...(task.region === undefined ? {} : { region: task.region }),
      ...(isEnded(task.state) ? {} : { deadline_ts: Math.round(ts + task.deadlineMs - nowMs) }),
    }
  }
}
