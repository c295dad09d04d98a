/**
 * A coordinator on a bench: events by hand, time by hand, and a ledger that has what was persisted. Every
 * step is held to the order of effects.ts: one `persist`, and before anything that may be seen.
 */
import { Coordinator, type CoordinatorOptions, newIdentity } from '../../broker/core/coordinator.ts'
import type { GatewayEffect, LookOutcome, Outcome } from '../../broker/core/effects.ts'
import type { GatewayEvent, Submitter } from '../../broker/core/events.ts'
import type { IdentityRecord } from '../../broker/core/ledger-records.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { OPERATION_NAMES } from '../../shared/operations/catalog.ts'
import {
  type Answer,
  type CoreUp,
  type Down,
  type Hello,
  PROTOCOL_VERSION,
  type Up,
} from '../../shared/protocol/messages.ts'
import { checkReadings } from '../../shared/protocol/readings.ts'
import { CHAIN_START } from '../../shared/protocol/stream-chain.ts'
import { checkSubmission, parseSubmission } from '../../shared/protocol/task.ts'
import { LedgerDisk } from './ledger-disk.ts'
import { singleSends } from './single-sends.ts'

export const BENCH_OPTIONS: CoordinatorOptions = {
  grid: {
    geometry: new Geometry({ width: 16, height: 8, tile: 4 }),
    fields: [{ name: 'value', type: 'f64' }],
  },
  version: '1.2.3',
  replicas: 2,
  virtualNodes: 16,
  loadBound: 1.25,
  heartbeatMs: 2000,
  suspectAfterMs: 6000,
  deadAfterMs: 30_000,
  doubtMaxMs: 600_000,
  massSilenceShare: 0.4,
  reconnectMs: 0,
  probationMs: 60_000,
  lagMs: 2000,
  leaseMs: 15_000,
  minInSync: 1,
  streamWindowBytes: 262_144,
  resendMs: 3000,
  flatMin: 2,
  settleMs: 100,
  graceMs: 10_000,
  returnGraceMs: 1000,
  retentionMs: 24 * 3600 * 1000,
  retentionTasks: 10,
  tasksMax: 1000,
  openBytesMax: 1024 * 1024,
  logBytesMax: 1024 * 1024,
  cellsWindowMs: 1000,
  watches: [],
  moveBytesPerSecond: 1024 * 1024,
  movesMax: 4,
  recoverNodes: 0,
  scrubMs: 60_000,
  copyTimeoutMs: 1000,
  moveDeadlineMs: 60_000,
}

/** A write on one tile of the grid, and a read of it. */
export const ADD = { op: 'add', args: { field: 'value', value: 1 } }
export const TILE_0 = { x: 0, y: 0, w: 4, h: 4 }
export const GET = { op: 'get', region: TILE_0 }

/** What an empty store says of itself. */
export const EMPTY_STORE = {
  storeId: 'new',
  position: 0,
  chain: CHAIN_START,
  seq: 0,
  ledgerId: null,
}

/** What a node would know of itself. */
interface BenchNode {
  connection: string
  session: number
  storeId: string
  boot: number
  process: string
  position: number
  chain: Uint8Array
  seq: number
}

type Sent<T extends Down['t']> = Extract<Down, { t: T }>

/** A message without the session that it is said on. */
type Unsaid<M extends Up> = M extends { session: number } ? Omit<M, 'session'> : never

export const WALL_START_MS = 1_750_000_000_000

export class GatewayBench {
  readonly options: CoordinatorOptions
  readonly ledger = new LedgerDisk()
  readonly nodes = new Map<string, BenchNode>()
  nowMs = 0
  /** How far the wall clock is ahead of time. */
  wallAheadMs = 0
  /** Of the last step or wait. */
  effects: GatewayEffect[] = []
  #coordinator: Coordinator
  #connections = 0
  #tickets = 0
  /** Beats of the gateway's own client come back at once. */
  isProbeAnswered = true

