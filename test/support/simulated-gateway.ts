/**
 * The gateway's process around the real coordinator: the contract of its driver on simulated disk,
 * network and time. Steps queue up behind the flush of what was persisted before them, effects leave
 * in order, and a crash at any of them loses all that is not on disk.
 */
import type { Coordinator, CoordinatorOptions } from '../../broker/core/coordinator.ts'
import type { GatewayEffect, GatewayNotice, Outcome } from '../../broker/core/effects.ts'
import type { GatewayEvent, Instant, Submitter } from '../../broker/core/events.ts'
import type { IdentityRecord, LedgerRecord } from '../../broker/core/ledger-records.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { type Down, decodeUp, encodeMessage, type Up } from '../../shared/protocol/messages.ts'
import { parseSubmission } from '../../shared/protocol/task.ts'
import type { Appointment, SimulatedClock } from './simulated-clock.ts'
import type { SimulatedLedger } from './simulated-ledger.ts'
import type { SimulatedNetwork } from './simulated-network.ts'

export type CoordinatorClass = typeof Coordinator
type Visible = Exclude<GatewayEffect, { type: 'persist' }>

interface Batch {
  readonly records: LedgerRecord[]
  readonly effects: Visible[]
}

/** What is seen of the gateway from outside, and of its disk. */
export interface GatewayWitness {
  /** A process begins on a ledger that holds so many writes of the log. */
  started(openWrites: number): void
  flushed(records: readonly LedgerRecord[]): void
  effect(effect: GatewayEffect): void
  received(connection: string, message: Up): void
  sent(connection: string, message: Down): void
  notice(notice: GatewayNotice): void
  announced(task: TaskId, state: string): void
  published(effect: Extract<GatewayEffect, { type: 'publish' }>): void
}

export interface GatewayHarness {
  readonly clock: SimulatedClock
  readonly network: SimulatedNetwork
  readonly ledger: SimulatedLedger
  readonly random: Random
  readonly witness: GatewayWitness
  /** Asked before each effect; true kills the process there. */
  strikes(): boolean
}

export interface GatewaySetUp {
  readonly Coordinator: CoordinatorClass
  readonly options: CoordinatorOptions
  readonly identity: IdentityRecord
  readonly flushMinMs: number
  readonly flushMaxMs: number
  /** A mutant: effects do not wait for the disk. */
  readonly releasesBeforeFlush: boolean
}

const WALL_START_MS = 1_750_000_000_000

export class SimulatedGateway {
  readonly #setUp: GatewaySetUp
  readonly #harness: GatewayHarness
  #coordinator: Coordinator | undefined
  /** By how much its clock is set wrong. */
  wallOffsetMs = 0
  /** How many nodes it waits for when there is no ledger; 0 when there is to be one. */
  recoverNodes = 0
  /** Counts the lives of the process: what belongs to an earlier one is void. */
  #life = 0
  #startedMs = 0
  #queue: Batch[] = []
  #isFlushing = false
  #timer: Appointment | undefined
  #tickets = 0
  #answers = new Map<number, (outcome: Outcome) => void>()
  /** Set while the process stands still: what happens to it meanwhile, in order. */
  #waiting: (() => void)[] | undefined
  #frozenMs = 0

  constructor(setUp: GatewaySetUp, harness: GatewayHarness) {
    this.#setUp = setUp
    this.#harness = harness
  }

  get isUp(): boolean {
    return this.#coordinator !== undefined
  }

  get life(): number {
    return this.#life
  }

  /** How long any of its processes could work. */
  get awakeMs(): number {
    return this.#harness.clock.nowMs - this.#frozenMs
  }

  get view(): ReturnType<Coordinator['view']> | undefined {
    return this.#coordinator?.view()
  }

