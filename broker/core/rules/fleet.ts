/**
 * The fleet as it comes and goes: hellos, sessions, silence, and what each change means for placement
 * and for the tasks that wait or run. The words and states are membership.ts's, who is let in is
 * admission.ts's.
 */
import { count } from '../../../shared/core/count.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { type Hello, PROTOCOL_VERSION } from '../../../shared/protocol/messages.ts'
import type { ConnectionId } from '../events.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { type Member, NO_STORE } from '../state/membership.ts'
import { ringOf } from '../views/ring-tiles.ts'
import { gridShapeOf, judge, type Refusal } from './admission.ts'
import type { LostCopies } from './lost-copies.ts'
import type { Moves } from './moves.ts'
import type { Rebalancer } from './rebalancer.ts'
import type { Recovery } from './recovery.ts'
import { removalProblem, soleTiles } from './removal.ts'
import type { RuleWatch } from './rule-watch.ts'
import { SilenceWatch } from './silence-watch.ts'
import type { Upgrades } from './upgrades.ts'
import type { Writes } from './writes.ts'

/** What the fleet tells of its changes. */
export interface TasksOfFleet {
  readonly writes: Writes
  readonly moves: Moves
  readonly copies: LostCopies
  readonly rebalancer: Rebalancer
  readonly recovery: Recovery
  readonly upgrades: Upgrades
  readonly ruleWatch: RuleWatch
}

type NodeTopicKind = 'node-state' | 'node-info' | 'node-telemetry-json'

/** Changes of the ring within this time are published as one; and it is published at most so often. */
const RING_DEBOUNCE_MS = 200
const RING_INTERVAL_MS = 1000

export class Fleet {
  readonly #context: CoordinatorContext
  readonly #tasks: TasksOfFleet
  readonly silence: SilenceWatch
  /** When the ring was last published. */
  #ringMs = Number.NEGATIVE_INFINITY

  constructor(context: CoordinatorContext, tasks: TasksOfFleet) {
    this.#context = context
    this.#tasks = tasks
    this.silence = new SilenceWatch(context, {
      suspect: (member, reason) => this.#suspect(member, reason),
      die: (member) => this.#die(member),
      release: () => tasks.rebalancer.wake(),
    })
  }

  /** After a start: nobody is here yet, and nobody is blamed for it before the grace is over. */
  start(): void {
    this.silence.start()
    for (const member of this.#context.members.all) {
      if (member.state !== 'left') this.#publish(member, 'node-state', 'offline')
    }
    this.#changed()
  }

  /** A node says who it is and where its store stands. */
  greet(connection: ConnectionId, hello: Hello): void {
    const context = this.#context
    const verdict = judge(context, connection, hello)
    switch (verdict.kind) {
      case 'refuse':
        this.#refuse(connection, hello, verdict)
        break
      case 'wipe': {
        const { storeId, position } = hello
        context.notice('warn', 'store-wiped', `node ${hello.node}: ${verdict.reason}`, {
          node: hello.node,
        })
        context.sendTo(connection, { t: 'wipe', session: 0, storeId, position })
        break
      }
      case 'join': {
        const options = { joinedTs: context.ts, storeId: hello.storeId }
        const member = context.members.add(hello.node as NodeId, options)
        this.#tasks.recovery.joined(member.id)
        context.lastJoinMs = context.nowMs
        context.streamChanged(member)
        this.#beginProbation(member)
        this.#admit(member, connection, hello)
        break
      }
      case 'replace':
        this.#replaceStore(verdict.member, hello)
        this.#beginProbation(verdict.member)
        this.#admit(verdict.member, connection, hello)
        break
      case 'collect': {
        const problem = this.#tasks.recovery.problemOf(hello)
        if (problem !== undefined) this.#refuse(connection, hello, problem)
        else this.#tasks.recovery.collect(connection, hello)
        break
      }
      case 'rebase':
        this.#tasks.recovery.rebase(verdict.member, connection)
        break
      case 'resume':
        if (verdict.member.state === 'dead') this.#beginProbation(verdict.member)
        if (hello.boot < verdict.member.boot) {
          // What it holds is what was acknowledged, so it may go on; the card it was copied from may not.
          const message = `node ${hello.node} came with an older copy of its store`
          const { boot } = hello
          context.notice('warn', 'boot-behind', message, { node: hello.node, boot })
        }
        // First: what is acknowledged must not be taken for a copy where the page is damaged.
        if (hello.broken !== undefined) {
          this.#tasks.copies.noteBroken(verdict.member, hello.broken, hello.position)
        }
        this.#tasks.writes.acknowledge(verdict.member, hello.position)
        this.#admit(verdict.member, connection, hello)
        break
    }
  }

  /** Not while a fleet is being set up: then all are new. */
  #beginProbation(member: Member): void {
    const { identity, nowMs, options, deadlines } = this.#context
    if (identity.seq === 0) return
    const untilMs = nowMs + options.probationMs
    member.steadiness.beginProbation(untilMs)
    deadlines.set(`probation/${member.index}`, untilMs, () => this.#tasks.rebalancer.wake())
  }

