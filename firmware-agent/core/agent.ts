/**
 * The agent's decisions: event in, effects out, on the time that it is given. It keeps a session with
 * the gateway, applies its stream in order, answers reads once they may be answered, and holds what
 * the gateway has not confirmed. Cells are the runner's; this file never sees one.
 */
import { unreachable } from '../../shared/core/assert.ts'
import { own } from '../../shared/core/own.ts'
import type { Random } from '../../shared/core/random.ts'
import { packTiles } from '../../shared/operations/columns.ts'
import type { Answer, CoreDown, Up } from '../../shared/protocol/messages.ts'
import { CHAIN_START } from '../../shared/protocol/stream-chain.ts'
import type { AgentCounts, AgentOptions } from './agent-options.ts'
import type { AgentEffect } from './effects.ts'
import type { AgentEvent, PartResult, StreamMark } from './events.ts'
import { heldOf, helloOf } from './hello.ts'
import { Outbox } from './outbox.ts'
import { PageFormat } from './page-format.ts'
import { announce, eventOf, stateOf } from './presence.ts'
import { Pulse } from './pulse.ts'
import { ReadQueue } from './read-queue.ts'
import { type RoomLooked, RoomWatch, STORE_FULL } from './room-watch.ts'
import { RuleOutbox } from './rule-outbox.ts'
import { FINAL_REFUSALS, REVOKED, Session, SILENT_BEATS } from './session.ts'
import { ShardStream } from './shard-stream.ts'
import { effectsOfOrder } from './store-orders.ts'
import type { StoredState, StoreFacts } from './stored-state.ts'
import { PIECE_BYTES, Transfers } from './transfers.ts'
import { type Moment, WallClock } from './wall-clock.ts'

export class Agent {
  readonly #options: AgentOptions
  readonly #session: Session
  readonly #stream: ShardStream
  readonly #outbox: Outbox
  readonly #reads = new ReadQueue()
  readonly #transfers: Transfers
  readonly #pages = new PageFormat()
  readonly #rules: RuleOutbox
  readonly #pulse: Pulse
  readonly #clock: WallClock
  readonly #room: RoomWatch
  #store: StoreFacts
  #effects: AgentEffect[] = []
  #nowMs = 0
  #systemMs = 0
  #wasReady = false
  #done = 0
  #failed = 0

  constructor(options: AgentOptions, stored: StoredState, random: Random) {
    this.#options = options
    this.#pulse = new Pulse(options, random)
    this.#clock = new WallClock(stored.timeFloorMs)
    this.#session = new Session(options, random)
    this.#room = new RoomWatch(random)
    this.#stream = new ShardStream(stored.mark, stored.results)
    this.#outbox = new Outbox(options.outboxBytesMax, stored.answers)
    this.#transfers = new Transfers(options.pieceBytes ?? PIECE_BYTES, stored.broken)
    this.#rules = new RuleOutbox(stored)
    this.#store = stored
  }

  get counts(): AgentCounts {
    return {
      outbox: this.#outbox.counts,
      shardsRunning: this.#reads.runningCount,
      shardsDone: this.#done,
      shardsFailed: this.#failed,
      roundTripMs: this.#pulse.roundTripMs,
      clockOffsetMs: this.#pulse.clockOffsetMs,
      wallMs: this.#clock.ms,
    }
  }

  get incarnation(): number {
    return this.#store.boot
  }

  get isAdmitted(): boolean {
    return this.#session.state === 'admitted'
  }