  start(): void {
    const { Coordinator, options, identity } = this.#setUp
    const { ledger, network, clock, random } = this.#harness
    this.#life += 1
    this.#startedMs = clock.nowMs - random.integer(1000)
    const known = ledger.get<IdentityRecord>('meta', 'identity')
    const own = new Random(random.uint32())
    this.#harness.witness.started(ledger.count('write'))
    const { recoverNodes } = this
    const fresh =
      recoverNodes === 0 ? identity : { ...identity, ledgerId: 'rebuilt', isRecovering: true }
    this.#coordinator = new Coordinator({ ...options, recoverNodes }, known ?? fresh, own)
    this.#perform(this.#coordinator.start(this.#now(), ledger.load()))
    const life = this.#life
    network.gatewayStarted({
      received: (connection, node, payload) => {
        this.#whenAwake(() => {
          if (life === this.#life) this.#receive(connection, node as NodeId, payload)
        })
      },
      closed: (connection) => {
        this.#whenAwake(() => {
          if (life === this.#life) this.#deliver({ type: 'connection-closed', connection })
        })
      },
    })
  }

  crash(): void {
    if (!this.isUp) return
    this.#life += 1
    this.#coordinator = undefined
    this.#queue = []
    this.#isFlushing = false
    this.#waiting = undefined
    this.#answers.clear()
    if (this.#timer !== undefined) this.#timer.isCancelled = true
    this.#harness.network.gatewayStopped()
  }

  /** The process stands still until then; what comes waits, and its timers are due when it wakes. */
  freeze(untilMs: number): void {
    if (!this.isUp || this.#waiting !== undefined) return
    const { clock } = this.#harness
    const life = this.#life
    const sinceMs = clock.nowMs
    this.#waiting = []
    clock.at(untilMs, () => {
      if (life !== this.#life) return
      this.#frozenMs += clock.nowMs - sinceMs
      const waiting = this.#waiting ?? []
      this.#waiting = undefined
      // A loop looks at its timers before its sockets.
      this.#deliver({ type: 'deadline-reached' })
      for (const act of waiting) act()
    })
  }

  #whenAwake(act: () => void): void {
    if (this.#waiting === undefined) act()
    else this.#waiting.push(act)
  }

  /** False while there is no gateway to submit to. */
  submit(payload: Uint8Array, submitter: Submitter, answer: (outcome: Outcome) => void): boolean {
    if (!this.isUp) return false
    const result = parseSubmission(payload, this.#setUp.options.grid)
    const ticket = this.#ticket(answer)
    this.#whenAwake(() => this.#deliver({ type: 'task-submitted', ticket, submitter, result }))
    return true
  }

  cancel(task: TaskId, submitter: Submitter, answer: (outcome: Outcome) => void): boolean {
    if (!this.isUp) return false
    const ticket = this.#ticket(answer)
    this.#whenAwake(() => this.#deliver({ type: 'cancel-requested', ticket, submitter, task }))
    return true
  }

  recreate(): void {
    this.#deliver({ type: 'recreate-requested' })
  }

  drain(node: string, isWanted: boolean): void {
    this.#deliver({ type: 'drain-requested', node: node as NodeId, isWanted })
  }

  #ticket(answer: (outcome: Outcome) => void): number {
    this.#tickets += 1
    this.#answers.set(this.#tickets, answer)
    return this.#tickets
  }

  #now(): Instant {
    const { nowMs } = this.#harness.clock
    const wallMs = Math.floor(WALL_START_MS + nowMs + this.wallOffsetMs)
    return { monotonicMs: nowMs - this.#startedMs, wallMs }
  }

  #receive(connection: string, node: NodeId, payload: Uint8Array): void {
    const decoded = decodeUp(payload)
    if (!decoded.ok) throw new Error(`a message of node ${node} is malformed: ${decoded.problem}`)
    this.#harness.witness.received(connection, decoded.message)
    this.#deliver({ type: 'node-message-received', connection, node, message: decoded.message })
  }

  #deliver(event: GatewayEvent): void {
    if (this.#coordinator === undefined) return
    this.#perform(this.#coordinator.step(this.#now(), event))
  }

  #perform(effects: readonly GatewayEffect[]): void {
    const batch: Batch = { records: [], effects: [] }
    for (const effect of effects) {
      if (effect.type === 'persist') {
        batch.records.push(...effect.records)
        this.#harness.witness.effect(effect)
      } else batch.effects.push(effect)
    }
    this.#armTimer()
    if (this.#setUp.releasesBeforeFlush) {
      this.#release(batch.effects.splice(0))
      if (!this.isUp) return
    }
    if (batch.records.length === 0 && this.#queue.length === 0) {
      this.#release(batch.effects)
      return
    }
    this.#queue.push(batch)
    if (!this.#isFlushing) this.#flush()
  }

  /** Group commit: all that waits now goes to disk together; what comes meanwhile waits for the next. */
  #flush(): void {
    const { clock, ledger, random, witness } = this.#harness
    const { flushMinMs, flushMaxMs } = this.#setUp
    const life = this.#life
    const count = this.#queue.length
    const records = this.#queue.flatMap((batch) => batch.records)
    this.#isFlushing = true
    const written = (): void => {
      if (life !== this.#life) return
      ledger.write(records)
      witness.flushed(records)
      const batches = this.#queue.splice(0, count)
      this.#isFlushing = false
      for (const batch of batches) {
        if (life === this.#life) this.#release(batch.effects)
      }
      if (life === this.#life && this.#queue.length > 0 && !this.#isFlushing) this.#flush()
    }
    const waitMs = records.length === 0 ? 0 : random.between(flushMinMs, flushMaxMs)
    clock.after(waitMs, () => this.#whenAwake(written))
  }

  #release(effects: readonly Visible[]): void {
    const life = this.#life
    for (const effect of effects) {
      if (life !== this.#life) return
      if (this.#harness.strikes()) {
        this.crash()
        return
      }
      if (effect.type === 'probe') this.#probe(effect.beat)
      else this.#act(effect)
    }
  }

  /** Its own client beats through the broker, which is slow at times. */
  #probe(beat: number): void {
    const { clock, random } = this.#harness
    const life = this.#life
    const waitMs = random.unit() < 0.02 ? random.between(500, 3000) : random.between(0.2, 5)
    clock.after(waitMs, () => {
      this.#whenAwake(() => {
        if (life === this.#life) this.#deliver({ type: 'probe-returned', beat })
      })
    })
  }

  #act(effect: Exclude<Visible, { type: 'probe' }>): void {
    const { network, witness } = this.#harness
    witness.effect(effect)
    switch (effect.type) {
      case 'send':
        witness.sent(effect.connection, effect.message)
        network.down(effect.connection, encodeMessage(effect.message))
        break
      case 'disconnect':
        network.closeFromGateway(effect.connection)
        break
      case 'publish':
        witness.published(effect)
        break
      case 'answer': {
        const answer = this.#answers.get(effect.ticket)
        if (answer === undefined) throw new Error(`ticket ${effect.ticket} is answered twice`)
        this.#answers.delete(effect.ticket)
        answer(effect.outcome)
        break
      }
      case 'announce-end':
        witness.announced(effect.task, effect.state)
        break
      case 'notice':
        witness.notice(effect.notice)
        break
      case 'admit':
        break
    }
  }

  /** As a timer of the process: whole milliseconds, one at least. */
  #armTimer(): void {
    if (this.#timer !== undefined) this.#timer.isCancelled = true
    const deadlineMs = this.#coordinator?.nextDeadlineMs()
    if (deadlineMs === undefined) return
    const waitMs = Math.max(1, Math.ceil(deadlineMs - this.#now().monotonicMs))
    this.#timer = this.#harness.clock.after(waitMs, () => {
      // One that falls due meanwhile is late when it wakes.
      if (this.#waiting === undefined) this.#deliver({ type: 'deadline-reached' })
    })
  }
}
