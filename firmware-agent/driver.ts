/**
 * Joins the agent's core with the device: events in, effects out, one timer. It decides nothing.
 * Effects are performed in order, and one that writes to disk is done before the next begins; applying
 * entries and answering reads go on beside them and come back as events.
 */

import type { NodeId } from '../shared/core/ids.ts'
import { PACKED_FORMAT } from '../shared/grid/page-layout.ts'
import type { LogLines, LogOrder } from '../shared/protocol/log-messages.ts'
import { decodeDown, encodeMessage } from '../shared/protocol/messages.ts'
import type { KeyDown, KeyUp } from '../shared/protocol/rekey.ts'
import { encodeTelemetry } from '../shared/protocol/telemetry.ts'
import { buildTopic } from '../shared/protocol/topics.ts'
import type { UpgradeOrder, UpgradeUp } from '../shared/protocol/upgrade-messages.ts'
import type { Clock } from '../shared/runtime/clock.ts'
import { AppError, messageOf } from '../shared/runtime/errors.ts'
import type { Logger } from '../shared/runtime/logger.ts'
import type { Applied, ApplyError } from './adapters/apply-run.ts'
import type { DeviceSample } from './adapters/device-metrics.ts'
import type { OutgoingMessage } from './adapters/mqtt-client.ts'
import type { OperationRunner } from './adapters/operation-runner.ts'
import type { SliceStore } from './adapters/slice-store.ts'
import type { Agent } from './core/agent.ts'
import type { AgentEffect } from './core/effects.ts'
import type { AgentEvent } from './core/events.ts'
import type { Standing } from './core/session.ts'

export interface AgentDriverOptions {
  readonly node: NodeId
  readonly topicBase: string
}

/** The connection to the gateway; its events come to the driver's methods. */
export interface AgentLink {
  connect(): void
  disconnect(reason: string): void
  publish(message: OutgoingMessage): void
}

export interface AgentDevices {
  readonly clock: Clock
  readonly store: SliceStore
  readonly runner: OperationRunner
  readonly metrics: { sample(): DeviceSample }
  readonly log: Logger
}

export interface AgentOutcome {
  /** Is shown each effect before it is performed. */
  performing?(effect: AgentEffect): void
  ready(): void
  /** How it stands with the gateway, when that changes. */
  link(standing: Standing): void
  /** The gateway has to do with this node's key, which the core knows nothing of. */
  key(message: KeyDown, answer: (shown: KeyUp) => void): void
  /** The gateway has a version for this board, which the core knows nothing of either. */
  upgrade?(order: UpgradeOrder, answer: (said: UpgradeUp) => void): void
  /** The gateway wants lines of this node's log. */
  log?(order: LogOrder): LogLines
  exit(code: number, reason: string): void
  fatal(error: unknown): void
}

export class AgentDriver {
  readonly #options: AgentDriverOptions
  readonly #agent: Agent
  readonly #devices: AgentDevices
  readonly #outcome: AgentOutcome
  readonly #queue: AgentEffect[] = []
  #link: AgentLink | undefined
  #isPerforming = false
  #stopTimer: () => void = () => {}
  #telemetrySeq = 0
  /** As the core knows it. */
  #broken: ReadonlySet<number>

  constructor(
    options: AgentDriverOptions,
    agent: Agent,
    devices: AgentDevices,
    outcome: AgentOutcome,
  ) {
    this.#options = options
    this.#agent = agent
    this.#devices = devices
    this.#broken = devices.store.broken
    this.#outcome = outcome
    devices.store.stampWith(() => agent.stampTime(devices.clock.now()))
  }

  /** Begins to connect through `link`, whose events come to the three methods below. */
  begin(link: AgentLink): void {
    this.#link = link
    this.deliver({ type: 'deadline-reached' })
  }

  received(payload: Uint8Array): void {
    const decoded = decodeDown(payload)
    if (!decoded.ok) {
      this.#devices.log.warn({ code: 'malformed-message' }, decoded.problem)
      return
    }
    const { message } = decoded
    const answer = (said: KeyUp | UpgradeUp | LogLines): void => {
      this.#publish(this.#topic('node-up'), encodeMessage(said), 0, false)
    }
    if (message.t === 'log') {
      const lines = this.#outcome.log?.(message)
      if (lines !== undefined) answer(lines)
    } else if (message.t === 'upgrade') this.#outcome.upgrade?.(message, answer)
    else if (message.t === 'rekey' || message.t === 'rekeyed') this.#outcome.key(message, answer)
    else this.deliver({ type: 'message-received', message })
  }

