/**
 * The gateway's decisions: event in, effects out, on the time that it is given. It knows members,
 * placement, streams and tasks; it holds no cell of the grid and computes no operation.
 *
 * Parts: fleet.ts follows who comes and goes, submissions.ts is the door for tasks, writes.ts and
 * reads.ts drive them, task-ledger.ts remembers them. This file routes events to them; what follows
 * for the others is settled at the end of a step (settling.ts).
 */
import { unreachable } from '../../shared/core/assert.ts'
import { randomId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import type { Applied } from '../../shared/protocol/messages.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type { GatewayEffect } from './effects.ts'
import type { GatewayEvent, Instant, MessageReceived } from './events.ts'
import type { IdentityRecord, LedgerContents } from './ledger-records.ts'
import { CodexDesk } from './rules/codex-desk.ts'
import { Fleet } from './rules/fleet.ts'
import { GhostWatch } from './rules/ghost-watch.ts'
import { LedgerRoom } from './rules/ledger-room.ts'
import { Looks } from './rules/looks.ts'
import { LostCopies } from './rules/lost-copies.ts'
import { Moves } from './rules/moves.ts'
import { Readings } from './rules/readings.ts'
import { Reads } from './rules/reads.ts'
import { Rebalancer } from './rules/rebalancer.ts'
import { Recovery } from './rules/recovery.ts'
import { sweepRetention } from './rules/retention-sweep.ts'
import { RuleWatch } from './rules/rule-watch.ts'
import { Scrubber } from './rules/scrubber.ts'
import { settle } from './rules/settling.ts'
import { Submissions } from './rules/submissions.ts'
import { endSealed } from './rules/task-endings.ts'
import { TaskRunner } from './rules/task-runner.ts'
import { Upgrades } from './rules/upgrades.ts'
import { Watches } from './rules/watches.ts'
import { Writes } from './rules/writes.ts'
import { CoordinatorContext, type CoordinatorOptions } from './state/coordinator-context.ts'
import type { Member } from './state/membership.ts'
import { operationOf, type Task } from './state/task-ledger.ts'
import { CoordinatorView } from './views/coordinator-view.ts'

export type { CoordinatorOptions } from './state/coordinator-context.ts'

export class Coordinator {
  readonly #context: CoordinatorContext
  readonly #rules: Rules
  readonly #view: CoordinatorView

  /** `identity` is of the ledger, or new with term 0 and sequence 0. */
  constructor(options: CoordinatorOptions, identity: IdentityRecord, random: Random) {
    this.#context = new CoordinatorContext(options, random, identity)
    this.#rules = rulesOver(this.#context)
    this.#view = new CoordinatorView(this.#context, this.#rules)
  }

  /** Takes up what the ledger holds. To be called once, before the first event. */
  start(now: Instant, contents: LedgerContents): GatewayEffect[] {
    const context = this.#context
    context.now = now
    context.startedMs = now.monotonicMs
    context.resumeLedgerTime(contents)
    const { fields } = context.options.grid
    context.changeIdentity({ term: context.identity.term + 1, fields })
    for (const { key, value } of contents.placement) {
      context.placement.restoreChunk(Number(key), value)
    }
    context.placement.epoch = context.identity.epoch
    context.members.restore(contents.member, contents.stream)
    renewStreamRecords(context, contents.stream)
    const bodies = new Map(contents.body.map(({ key, value }) => [key, value]))
    context.tasks.restore(contents.task, bodies, context)
    const open = context.tasks.all.filter((task) => !isEnded(task.state))
    const isWrite = (task: Task): boolean => operationOf(task).kind === 'write'
    context.book.restore(contents.rules)
    this.#rules.moves.restore(contents.move)
    this.#rules.writes.restore(
      contents,
      open.filter((task) => isWrite(task) && task.seq === undefined),
    )
    this.#rules.runner.resume(open)
    context.deadlines.set('return-grace', context.returnGraceEndMs, () => {
      this.#rules.writes.endGrace()
      context.wakeAll()
    })
    context.retain({ kind: 'gateway-state' }, 'online')
    this.#rules.readings.restore(contents.cell)
    this.#rules.upgrades.restore(contents)
    this.#rules.ruleWatch.restore(contents)
    this.#rules.codexDesk.restore(contents)
    this.#rules.watches.restore(contents.watch)
    this.#rules.fleet.start()
    this.#rules.rebalancer.wake()
    this.#rules.scrubber.start()
    sweepRetention(context)
    context.notice('info', 'gateway-started', `ledger ${context.identity.ledgerId}`, {
      term: context.identity.term,
      members: context.members.size,
      openTasks: open.length,
    })
    this.#rules.recovery.begin()
    // All that waits was just looked at.
    context.takeChanges()
    return context.takeEffects()
  }

  step(now: Instant, event: GatewayEvent): GatewayEffect[] {
    this.#context.now = now
    this.#rules.fleet.silence.advance()
    this.#context.deadlines.run(now.monotonicMs)
    switch (event.type) {
      case 'node-message-received':
        this.#receive(event)
        break
      case 'connection-closed': {
        const member = this.#context.members.on(event.connection)
        if (member !== undefined) this.#rules.fleet.closed(member, 'its connection closed')
        this.#rules.recovery.closed(event.connection)
        break
      }
      case 'task-submitted':
        this.#rules.submissions.submit(event)
        break
      case 'cancel-requested':
        this.#rules.submissions.cancel(event)
        break
      case 'readings-received':
        this.#rules.readings.receive(event)
        break
      case 'look-requested':
        this.#rules.looks.request(event)
        break
      case 'look-cancelled':
        this.#rules.looks.cancel(event.ticket)
        break
      case 'task-sealed':
      case 'sealing-failed':
        endSealed(this.#context, event)
        break
      case 'codex-demanded':
        this.#rules.codexDesk.obey(event)
        break
      case 'recreate-requested':
        this.#rules.copies.recreateMissing(event)
        break
      case 'drain-requested': {
        const member = this.#context.members.find(event.node)
        if (member !== undefined) this.#rules.fleet.drain(member, event.isWanted)
        break
      }
      case 'node-revoked': {
        const member = this.#context.members.find(event.node)
        if (member !== undefined) this.#rules.fleet.revoke(member)
        break
      }
      case 'removal-requested': {
        const member = this.#context.members.find(event.node)
        if (member !== undefined) this.#rules.fleet.remove(member)
        break
      }
      case 'upgrade-demanded':
        this.#rules.upgrades.obey(event.demand)
        break
      case 'rules-set':
        this.#rules.ruleWatch.set(event.rules)
        break
      case 'rule-event-told':
        this.#context.alarms.told(event.rule, event.number)
        break
      case 'probe-returned':
        this.#rules.fleet.silence.probeReturned(event.beat)
        break
      case 'trust-demanded':
        this.#rules.fleet.silence.trust()
        break
      case 'disk-checked':
        this.#rules.room.diskChecked(event)
        break
      case 'deadline-reached':
        break
      default:
        unreachable(event)
    }
    settle(this.#context, this.#rules)
    return this.#context.takeEffects()
  }

  /**
   * A heartbeat of a member that is well is no step: that it was heard is noted, and it is answered. Undefined where
   * more follows from it; then it is an event like any other.
   */
  beat(now: Instant, event: MessageReceived): GatewayEffect | undefined {
    const { message } = event
    if (message.t !== 'heartbeat') return undefined
    const { doubt } = this.#context
    const { silence } = this.#rules.fleet
    const member = this.#speaker(event)
    if (member?.state !== 'alive' || !doubt.isCalmAt(now.monotonicMs)) return undefined
    this.#context.now = now
    silence.advance()
    silence.heard(member)
    return silence.beat(member, message)
  }

  /** Monotonic ms of the next `deadline-reached`. */
  nextDeadlineMs(): number | undefined {
    return this.#context.deadlines.nextMs()
  }

  #receive(event: MessageReceived): void {
    const { connection, node, message } = event
    if (message.t === 'hello') {
      if (message.node === node) this.#rules.fleet.greet(connection, message)
      return
    }
    if (message.t === 'held') {
      this.#rules.recovery.receive(connection, node, message)
      return
    }
    const member = this.#speaker(event)
    if (member === undefined) return
    this.#rules.fleet.heard(member)
    const { session, stream } = member
    switch (message.t) {
      case 'heartbeat':
        this.#context.emit(this.#rules.fleet.silence.beat(member, message))
        break
      case 'applied':
        if (this.#stands(member, message.position, message.chain)) {
          if (message.broken !== undefined) {
            this.#rules.copies.noteBroken(member, message.broken, message.position)
          }
          this.#acknowledge(member, message.position, message.results)
        }
        break
      case 'gap':
        if (this.#stands(member, message.position, message.chain)) {
          stream.rewind()
          // First: that it had stopped was told of what it has by now.
          this.#rules.writes.acknowledge(member, message.position)
          this.#rules.fleet.resumed(member)
          this.#acknowledge(member, message.position)
        }
        break
      case 'stopped': {
        const { code, message: why } = message
        member.stopReason = { code, message: why }
        this.#context.notice('error', 'replica-stopped', `node ${node}: ${code}: ${why}`, {
          node,
          error: code,
        })
        this.#rules.moves.giveUpOn(member, 'target-stopped')
        this.#rules.fleet.voidStuck(member)
        break
      }
      case 'chunk':
        this.#rules.moves.relay(message)
        break
      case 'copy-failed':
        this.#rules.moves.failed(member, message)
        break
      case 'staged':
        this.#rules.moves.staged(member, message)
        break
      case 'examined':
        this.#rules.scrubber.receive(member, message)
        break
      case 'rule-changes':
        this.#rules.ruleWatch.receive(member, message)
        break
      case 'fetched':
      case 'upgraded':
        this.#rules.upgrades.receive(member, message)
        break
      case 'answer':
        this.#rules.reads.receive(member, message)
        this.#context.send(member, {
          t: 'received',
          session: session!.number,
          answers: [{ task: message.task, part: message.part }],
        })
        break
      default:
        unreachable(message)
    }
  }

  /** Undefined if it is not admitted on this connection, or not any more: it speaks under an old right. */
  #speaker({ connection, node, message }: MessageReceived): Member | undefined {
    const member = this.#context.members.on(connection)
    if (member?.session === undefined || member.id !== node) return undefined
    if ('session' in message && message.session !== member.session.number) return undefined
    return member
  }

  /** A node has its stream on disk up to `position`. */
  #acknowledge(member: Member, position: number, results?: Applied['results']): void {
    this.#rules.writes.acknowledge(member, position, results)
    this.#rules.moves.acknowledged(member)
    this.#rules.rebalancer.cameOn(member)
  }

  /** Whether what a node says of its disk is a place in its stream; if not, the stream stops. */
  #stands(member: Member, position: number, chain: Uint8Array): boolean {
    const place = member.stream.compare(position, chain)
    if (place === 'match') return true
    if (place === 'behind') return false
    const message = `node ${member.id} is at a place unknown here`
    this.#context.notice('error', 'stream-mismatch', message, { node: member.id, position })
    this.#rules.fleet.disconnect(member, 'stream-mismatch')
    return false
  }

  /** Read-only, for HTTP and metrics. */
  view(): CoordinatorView {
    return this.#view
  }
}

