/**
 * How moves get on, for those who watch them: all of them, and those that empty one node. As long as some end, it is
 * told how long the rest takes; when none does, why. Never both.
 */
import type { NodeId } from '../../../shared/core/ids.ts'
import type { MovesView, MoveView, NodeView } from '../../../shared/protocol/views.ts'
import type { Moves, PlannedMove } from '../rules/moves.ts'
import type { Rebalancer } from '../rules/rebalancer.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { Move } from '../state/move-table.ts'

/** Planned moves that are listed one by one. */
const MOVES_SHOWN_MAX = 100

export interface MoveParts {
  readonly context: CoordinatorContext
  readonly moves: Moves
  readonly rebalancer: Rebalancer
}

/** How the emptying of one node gets on. */
export type Departure = Pick<NodeView, 'rate' | 'eta_seconds' | 'waits_for'>

export function movesViewOf(
  { context, moves, rebalancer }: MoveParts,
  probation: MovesView['probation'],
): MovesView {
  const { nowMs, members } = context
  const idOf = (index: number): NodeId => members.at(index).id
  const reasons = new Reasons()
  const planned: MoveView[] = []
  let bytes = 0
  rebalancer.eachPlanned((move, waitsFor) => {
    reasons.add(waitsFor)
    bytes += moves.pageBytes(move.tile)
    if (planned.length < MOVES_SHOWN_MAX) planned.push({ ...shown(move, idOf), stage: 'planned' })
  })
  const open = context.moves.all
  const stalled = rebalancer.stallsFor()
  for (const { reason, tiles } of stalled)
    if (reason === 'too-few-nodes') reasons.add(reason, tiles)
  const { pace } = moves
  const left = open.length + rebalancer.plannedCount
  const goesOn = open.length > 0 ? !pace.standsStill(nowMs) : reasons.has('paced') || reasons.isNone
  const blocked = open.length > 0 ? openReasons(open) : reasons
  const { pausedFor } = rebalancer
  return {
    open: open.map((move) => ({
      ...shown(move, idOf),
      stage: move.stage,
      ...(move.waitsFor === undefined ? {} : { waits_for: move.waitsFor }),
      seconds: Math.round((nowMs - move.startedMs) / 1000),
    })),
    planned,
    planned_tiles: rebalancer.plannedCount,
    planned_bytes: bytes,
    waiting: reasons.toRecord(),
    ...(pausedFor === undefined ? {} : { paused_for: pausedFor }),
    probation,
    stalled,
    rate: pace.rateAt(nowMs),
    ...(goesOn
      ? { eta_seconds: pace.secondsFor({ tiles: left, bytes }) }
      : { stands_still: blocked.first }),
    ended_total: moves.counters.ended,
    rolled_back_total: moves.counters.rolledBack,
    copied_bytes_total: moves.counters.copiedBytes,
  }
}

/** By member index: of those of `asked` that are to give up what they hold, drained or dead. */
export function departuresOf(
  { context, moves, rebalancer }: MoveParts,
  asked: readonly Member[],
  written: ReadonlyMap<number, number>,
): Map<number, Departure> {
  const { members, nowMs } = context
  const departures = new Map<number, Departure>()
  const leavers = new Map<
    number,
    { member: Member; reasons: Reasons; last: number; isOpen: boolean }
  >()
  for (const member of asked) {
    if (member.leaving !== 'draining' && member.state !== 'dead') continue
    leavers.set(member.index, { member, reasons: new Reasons(), last: 0, isOpen: false })
  }
  if (leavers.size === 0) return departures
  const { pace } = moves
  for (const { from, waitsFor, stage } of context.moves.all) {
    const leaver = from === undefined ? undefined : leavers.get(from)
    if (leaver === undefined) continue
    leaver.isOpen = true
    leaver.reasons.add(waitsFor ?? (pace.standsStill(nowMs) ? stage : 'paced'))
  }
  let place = context.moves.size
  let bytes = 0
  rebalancer.eachPlanned(({ from, tile }, waitsFor) => {
    place += 1
    bytes += moves.pageBytes(tile)
    const leaver = from === undefined ? undefined : leavers.get(from)
    if (leaver === undefined) return
    leaver.reasons.add(waitsFor)
    leaver.last = place
  })
  for (const { node, reason, tiles } of rebalancer.stalls) {
    leavers.get(members.find(node)?.index ?? -1)?.reasons.add(reason, tiles)
  }
  const rate = pace.rateAt(nowMs)
  for (const [index, { member, reasons, last, isOpen }] of leavers) {
    const tiles = last > 0 ? last : isOpen ? context.moves.size : 0
    if (reasons.has('paced') && !(context.moves.size > 0 && pace.standsStill(nowMs))) {
      departures.set(index, { rate, eta_seconds: pace.secondsFor({ tiles, bytes }) })
    } else {
      const rest = (written.get(index) ?? 0) > 0 ? rebalancer.pausedFor : streamOf(member)
      const waitsFor = reasons.isNone ? rest : reasons.first
      if (waitsFor !== undefined) departures.set(index, { rate, waits_for: waitsFor })
    }
  }
  return departures
}

/** One that holds nothing any more leaves once it has applied what it was sent. */
function streamOf({ leaving, stream }: Member): 'node-behind' | undefined {
  return leaving === 'draining' && !stream.isAtHead ? 'node-behind' : undefined
}

function shown({ tile, reason, from, to }: PlannedMove, idOf: (index: number) => NodeId) {
  return { tile, reason, ...(from === undefined ? {} : { from: idOf(from) }), to: idOf(to) }
}

function openReasons(open: readonly Move[]): Reasons {
  const reasons = new Reasons()
  for (const { waitsFor, stage } of open) reasons.add(waitsFor ?? stage)
  return reasons
}

class Reasons {
  readonly #counts = new Map<string, number>()

  add(reason: string, count = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count)
  }

  has(reason: string): boolean {
    return this.#counts.has(reason)
  }

  get isNone(): boolean {
    return this.#counts.size === 0
  }

  /** The most frequent one that is no turn in a row. */
  get first(): string {
    const counts = [...this.#counts].filter(([reason]) => reason !== 'paced')
    counts.sort(([a, few], [b, many]) => many - few || (a < b ? -1 : 1))
    return counts[0]?.[0] ?? 'paced'
  }

  toRecord(): Readonly<Partial<Record<string, number>>> {
    return Object.fromEntries(this.#counts)
  }
}