  #refuse(connection: ConnectionId, hello: Hello, { code, message }: Refusal): void {
    this.#context.notice('error', 'node-refused', `node ${hello.node}: ${message}`, {
      node: hello.node,
      reason: code,
    })
    this.#context.sendTo(connection, { t: 'refused', code, message })
    this.#context.emit({ type: 'disconnect', connection, reason: code })
  }

  #replaceStore(member: Member, hello: Hello): void {
    const context = this.#context
    const lost = context.placement.removeHolder(member.index)
    const missing = lost.filter((tile) => context.placement.holdersOf(tile).length === 0)
    const level = missing.length > 0 ? 'error' : 'warn'
    const message = `node ${member.id} came with an empty store: ${count(lost.length, 'tile')} lost a copy, ${missing.length} of them the last`
    context.notice(level, 'store-replaced', message, {
      node: member.id,
      lost: lost.length,
      missing: missing.length,
    })
    this.#endStream(member, hello.storeId)
  }

  /** All that was to be told to the store of before is void. */
  #endStream(member: Member, storeId: string): void {
    this.#tasks.moves.forget(member)
    this.#tasks.writes.forget(member)
    this.#context.members.renew(member, storeId)
    this.#context.streamChanged(member)
    this.#context.persist({ table: 'member', key: member.id, value: member.record })
    this.#tasks.rebalancer.wake()
    // It may have been the last that could apply what others never will.
    for (const other of this.#context.members.stopped) this.voidStuck(other)
  }

  /** A write that the member will never apply, nor any other that has it, is given up. */
  voidStuck(member: Member): void {
    for (const replica of this.#tasks.writes.voidStuck(member)) {
      this.disconnect(replica, 'entry-voided')
    }
  }

  /** The member's stream ends: with what store it ever comes back, it begins anew. */
  closeStream(member: Member, reason: string): void {
    const lost = this.#context.placement.removeHolder(member.index)
    this.#endStream(member, NO_STORE)
    this.#context.notice('warn', 'stream-closed', `node ${member.id}: ${reason}`, {
      node: member.id,
      reason,
      tiles: lost.length,
    })
    // By `node-left` the broker knows that its will is not to say `offline` of it.
    if (member.state === 'left') this.disconnect(member, 'node-left')
    else this.disconnect(member, 'stream-closed')
  }

  /**
   * The log has reached its bound: the stream that is the furthest behind ends, of those whose tiles all
   * have another copy that is in sync. The node gets copies again when it is back. False if there is none.
   */
  freeLog(): boolean {
    const behind = this.#context.members.all
      .filter((member) => !member.isInSync && !member.isClosed && !member.stream.isAtHead)
      .sort((a, b) => a.stream.ackedSeq - b.stream.ackedSeq)
    if (behind.length === 0) return false
    const sole = soleTiles(this.#context)
    const first = behind.find(({ index }) => !sole.has(index))
    if (first !== undefined) this.closeStream(first, 'the log has reached its bound')
    return first !== undefined
  }

  /** The member holds nothing any more: a drained one leaves, a dead one is not waited for. */
  letGo(member: Member): void {
    const isLeaving = member.leaving === 'draining'
    if (isLeaving) {
      member.leaving = 'left'
      // Before its connection closes: that is no fault.
      member.state = 'left'
    }
    const { session } = member
    if (isLeaving && session !== undefined) {
      const message = 'the node was drained'
      this.#context.send(member, { t: 'refused', code: 'node-left', message })
    }
    const reason = isLeaving ? 'it holds nothing and leaves' : 'it is dead and holds nothing'
    if (!member.isClosed) this.closeStream(member, reason)
    else this.#context.persist({ table: 'member', key: member.id, value: member.record })
    if (!isLeaving) return
    this.#context.notice('info', 'node-left', `node ${member.id} has left`, { node: member.id })
    this.#tasks.upgrades.left(member)
    this.#clearTopics(member)
    this.#changed()
  }

  /** An operator wants no trace of the member any more. */
  remove(member: Member): void {
    if (removalProblem(this.#context, member) !== undefined) return
    const { id: node } = member
    if (!member.isClosed) this.closeStream(member, 'it is forgotten')
    this.silence.forget(member)
    this.#context.deadlines.clear(`probation/${member.index}`)
    this.#tasks.upgrades.forget(member)
    this.#context.forget(member)
    this.#clearTopics(member)
    this.#context.notice('info', 'node-removed', `node ${node} is forgotten`, { node })
    this.#changed()
    this.#tasks.rebalancer.wake()
  }

  /** What stands retained of a member goes with it. */
  #clearTopics(member: Member): void {
    for (const kind of ['node-state', 'node-info', 'node-telemetry-json'] as const) {
      this.#publish(member, kind, '')
    }
  }

  /** Empties a member, or takes that back. */
  drain(member: Member, isWanted: boolean): void {
    const context = this.#context
    if (isWanted === (member.leaving !== undefined)) return
    // It has nothing here until it says hello.
    if (!isWanted && member.leaving === 'left') member.state = 'dead'
    member.leaving = isWanted ? 'draining' : undefined
    member.drainTiles = isWanted ? context.placement.tally.writtenOf(member.index) : undefined
    context.persist({ table: 'member', key: member.id, value: member.record })
    const node = member.id
    if (isWanted) {
      context.notice('info', 'drain-began', `node ${node} is being emptied`, { node })
      this.#tasks.moves.giveUpOn(member, 'target-leaves')
    } else context.notice('info', 'drain-ended', `node ${node} stays`, { node })
    this.#changed()
    this.#tasks.rebalancer.wake()
  }

  /** Who has no right to come back is not waited for; its tiles go elsewhere. */
  revoke(member: Member): void {
    if (member.leaving === undefined) this.drain(member, true)
    if (member.state === 'left' || member.state === 'dead') return
    if (member.state === 'alive') {
      member.state = 'suspect'
    }
    this.#die(member, 'revoked')
    // Its silence says nothing of the gateway's own health.
    this.silence.forget(member)
  }

  #admit(member: Member, connection: ConnectionId, hello: Hello): void {
    const context = this.#context
    const { term } = context.identity
    const previous = context.members.open(member, connection, hello.process, term)
    if (previous !== undefined) {
      context.emit({ type: 'disconnect', connection: previous, reason: 'superseded' })
    }
    member.takeFrom(hello)
    member.rebaseFrom = undefined
    context.persist({ table: 'member', key: member.id, value: member.record })
    context.emit({ type: 'admit', connection, node: member.id })
    context.send(member, {
      t: 'welcome',
      version: PROTOCOL_VERSION,
      session: member.session!.number,
      ledgerId: context.identity.ledgerId,
      grid: gridShapeOf(context),
      heartbeatMs: context.options.heartbeatMs,
      confirmed: member.stream.acked,
      ...context.pages.allowed(member),
    })
    context.notice('info', 'node-joined', `node ${member.id} is here, boot ${member.boot}`, {
      node: member.id,
      boot: member.boot,
    })
    this.silence.sessionBegan(member)
    this.#changed()
    this.#tasks.rebalancer.wake()
    this.#tasks.ruleWatch.greeted(member, hello)
    this.#tasks.upgrades.greeted(member, hello)
  }

  heard(member: Member): void {
    this.silence.heard(member)
    if (member.state === 'alive' || member.session === undefined) return
    member.state = 'alive'
    this.silence.revived(member)
    this.#context.notice('info', 'node-alive', `node ${member.id} is heard again`, {
      node: member.id,
    })
    this.#changed()
    this.#tasks.rebalancer.wake()
  }

  /** A member that had stopped asks for what follows. */
  resumed(member: Member): void {
    if (member.stopReason === undefined) return
    member.stopReason = undefined
    this.#context.notice('info', 'replica-resumed', `node ${member.id} applies its stream again`, {
      node: member.id,
    })
    this.#tasks.rebalancer.wake()
  }

  #die(member: Member, reason?: 'revoked'): void {
    if (member.state === 'alive') this.#suspect(member, 'it fell silent')
    member.state = 'dead'
    if (member.session !== undefined)
      this.disconnect(member, reason === undefined ? 'silent' : 'revoked')
    const { id: node } = member
    const [more, fields] = reason === undefined ? ['', {}] : [`: it is ${reason}`, { reason }]
    this.#context.notice('error', 'node-dead', `node ${node} is dead${more}`, { node, ...fields })
    this.#tasks.moves.giveUpOn(member, 'target-dead')
    this.#tasks.upgrades.died(member)
    this.#tasks.ruleWatch.reconsiderSoon()
    this.#changed()
    this.#tasks.rebalancer.wake()
  }

  #suspect(member: Member, reason: string): void {
    member.state = 'suspect'
    // Who was sent away is not suspected for being away.
    if (member.isUpgrading) this.silence.expect(member)
    else {
      this.#context.notice('warn', 'node-suspect', `node ${member.id}: ${reason}`, {
        node: member.id,
        reason,
      })
      this.silence.suspected(member)
    }
    this.#changed()
  }

  closed(member: Member, reason: string): void {
    const wasAlive = member.state === 'alive'
    this.#context.members.close(member)
    if (wasAlive) this.#suspect(member, reason)
  }

  disconnect(member: Member, reason: string): void {
    const connection = member.session?.connection
    if (connection !== undefined) this.#context.emit({ type: 'disconnect', connection, reason })
    this.closed(member, reason)
  }

  #changed(): void {
    const { placement, members } = this.#context
    placement.setMembers(() => members.placeable)
    this.publishRing()
  }

  /** Where tiles are is told once a second at most. */
  publishRing(): void {
    const { deadlines, nowMs } = this.#context
    if (deadlines.has('ring')) return
    const dueMs = Math.max(nowMs + RING_DEBOUNCE_MS, this.#ringMs + RING_INTERVAL_MS)
    deadlines.set('ring', dueMs, () => {
      this.#ringMs = this.#context.nowMs
      this.#context.retain({ kind: 'gateway-ring' }, JSON.stringify(ringOf(this.#context)))
    })
  }

  #publish({ id: node }: Member, kind: NodeTopicKind, payload: string): void {
    this.#context.retain({ kind, node }, payload)
  }
}
