/**
 * Takes one tile at a time to another node, under writes (recovery.md, Placement and hand-off; decision 0006).
 * The page is asked of an in-sync replica that has applied its stream up to this moment, and goes through
 * the gateway in pieces to the target, which stages it on disk. Its adoption is an entry of the target's
 * stream; the writes that the page does not have follow it. When the target has all that was ever shown
 * as done, it takes the place of the old copy, which is dropped by an entry of its own stream.
 *
 * A move can be given up at any time: before the adoption nothing happened, after it a drop follows.
 * Invariants: a copy is dropped only for one that is durable and caught up; one move a tile.
 */
import { createLayout } from '../../../shared/grid/page-layout.ts'
import type { Up } from '../../../shared/protocol/messages.ts'
import type { MoveRecord } from '../ledger-records.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { Move, MoveReason } from '../state/move-table.ts'
import type { Rows } from '../state/write-log.ts'
import { MovePace } from './move-pace.ts'
import type { Writes } from './writes.ts'

export interface PlannedMove {
  readonly tile: number
  readonly to: number
  readonly from: number | undefined
  readonly reason: MoveReason
}

type Received<T extends Up['t']> = Extract<Up, { t: T }>

/** A move that has missed more writes than this is given up: the tile is too busy to follow. */
const MISSED_MAX = 10_000

export class Moves {
  readonly #context: CoordinatorContext
  readonly #writes: Writes
  #ids = 0
  readonly counters = { ended: 0, rolledBack: 0, copiedBytes: 0 }
  readonly pace: MovePace
  /** By how many LSUs a tile has: those at the edges have fewer. */
  readonly #pageBytes = new Map<number, number>()

  constructor(context: CoordinatorContext, writes: Writes) {
    this.#context = context
    this.#writes = writes
    this.pace = new MovePace(context.options)
  }

  /** What goes over the wire for a tile, bytes. */
  pageBytes(tile: number): number {
    const { geometry, fields } = this.#context.options.grid
    const lsus = geometry.tileLsus(tile)
    const known = this.#pageBytes.get(lsus) ?? createLayout(fields, lsus).bytes
    this.#pageBytes.set(lsus, known)
    return known
  }

  begin({ tile, to, from, reason }: PlannedMove): void {
    const { nowMs, identity } = this.#context
    this.#ids += 1
    // Of this start of the gateway only: a page that was staged for an earlier one is none of ours.
    const id = identity.term * 2 ** 32 + this.#ids
    this.pace.began(nowMs)
    this.#ask(this.#add({ id, tile, to, from, reason, stage: 'copying', adopted: 0 }))
  }

