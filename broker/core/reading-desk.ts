/**
 * The door for readings: which of them are taken, who is told of those that are not, and when the others are
 * acknowledged. Whoever was refused is acknowledged, too: to send it again would not help. He is told why on
 * `task/rejected`, at most once a second; all are counted.
 */
import { identityOf } from '../../shared/protocol/access.ts'
import type { Readings } from '../../shared/protocol/readings.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import type { Refusal } from './effects.ts'
import type { GatewayEvent, Ticket } from './events.ts'
import { ungrantedCells } from './grants.ts'
import { ReadingRates } from './reading-rates.ts'
import { fleetRefusal, publishRefusal, refusalOf } from './submissions.ts'

const TOLD_MS = 1000
/** Clients of whom it is known when they were told. */
const TOLD_MAX = 1024
/** Acknowledgements that wait are due together, as often as this. */
const SLOT_MS = 20

type Received = Extract<GatewayEvent, { type: 'readings-received' }>

const TOO_MANY: Refusal = { code: 'overloaded', message: 'more readings a second than are taken' }

export class ReadingDesk {
  readonly #context: CoordinatorContext
  readonly #rates = new ReadingRates()
  readonly #refused = new Map<string, number>()
  /** By client; who was told last stands last. */
  readonly #toldMs = new Map<string, number>()
  /** By the time at which they are due. */
  readonly #slots = new Map<number, Ticket[]>()

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  get refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused)
  }

  /** One is not taken, for this reason. */
  count(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1)
  }

  /**
   * Returns how many ms the acknowledgement of a reading is to wait; nothing when it is not taken. `refusalFor` says
   * why there is no room.
   */
  admit(
    event: Received,
    refusalFor: (readings: Readings) => Refusal | undefined,
  ): number | undefined {
    const { result, submitter, ticket } = event
    const { client, isBridge } = submitter
    const cells = result.ok ? result.readings.cells.length : 1
    const mayWait = ticket !== undefined
    const isOfMany = isBridge === true
    const waitMs = this.#rates.take(this.#context.nowMs, { client, isOfMany, cells, mayWait })
    const refusal =
      waitMs === undefined
        ? TOO_MANY
        : result.ok
          ? (this.#denialOf(event, result.readings) ??
            fleetRefusal(this.#context) ??
            refusalFor(result.readings))
          : refusalOf(result.problems)
    if (refusal === undefined) return waitMs
    this.#refuse(event, refusal)
    return undefined
  }

  /** Once what it was about is in the ledger. */
  answer(ticket: Ticket, earliestMs: number): void {
    const { nowMs, deadlines } = this.#context
    if (earliestMs <= nowMs) {
      this.#context.emit({ type: 'answer-reading', ticket })
      return
    }
    const dueMs = Math.ceil(earliestMs / SLOT_MS) * SLOT_MS
    const slot = this.#slots.get(dueMs)
    if (slot !== undefined) {
      slot.push(ticket)
      return
    }
    this.#slots.set(dueMs, [ticket])
    deadlines.set(`readings/${dueMs}`, dueMs, () => {
      for (const due of this.#slots.get(dueMs)!) {
        this.#context.emit({ type: 'answer-reading', ticket: due })
      }
      this.#slots.delete(dueMs)
    })
  }

  #denialOf({ submitter: { user } }: Received, readings: Readings): Refusal | undefined {
    if (user === undefined) return undefined
    const problems = ungrantedCells(user, readings, this.#context.options.grid)
    return problems.length === 0 ? undefined : refusalOf(problems)
  }

  #refuse({ submitter, ticket, topic }: Received, refusal: Refusal): void {
    const { client, user, via } = submitter
    if (ticket !== undefined) this.#context.emit({ type: 'answer-reading', ticket })
    this.count(refusal.code)
    if (!this.#mayTell(client)) return
    this.#context.notice('warn', 'cell-refused', refusal.message, {
      ...{ client, via, topic, reason: refusal.code },
      ...(user === undefined ? {} : { by: identityOf(user) }),
    })
    publishRefusal(this.#context, { client, topic }, submitter, refusal)
  }

  #mayTell(client: string): boolean {
    const { nowMs } = this.#context
    if (nowMs - (this.#toldMs.get(client) ?? Number.NEGATIVE_INFINITY) < TOLD_MS) return false
    this.#toldMs.delete(client)
    this.#toldMs.set(client, nowMs)
    if (this.#toldMs.size > TOLD_MAX) {
      const [oldest] = this.#toldMs.keys()
      this.#toldMs.delete(oldest!)
    }
    return true
  }
}