  constructor(options: Partial<CoordinatorOptions> = {}) {
    this.options = { ...BENCH_OPTIONS, ...options }
    this.#coordinator = this.start()
  }

  get view(): ReturnType<Coordinator['view']> {
    return this.#coordinator.view()
  }

  nextDeadlineMs(): number | undefined {
    return this.#coordinator.nextDeadlineMs()
  }

  /** Begins, or begins again, on what the ledger has; connections are gone. */
  start(): Coordinator {
    const identity = newIdentity(this.options, 'ledger')
    const known = this.ledger.get<IdentityRecord>('meta', 'identity')
    this.#coordinator = new Coordinator(this.options, known ?? identity, new Random(1))
    this.effects = []
    this.#take(this.#coordinator.start(this.#now(), this.ledger.load()))
    return this.#coordinator
  }

  step(event: GatewayEvent): GatewayEffect[] {
    this.effects = []
    this.#take(this.#coordinator.step(this.#now(), event))
    return this.effects
  }

  /** Lets time pass; every deadline on the way is met. */
  wait(ms: number): GatewayEffect[] {
    const untilMs = this.nowMs + ms
    this.effects = []
    for (;;) {
      const nextMs = this.#coordinator.nextDeadlineMs()
      if (nextMs === undefined || nextMs > untilMs) break
      this.nowMs = Math.max(this.nowMs, nextMs)
      this.#take(this.#coordinator.step(this.#now(), { type: 'deadline-reached' }))
    }
    this.nowMs = untilMs
    return this.effects
  }

  node(name: string): BenchNode {
    return this.nodes.get(name)!
  }

  /** A new connection and its hello; what is not said differently is as the node last was. */
  hello(name: string, over: Partial<Hello> = {}): GatewayEffect[] {
    this.#connections += 1
    const connection = `${name}-${this.#connections}`
    const known = this.nodes.get(name)
    const node = known ?? {
      connection,
      session: 0,
      storeId: `store-${name}`,
      boot: 1,
      process: `process-${name}`,
      position: 0,
      chain: CHAIN_START,
      seq: 0,
    }
    const message: Hello = {
      t: 'hello',
      version: PROTOCOL_VERSION,
      node: name,
      storeId: node.storeId,
      boot: node.boot,
      process: node.process,
      ledgerId: known === undefined ? null : 'ledger',
      position: node.position,
      chain: node.chain,
      seq: node.seq,
      weight: 1,
      operations: [...OPERATION_NAMES],
      grid: null,
      ...over,
    }
    this.receive(connection, name, message)
    const [welcome] = this.sent('welcome', connection)
    if (welcome !== undefined) {
      const { storeId, process, position, chain, seq, boot } = message
      const { session } = welcome
      this.nodes.set(name, {
        connection,
        session,
        storeId,
        process,
        position,
        chain,
        seq,
        boot,
      })
    }
    return this.effects
  }

  /** How many connections there were: the last one's number. */
  get connections(): number {
    return this.#connections
  }

  /** These join, and the fleet settles. */
  join(...names: string[]): void {
    for (const name of names) this.hello(name)
    this.wait(this.options.settleMs)
  }

  receive(connection: string, node: string, message: CoreUp): GatewayEffect[] {
    const type = 'node-message-received'
    const event = { type, connection, node: node as NodeId, message } as const
    const answer = this.#coordinator.beat(this.#now(), event)
    if (answer === undefined) return this.step(event)
    this.effects = [answer]
    return this.effects
  }

  /** On the node's present session. */
  say(name: string, message: Unsaid<CoreUp>): GatewayEffect[] {
    const { connection, session } = this.node(name)
    return this.receive(connection, name, { ...message, session } as CoreUp)
  }

