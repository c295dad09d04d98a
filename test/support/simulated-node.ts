/**
 * A node's process around the real agent core: the contract of its driver on simulated disk, network
 * and time. Effects are performed in order; applying and reading go on beside them, one job after
 * the other. A crash at any effect loses what is not on disk; a frozen node sleeps through its events.
 */
import type { Agent } from '../../firmware-agent/core/agent.ts'
import type { AgentOptions } from '../../firmware-agent/core/agent-options.ts'
import type { AgentEffect, IncomingPage } from '../../firmware-agent/core/effects.ts'
import type { AgentEvent } from '../../firmware-agent/core/events.ts'
import { Random } from '../../shared/core/random.ts'
import {
  type Answer,
  type Copy,
  type Down,
  decodeDown,
  type Entry,
  encodeMessage,
  type Read,
} from '../../shared/protocol/messages.ts'
import type { Appointment, SimulatedClock } from './simulated-clock.ts'
import type { NodeEnd, SimulatedNetwork } from './simulated-network.ts'
import { type SimulatedStore, StoreTrouble } from './simulated-store.ts'

export type AgentClass = typeof Agent

export interface NodeWitness {
  effect(node: string, effect: AgentEffect): void
  received(node: string, message: Down): void
  /** These tiles changed on the node's disk. */
  committed(node: SimulatedNode, tiles: readonly number[]): void
  exited(node: string, code: number): void
}

export interface NodeHarness {
  readonly clock: SimulatedClock
  readonly network: SimulatedNetwork
  readonly random: Random
  readonly witness: NodeWitness
  strikes(): boolean
  /** Whether the disk refuses the next commit. */
  diskFails(): boolean
  /** Whether a crash now tears the commit that runs. */
  tears(): boolean
}

export interface NodeSetUp {
  readonly Agent: AgentClass
  readonly options: Omit<AgentOptions, 'process'>
  readonly flushMinMs: number
  readonly flushMaxMs: number
  /** A mutant: entries count as applied before they are on disk. */
  readonly reportsBeforeFlush: boolean
  /** A mutant: a read does not wait for its place in the stream. */
  readonly ignoresAfter: boolean
}

type Job =
  | { readonly kind: 'apply'; readonly entries: readonly Entry[] }
  | { readonly kind: 'read'; readonly read: Read; isCancelled: boolean }
  | { readonly kind: 'other'; readonly run: () => void }

/** Effects that the next ones wait for. */
const DURABLE: readonly AgentEffect['type'][] = ['adopt', 'store-answers', 'wipe', 'rebase']

export class SimulatedNode {
  readonly #setUp: NodeSetUp
  readonly #harness: NodeHarness
  readonly store: SimulatedStore
  #agent: Agent | undefined
  #life = 0
  #startedMs = 0
  #end: NodeEnd | undefined
  #connection: string | undefined
  #effects: AgentEffect[] = []
  #isPerforming = false
  #jobs: Job[] = []
  #isWorking = false
  #timer: Appointment | undefined
  #frozenUntilMs = 0
  /** The damaged tiles, as the core knows them. */
  #broken = ''
  /** How much longer its disk takes. */
  slowness = 1

  constructor(setUp: NodeSetUp, store: SimulatedStore, harness: NodeHarness) {
    this.#setUp = setUp
    this.store = store
    this.#harness = harness
  }

  get id(): string {
    return this.#setUp.options.node
  }

  get isUp(): boolean {
    return this.#agent !== undefined
  }

  get isAdmitted(): boolean {
    return this.#agent?.isAdmitted ?? false
  }

  get outboxRecords(): number {
    return this.#agent?.counts.outbox.records ?? 0
  }