  /**
   * Since when a deadline is not met, or a connection that was given up does not end, monotonic ms: the
   * link makes no progress then. To have no gateway is progress, as long as it is looked for.
   */
  overdueSinceMs(nowMs: number): number | undefined {
    const since = [this.nextDeadlineMs(), this.#session.givenUpSinceMs]
    const overdue = since.filter((ms) => ms !== undefined && ms < nowMs) as number[]
    return overdue.length === 0 ? undefined : Math.min(...overdue)
  }

  /** The time, to be stored with what is written now. */
  stampTime(now: Moment): number {
    this.#clock.advance(now)
    return this.#clock.stamp()
  }

  /** Wall time (Unix ms) is for `ts` and clock offsets only. */
  step(now: Moment, event: AgentEvent): AgentEffect[] {
    this.#nowMs = now.monotonicMs
    this.#systemMs = now.wallMs
    this.#clock.advance(now)
    this.#effects = []
    switch (event.type) {
      case 'connected':
        // Too late for one that was told to stop meanwhile.
        if (this.#session.state === 'stopped') break
        this.#session.connected(this.#nowMs)
        this.#hello()
        break
      case 'disconnected':
        this.#disconnected(event)
        break
      case 'message-received':
        this.#receive(event.message)
        break
      case 'entries-applied':
        this.#applied(event.mark, event.results)
        break
      case 'apply-failed':
        this.#applyFailed(event.code, event.message)
        break
      case 'read-finished':
        this.#finished(event.answer)
        break
      case 'pages-broken':
        if (this.#transfers.setBroken(event.tiles) && this.isAdmitted) this.#acknowledge()
        break
      case 'page-copied':
      case 'copy-failed':
      case 'pages-staged':
      case 'staging-failed':
      case 'pages-examined': {
        const session = this.isAdmitted ? this.#session.number : undefined
        this.#effects.push(...this.#transfers.take(event, session))
        break
      }
      case 'store-wiped':
        this.#restart({ ...event, ledgerId: null, grid: null })
        break
      case 'store-rebased':
        this.#restart({ ...this.#store, ledgerId: event.ledgerId })
        break
      case 'pages-listed':
        this.#listed(event)
        break
      case 'room-looked':
        this.#roomLooked(event)
        break
      case 'stop-requested':
        this.#stop()
        break
      case 'deadline-reached':
        break
      default:
        unreachable(event)
    }
    this.#runDeadlines()
    if (this.isAdmitted) this.#tellChanges()
    return this.#effects
  }

  /** Monotonic ms of the next `deadline-reached`. */
  nextDeadlineMs(): number | undefined {
    if (this.#session.state === 'stopped') return undefined
    const due = [this.#session.deadlineMs, this.#reads.deadlineMs, this.#clock.deadlineMs]
    if (this.isAdmitted) due.push(this.#pulse.deadlineMs, this.#room.deadlineMs)
    return Math.min(...due.filter((deadline) => deadline !== undefined))
  }

  #emit(effect: AgentEffect): void {
    this.#effects.push(effect)
  }

  #send(message: Up): void {
    this.#emit({ type: 'send', message })
  }

  #log(level: 'debug' | 'info' | 'warn' | 'error', code: string, message: string): void {
    this.#emit({ type: 'log', level, code, message })
  }

  #hello(): void {
    const rules = this.#rules.version
    const stands = { store: this.#store, mark: this.#stream.mark, rules, ...this.#broken() }
    this.#send(helloOf(this.#options, stands))
  }

  #disconnected({ reason, isRevoked }: Extract<AgentEvent, { type: 'disconnected' }>): void {
    if (this.#session.state === 'stopped') return
    const before = this.#session.standing
    const isNews = this.#session.disconnected(this.#nowMs, reason, isRevoked === true)
    const { standing } = this.#session
    if (standing !== before) this.#emit({ type: 'report-link', standing })
    if (before === 'joined') this.#log('warn', 'disconnected', reason)
    else if (isRevoked) this.#log(isNews ? 'error' : 'debug', 'revoked', REVOKED)
    else this.#log(isNews ? 'warn' : 'debug', 'not-connected', `no gateway yet: ${reason}`)
    this.#stream.forgetQueue()
    this.#transfers.disconnected()
    this.#effects.push(...this.#outbox.store())
  }

  #receive(message: CoreDown): void {
    if (message.t === 'welcome') {
      this.#welcomed(message)
      return
    }
    if (message.t === 'refused') {
      this.#refused(message.code, message.message)
      return
    }
    if (message.t === 'wipe' || message.t === 'rebase') {
      this.#effects.push(...effectsOfOrder(message, this.#store.storeId, this.#stream))
      return
    }
    if (message.t === 'list-tiles') {
      this.#emit({ type: 'list-pages', from: message.from })
      return
    }
    if (!this.isAdmitted || message.session !== this.#session.number) return
    this.#session.heard(this.#nowMs)
    switch (message.t) {
      case 'entries':
        this.#forgetResults(message.confirmed)
        this.#receiveEntries(message.entries)
        break
      case 'read':
        this.#reads.add(message, this.#nowMs)
        this.#startReads()
        break
      case 'cancel':
        this.#reads.cancel(message.task)
        this.#emit({ type: 'cancel-reads', task: message.task })
        break
      case 'received':
        this.#effects.push(...this.#outbox.confirm(message.answers))
        break
      case 'beat':
        this.#forgetResults(message.confirmed)
        this.#effects.push(...this.#pages.take(message))
        this.#answered(message)
        this.#rules.beaten()
        break
      case 'changes-taken':
        this.#rules.taken(message.number)
        this.#emit({ type: 'forget-changes', number: message.number })
        break
      case 'copy':
      case 'chunk':
      case 'discard':
      case 'examine': {
        const { position } = this.#stream.mark
        this.#effects.push(...this.#transfers.receive(message, position))
        break
      }
      default:
        unreachable(message)
    }
  }

  #welcomed(message: Extract<CoreDown, { t: 'welcome' }>): void {
    if (this.#session.state !== 'greeting') return
    const silenceMs = message.heartbeatMs * SILENT_BEATS
    this.#session.admitted(this.#nowMs, { number: message.session, silenceMs })
    this.#stream.isStopped = false
    this.#room.restarted()
    if (this.#store.ledgerId === null) {
      this.#store = { ...this.#store, ledgerId: message.ledgerId, grid: message.grid }
      this.#emit({ type: 'adopt', ledgerId: message.ledgerId, grid: message.grid })
    }
    this.#forgetResults(message.confirmed)
    this.#effects.push(...this.#pages.take(message))
    this.#effects.push(...announce(this.#options, this.#store.boot))
    this.#acknowledge()
    this.#rules.admitted()
    for (const answer of this.#outbox.answers) this.#send(answer)
    this.#pulse.start(this.#nowMs, message.heartbeatMs)
    this.#emit({ type: 'report-link', standing: 'joined' })
    if (this.#wasReady) this.#log('info', 'reconnected', `session ${message.session}`)
    else this.#emit({ type: 'report-ready' })
    this.#wasReady = true
  }

  #answered({ beat, ts }: Extract<CoreDown, { t: 'beat' }>): void {
    const gatewayMs = this.#pulse.answered(beat, ts, { nowMs: this.#nowMs, wallMs: this.#systemMs })
    if (gatewayMs !== undefined) this.#clock.set(gatewayMs)
  }

  #refused(code: string, message: string): void {
    this.#log('error', code, `the gateway refused this node: ${message}`)
    const exitCode = own(FINAL_REFUSALS, code)
    if (exitCode === undefined) return
    this.#session.stop()
    this.#emit({ type: 'disconnect', reason: code })
    this.#emit({ type: 'exit', code: exitCode, reason: message })
  }

  /** The store was emptied, or went over to another ledger: nothing of before counts. */
  #restart({ storeId, boot, ledgerId, grid }: StoreFacts): void {
    this.#store = { storeId, boot, ledgerId, grid }
    this.#stream.reset({ position: 0, chain: CHAIN_START, seq: 0 })
    this.#outbox.clear()
    this.#reads.clear()
    this.#rules.clear()
    this.#transfers.reset()
    if (this.#session.state === 'greeting') this.#hello()
  }

  #listed({ from, pages, next }: Extract<AgentEvent, { type: 'pages-listed' }>): void {
    if (this.#session.state !== 'greeting') return
    // The gateway waits for others: there is no reason to think that it is gone.
    this.#session.connected(this.#nowMs)
    this.#send(heldOf(this.#store.storeId, this.#stream.mark.position, { from, pages, next }))
  }

  #receiveEntries(entries: Extract<CoreDown, { t: 'entries' }>['entries']): void {
    const { mark } = this.#stream
    switch (this.#stream.receive(entries)) {
      case 'queued':
        this.#applyNext()
        break
      case 'repeated':
        this.#acknowledge()
        break
      case 'gap':
        this.#applyNext()
        this.#askFor(mark)
        break
      case 'chain-differs':
        this.#stopStream('chain-differs', 'an entry does not continue the chain of this stream')
        break
    }
  }

  /** For the entries after this place. */
  #askFor({ position, chain }: StreamMark): void {
    this.#send({ t: 'gap', session: this.#session.number, position, chain })
  }

  #applyNext(): void {
    const entries = this.#stream.takeBatch()
    if (entries.length > 0) this.#emit({ type: 'apply', entries })
  }

