/**
 * What the coordinator shows of itself: read-only, as plain JSON, for HTTP, metrics and the retained
 * ring. It reads the tables as they are after the last step.
 */
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import { phi } from './failure-detector.ts'
import type { Member } from './membership.ts'
import type { Reads } from './reads.ts'
import type { Task } from './task-ledger.ts'
import { stateOf } from './task-messages.ts'
import type { DetectorView, NodeView, RingView, TaskView } from './views.ts'
import type { Writes } from './writes.ts'

export class CoordinatorView {
  readonly #context: CoordinatorContext
  readonly #writes: Writes
  readonly #reads: Reads

  constructor(context: CoordinatorContext, writes: Writes, reads: Reads) {
    this.#context = context
    this.#writes = writes
    this.#reads = reads
  }

  task(id: TaskId): TaskView | undefined {
    const task = this.#context.tasks.find(id)
    return task === undefined || task.isCleared ? undefined : this.#taskView(task)
  }

  /** Newest first. */
  tasks({ limit, state }: { limit: number; state?: string }): TaskView[] {
    return this.#context.tasks.all
      .filter((task) => state === undefined || task.state === state)
      .slice(-limit)
      .reverse()
      .map((task) => this.#taskView(task))
  }

  node(id: NodeId): NodeView | undefined {
    return this.nodes().find((node) => node.id === id)
  }

  nodes(): NodeView[] {
    const counts = this.#context.placement.tileCounts()
    return this.#context.members.all.map((member) =>
      this.#nodeView(member, counts.get(member.index) ?? 0),
    )
  }

  detector(): DetectorView {
    const { doubt, nowMs, ts } = this.#context
    return {
      doubts: doubt.reasons.map(({ reason, beganMs }) => ({
        reason,
        since_ts: Math.round(ts + beganMs - nowMs),
      })),
    }
  }

  ring({ withHolders }: { withHolders: boolean }): RingView {
    const ring = ringOf(this.#context)
    if (!withHolders) return ring
    const { placement, options } = this.#context
    const { tiles } = options.grid.geometry
    return {
      ...ring,
      holders: Array.from({ length: tiles }, (_, tile) => placement.holdersOf(tile)),
    }
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
      membersAlive: members.all.filter(({ state }) => state === 'alive').length,
      tasksKnown: tasks.size,
      openBytes: tasks.openBytes,
      logBytes: tasks.logBytes,
      writesWaiting: this.#writes.waitingCount,
      writesInLog: this.#writes.openCount,
      readsOpen: this.#reads.openCount,
      readsReissued: this.#reads.counters.reissued,
      answersLate: this.#reads.counters.lateAnswers,
      sequence: identity.seq,
      epoch: placement.epoch,
      doubts: doubt.reasons.length,
    }
  }

  #nodeView(member: Member, tiles: number): NodeView {
    const { nowMs, doubt, options } = this.#context
    const suspicion = phi(doubt.clockMs - member.silentSinceMs, member.arrivals, options)
    return {
      ...nodeView(member, tiles),
      may_take_tiles: member.mayTakeTiles(nowMs),
      quarantined: member.steadiness.isQuarantined,
      ...(suspicion === undefined ? {} : { phi: Math.round(suspicion * 100) / 100 }),
    }
  }

  #taskView(task: Task): TaskView {
    const { nowMs, ts } = this.#context
    return {
      ...(stateOf(task, task.endedTs ?? ts) as unknown as TaskView),
      accepted_ts: task.acceptedTs,
      ...(task.endedTs === undefined ? {} : { ended_ts: task.endedTs }),
      ...(isEnded(task.state) ? {} : { deadline_ts: Math.round(ts + task.deadlineMs - nowMs) }),
    }
  }
}

function nodeView(member: Member, tiles: number): NodeView {
  return {
    id: member.id,
    state: member.state,
    connected: member.session !== undefined,
    weight: member.weight,
    tiles,
    incarnation: member.boot,
    joined_ts: member.joinedTs,
    operations: [...member.operations].sort(),
    stream: { head: member.stream.head, acked: member.stream.acked },
  }
}

/** The JSON of `gateway/ring`. */
export function ringOf(context: CoordinatorContext): RingView {
  const { placement, members, options } = context
  const { width, height, tile } = options.grid.geometry
  const counts = placement.tileCounts()
  return {
    epoch: placement.epoch,
    replicas: options.replicas,
    tile,
    grid: { width, height },
    members: members.all.map(({ id, index, state, weight }) => ({
      id,
      state,
      weight,
      tiles: counts.get(index) ?? 0,
    })),
  }
}
