/**
 * Keeps the tiles where they should be: plans moves when the fleet has changed, begins them at a pace, and
 * lets nodes go that hold nothing any more. A node that is away for a moment is no change; one that is dead,
 * drained, new or has lost copies is. While the fleet is not settled, or the gateway doubts itself, nothing is
 * planned.
 */
import { count } from '../../../shared/core/count.ts'
import type { Stall } from '../../../shared/protocol/views.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { RingMember } from '../state/hash-ring.ts'
import type { Member } from '../state/membership.ts'
import type { MoveEnd } from '../state/move-table.ts'
import { planMoves } from './move-plan.ts'
import type { Moves, PlannedMove } from './moves.ts'
import { findStalls } from './stalls.ts'

/** Names of nodes that are to join, or to leave. */
export interface Change {
  readonly join: readonly string[]
  readonly leave: readonly string[]
}

const NOBODY: readonly Member[] = []

/** What was given up is tried again after this many times the time that a copy may take. */
const RETRY_TIMEOUTS = 3

/** Members that are let go at a time: a power cut takes thousands, and each is looked up in all that waits. */
const OVER_MAX = 256

export class Rebalancer {
  readonly #context: CoordinatorContext
  readonly #moves: Moves
  /** In the order in which they are to begin; those before `#next` have begun, or are held up. */
  #queue: PlannedMove[] = []
  #next = 0
  #heldUp: PlannedMove[] = []
  /** Tiles of moves that were given up, why, and when they may be tried again. */
  readonly #paused = new Map<number, { readonly reason: string; readonly untilMs: number }>()
  /** What was said of them last: each is told once. */
  #stalls: readonly Stall[] = []
  /** Drained members that hold nothing and have entries still to apply. */
  readonly #emptied = new Set<Member>()
  /** Members that hold nothing and need not be waited for. */
  readonly #over = new Set<Member>()
  #credit: { bytes: number; atMs: number }

  constructor(context: CoordinatorContext, moves: Moves) {
    this.#context = context
    this.#moves = moves
    this.#credit = { bytes: 0, atMs: Number.NEGATIVE_INFINITY }
  }

  /** Planned and not begun. */
  get plannedCount(): number {
    return this.#heldUp.length + this.#queue.length - this.#next
  }

