/**
 * The fleet as it comes and goes: hellos, sessions, silence, and what each change means for placement
 * and for the tasks that wait or run. The words and states are membership.ts's, who is let in is
 * admission.ts's.
 */
import type { NodeId } from '../../shared/core/ids.ts'
import { type Hello, PROTOCOL_VERSION } from '../../shared/protocol/messages.ts'
import { gridShapeOf, judge, type Verdict } from './admission.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import { ringOf } from './coordinator-view.ts'
import type { ConnectionId } from './events.ts'
import { livenessOf, untilNextVerdictMs } from './failure-detector.ts'
import type { Member } from './membership.ts'
import type { Reads } from './reads.ts'
import type { Writes } from './writes.ts'

/** What the fleet tells of its changes. */
export interface TasksOfFleet {
  readonly writes: Writes
  readonly reads: Reads
  /** Somebody came, caught up or settled. */
  tryWaiting(): void
}

/** Changes of the ring within this time are published as one. */
const RING_DEBOUNCE_MS = 200

export class Fleet {
  readonly #context: CoordinatorContext
  readonly #tasks: TasksOfFleet

  constructor(context: CoordinatorContext, tasks: TasksOfFleet) {
    this.#context = context
    this.#tasks = tasks
    context.onPlacementChanged = () => this.#publishRing()
  }

  /** After a start: nobody is here yet, and nobody is blamed for it before the grace is over. */
  start(): void {
    for (const member of this.#context.members.all) {
      this.#watchSilence(member)
      this.#publishOffline(member)
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
      case 'wipe':
        context.notice('warn', 'store-wiped', `node ${hello.node}: ${verdict.reason}`, {
          node: hello.node,
        })
        context.emit({
          type: 'send',
          connection,
          message: { t: 'wipe', session: 0, storeId: hello.storeId, position: hello.position },
        })
        break
      case 'join': {
        const options = { joinedTs: context.ts, storeId: hello.storeId, nowMs: context.nowMs }
        const member = context.members.add(hello.node as NodeId, options)
        context.lastJoinMs = context.nowMs
        context.streamChanged(member)
        this.#admit(member, connection, hello)
        if (context.identity.seq > 0) {
          const message = `node ${member.id} joined after the first write: it gets no tile that was written`
          context.notice('warn', 'joined-late', message, { node: member.id })
        }
        break
      }
      case 'replace':
        this.#replaceStore(verdict.member, hello)
        this.#admit(verdict.member, connection, hello)
        break
      case 'resume':
        this.#tasks.writes.acknowledge(verdict.member, hello.position)
        this.#admit(verdict.member, connection, hello)
        break
    }
  }

  #refuse(
    connection: ConnectionId,
    hello: Hello,
    { code, message }: Extract<Verdict, { kind: 'refuse' }>,
  ): void {
    this.#context.notice('error', 'node-refused', `node ${hello.node}: ${message}`, {
      node: hello.node,
      reason: code,
    })
    this.#context.emit({ type: 'send', connection, message: { t: 'refused', code, message } })
    this.#context.emit({ type: 'disconnect', connection, reason: code })
  }

  #replaceStore(member: Member, hello: Hello): void {
    const context = this.#context
    const lost = context.placement.removeHolder(member.index)
    const missing = lost.filter((tile) => context.placement.holdersOf(tile).length === 0)
    const level = missing.length > 0 ? 'error' : 'warn'
    const message = `node ${member.id} came with an empty store: ${lost.length} tiles lost a copy, ${missing.length} their last`
    context.notice(level, 'store-replaced', message, {
      node: member.id,
      lost: lost.length,
      missing: missing.length,
    })
    context.members.renew(member, hello.storeId)
    context.streamChanged(member)
    this.#tasks.writes.forget(member)
  }

  #admit(member: Member, connection: ConnectionId, hello: Hello): void {
    const context = this.#context
    const { term } = context.identity
    const previous = context.members.open(member, connection, hello.process, term)
    if (previous !== undefined) {
      context.emit({ type: 'disconnect', connection: previous, reason: 'superseded' })
    }
    member.takeFrom(hello)
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
    })
    context.notice('info', 'node-joined', `node ${member.id} is here, boot ${member.boot}`, {
      node: member.id,
      boot: member.boot,
    })
    this.heard(member)
    this.#watchSilence(member)
    this.#tasks.reads.withdrawFrom(member)
    this.#changed()
    this.#tasks.writes.pump(member)
    this.#tasks.tryWaiting()
  }

  heard(member: Member): void {
    member.lastHeardMs = this.#context.nowMs
    if (member.state === 'alive' || member.session === undefined) return
    member.state = 'alive'
    this.#context.notice('info', 'node-alive', `node ${member.id} is heard again`, {
      node: member.id,
    })
    this.#changed()
    this.#tasks.writes.pump(member)
    this.#tasks.tryWaiting()
  }

  /** One deadline a member, moved only when it falls due: a beat costs no work here. */
  #watchSilence(member: Member): void {
    const { nowMs, options, deadlines } = this.#context
    const waitMs = untilNextVerdictMs(nowMs - member.lastHeardMs, options)
    if (waitMs === undefined) return
    deadlines.set(`silence/${member.index}`, nowMs + waitMs, () => {
      const silentMs = this.#context.nowMs - member.lastHeardMs
      const liveness = livenessOf(silentMs, options)
      if (liveness === 'suspect' && member.state === 'alive')
        this.#suspect(member, 'it fell silent')
      if (liveness === 'dead' && member.state !== 'dead' && member.state !== 'left') {
        member.state = 'dead'
        if (member.session !== undefined) this.disconnect(member, 'silent')
        member.state = 'dead'
        this.#context.notice('error', 'node-dead', `node ${member.id} is dead`, { node: member.id })
        this.#changed()
      }
      this.#watchSilence(member)
    })
  }

  #suspect(member: Member, reason: string): void {
    member.state = 'suspect'
    this.#context.notice('warn', 'node-suspect', `node ${member.id}: ${reason}`, {
      node: member.id,
      reason,
    })
    this.#changed()
    this.#tasks.reads.withdrawFrom(member)
    this.#tasks.writes.reconsider(member)
  }

  lose(member: Member, reason: string): void {
    const wasAlive = member.state === 'alive'
    this.#context.members.close(member)
    if (wasAlive) this.#suspect(member, reason)
  }

  disconnect(member: Member, reason: string): void {
    const connection = member.session?.connection
    if (connection !== undefined) this.#context.emit({ type: 'disconnect', connection, reason })
    this.lose(member, reason)
  }

  #changed(): void {
    const { placement, members } = this.#context
    placement.setMembers(() => members.placeable)
    this.#publishRing()
  }

  #publishRing(): void {
    const { deadlines, nowMs } = this.#context
    if (deadlines.has('ring')) return
    deadlines.set('ring', nowMs + RING_DEBOUNCE_MS, () => {
      this.#context.emit({
        type: 'publish',
        topic: { kind: 'gateway-ring' },
        payload: JSON.stringify(ringOf(this.#context)),
        qos: 1,
        retain: true,
      })
    })
  }

  #publishOffline(member: Member): void {
    this.#context.emit({
      type: 'publish',
      topic: { kind: 'node-state', node: member.id },
      payload: 'offline',
      qos: 1,
      retain: true,
    })
  }
}