  deliver(event: AgentEvent): void {
    this.#queue.push(...this.#agent.step(this.#devices.clock.now(), event))
    this.#setTimer()
    if (!this.#isPerforming) void this.#performAll()
  }

  /** Since when the link makes no progress, monotonic ms. */
  get overdueSinceMs(): number | undefined {
    return this.#agent.overdueSinceMs(this.#devices.clock.monotonicMs)
  }

  stopTimer(): void {
    this.#stopTimer()
  }

  async #performAll(): Promise<void> {
    this.#isPerforming = true
    try {
      for (let effect = this.#queue.shift(); effect !== undefined; effect = this.#queue.shift()) {
        const durable = this.#perform(effect)
        if (durable !== undefined) await durable
      }
    } catch (error) {
      this.#outcome.fatal(error)
    } finally {
      this.#isPerforming = false
    }
  }

  #perform(effect: AgentEffect): Promise<void> | undefined {
    this.#outcome.performing?.(effect)
    const { store, runner, log } = this.#devices
    switch (effect.type) {
      case 'connect':
        this.#link?.connect()
        return
      case 'disconnect':
        this.#link?.disconnect(effect.reason)
        return
      case 'send':
        this.#publish(this.#topic('node-up'), encodeMessage(effect.message), 0, false)
        return
      case 'publish': {
        const topic = buildTopic(this.#options.topicBase, effect.topic)
        this.#publish(topic, effect.payload, effect.qos, effect.retain)
        return
      }
      case 'allow-pages':
        store.mayPack = effect.format >= PACKED_FORMAT
        return
      case 'adopt':
        return store.adopt(effect.ledgerId, effect.grid)
      case 'apply':
        this.#beside(this.#apply(effect.entries))
        return
      case 'forget-results':
        store.forgetResults(effect.position)
        return
      case 'read':
        this.#beside(this.#read(effect.read))
        return
      case 'cancel-reads':
        runner.cancel(effect.task)
        return
      case 'store-answers':
        void store.storeAnswers(effect.answers).catch(this.#outcome.fatal)
        return
      case 'forget-answers':
        store.forgetAnswers(effect.answers)
        return
      case 'forget-changes':
        store.forgetChanges(effect.number)
        return
      case 'wipe':
        return this.#wipe()
      case 'rebase':
        return this.#rebase(effect.ledgerId, effect.keep)
      case 'list-pages':
        this.#beside(this.#list(effect.from))
        return
      case 'copy-page':
        this.#beside(this.#copy(effect.copy))
        return
      case 'stage-pages':
        this.#beside(this.#stage(effect.pages))
        return
      case 'discard-page':
        this.#beside(runner.exclusively(() => store.discard(effect.tile)))
        return
      case 'examine-pages':
        this.#beside(this.#examine(effect.tiles))
        return
      case 'look-for-room':
        this.#lookForRoom()
        return
      case 'publish-telemetry':
        this.#publishTelemetry()
        return
      case 'report-ready':
        this.#outcome.ready()
        return
      case 'report-link':
        this.#outcome.link(effect.standing)
        return
      case 'keep-time':
        this.#beside(store.keepTime())
        return
      case 'log':
        log[effect.level]({ code: effect.code }, effect.message)
        return
      case 'exit':
        this.#outcome.exit(effect.code, effect.reason)
        return
    }
  }

  /** Goes on while the next effects are performed. */
  #beside(work: Promise<void>): void {
    work.catch((error: unknown) => this.#outcome.fatal(error))
  }

  async #copy(copy: Extract<AgentEffect, { type: 'copy-page' }>['copy']): Promise<void> {
    try {
      const page = await this.#devices.runner.copy(copy)
      this.deliver({ type: 'page-copied', copy, page })
    } catch (error) {
      this.#reportBroken()
      this.deliver({ type: 'copy-failed', copy, ...troubleOf(error) })
    }
  }