  /** Time passes, and these nodes are heard in it. */
  live(ms: number, names: readonly string[] = [...this.nodes.keys()]): GatewayEffect[] {
    const effects: GatewayEffect[] = []
    for (let left = ms; left > 0; left -= this.options.heartbeatMs) {
      effects.push(...this.wait(Math.min(left, this.options.heartbeatMs)))
      for (const name of names) effects.push(...this.beat(name))
    }
    this.effects = effects
    return effects
  }

  close(name: string): GatewayEffect[] {
    return this.step({ type: 'connection-closed', connection: this.node(name).connection })
  }

  beat(name: string): GatewayEffect[] {
    const { connection, session } = this.node(name)
    return this.receive(connection, name, { t: 'heartbeat', session, beat: 1 })
  }

  /** The node has these entries on disk, and says so. */
  apply(name: string, entries: Sent<'entries'>['entries']): GatewayEffect[] {
    const node = this.node(name)
    const last = entries.at(-1)
    if (last !== undefined) {
      const { position, chain, seq } = last
      Object.assign(node, { position, chain, seq })
    }
    const { connection, session, position, chain } = node
    return this.receive(connection, name, { t: 'applied', session, position, chain, results: [] })
  }

  answer(name: string, read: Sent<'read'>, over: Partial<Answer>): GatewayEffect[] {
    const { connection, position, seq } = this.node(name)
    const { task, part, attempt } = read
    const answer = { t: 'answer', task, part, attempt, position, seq, ms: 1, ...over } as const
    return this.receive(connection, name, answer)
  }

  submit(
    task: Record<string, unknown>,
    submitter: Partial<Submitter> = {},
    more: { readonly lacksRecipient?: boolean } = {},
  ): Outcome {
    this.#tickets += 1
    const payload = Buffer.from(JSON.stringify(task))
    this.step({
      type: 'task-submitted',
      ticket: this.#tickets,
      submitter: { via: 'mqtt', client: 'tester', ...submitter },
      result: parseSubmission(payload, { ...this.options.grid, codex: this.view.codex }),
      ...more,
    })
    return this.#outcome()
  }

  cancel(task: string): Outcome {
    this.#tickets += 1
    const submitter = { via: 'http', client: 'tester' } as const
    const ticket = this.#tickets
    this.step({ type: 'cancel-requested', ticket, submitter, task: task as TaskId })
    return this.#outcome()
  }

  /** Readings of a field, each `[x, y, number]`; returns the ticket, of one that waits. */
  read(
    entries: readonly (readonly [number, number, number])[],
    over: {
      readonly field?: string
      readonly ts?: number
      readonly qos?: 0 | 1
      readonly submitter?: Partial<Submitter>
    } = {},
  ): number | undefined {
    const { field = this.options.grid.fields[0]!.name, ts, qos = 1, submitter = {} } = over
    const ticket = qos === 0 ? undefined : ++this.#tickets
    this.step({
      type: 'readings-received',
      ...(ticket === undefined ? {} : { ticket }),
      submitter: { via: 'mqtt', client: 'sensor', ...submitter },
      topic: `obelisk/v1/cell/${field}`,
      results: [checkReadings({ field, entries }, this.options.grid, ts)],
    })
    return ticket
  }

  /** Tickets of readings that the last step, or wait, acknowledged. */
  acknowledged(): number[] {
    return this.effects.flatMap((effect) =>
      effect.type === 'answer-reading' ? [effect.ticket] : [],
    )
  }

