/**
 * A coordinator in memory with a fleet of any size on it, driven as the gateway's driver drives it:
 * messages are encoded and decoded, time is given, effects are looked at and not performed. Options
 * are the defaults of the gateway.
 */
import { GATEWAY_OPTIONS, type GatewayConfig } from '../../broker/config.ts'
import { coordinatorOptions } from '../../broker/coordinator-options.ts'
import {
  Coordinator,
  type CoordinatorOptions,
  newIdentity,
  newLedgerId,
} from '../../broker/core/coordinator.ts'
import type { GatewayEffect } from '../../broker/core/effects.ts'
import type { GatewayEvent, Instant } from '../../broker/core/events.ts'
import { LEDGER_TABLES, type LedgerContents } from '../../broker/core/ledger-records.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import type { GridSize } from '../../shared/grid/geometry.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import {
  type Applied,
  type CoreUp,
  decodeDown,
  decodeUp,
  encodeMessage,
  type Hello,
} from '../../shared/protocol/messages.ts'
import { parseSubmission, type SubmissionResult } from '../../shared/protocol/task.ts'
import type { Option } from '../../shared/runtime/option-table.ts'
import { EMPTY_MARK, helloOf, nodeIdOf } from './light-node.ts'

const SETTLE_MS = 500
const GRACE_MS = 10_000
const SUBMITTER = { via: 'http', client: 'bench' } as const

export interface FleetOptions {
  readonly grid: GridSize
  readonly replicas: number
  readonly nodes: number
}

export class FleetInMemory {
  readonly coordinator: Coordinator
  readonly grid: GridContext
  readonly #nodes: number
  /** Where the stores of the nodes stand, once they have applied something. */
  readonly #marks = new Map<number, Pick<Applied, 'position' | 'chain'>>()
  /** As a gateway has them: not made anew for each message. */
  readonly #names: { readonly connection: string; readonly node: NodeId }[] = []
  #nowMs = 0
  #tickets = 0

  constructor({ grid, replicas, nodes }: FleetOptions) {
    const random = new Random(1)
    const options = optionsOf(grid, replicas)
    this.grid = options.grid
    this.#nodes = nodes
    const identity = newIdentity(options, newLedgerId(random))
    this.coordinator = new Coordinator(options, identity, random)
    const empty = Object.fromEntries(LEDGER_TABLES.map((table) => [table, []]))
    this.coordinator.start(this.#now, empty as unknown as LedgerContents)
    // Past the grace after a start: from here on, who is away is known to be away.
    this.#nowMs += GRACE_MS
  }

  /** Every node says hello on a connection of its own. */
  admitAll(): GatewayEffect[] {
    const effects: GatewayEffect[] = []
    for (let index = 0; index < this.#nodes; index++) effects.push(...this.admit(index))
    return effects
  }

  admit(index: number): GatewayEffect[] {
    return this.receive(index, this.helloOf(index))
  }

  helloOf(index: number): Hello {
    const { position, chain } = this.#marks.get(index) ?? EMPTY_MARK
    return helloOf(nodeIdOf(index), { position, chain, seq: 0 })
  }

  /** Lets time pass until the fleet has settled; the ring is published on the way. */
  settle(): GatewayEffect[] {
    this.#nowMs += SETTLE_MS
    return this.step({ type: 'deadline-reached' })
  }

  /** Does what is due at this moment, until nothing is. */
  calm(): void {
    while ((this.coordinator.nextDeadlineMs() ?? Infinity) <= this.#nowMs) {
      this.step({ type: 'deadline-reached' })
    }
  }

  /** Time goes by; what falls due in it is done at the next event, or by `settle`. */
  pass(ms: number): void {
    this.#nowMs += ms
  }

  parse(body: Record<string, unknown>): SubmissionResult {
    return parseSubmission(Buffer.from(JSON.stringify(body)), this.grid)
  }

  submit(result: SubmissionResult): GatewayEffect[] {
    this.#tickets += 1
    return this.step({
      type: 'task-submitted',
      ticket: this.#tickets,
      submitter: SUBMITTER,
      result,
    })
  }

  cancel(task: string): GatewayEffect[] {
    return this.step({ type: 'cancel-requested', submitter: SUBMITTER, task: task as TaskId })
  }

  closeConnection(index: number): GatewayEffect[] {
    return this.step({ type: 'connection-closed', connection: connectionOf(index) })
  }

  receive(index: number, message: CoreUp): GatewayEffect[] {
    return this.take(index, encodeMessage(message))
  }

  /** What a node has encoded. */
  take(index: number, payload: Uint8Array): GatewayEffect[] {
    const decoded = decodeUp(payload)
    if (!decoded.ok) throw new Error(decoded.problem)
    const message = decoded.message as CoreUp
    if (message.t === 'applied') this.#marks.set(index, message)
    const type = 'node-message-received'
    const names = (this.#names[index] ??= {
      connection: connectionOf(index),
      node: nodeIdOf(index),
    })
    const event = { type, ...names, message } as const
    const answer = this.coordinator.beat(this.#now, event)
    return answer === undefined ? this.step(event) : [answer]
  }

  get #now(): Instant {
    return { monotonicMs: this.#nowMs, wallMs: 1_700_000_000_000 + this.#nowMs }
  }

  step(event: GatewayEvent): GatewayEffect[] {
    return this.coordinator.step(this.#now, event)
  }
}

/** The task that a submission became. */
export function taskOf(effects: readonly GatewayEffect[]): TaskId {
  const answer = effects.find((effect) => effect.type === 'answer')
  if (!answer?.outcome.ok) throw new Error('the task was not accepted')
  return answer.outcome.task
}

/** Of those who are welcomed. */
export function sessionsIn(effects: readonly GatewayEffect[]): number[] {
  return effects.flatMap((effect) =>
    effect.type === 'send' && effect.message.t === 'welcome' ? [effect.message.session] : [],
  )
}

/** What each node answers once it has the entries of a message on disk; who is sent none, does not. */
export function appliedTo(effects: readonly GatewayEffect[]): Map<number, Applied> {
  const applied = new Map<number, Applied>()
  for (const effect of effects) {
    if (effect.type !== 'send-round') continue
    const { round, from, to } = effect
    for (let at = from; at < to; at++) {
      const decoded = decodeDown(round.payloadOf(at))
      if (!decoded.ok) throw new Error(decoded.problem)
      if (decoded.message.t !== 'entries') continue
      const { session, entries } = decoded.message
      const { position, chain } = entries.at(-1)!
      const index = Number(round.connectionOf(at).slice(-5))
      applied.set(index, { t: 'applied', session, position, chain, results: [] })
    }
  }
  return applied
}

export function connectionOf(index: number): string {
  return `connection-${nodeIdOf(index)}`
}

/** The gateway's own, by default; nothing is looked through and nobody is given up meanwhile. */
function optionsOf(grid: GridSize, replicas: number): CoordinatorOptions {
  const defaults = Object.entries<Option<unknown>>(GATEWAY_OPTIONS).map(([name, option]) => [
    name,
    option.default,
  ])
  const { width, height, tile } = grid
  const own = { grid: { width, height }, tile, replicas, recoverNodes: 0, watches: [], inputs: [] }
  const config = { ...Object.fromEntries(defaults), ...own } as unknown as GatewayConfig
  const quiet = { scrubMs: 3_600_000, graceMs: GRACE_MS, returnGraceMs: GRACE_MS }
  return { ...coordinatorOptions(config, undefined), ...quiet }
}