  #applied(mark: StreamMark, results: readonly PartResult[]): void {
    this.#stream.applied(mark, results)
    this.#rules.applied(results)
    if (results.length > 0) this.#room.applied()
    this.#done += results.length
    if (this.isAdmitted) this.#acknowledge()
    this.#applyNext()
    this.#startReads()
    this.#effects.push(...this.#transfers.copiesAt(this.#stream.mark.position))
  }

  #applyFailed(code: string, message: string): void {
    this.#failed += 1
    this.#stream.failed()
    this.#stopStream(code, message)
  }

  /** A trouble of this node's own is no outcome: it stops here and says why. */
  #stopStream(code: string, message: string): void {
    this.#stream.isStopped = true
    if (code === STORE_FULL) this.#room.stopped(this.#nowMs)
    this.#log('error', code, message)
    if (!this.isAdmitted) return
    const { position } = this.#stream.mark
    this.#send({ t: 'stopped', session: this.#session.number, position, code, message })
    const said = { level: 'error', code, message, ts: this.#clock.ms } as const
    this.#emit(eventOf(this.#options.node, said))
  }

  /** A stream that stopped for want of room goes on where it stands. */
  #roomLooked(looked: RoomLooked): void {
    const { change, mayResume } = this.#room.looked(this.#nowMs, looked.isRoom)
    if (change === undefined) return
    this.#log(change.level, change.code, looked.message)
    if (!this.isAdmitted) return
    const said = { ...change, message: looked.message, ts: this.#clock.ms }
    this.#emit(eventOf(this.#options.node, said))
    if (!mayResume) return
    this.#stream.isStopped = false
    this.#askFor(this.#stream.mark)
  }

  #acknowledge(): void {
    const { results, mark } = this.#stream
    const ofStream = { position: mark.position, chain: mark.chain, results, ...this.#broken() }
    this.#send({ t: 'applied', session: this.#session.number, ...ofStream })
  }

  #tellChanges(): void {
    const message = this.#rules.next(this.#session.number)
    if (message !== undefined) this.#send(message)
  }

  #broken(): { broken?: Uint8Array } {
    const { broken } = this.#transfers
    return broken.length === 0 ? {} : { broken: packTiles(broken) }
  }

  #forgetResults(position: number): void {
    if (this.#stream.confirmed(position)) this.#emit({ type: 'forget-results', position })
  }

  #startReads(): void {
    for (const read of this.#reads.takeReady(this.#stream.mark.position)) {
      this.#emit({ type: 'read', read })
    }
  }

  #finished(answer: Answer): void {
    this.#reads.finish(answer)
    if (answer.error === undefined) this.#done += 1
    else this.#failed += 1
    this.#effects.push(...this.#outbox.add(answer))
    if (this.isAdmitted) this.#send(answer)
    else this.#effects.push(...this.#outbox.store())
  }

  #runDeadlines(): void {
    const due = this.#session.due(this.#nowMs)
    if (due === 'connect') this.#emit({ type: 'connect' })
    if (due === 'give-up') this.#emit({ type: 'disconnect', reason: this.#session.silence })
    this.#reads.dropOverdue(this.#nowMs)
    if (this.#clock.takeKeep()) this.#emit({ type: 'keep-time' })
    if (!this.isAdmitted) return
    if (this.#room.takeLook(this.#nowMs)) this.#emit({ type: 'look-for-room' })
    const beat = this.#pulse.takeBeat(this.#nowMs)
    if (beat !== undefined) {
      const { shedTotal } = this.#outbox.counts
      const shed = shedTotal === 0 ? {} : { shed: shedTotal }
      this.#send({ t: 'heartbeat', session: this.#session.number, beat, ...shed })
    }
    if (this.#pulse.takeTelemetry(this.#nowMs)) this.#emit({ type: 'publish-telemetry' })
  }

  #stop(): void {
    if (this.#session.state === 'stopped') return
    this.#effects.push(...this.#outbox.store())
    if (this.isAdmitted) this.#emit(stateOf(this.#options.node, 'offline'))
    this.#session.stop()
    this.#emit({ type: 'disconnect', reason: 'stopping' })
    this.#emit({ type: 'exit', code: 0, reason: 'stopped' })
  }
}