  /** Returns the ticket: what is answered, now or later, stands among the effects. */
  look(wish: object, client = 'tester', isOnce = false): number {
    this.#tickets += 1
    const result = checkSubmission(wish, { ...this.options.grid, codex: this.view.codex })
    this.step({ type: 'look-requested', ticket: this.#tickets, client, isOnce, result })
    return this.#tickets
  }

  /** What the last step answered to a look. */
  shown(ticket: number): LookOutcome | undefined {
    const answers = this.effects.flatMap((effect) =>
      effect.type === 'answer-look' && effect.ticket === ticket ? [effect.outcome] : [],
    )
    if (answers.length > 1) throw new Error(`${answers.length} answers to one look`)
    return answers[0]
  }

  task(id: string): { state: string; effect?: string; error?: { code: string } } | undefined {
    return this.view.task(id as TaskId)
  }

  sent<T extends Down['t']>(t: T, connection?: string): Sent<T>[] {
    return this.effects.flatMap((effect) =>
      effect.type === 'send' &&
      effect.message.t === t &&
      (connection === undefined || connection === effect.connection)
        ? [effect.message as Sent<T>]
        : [],
    )
  }

  /** All entries that the last step sent to a node. */
  entriesTo(name: string): Sent<'entries'>['entries'] {
    return this.sent('entries', this.node(name).connection).flatMap(({ entries }) => entries)
  }

  /** The same of all nodes, by their connections: of many, each would look through the effects of all. */
  entriesByConnection(): Map<string, Sent<'entries'>['entries'][number][]> {
    const sent = new Map<string, Sent<'entries'>['entries'][number][]>()
    for (const effect of this.effects) {
      if (effect.type !== 'send' || effect.message.t !== 'entries') continue
      const before = sent.get(effect.connection)
      if (before === undefined) sent.set(effect.connection, [...effect.message.entries])
      else before.push(...effect.message.entries)
    }
    return sent
  }

  readsTo(name: string): Sent<'read'>[] {
    return this.sent('read', this.node(name).connection)
  }

  notices(code: string): Record<string, unknown>[] {
    return this.effects.flatMap((effect) =>
      effect.type === 'notice' && effect.notice.code === code ? [{ ...effect.notice.fields }] : [],
    )
  }

  disconnects(): string[] {
    return this.effects.flatMap((effect) =>
      effect.type === 'disconnect' ? [`${effect.connection} ${effect.reason}`] : [],
    )
  }

  #now(): { monotonicMs: number; wallMs: number } {
    return {
      monotonicMs: this.nowMs,
      wallMs: WALL_START_MS + Math.floor(this.nowMs) + this.wallAheadMs,
    }
  }

  #outcome(): Outcome {
    const answers = this.effects.filter((effect) => effect.type === 'answer')
    if (answers.length !== 1) throw new Error(`${answers.length} answers to one ticket`)
    return answers[0]!.outcome
  }

  #take(effects: readonly GatewayEffect[]): void {
    effects.forEach((effect, index) => {
      if (effect.type !== 'persist') return
      if (index > 0) throw new Error('something may be seen before what is persisted')
      this.ledger.write(effect.records)
    })
    this.effects.push(...singleSends(effects).filter(({ type }) => type !== 'probe'))
    for (const effect of effects) {
      if (effect.type !== 'probe' || !this.isProbeAnswered) continue
      const { beat } = effect
      this.#take(this.#coordinator.step(this.#now(), { type: 'probe-returned', beat }))
    }
  }
}

/** Two nodes that both hold tile 0, with one write done. */
export function settledPair(options: Partial<CoordinatorOptions> = {}): GatewayBench {
  const bench = new GatewayBench(options)
  bench.join('a', 'b')
  bench.submit({ id: 'first', ...ADD, region: TILE_0 })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  bench.apply('a', toA)
  bench.apply('b', toB)
  return bench
}

/** A partial result as a node gives it for a `get` of one tile. */
export function cells(tile: number, value: number): Record<string, unknown> {
  return {
    tiles: new Uint8Array(Uint32Array.of(tile).buffer),
    status: new Uint8Array(16),
    columns: [new Uint8Array(new Float64Array(16).fill(value).buffer)],
  }
}

/** The node that a read went to, and the other one. */
export function readerOf(bench: GatewayBench): { reader: string; other: string } {
  const reader = [...bench.nodes.keys()].find((name) => bench.readsTo(name).length > 0)!
  return { reader, other: [...bench.nodes.keys()].find((name) => name !== reader)! }
}
