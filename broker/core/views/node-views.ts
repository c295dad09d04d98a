/**
 * What the coordinator shows of one node: read-only, of this moment. Its own word for how it is, its birth and
 * telemetry, is not known here; the adapters add it.
 */
import type { NodeView } from '../../../shared/protocol/views.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { Departure } from './move-views.ts'

export interface NodeParts {
  /** Its part of the grid, and those of them that hold data. */
  readonly tiles: number
  readonly written: number
  /** Of one that is to give up what it holds. */
  readonly departure?: Departure | undefined
}

export function nodeViewOf(
  { nowMs, ts, doubt, detector }: CoordinatorContext,
  member: Member,
  { tiles, written, departure }: NodeParts,
): NodeView {
  const suspicion = detector.phi(member.index, doubt.clockMs)
  const heardMs = detector.heardMs(member.index)
  const seconds = probationSeconds(member, nowMs)
  return {
    id: member.id,
    state: member.state,
    connected: member.session !== undefined,
    ...(member.leaving === 'draining' ? { draining: true, ...drainOf(member) } : {}),
    ...departure,
    ...(member.stopReason === undefined ? {} : { stopped: member.stopReason }),
    ...(member.isUpgrading ? { upgrading: true } : {}),
    ...(member.program === undefined ? {} : { version: member.program.version }),
    weight: member.weight,
    tiles,
    tiles_written: written,
    incarnation: member.boot,
    joined_ts: member.joinedTs,
    operations: [...member.operations].sort(),
    stream: { head: member.stream.head, acked: member.stream.acked },
    behind: member.stream.head - member.stream.acked,
    ...(heardMs === undefined ? {} : { heard_ts: Math.round(ts + heardMs - nowMs) }),
    ...(isTroubled(member) || departure?.waits_for !== undefined ? { troubled: true } : {}),
    answers_shed: member.answersShed,
    ...(seconds > 0 ? { probation_seconds: seconds } : {}),
    may_take_tiles: member.mayTakeTiles(nowMs),
    quarantined: member.steadiness.isQuarantined,
    ...(suspicion === undefined ? {} : { phi: Math.round(suspicion * 100) / 100 }),
  }
}

function drainOf({ drainTiles }: Member): Pick<NodeView, 'drain_tiles'> {
  return drainTiles === undefined ? {} : { drain_tiles: drainTiles }
}

/** It is away, does not follow the writes, or comes and goes. Nobody misses one that has left, or is away for another version. */
function isTroubled(member: Member): boolean {
  if (member.state === 'left' || member.isUpgrading) return false
  return !member.isInSync || member.steadiness.isQuarantined
}

export function probationSeconds({ steadiness }: Member, nowMs: number): number {
  return Math.ceil(steadiness.probationLeftMs(nowMs) / 1000)
}
