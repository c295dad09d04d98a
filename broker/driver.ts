/**
 * Joins the coordinator with the world: events in, effects out, one timer. It decides nothing. In which order
 * effects leave is that of effects.ts, which group-commit.ts keeps.
 */
import type { NodeId, TaskId } from '../shared/core/ids.ts'
import type { GridContext } from '../shared/operations/operation.ts'
import type { Rule } from '../shared/operations/rule-book.ts'
import type { LogLines } from '../shared/protocol/log-messages.ts'
import { decodeUp, encodeMessage, type Up } from '../shared/protocol/messages.ts'
import type { KeyUp } from '../shared/protocol/rekey.ts'
import type { Sealed } from '../shared/protocol/sealed.ts'
import {
  checkSubmission,
  parseSubmission,
  type SubmissionResult,
  type TaskContext,
} from '../shared/protocol/task.ts'
import type { Clock } from '../shared/runtime/clock.ts'
import { AppError, messageOf } from '../shared/runtime/errors.ts'
import type { Coordinator } from './core/coordinator.ts'
import type {
  CodexOutcome,
  GatewayEffect,
  GatewayNotice,
  LookOutcome,
  Outcome,
  SealingOrder,
  UpgradeChange,
} from './core/effects.ts'
import type {
  CodexDemand,
  GatewayEvent,
  MessageReceived,
  ReadingsReceived,
  Submitter,
  Ticket,
  UpgradeDemand,
} from './core/events.ts'
import type { LedgerRecord } from './core/ledger-records.ts'
import { GroupCommit, type Visible } from './group-commit.ts'

/** What the driver performs effects on. */
export interface GatewayPorts {
  readonly clock: Clock
  /** Resolves when the records are on disk. */
  write(records: readonly LedgerRecord[]): Promise<void>
  send(connection: string, payload: Uint8Array): void
  admit(connection: string, node: NodeId): void
  disconnect(connection: string, reason: string): void
  probe(beat: number): void
  isRecipient(name: string): boolean
  /**
   * Resolves with the value sealed to the recipient; rejects with an error that has a code. With `unwanted` it need not
   * be sealed any more; it settles when nothing holds the value.
   */
  seal(order: SealingOrder, unwanted: AbortSignal): Promise<Sealed>
  publish(effect: Publish): void
  /** What is to be on disk, with the records of its step, before something is published. */
  recordsOf?(effect: Publish): readonly LedgerRecord[]
  notice(notice: GatewayNotice): void
  /** Tells who watches the grid of a write of the gateway's own. */
  wrote?(write: Extract<GatewayEffect, { type: 'announce-write' }>): void
  /** Tells who follows that an upgrade has come on. */
  upgrade?(change: UpgradeChange): void
  /** A node shows its next key, which the coordinator knows nothing of. */
  key?(connection: string, node: NodeId, message: KeyUp): void
  /** A node gives lines of its log, which the coordinator knows nothing of either. */
  log?(connection: string, message: LogLines): void
  /** Is shown each message of a node before it is taken, and each effect before it is performed. */
  received?(connection: string, message: Up): void
  performing?(effect: GatewayEffect): void
}

/** A node's bytes that are no message; counted by the caller. */
export type MalformedMessage = (node: NodeId, problem: string) => void

type Publish = Extract<GatewayEffect, { type: 'publish' }>

export class GatewayDriver {
  readonly #coordinator: Coordinator
  readonly #grid: GridContext
  readonly #ports: GatewayPorts
  readonly #commit: GroupCommit
  readonly #answers = new Map<Ticket, (outcome: Outcome) => void>()
  readonly #readings = new Map<Ticket, () => void>()
  readonly #looks = new Map<Ticket, (outcome: LookOutcome) => void>()
  readonly #recreations = new Map<Ticket, (tiles: number | undefined) => void>()
  readonly #demands = new Map<Ticket, (outcome: CodexOutcome) => void>()
  readonly #endings = new Map<TaskId, Set<() => void>>()
  readonly #sealing = new Map<TaskId, AbortController>()
  #tickets = 0
  #stopTimer: () => void = () => {}
  #isStopped = false
  /** When the coordinator last took a step, monotonic ms. */
  #steppedMs = 0