  async #stage(pages: Extract<AgentEffect, { type: 'stage-pages' }>['pages']): Promise<void> {
    const { runner, store } = this.#devices
    try {
      const sound = await runner.exclusively(() => store.stage(pages))
      this.deliver({ type: 'pages-staged', pages: sound })
    } catch (error) {
      this.deliver({ type: 'staging-failed', pages, ...troubleOf(error) })
    }
  }

  async #examine(tiles: Uint32Array): Promise<void> {
    const pages = await this.#devices.runner.examine(tiles)
    this.#reportBroken()
    this.deliver({ type: 'pages-examined', pages })
  }

  /** Before anything else is said: what the gateway takes for copies must be some. */
  #reportBroken(): void {
    const { broken } = this.#devices.store
    if (broken === this.#broken) return
    this.#broken = broken
    this.deliver({ type: 'pages-broken', tiles: [...broken] })
  }

  async #apply(entries: Extract<AgentEffect, { type: 'apply' }>['entries']): Promise<void> {
    const tell = (applied: Applied): void => {
      this.#reportBroken()
      this.deliver({ type: 'entries-applied', ...applied })
    }
    try {
      tell(await this.#devices.runner.apply(entries, tell))
    } catch (error) {
      const { applied, code } = error as Partial<ApplyError>
      if (applied === undefined || code === undefined) {
        this.#outcome.fatal(error)
        return
      }
      tell(applied)
      this.deliver({ type: 'apply-failed', code, message: messageOf(error) })
    }
  }

  async #read(read: Extract<AgentEffect, { type: 'read' }>['read']): Promise<void> {
    const answer = await this.#devices.runner.read(read)
    this.#reportBroken()
    if (answer !== undefined) this.deliver({ type: 'read-finished', answer })
  }

  async #wipe(): Promise<void> {
    const { runner, store } = this.#devices
    const { storeId, boot } = await runner.exclusively(() => store.wipe())
    this.#broken = store.broken
    this.deliver({ type: 'store-wiped', storeId, boot })
  }

  async #rebase(ledgerId: string, keep: Uint32Array): Promise<void> {
    const { runner, store } = this.#devices
    await runner.exclusively(() => store.rebase(ledgerId, keep))
    this.#broken = store.broken
    this.deliver({ type: 'store-rebased', ledgerId })
  }

  async #list(from: number): Promise<void> {
    const listed = await this.#devices.runner.list(from)
    this.#reportBroken()
    this.deliver({ type: 'pages-listed', from, ...listed })
  }

  #lookForRoom(): void {
    const missing = this.#devices.store.missingRoom
    const message = missing ?? 'the store has room'
    this.deliver({ type: 'room-looked', isRoom: missing === undefined, message })
  }

  #topic(kind: 'node-up' | 'node-telemetry'): string {
    return buildTopic(this.#options.topicBase, { kind, node: this.#options.node })
  }

  #publish(topic: string, payload: string | Uint8Array, qos: 0 | 1, retain: boolean): void {
    this.#link?.publish({ topic, payload, qos, retain })
  }

  #publishTelemetry(): void {
    const { metrics, store } = this.#devices
    const counts = this.#agent.counts
    const stats = store.stats()
    this.#telemetrySeq += 1
    const payload = encodeTelemetry({
      node: this.#options.node,
      incarnation: this.#agent.incarnation,
      seq: this.#telemetrySeq,
      ts: counts.wallMs,
      ...metrics.sample(),
      broker_rtt_ms: counts.roundTripMs,
      clock_offset_ms: counts.clockOffsetMs,
      tiles: stats.tiles,
      lsus: stats.lsus,
      shards_running: counts.shardsRunning,
      shards_done_total: counts.shardsDone,
      shards_failed_total: counts.shardsFailed,
      outbox_records: counts.outbox.records,
      outbox_bytes: counts.outbox.bytes,
      store_bytes: stats.storeBytes,
      store_written_bytes_total: stats.writtenBytesTotal,
    })
    this.#publish(this.#topic('node-telemetry'), payload, 0, false)
  }

  #setTimer(): void {
    this.#stopTimer()
    const deadlineMs = this.#agent.nextDeadlineMs()
    if (deadlineMs === undefined) return
    const { clock } = this.#devices
    this.#stopTimer = clock.after(deadlineMs - clock.monotonicMs, () =>
      this.deliver({ type: 'deadline-reached' }),
    )
  }
}

function troubleOf(error: unknown): { code: string; message: string } {
  const { code, message } =
    error instanceof AppError ? error : new AppError('transfer-failed', messageOf(error))
  return { code, message: message.slice(0, 1024) }
}