  #add(begun: Pick<Move, 'id' | 'stage' | 'adopted'> & PlannedMove): Move {
    const move: Move = {
      ...begun,
      source: undefined,
      waitsFor: undefined,
      attempts: 0,
      startedMs: this.#context.nowMs,
      missed: [],
      catchUp: Number.POSITIVE_INFINITY,
    }
    this.#context.moves.add(move)
    return move
  }

  /** In-sync holders, in ring order. */
  #sourcesOf(tile: number): Member[] {
    const { placement, members } = this.#context
    return placement
      .holdersOf(tile)
      .map((index) => members.at(index))
      .filter((member) => member.isInSync)
  }

  /** Asks the next replica for the page, and again after a while. */
  #ask(move: Move): void {
    const { members, options, nowMs, deadlines } = this.#context
    const sources = this.#sourcesOf(move.tile)
    const target = members.at(move.to)
    const source = sources[move.attempts % Math.max(1, sources.length)]
    move.waitsFor = undefined
    if (target.session === undefined) move.waitsFor = 'target-away'
    else if (source === undefined) move.waitsFor = 'no-source'
    else {
      move.source = source.index
      move.attempts += 1
      this.#context.send(source, {
        t: 'copy',
        session: source.session!.number,
        move: move.id,
        tile: move.tile,
        after: source.stream.head,
        ...this.#context.pages.ofCopy(source, target),
      })
    }
    // However often it is asked: a fleet in which somebody comes and goes all the time has a try each time.
    const endMs = move.startedMs + options.moveDeadlineMs
    const waitMs = Math.max(0, Math.min(options.copyTimeoutMs, endMs - nowMs))
    deadlines.set(`move/${move.tile}`, nowMs + waitMs, () => this.#timedOut(move))
  }

  /** Its target must get on with its stream; how long that is, only it knows. */
  #watchCatchUp(move: Move, fromMs: number = this.#context.nowMs): void {
    const { members, options, deadlines } = this.#context
    const sinceMs = Math.max(fromMs, members.at(move.to).stream.progressMs)
    deadlines.set(`move/${move.tile}`, sinceMs + options.moveDeadlineMs, () => {
      if (members.at(move.to).stream.progressMs > sinceMs) this.#watchCatchUp(move, sinceMs)
      else this.rollBack(move, 'no-progress')
    })
  }

  #timedOut(move: Move): void {
    const { nowMs, options, moves } = this.#context
    if (moves.of(move.tile) !== move || move.stage !== 'copying') return
    if (nowMs - move.startedMs >= options.moveDeadlineMs) {
      this.rollBack(move, move.waitsFor ?? 'too-slow')
    } else if (move.missed.length > MISSED_MAX) this.rollBack(move, 'too-many-writes')
    else this.#ask(move)
  }

  /** A piece of a page on its way from a replica to the target. */
  relay(chunk: Received<'chunk'>): void {
    const move = this.#copying(chunk)
    const target = move && this.#context.members.at(move.to)
    if (target?.session === undefined) return
    this.counters.copiedBytes += chunk.bytes.length
    this.#context.send(target, { ...chunk, session: target.session.number })
  }

  #copying({ move: id, tile }: { move: number; tile: number }): Move | undefined {
    const move = this.#context.moves.of(tile)
    return move?.id === id && move.stage === 'copying' ? move : undefined
  }

  /** A replica cannot give the page, or the target cannot take it. */
  failed(member: Member, message: Received<'copy-failed'>): void {
    const move = this.#copying(message)
    if (move === undefined) return
    if (member.index === move.to) this.rollBack(move, message.code)
    else if (member.index === move.source) {
      this.#context.notice('warn', 'copy-failed', `node ${member.id}: ${message.message}`, {
        node: member.id,
        tile: move.tile,
        error: message.code,
      })
      // The next replica is asked once the time of this one is over: it may be the only one.
      move.source = undefined
      move.waitsFor = message.code
    }
  }

  /** The target has the whole page on disk. */
  staged(member: Member, message: Received<'staged'>): void {
    const move = this.#copying(message)
    if (move?.to !== member.index) return
    const { tile, at, digest } = message
    const adopted = this.#context.controls.append(member, { op: '$adopt', tile, at, digest })
    move.stage = 'catching-up'
    move.adopted = adopted
    this.#writes.catchUp(move, { at, adopted })
    move.catchUp = member.stream.head
    this.#persist(move)
    this.#watchCatchUp(move)
  }

  #persist(move: Move): void {
    const { members } = this.#context
    const value: MoveRecord = {
      id: move.id,
      to: members.at(move.to).id,
      from: move.from === undefined ? null : members.at(move.from).id,
      reason: move.reason,
      adopted: move.adopted,
    }
    this.#context.persist({ table: 'move', key: move.tile, value })
  }

  /** A member has more of its stream on disk. */
  acknowledged(member: Member): void {
    if (this.#context.moves.size === 0) return
    for (const move of this.#context.moves.all) {
      if (move.to === member.index) this.#tryFinish(move)
    }
  }

  #tryFinish(move: Move): void {
    const target = this.#context.members.at(move.to)
    if (move.stage !== 'catching-up' || !target.isInSync) return
    // After a start: whatever was put into its stream before.
    if (move.catchUp === Number.POSITIVE_INFINITY) move.catchUp = target.stream.head
    if (target.stream.acked < move.catchUp || this.#context.log.owes(target, move.tile)) return
    this.#finish(move)
  }

  #finish(move: Move): void {
    const { placement, members } = this.#context
    const { tile, to } = move
    const from =
      move.from !== undefined && placement.isHolder(tile, move.from) ? move.from : undefined
    placement.replaceHolder(tile, { from, to })
    this.#end(move)
    this.counters.ended += 1
    this.pace.ended(this.#context.nowMs)
    this.#context.notice('debug', 'move-ended', `tile ${tile} is on node ${members.at(to).id}`, {
      tile,
      node: members.at(to).id,
      reason: move.reason,
    })
    if (from !== undefined) this.drop(members.at(from), [tile])
  }

  /** From here on in its stream the member does not hold these tiles. */
  drop(member: Member, tiles: readonly number[]): void {
    if (member.isClosed) return
    this.#context.controls.append(member, { op: '$drop', tiles: Uint32Array.from(tiles) })
    this.#writes.pump(member)
  }

  #end(move: Move, reason?: string): void {
    const { moves, deadlines } = this.#context
    moves.end(move, reason)
    deadlines.clear(`move/${move.tile}`)
    if (move.stage === 'catching-up') {
      this.#context.persist({ table: 'move', key: move.tile, value: undefined })
    }
    this.#writes.release(move)
  }

  rollBack(move: Move, reason: string): void {
    const { members } = this.#context
    const target = members.at(move.to)
    this.#end(move, reason)
    this.counters.rolledBack += 1
    this.#context.notice('warn', 'move-rolled-back', `tile ${move.tile} stays: ${reason}`, {
      tile: move.tile,
      node: target.id,
      reason,
    })
    if (move.stage === 'catching-up') this.drop(target, [move.tile])
    else if (target.session !== undefined) {
      const { number } = target.session
      this.#context.send(target, { t: 'discard', session: number, move: move.id, tile: move.tile })
    }
  }

  /** A member left in-sync: what it was asked for is asked of another. */
  withdrawFrom(member: Member): void {
    for (const move of this.#context.moves.all) {
      if (move.stage !== 'copying') continue
      if (move.source === member.index) this.#ask(move)
      else if (move.to === member.index && !member.isFollowing) move.waitsFor = 'target-away'
    }
  }

  /** What the member held is gone, and its stream with it. */
  forget(member: Member): void {
    for (const move of this.#context.moves.all) {
      if (move.from === member.index) move.from = undefined
    }
    this.giveUpOn(member, 'store-replaced')
  }

  /** It is dead, leaves, or takes no more: what it was to get goes elsewhere. */
  giveUpOn(member: Member, reason: string): void {
    for (const move of this.#context.moves.all) {
      if (move.to === member.index) this.rollBack(move, reason)
    }
  }

  /** Somebody came or caught up: moves that wait may go on. */
  retry(): void {
    for (const move of this.#context.moves.all) {
      if (move.stage === 'catching-up') this.#tryFinish(move)
      else if (move.waitsFor === 'no-source' || move.waitsFor === 'target-away') this.#ask(move)
    }
  }

  /** Takes up what was catching up when the gateway ended. */
  restore(records: Rows<MoveRecord>): void {
    const { members } = this.#context
    for (const { key, value } of records) {
      const { id, reason, adopted } = value
      const to = members.find(value.to as Member['id'])!.index
      const from = value.from === null ? undefined : members.find(value.from as Member['id'])?.index
      const begun = { id, tile: Number(key), reason, to, from, adopted }
      this.#watchCatchUp(this.#add({ ...begun, stage: 'catching-up' }))
    }
  }
}