  constructor(
    coordinator: Coordinator,
    grid: GridContext,
    ports: GatewayPorts,
    onFatal: (error: unknown) => void,
  ) {
    this.#coordinator = coordinator
    this.#grid = grid
    this.#ports = ports
    this.#commit = new GroupCommit(ports, {
      perform: (effect) => this.#act(effect),
      failed: (error) => {
        this.#isStopped = true
        onFatal(error)
      },
    })
  }

  /** What tasks are checked against. */
  get #checked(): TaskContext {
    return { ...this.#grid, codex: this.#coordinator.view().codex }
  }

  /** Performs the effects of the coordinator's start, and then those of what has come meanwhile. */
  begin(effects: readonly GatewayEffect[]): void {
    this.#commit.begin(effects)
    this.#setTimer()
  }

  /** Resolves when nothing waits for the disk. */
  idle(): Promise<void> {
    return this.#commit.idle()
  }

  /** Takes no more events; what was asked for still leaves. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopTimer()
    await this.idle()
  }

  submit(
    payload: Uint8Array,
    submitter: Submitter,
    skippedBytes: number | undefined,
    answer: (outcome: Outcome) => void,
  ): void {
    const result: SubmissionResult =
      skippedBytes === undefined
        ? parseSubmission(payload, this.#checked)
        : {
            ok: false,
            problems: [
              { path: '', code: 'too-large', message: `${skippedBytes} bytes are too many` },
            ],
          }
    this.#submitted(result, submitter, answer)
  }

  /** `wish` is what the payload of a submission would say; nothing of it is kept. */
  submitWish(wish: object, submitter: Submitter, answer: (outcome: Outcome) => void): void {
    this.#submitted(checkSubmission(wish, this.#checked), submitter, answer)
  }

  #submitted(
    result: SubmissionResult,
    submitter: Submitter,
    answer: (outcome: Outcome) => void,
  ): void {
    const ticket = this.#ticketFor(this.#answers, answer)
    const to = result.ok ? result.submission.body.seal : undefined
    const lacks = to !== undefined && !this.#ports.isRecipient(to)
    const recipient = lacks ? { lacksRecipient: true } : {}
    this.#deliver({ type: 'task-submitted', ticket, submitter, result, ...recipient })
  }

  cancel(task: TaskId, submitter: Submitter, answer?: (outcome: Outcome) => void): void {
    const ticket = answer === undefined ? {} : { ticket: this.#ticketFor(this.#answers, answer) }
    this.#deliver({ type: 'cancel-requested', ...ticket, submitter, task })
  }

  /** Readings of cells; who gives `answer` waits for their acknowledgement. */
  read(
    results: ReadingsReceived['results'],
    message: Pick<ReadingsReceived, 'topic' | 'submitter' | 'isByInput' | 'waitMs'>,
    answer?: () => void,
  ): void {
    const ticket = answer === undefined ? {} : { ticket: this.#ticketFor(this.#readings, answer) }
    this.#deliver({ type: 'readings-received', ...ticket, ...message, results })
  }

  /** `wish` is a submission, of a read. Returns what takes it back, once it was not answered. */
  look(
    wish: object,
    asker: { readonly client: string; readonly isOnce?: boolean },
    answer: (outcome: LookOutcome) => void,
  ): () => void {
    const ticket = this.#ticketFor(this.#looks, answer)
    const result = checkSubmission(wish, this.#checked)
    this.#deliver({ type: 'look-requested', ticket, ...asker, result })
    return () => {
      if (this.#looks.delete(ticket)) this.#deliver({ type: 'look-cancelled', ticket })
    }
  }

  /** Calls `ended` once, when the task's result may be read; returns what takes it back. */
  onEnd(task: TaskId, ended: () => void): () => void {
    const waiting = this.#endings.get(task) ?? new Set()
    this.#endings.set(task, waiting.add(ended))
    return () => {
      waiting.delete(ended)
      if (waiting.size === 0) this.#endings.delete(task)
    }
  }

  receive(
    connection: string,
    node: NodeId,
    payload: Uint8Array,
    malformed: MalformedMessage,
  ): void {
    const decoded = decodeUp(payload)
    if (!decoded.ok) {
      malformed(node, decoded.problem)
      return
    }
    const { message } = decoded
    this.#ports.received?.(connection, message)
    if (message.t === 'next-key') this.#ports.key?.(connection, node, message)
    else if (message.t === 'log-lines') this.#ports.log?.(connection, message)
    else this.#received({ type: 'node-message-received', connection, node, message })
  }

  /** What comes most often by far costs no step; its answer leaves behind what waits for the disk. */
  #received(event: MessageReceived): void {
    if (this.#isStopped) return
    const answer = this.#coordinator.beat(this.#ports.clock.now(), event)
    if (answer === undefined) this.#deliver(event)
    else this.#commit.add([answer])
  }

  /**
   * Since when the coordinator does nothing about a deadline, monotonic ms. Where very many are due at once,
   * it meets some of them in each step.
   */
  get overdueSinceMs(): number | undefined {
    const deadlineMs = this.#isStopped ? undefined : this.#coordinator.nextDeadlineMs()
    const isOverdue = deadlineMs !== undefined && deadlineMs < this.#ports.clock.monotonicMs
    return isOverdue ? Math.max(deadlineMs, this.#steppedMs) : undefined
  }

  diskChecked(freeBytes: number): void {
    this.#deliver({ type: 'disk-checked', freeBytes })
  }

  connectionClosed(connection: string): void {
    this.#deliver({ type: 'connection-closed', connection })
  }

  probeReturned(beat: number): void {
    this.#deliver({ type: 'probe-returned', beat })
  }

  /** The gateway's view of the fleet is true, says an operator. */
  trust(): void {
    this.#deliver({ type: 'trust-demanded' })
  }

  /** A node is to be emptied, or not any more. Resolves once that is on disk. */
  drain(node: NodeId, isWanted: boolean): Promise<void> {
    return this.#done({ type: 'drain-requested', node, isWanted })
  }

  /** A node may not come back; its tiles go elsewhere at once. Resolves once that is on disk. */
  revoke(node: NodeId): Promise<void> {
    return this.#done({ type: 'node-revoked', node })
  }

  /** A node that may be forgotten is. Resolves once that is on disk. */
  remove(node: NodeId): Promise<void> {
    return this.#done({ type: 'removal-requested', node })
  }

  /** Resolves once the rule book is on disk. */
  setRules(rules: readonly Rule[]): Promise<void> {
    return this.#done({ type: 'rules-set', rules })
  }

  /** Resolves once what follows is on disk. */
  upgrade(demand: UpgradeDemand): Promise<void> {
    return this.#done({ type: 'upgrade-demanded', demand })
  }

  /** Resolves once what follows is on disk. */
  codex(demand: CodexDemand, by?: string): Promise<CodexOutcome> {
    return new Promise((resolve) => {
      const ticket = this.#ticketFor(this.#demands, resolve)
      const asker = by === undefined ? {} : { by }
      this.#deliver({ type: 'codex-demanded', ticket, demand, ...asker })
    })
  }

  /**
   * Tiles without any copy begin anew. Resolves with how many, once that is on disk; with undefined if more are missing
   * than were shown with the mark.
   */
  recreate(mark?: string): Promise<number | undefined> {
    const shown = mark === undefined ? {} : { shown: mark }
    return new Promise((resolve) => {
      const ticket = this.#ticketFor(this.#recreations, resolve)
      this.#deliver({ type: 'recreate-requested', ticket, ...shown })
    })
  }

  #done(event: GatewayEvent): Promise<void> {
    return new Promise((resolve) => this.#deliver(event, resolve))
  }

  #ticketFor<Answer>(answers: Map<Ticket, Answer>, answer: Answer): Ticket {
    this.#tickets += 1
    answers.set(this.#tickets, answer)
    return this.#tickets
  }

  #deliver(event: GatewayEvent, left?: () => void): void {
    if (this.#isStopped) return
    const now = this.#ports.clock.now()
    this.#steppedMs = now.monotonicMs
    this.#commit.add(this.#coordinator.step(now, event), left)
    this.#setTimer()
  }

  #act(effect: Visible): void {
    this.#ports.performing?.(effect)
    switch (effect.type) {
      case 'send':
        this.#ports.send(effect.connection, encodeMessage(effect.message))
        break
      case 'send-round': {
        const { round, from, to } = effect
        for (let part = from; part < to; part++) {
          this.#ports.send(round.connectionOf(part), round.payloadOf(part))
        }
        break
      }
      case 'admit':
        this.#ports.admit(effect.connection, effect.node)
        break
      case 'disconnect':
        this.#ports.disconnect(effect.connection, effect.reason)
        break
      case 'publish':
        this.#ports.publish(effect)
        break
      case 'seal':
        this.#seal(effect.order)
        break
      case 'unseal':
        this.#sealing.get(effect.task)?.abort()
        break
      case 'answer':
        takeFrom(this.#answers, effect.ticket)?.(effect.outcome)
        break
      case 'answer-look':
        takeFrom(this.#looks, effect.ticket)?.(effect.outcome)
        break
      case 'answer-codex':
        takeFrom(this.#demands, effect.ticket)?.(effect.outcome)
        break
      case 'answer-recreate':
        takeFrom(this.#recreations, effect.ticket)?.(effect.tiles)
        break
      case 'answer-reading':
        takeFrom(this.#readings, effect.ticket)?.()
        break
      case 'announce-write':
        this.#ports.wrote?.(effect)
        break
      case 'announce-end':
        for (const ended of takeFrom(this.#endings, effect.task) ?? []) ended()
        break
      case 'announce-upgrade':
        this.#ports.upgrade?.(effect.change)
        break
      case 'note-told':
        this.#deliver({ type: 'rule-event-told', rule: effect.rule, number: effect.number })
        break
      case 'notice':
        this.#ports.notice(effect.notice)
        break
      case 'probe':
        this.#ports.probe(effect.beat)
        break
    }
  }

  #seal(order: SealingOrder): void {
    const { task } = order
    const unwanted = new AbortController()
    this.#sealing.set(task, unwanted)
    this.#ports.seal(order, unwanted.signal).then(
      (sealed) => {
        this.#sealing.delete(task)
        this.#deliver({ type: 'task-sealed', task, sealed })
      },
      (error: unknown) => {
        this.#sealing.delete(task)
        const code = error instanceof AppError ? error.code : 'seal-failed'
        const message = messageOf(error)
        this.#deliver({ type: 'sealing-failed', task, error: { code, message } })
      },
    )
  }

  #setTimer(): void {
    this.#stopTimer()
    if (this.#isStopped) return
    const deadlineMs = this.#coordinator.nextDeadlineMs()
    if (deadlineMs === undefined) return
    const { clock } = this.#ports
    this.#stopTimer = clock.after(deadlineMs - clock.monotonicMs, () =>
      this.#deliver({ type: 'deadline-reached' }),
    )
  }
}

function takeFrom<Key, Value>(waiting: Map<Key, Value>, key: Key): Value | undefined {
  const value = waiting.get(key)
  waiting.delete(key)
  return value
}