  start(): void {
    const { clock, random } = this.#harness
    const { Agent, options } = this.#setUp
    this.#life += 1
    this.#startedMs = clock.nowMs - random.integer(1000)
    const process = `p${random.uint32().toString(16)}`
    const stored = this.store.start()
    this.#broken = stored.broken.join()
    this.#agent = new Agent({ ...options, process }, stored, new Random(random.uint32()))
    const life = this.#life
    const guarded = (act: () => void): void => this.#whenAwake(life, act)
    this.#end = {
      node: this.id,
      connected: (connection) =>
        guarded(() => {
          if (connection === this.#connection) this.#deliver({ type: 'connected' })
        }),
      received: (connection, payload) =>
        guarded(() => {
          if (connection === this.#connection) this.#receive(payload)
        }),
      closed: (connection, reason) =>
        guarded(() => {
          if (connection !== this.#connection) return
          this.#connection = undefined
          this.#deliver({ type: 'disconnected', reason })
        }),
    }
    this.#deliver({ type: 'deadline-reached' })
  }

  /** `isSilent`: nobody is there to close the connection. */
  crash({ isSilent = false } = {}): void {
    if (!this.isUp) return
    const job = this.#jobs[0]
    if (this.#isWorking && job?.kind === 'apply' && this.#harness.tears()) this.#tear(job.entries)
    this.#life += 1
    this.#agent = undefined
    this.#connection = undefined
    this.#effects = []
    this.#isPerforming = false
    this.#jobs = []
    this.#isWorking = false
    this.#frozenUntilMs = 0
    if (this.#timer !== undefined) this.#timer.isCancelled = true
    if (this.#end !== undefined) {
      this.#harness.network.closeFromNode(this.#end, { isSilent, isDead: true })
    }
  }

  /** The process stands still; its events wait. */
  freeze(untilMs: number): void {
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, untilMs)
  }

  stop(): void {
    this.#deliver({ type: 'stop-requested' })
  }

  #whenAwake(life: number, act: () => void): void {
    if (life !== this.#life) return
    if (this.#frozenUntilMs <= this.#harness.clock.nowMs) act()
    else this.#harness.clock.at(this.#frozenUntilMs, () => this.#whenAwake(life, act))
  }

  #receive(payload: Uint8Array): void {
    const decoded = decodeDown(payload)
    if (!decoded.ok)
      throw new Error(`a message to node ${this.id} is malformed: ${decoded.problem}`)
    const { message } = decoded
    this.#harness.witness.received(this.id, message)
    const isEased = message.t === 'read' && this.#setUp.ignoresAfter
    this.#deliver({
      type: 'message-received',
      message: isEased ? { ...message, after: 0 } : message,
    })
  }

  #deliver(event: AgentEvent): void {
    if (this.#agent === undefined) return
    const { nowMs } = this.#harness.clock
    const now = { monotonicMs: nowMs - this.#startedMs, wallMs: Math.floor(nowMs) }
    this.#effects.push(...this.#agent.step(now, event))
    this.#armTimer()
    if (!this.#isPerforming) this.#performAll()
  }

  #armTimer(): void {
    if (this.#timer !== undefined) this.#timer.isCancelled = true
    const deadlineMs = this.#agent?.nextDeadlineMs()
    if (deadlineMs === undefined) return
    const { clock } = this.#harness
    const waitMs = Math.max(1, Math.ceil(deadlineMs - (clock.nowMs - this.#startedMs)))
    const life = this.#life
    this.#timer = clock.after(waitMs, () =>
      this.#whenAwake(life, () => this.#deliver({ type: 'deadline-reached' })),
    )
  }

  #performAll(): void {
    this.#isPerforming = true
    const life = this.#life
    for (let effect = this.#effects.shift(); effect !== undefined; effect = this.#effects.shift()) {
      if (this.#harness.strikes()) {
        this.crash()
        return
      }
      this.#harness.witness.effect(this.id, effect)
      if (DURABLE.includes(effect.type)) {
        this.#persist(effect)
        return
      }
      this.#act(effect)
      if (life !== this.#life) return
    }
    this.#isPerforming = false
  }

  /** Performs an effect that must be on disk before the next one begins. */
  #persist(effect: AgentEffect): void {
    if (effect.type === 'wipe') {
      this.#enqueue({
        kind: 'other',
        run: () => {
          const { storeId, boot } = this.store.wipe()
          this.#broken = ''
          this.#deliver({ type: 'store-wiped', storeId, boot })
          this.#performAll()
        },
      })
      return
    }
    if (effect.type === 'rebase') {
      this.#enqueue({
        kind: 'other',
        run: () => {
          this.store.rebase(effect.ledgerId, effect.keep)
          this.#broken = ''
          this.#deliver({ type: 'store-rebased', ledgerId: effect.ledgerId })
          this.#performAll()
        },
      })
      return
    }
    this.#later(() => {
      if (effect.type === 'adopt') this.store.adopt(effect.ledgerId, effect.grid)
      if (effect.type === 'store-answers') {
        for (const answer of effect.answers) this.store.storeAnswer(answer)
      }
      this.#performAll()
    })
  }

  #act(effect: AgentEffect): void {
    const { network, witness } = this.#harness
    switch (effect.type) {
      case 'connect':
        this.#connection = network.connect(this.#end!)
        break
      case 'disconnect':
        network.closeFromNode(this.#end!)
        break
      case 'send':
        if (this.#connection !== undefined) {
          network.up(this.#connection, encodeMessage(effect.message))
        }
        break
      case 'apply':
        this.#enqueue({ kind: 'apply', entries: effect.entries })
        break
      case 'read':
        this.#enqueue({ kind: 'read', read: effect.read, isCancelled: false })
        break
      case 'cancel-reads':
        for (const job of this.#jobs) {
          if (job.kind === 'read' && job.read.task === effect.task) job.isCancelled = true
        }
        break
      case 'forget-results':
        this.store.forgetResults(effect.position)
        break
      case 'forget-answers':
        this.store.forgetAnswers(effect.answers)
        break
      case 'list-pages':
        this.#enqueue({ kind: 'other', run: () => this.#list(effect.from) })
        break
      case 'copy-page':
        this.#enqueue({ kind: 'other', run: () => this.#copy(effect.copy) })
        break
      case 'stage-pages':
        this.#enqueue({ kind: 'other', run: () => this.#stage(effect.pages) })
        break
      case 'discard-page':
        this.#enqueue({ kind: 'other', run: () => this.store.discard(effect.tile) })
        break
      case 'examine-pages':
        this.#enqueue({ kind: 'other', run: () => this.#examine(effect.tiles) })
        break
      case 'look-for-room':
        this.#enqueue({
          kind: 'other',
          run: () => this.#deliver({ type: 'room-looked', isRoom: true, message: 'there is room' }),
        })
        break
      case 'exit':
        this.crash()
        witness.exited(this.id, effect.code)
        break
      default:
        break
    }
  }

  #copy(copy: Copy): void {
    try {
      const page = this.store.copy(copy)
      this.#deliver({ type: 'page-copied', copy, page })
    } catch (error) {
      if (!(error instanceof StoreTrouble)) throw error
      this.#reportBroken()
      this.#deliver({ type: 'copy-failed', copy, code: error.code, message: error.message })
    }
  }

  #stage(pages: readonly IncomingPage[]): void {
    if (this.#harness.diskFails()) {
      const message = 'the disk is full'
      this.#deliver({ type: 'staging-failed', pages, code: 'store-full', message })
      return
    }
    this.#deliver({ type: 'pages-staged', pages: this.store.stage(pages) })
  }

  #list(from: number): void {
    const listed = this.store.list(from)
    this.#reportBroken()
    this.#deliver({ type: 'pages-listed', from, ...listed })
  }

  #examine(tiles: Uint32Array): void {
    const pages = this.store.examine(tiles)
    this.#reportBroken()
    this.#deliver({ type: 'pages-examined', pages })
  }

  /** As the driver does: before anything else is said. */
  #reportBroken(): void {
    const tiles = [...this.store.broken]
    if (tiles.join() === this.#broken) return
    this.#broken = tiles.join()
    this.#deliver({ type: 'pages-broken', tiles })
  }

  #enqueue(job: Job): void {
    this.#jobs.push(job)
    if (!this.#isWorking) this.#work()
  }

  #work(): void {
    const job = this.#jobs[0]
    this.#isWorking = job !== undefined
    if (job?.kind === 'apply') this.#apply(job.entries)
    else if (job?.kind === 'read') {
      this.#later(() => {
        const answer = job.isCancelled ? undefined : this.#answer(job.read)
        this.#jobDone()
        this.#reportBroken()
        if (answer !== undefined) this.#deliver({ type: 'read-finished', answer })
      })
    } else if (job?.kind === 'other') {
      const life = this.#life
      this.#later(() => {
        job.run()
        if (life === this.#life) this.#jobDone()
      })
    }
  }

  #jobDone(): void {
    this.#jobs.shift()
    this.#work()
  }

  #apply(entries: readonly Entry[]): void {
    const trouble = this.#harness.diskFails()
      ? new StoreTrouble('store-full', 'the disk is full')
      : undefined
    const sound = trouble === undefined ? entries : entries.slice(0, entries.length >> 1)
    const report = (): void => {
      const { mark, results } = prepared
      this.#reportBroken()
      this.#deliver({ type: 'entries-applied', mark, results })
      if (trouble === undefined) return
      this.#deliver({ type: 'apply-failed', code: trouble.code, message: trouble.message })
    }
    // An entry out of order throws, and fails the run: the core hands them out in order.
    const prepared = this.store.prepare(sound)
    if (this.#setUp.reportsBeforeFlush) report()
    this.#later(() => {
      this.store.commit(prepared)
      this.#harness.witness.committed(this, [...prepared.pages.keys()])
      this.#jobDone()
      if (!this.#setUp.reportsBeforeFlush) report()
    })
  }

  #tear(entries: readonly Entry[]): void {
    const prepared = this.store.prepare(entries)
    this.store.tear(prepared)
    this.#harness.witness.committed(this, [...prepared.pages.keys()])
  }

  #answer(read: Read): Answer {
    const { task, part, attempt } = read
    const { position, seq } = this.store.mark
    const head = { t: 'answer', task, part, attempt, position, seq, ms: 1 } as const
    try {
      return { ...head, value: this.store.read(read) }
    } catch (error) {
      if (!(error instanceof StoreTrouble)) throw error
      return { ...head, error: { code: error.code, message: error.message } }
    }
  }

  /** After the time that this node's disk takes, if it still lives then. */
  #later(act: () => void): void {
    const { clock, random } = this.#harness
    const { flushMinMs, flushMaxMs } = this.#setUp
    const life = this.#life
    clock.after(random.between(flushMinMs, flushMaxMs) * this.slowness, () =>
      this.#whenAwake(life, () => {
        if (life === this.#life) act()
      }),
    )
  }
}