  /**
   * Each that is planned and not begun, in order, and why it waits (operations.md, How tiles move). Of those whose turn
   * has not come it is not asked whether they could begin: they may be very many.
   */
  eachPlanned(visit: (move: PlannedMove, waitsFor: string) => void): void {
    for (const move of this.#heldUp) visit(move, this.#hindrance(move) ?? 'paced')
    for (let at = this.#next; at < this.#queue.length; at++) {
      const move = this.#queue[at]!
      visit(move, this.#pauseOf(move) ?? 'paced')
    }
  }

  /** Whether some tile is to get back a copy that it lacks. */
  get plansRepairs(): boolean {
    const isRepair = ({ reason }: PlannedMove): boolean => reason === 'repair'
    return (
      this.#heldUp.some(isRepair) || this.#queue.some((m, at) => at >= this.#next && isRepair(m))
    )
  }

  /** As they were when something was last planned. */
  get stalls(): readonly Stall[] {
    return this.#stalls
  }

  /** Why nothing is planned at this moment. */
  get pausedFor(): 'recovering' | 'doubting' | 'unsettled' | undefined {
    const { doubt, nowMs, settledMs, identity } = this.#context
    if (identity.isRecovering === true) return 'recovering'
    if (doubt.isDoubting) return 'doubting'
    return nowMs < settledMs ? 'unsettled' : undefined
  }

  /** The fleet or the placement changed: plan anew, soon. */
  wake(): void {
    const { deadlines, nowMs, options } = this.#context
    if (deadlines.has('rebalance')) return
    deadlines.set('rebalance', nowMs + options.settleMs, () => this.#rebalance())
  }

  /** There is room for another move. What was given up is not tried again at once. */
  moveEnded({ tile, reason }: MoveEnd): void {
    if (reason !== undefined) {
      const { nowMs, options } = this.#context
      this.#paused.set(tile, { reason, untilMs: nowMs + RETRY_TIMEOUTS * options.copyTimeoutMs })
      this.#wakeForPaused()
    }
    if (this.#next < this.#queue.length) this.#beginSome()
    else this.wake()
  }

  /** The member has applied something, or stopped: if that was all that a drained one was waited for, it may leave. */
  cameOn(member: Member): void {
    if (this.#emptied.has(member) && isOver(member)) this.wake()
  }

  #wakeForPaused(): void {
    const { deadlines } = this.#context
    let firstMs = Number.POSITIVE_INFINITY
    for (const { untilMs } of this.#paused.values()) firstMs = Math.min(firstMs, untilMs)
    if (firstMs < Number.POSITIVE_INFINITY) {
      deadlines.set('move-retry', firstMs, () => this.wake())
    }
  }

  /** What is to move as the fleet is. */
  plan(): PlannedMove[] {
    const { placement } = this.#context
    return placement.bornCount === 0 ? [] : this.planTo(placement.idealSlots(this.#ringMembers()))
  }

  /**
   * Those that the ring would be made of if nodes of these names joined, with weight 1, or left. Those that
   * join have the indexes that follow the members'.
   */
  ringFor({ join, leave }: Change): RingMember[] {
    const { members } = this.#context
    const joining = join.map((id, at) => ({ index: members.indexesEnd + at, id, weight: 1 }))
    const staying = this.#ringMembers().filter(({ id }) => !leave.includes(id))
    return [...staying, ...joining]
  }

  /** What would move to where a ring would have the tiles, if these left. One copy a tile is planned at a time. */
  planTo(ideal: Uint32Array, leave: Change['leave'] = []): PlannedMove[] {
    const { placement, moves, members } = this.#context
    const { replicas, slots } = placement
    return planMoves({
      holderAt: (index) => {
        const member = members.at(index)
        return {
          mayHold: mayHold(member) && !leave.includes(member.id),
          isLeaving: member.leaving !== undefined,
          isInSync: member.isInSync,
        }
      },
      replicas,
      slots,
      ideal,
      isBorn: (tile) => placement.isBorn(tile),
      isMoving: (tile) => moves.of(tile) !== undefined,
    })
  }

  /** What can never leave the node that it should leave, if these joined or left; or as it is. */
  stallsFor({ join = 0, leave = [] }: { join?: number; leave?: readonly string[] } = {}): Stall[] {
    const { members, placement } = this.#context
    const { replicas, slots, tally } = placement
    const stays = (member: Member): boolean => mayHold(member) && !leave.includes(member.id)
    // Nearly always: nobody is to go who has anything.
    if (members.all.every((member) => stays(member) || tally.writtenOf(member.index) === 0))
      return []
    return findStalls({
      members: members.byIndex((member) => ({
        id: member.id,
        stays: stays(member),
        isInSync: member.isInSync,
      })),
      joining: join,
      replicas,
      slots,
      isBorn: (tile) => placement.isBorn(tile),
    })
  }

  /**
   * Those that the ring is made of when tiles are moved: who holds something, and who may be given more. If
   * that is fewer than a tile needs copies, whoever is here has to do.
   */
  #ringMembers(): RingMember[] {
    const { members, nowMs, options, placement } = this.#context
    const { written } = placement.tally
    const staying = members.all.filter(mayHold)
    const sure = staying.filter(
      (member) => written.has(member.index) || (member.isInSync && member.mayTakeTiles(nowMs)),
    )
    const ring =
      sure.length >= options.replicas ? sure : staying.filter((m) => sure.includes(m) || m.isInSync)
    return ring.map(({ place }) => place)
  }

  /** Members that are to be let go: they held nothing, and nobody has thought better of it. */
  takeOver(): readonly Member[] {
    if (this.#over.size === 0) return NOBODY
    const { members } = this.#context
    const over = [...this.#over].filter((member) => {
      return members.find(member.id) === member && mayBeLetGo(member)
    })
    this.#over.clear()
    return over
  }

  #rebalance(): void {
    const context = this.#context
    if (!context.isSettled() || context.doubt.isDoubting) {
      this.wake()
      return
    }
    this.#findEmpty()
    for (const [tile, { untilMs }] of this.#paused) {
      if (untilMs <= context.nowMs) this.#paused.delete(tile)
    }
    this.#wakeForPaused()
    this.#queue = this.plan()
    this.#next = 0
    this.#heldUp = []
    if (this.#queue.length > 0) {
      context.notice('info', 'moves-planned', `${count(this.#queue.length, 'tile')} to move`, {
        tiles: this.#queue.length,
        ...countsOf(this.#queue.map(({ reason }) => reason)),
      })
    }
    this.#tellStalls()
    this.#beginSome()
  }

  #tellStalls(): void {
    const stalls = this.stallsFor()
    for (const { node, reason, tiles, message } of stalls) {
      const isKnown = this.#stalls.some((one) => one.node === node && one.reason === reason)
      if (isKnown) continue
      this.#context.notice('warn', 'moves-stalled', message, { node, reason, tiles })
    }
    this.#stalls = stalls
  }

  /** Members that are dead or drained and hold nothing. */
  #findEmpty(): void {
    const { members, moves, placement } = this.#context
    const holding = new Set(placement.tally.written.keys())
    for (const { to } of moves.all) holding.add(to)
    this.#emptied.clear()
    for (const member of members.all) {
      if (holding.has(member.index)) continue
      if (mayBeLetGo(member)) {
        if (this.#over.size < OVER_MAX) this.#over.add(member)
        else this.wake()
      } else if (member.leaving === 'draining') this.#emptied.add(member)
    }
  }

  #beginSome(): void {
    const { moves, options } = this.#context
    for (; this.#next < this.#queue.length && moves.size < options.movesMax; this.#next++) {
      const planned = this.#queue[this.#next]!
      if (!this.#isStillRight(planned)) continue
      if (this.#hindrance(planned) !== undefined) this.#heldUp.push(planned)
      else if (this.#pay(this.#moves.pageBytes(planned.tile))) this.#moves.begin(planned)
      else return
    }
  }

  #isStillRight({ tile, to, from }: PlannedMove): boolean {
    const { placement, moves, members } = this.#context
    if (moves.of(tile) !== undefined || !placement.isBorn(tile)) return false
    if (placement.isHolder(tile, to) || !mayHold(members.at(to))) return false
    const hasPlace = placement.holdersOf(tile).length < placement.replicas
    return from === undefined ? hasPlace : placement.isHolder(tile, from)
  }

  /** One that was given up waits for the reason of that. */
  #pauseOf({ tile }: PlannedMove): string | undefined {
    const paused = this.#paused.get(tile)
    return paused !== undefined && paused.untilMs > this.#context.nowMs ? paused.reason : undefined
  }

  #hindrance(move: PlannedMove): string | undefined {
    const { tile, to, reason } = move
    const { members, placement, nowMs } = this.#context
    const pause = this.#pauseOf(move)
    if (pause !== undefined) return pause
    const target = members.at(to)
    if (!target.isFollowing || target.leaving !== undefined) return 'target-away'
    // A copy that is missing, or has to go, is worth the risk, and the load on a node that is behind:
    // under writes that keep it behind the others, waiting would never end.
    if (reason === 'balance') {
      if (!target.isInSync) return 'target-behind'
      if (!target.mayTakeTiles(nowMs)) return 'on-probation'
    }
    const hasSource = placement.holdersOf(tile).some((index) => members.at(index).isInSync)
    return hasSource ? undefined : 'no-source'
  }

  /** Takes bytes from what the pace allows; if there are not enough, `beginSome` is called when there are. */
  #pay(bytes: number): boolean {
    const { options, nowMs, deadlines } = this.#context
    const { moveBytesPerSecond } = options
    const earned = ((nowMs - this.#credit.atMs) * moveBytesPerSecond) / 1000
    const saved = Math.min(moveBytesPerSecond, this.#credit.bytes + earned)
    if (saved < bytes && saved < moveBytesPerSecond) {
      const waitMs = ((Math.min(bytes, moveBytesPerSecond) - saved) * 1000) / moveBytesPerSecond
      deadlines.set('move-pace', nowMs + Math.ceil(waitMs), () => this.#beginSome())
      return false
    }
    this.#credit = { bytes: saved - bytes, atMs: nowMs }
    return true
  }
}

/** Whether a member goes on holding what it has. */
function mayHold(member: Member): boolean {
  return member.state !== 'dead' && member.state !== 'left' && member.leaving === undefined
}

function mayBeLetGo(member: Member): boolean {
  const isDraining = member.leaving === 'draining'
  return member.state === 'dead' ? isDraining || !member.isClosed : isDraining && isOver(member)
}

/** Whose stream has ended, or stands still, has nothing to be waited for. */
function isOver({ stream, stopReason }: Member): boolean {
  return stream.isAtHead || stopReason !== undefined
}

function countsOf<T extends string>(reasons: readonly T[]): Partial<Record<T, number>> {
  const counts = new Map<T, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return Object.fromEntries(counts) as Partial<Record<T, number>>
}
