/**
 * The gateway's decisions: event in, effects out, on the time that it is given. It knows members,
 * placement, streams and tasks; it holds no cell of the grid and computes no operation.
 *
 * Parts: admission.ts judges who comes, writes.ts and reads.ts drive tasks, task-ledger.ts remembers
 * them, membership.ts and placement.ts know the fleet. This file routes events to them and joins
 * what follows from one for the others.
 */
import { unreachable } from '../../shared/core/assert.ts'
import { type NodeId, randomId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import type { Hello, Up } from '../../shared/protocol/messages.ts'
import { PROTOCOL_VERSION } from '../../shared/protocol/messages.ts'
import { gridShapeOf, judge, type Verdict } from './admission.ts'
import { CoordinatorContext, type CoordinatorOptions } from './coordinator-context.ts'
import { CoordinatorView } from './coordinator-view.ts'
import type { GatewayEffect } from './effects.ts'
import type { ConnectionId, GatewayEvent, Instant } from './events.ts'
import { livenessOf, untilNextVerdictMs } from './failure-detector.ts'
import type { IdentityRecord, LedgerContents } from './ledger-records.ts'
import type { Member } from './membership.ts'
import { Reads } from './reads.ts'
import { Submissions } from './submissions.ts'
import { endTask } from './task-endings.ts'
import { isEnded, operationOf, type Task } from './task-ledger.ts'
import { Writes } from './writes.ts'

export type { CoordinatorOptions } from './coordinator-context.ts'

/** How often kept tasks are looked through for what may go. */
const RETENTION_SWEEP_MS = 60_000
/** Changes of the ring within this time are published as one. */
const RING_DEBOUNCE_MS = 200

export class Coordinator {
  readonly #context: CoordinatorContext
  readonly #writes: Writes
  readonly #reads: Reads
  readonly #submissions: Submissions
  readonly #view: CoordinatorView

  /** `identity` is of the ledger, or new with term 0 and sequence 0. */
  constructor(options: CoordinatorOptions, identity: IdentityRecord, random: Random) {
    this.#context = new CoordinatorContext(options, random, identity)
    this.#writes = new Writes(this.#context, (region, seq) => this.#reads.noteBirth(region, seq))
    this.#reads = new Reads(this.#context, (member, position, region) =>
      this.#writes.nextTouching(member, position, region),
    )
    this.#submissions = new Submissions(this.#context, {
      begin: (task) => this.#begin(task),
      cancel: (task) => this.#cancel(task),
    })
    this.#view = new CoordinatorView(this.#context, this.#writes, this.#reads)
    this.#context.onSettled = () => this.#tryWaiting()
  }

  /** Takes up what the ledger holds. To be called once, before the first event. */
  start(now: Instant, contents: LedgerContents): GatewayEffect[] {
    const context = this.#context
    context.now = now
    context.startedMs = now.monotonicMs
    context.changeIdentity({ term: context.identity.term + 1 })
    for (const { key, value } of contents.placement) {
      context.placement.restoreChunk(Number(key), value)
    }
    context.placement.epoch = context.identity.epoch
    const streams = new Map(contents.stream.map(({ key, value }) => [key, value]))
    context.members.restore(contents.member, streams, now.monotonicMs)
    const bodies = new Map(contents.body.map(({ key, value }) => [key, value]))
    context.tasks.restore(contents.task, bodies, now.monotonicMs)
    const open = context.tasks.all.filter((task) => !isEnded(task.state))
    const isWrite = (task: Task): boolean => operationOf(task).kind === 'write'
    this.#writes.restore(
      contents.write,
      open.filter((task) => isWrite(task) && task.seq === undefined),
    )
    for (const task of open) {
      this.#watchDeadline(task)
      if (!isWrite(task) && !isEnded(task.state)) {
        task.shards = { total: 0, done: 0, failed: 0 }
        this.#reads.submit(task)
      }
    }
    for (const member of context.members.all) {
      this.#watchSilence(member)
      this.#publishNodeOffline(member)
    }
    context.emit({
      type: 'publish',
      topic: { kind: 'gateway-state' },
      payload: 'online',
      qos: 1,
      retain: true,
    })
    this.#fleetChanged()
    this.#sweepRetention()
    context.notice('info', 'gateway-started', `ledger ${context.identity.ledgerId}`, {
      term: context.identity.term,
      members: context.members.size,
      openTasks: open.length,
    })
    return context.takeEffects()
  }

  step(now: Instant, event: GatewayEvent): GatewayEffect[] {
    this.#context.now = now
    this.#context.deadlines.run(now.monotonicMs)
    switch (event.type) {
      case 'node-message-received':
        this.#receive(event.connection, event.node, event.message)
        break
      case 'connection-closed': {
        const member = this.#context.members.on(event.connection)
        if (member !== undefined) this.#lose(member, 'its connection closed')
        break
      }
      case 'task-submitted':
        this.#submissions.submit(event)
        break
      case 'cancel-requested':
        this.#submissions.cancel(event)
        break
      case 'deadline-reached':
        break
      default:
        unreachable(event)
    }
    return this.#context.takeEffects()
  }

  /** Monotonic ms of the next `deadline-reached`. */
  nextDeadlineMs(): number | undefined {
    return this.#context.deadlines.nextMs()
  }

  #begin(task: Task): void {
    this.#watchDeadline(task)
    if (operationOf(task).kind === 'write') this.#writes.submit(task)
    else this.#reads.submit(task)
  }

  #watchDeadline(task: Task): void {
    this.#context.deadlines.set(`task/${task.id}`, task.deadlineMs, () => {
      if (operationOf(task).kind === 'write') {
        this.#writes.expire(task)
        return
      }
      this.#reads.abandon(task)
      task.error = { code: 'deadline', message: 'not every part was answered before the deadline' }
      endTask(this.#context, task, 'expired', { nodes: 0 })
    })
  }

  /** False when a sequenced write can no longer be taken back. */
  #cancel(task: Task): boolean {
    if (operationOf(task).kind === 'write') {
      if (!this.#writes.withdraw(task)) return false
    } else {
      this.#reads.abandon(task)
    }
    endTask(this.#context, task, 'cancelled', { nodes: 0 })
    return true
  }

  #receive(connection: ConnectionId, node: NodeId, message: Up): void {
    if (message.t === 'hello') {
      if (message.node === node) this.#greet(connection, message)
      return
    }
    const member = this.#context.members.on(connection)
    // Not admitted on this connection, or not any more: it speaks under an old right.
    if (member?.session === undefined || member.id !== node) return
    if ('session' in message && message.session !== member.session.number) return
    this.#heard(member)
    const { session, stream } = member
    switch (message.t) {
      case 'heartbeat':
        this.#context.send(member, {
          t: 'beat',
          session: session.number,
          beat: message.beat,
          ts: this.#context.ts,
          confirmed: stream.acked,
        })
        break
      case 'applied':
        if (this.#stands(member, message.position, message.chain)) {
          this.#writes.acknowledge(member, message.position, message.results)
          this.#tryWaiting()
        }
        break
      case 'gap':
        if (this.#stands(member, message.position, message.chain)) {
          stream.rewind()
          this.#writes.acknowledge(member, message.position)
        }
        break
      case 'stopped':
        member.stopReason = `${message.code}: ${message.message}`
        this.#context.notice('error', 'replica-stopped', `node ${node}: ${member.stopReason}`, {
          node,
          error: message.code,
        })
        this.#reads.withdrawFrom(member)
        this.#writes.reconsider(member)
        break
      case 'answer':
        this.#reads.receive(member, message)
        this.#context.send(member, {
          t: 'received',
          session: session.number,
          answers: [{ task: message.task, part: message.part }],
        })
        break
      default:
        unreachable(message)
    }
  }

  /** Whether what a node says of its disk is a place in its stream; if not, the stream stops. */
  #stands(member: Member, position: number, chain: Uint8Array): boolean {
    const place = member.stream.compare(position, chain)
    if (place === 'match') return true
    if (place === 'behind') return false
    this.#context.notice(
      'error',
      'stream-mismatch',
      `node ${member.id} is at a place unknown here`,
      {
        node: member.id,
        position,
      },
    )
    this.#disconnect(member, 'stream-mismatch')
    return false
  }

  #greet(connection: ConnectionId, hello: Hello): void {
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
        this.#writes.acknowledge(verdict.member, hello.position)
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
    this.#writes.forget(member)
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
    this.#heard(member)
    this.#watchSilence(member)
    this.#reads.withdrawFrom(member)
    this.#fleetChanged()
    this.#writes.pump(member)
    this.#tryWaiting()
  }

  #heard(member: Member): void {
    member.lastHeardMs = this.#context.nowMs
    if (member.state === 'alive' || member.session === undefined) return
    member.state = 'alive'
    this.#context.notice('info', 'node-alive', `node ${member.id} is heard again`, {
      node: member.id,
    })
    this.#fleetChanged()
    this.#writes.pump(member)
    this.#tryWaiting()
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
        if (member.session !== undefined) this.#disconnect(member, 'silent')
        member.state = 'dead'
        this.#context.notice('error', 'node-dead', `node ${member.id} is dead`, { node: member.id })
        this.#fleetChanged()
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
    this.#fleetChanged()
    this.#reads.withdrawFrom(member)
    this.#writes.reconsider(member)
  }

  #lose(member: Member, reason: string): void {
    const wasAlive = member.state === 'alive'
    this.#context.members.close(member)
    if (wasAlive) this.#suspect(member, reason)
  }

  #disconnect(member: Member, reason: string): void {
    const connection = member.session?.connection
    if (connection !== undefined) this.#context.emit({ type: 'disconnect', connection, reason })
    this.#lose(member, reason)
  }

  #tryWaiting(): void {
    this.#writes.sequenceWaiting()
    this.#reads.issueWaiting()
  }

  #fleetChanged(): void {
    const { placement, members, deadlines, nowMs } = this.#context
    placement.setMembers(members.placeable)
    if (deadlines.has('ring')) return
    deadlines.set('ring', nowMs + RING_DEBOUNCE_MS, () => {
      this.#context.emit({
        type: 'publish',
        topic: { kind: 'gateway-ring' },
        payload: JSON.stringify(this.#view.ring()),
        qos: 1,
        retain: true,
      })
    })
  }

  #publishNodeOffline(member: Member): void {
    this.#context.emit({
      type: 'publish',
      topic: { kind: 'node-state', node: member.id },
      payload: 'offline',
      qos: 1,
      retain: true,
    })
  }

  #sweepRetention(): void {
    const { tasks, ts, nowMs, deadlines } = this.#context
    for (const task of tasks.takeExpiredRetention(ts)) {
      this.#context.persist({ table: 'result', key: task.id, value: undefined })
      this.#context.persist({ table: 'task', key: task.id, value: tasks.record(task, nowMs) })
      for (const kind of ['task-state', 'task-result', 'task-result-json'] as const) {
        const topic = { kind, task: task.id }
        this.#context.emit({ type: 'publish', topic, payload: '', qos: 1, retain: true })
      }
    }
    for (const task of tasks.takeForgotten(ts)) {
      this.#context.persist({ table: 'task', key: task.id, value: undefined })
    }
    deadlines.set('retention', nowMs + RETENTION_SWEEP_MS, () => this.#sweepRetention())
  }

  /** Read-only, for HTTP and metrics. */
  view(): CoordinatorView {
    return this.#view
  }
}

export function newLedgerId(random: Random): string {
  return randomId(random, 20)
}