type Rules = ReturnType<typeof rulesOver>

/** Each is made of those below it. */
function rulesOver(context: CoordinatorContext) {
  const ghosts = new GhostWatch(context)
  const reads = new Reads(context)
  const looks = new Looks(context, reads)
  const watches = new Watches(context, reads)
  const writes = new Writes(context, { reads, ghosts }, [reads, looks, watches])
  const moves = new Moves(context, writes)
  const rebalancer = new Rebalancer(context, moves)
  const upgrades = new Upgrades(context, rebalancer)
  const recovery = new Recovery(context, rebalancer)
  const copies = new LostCopies(context, { writes, moves, rebalancer })
  const scrubber = new Scrubber(context, copies)
  const ruleWatch = new RuleWatch(context, writes)
  const below = { writes, reads, moves, rebalancer, upgrades, recovery, copies, ruleWatch }
  const fleet = new Fleet(context, below)
  const room = new LedgerRoom(context, fleet)
  const codexDesk = new CodexDesk(context, room, ghosts)
  const readings = new Readings(context, writes, room)
  const runner = new TaskRunner(context, { writes, reads, ghosts })
  const submissions = new Submissions(context, room, runner)
  return {
    ...below,
    looks,
    watches,
    scrubber,
    fleet,
    room,
    codexDesk,
    readings,
    runner,
    submissions,
  }
}

/** An earlier version wrote a record for each member. */
function renewStreamRecords(context: CoordinatorContext, rows: LedgerContents['stream']): void {
  const old = rows.filter(({ value }) => !('marks' in value))
  if (old.length === 0) return
  for (const { key } of old) context.persist({ table: 'stream', key, value: undefined })
  for (const member of context.members.all) context.streamChanged(member)
}

/** What a ledger begins with. */
export function newIdentity(
  { grid, replicas }: Pick<CoordinatorOptions, 'grid' | 'replicas'>,
  ledgerId: string,
): IdentityRecord {
  const { width, height, tile } = grid.geometry
  return {
    ledgerId,
    grid: { width, height, tile },
    fields: grid.fields,
    replicas,
    term: 0,
    seq: 0,
    epoch: 0,
  }
}

export function newLedgerId(random: Random): string {
  return randomId(random, 20)
}
