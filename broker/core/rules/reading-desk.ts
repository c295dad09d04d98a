/**
 * The door for readings: which of them are taken, who is told of those that are not, and when the others are
 * acknowledged. Whoever was refused is acknowledged, too: to send it again would not help. He is told why on
 * `task/rejected`, at most once a second, and so is the operator of each user; all are counted.
 */
import { LatestMap } from '../../../shared/core/latest-map.ts'
import { identityOf } from '../../../shared/protocol/access.ts'
import type { Readings } from '../../../shared/protocol/readings.ts'
import type { Refusal } from '../effects.ts'
import type { ReadingsReceived, Ticket } from '../events.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { ungrantedCells } from './grants.ts'
import { sharerOf } from './reading-shares.ts'
import { fleetRefusal, publishRefusal, refusalOf } from './submissions.ts'

const TOLD_MS = 1000
/** Clients, and users, of whom it is known when they were told, or told of. */
const TOLD_MAX = 1024
/** Acknowledgements that wait are due together, as often as this. */
const SLOT_MS = 20

const TOO_MANY: Refusal = { code: 'overloaded', message: 'more readings a second than are taken' }

export class ReadingDesk {
  readonly #context: CoordinatorContext
  readonly #refused = new Map<string, number>()
  /** By client; who was told last stands last. */
  readonly #toldMs = new LatestMap<string, number>(TOLD_MAX)
  /** By user, whose clients may be many. */
  readonly #toldOfMs = new LatestMap<string, number>(TOLD_MAX)
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
   * Returns what is taken of a message, and how many ms its acknowledgement is to wait; nothing when none of it is.
   * `refusalFor` says why there is no room.
   */
  admit(
    event: ReadingsReceived,
    refusalFor: (readings: readonly Readings[]) => Refusal | undefined,
  ): { readonly readings: readonly Readings[]; readonly waitMs: number } | undefined {
    const { results, ticket, waitMs = 0 } = event
    if (results === 'too-many') return this.#refuse(event, TOO_MANY)
    if (results.length === 0) {
      if (ticket !== undefined) this.answer(ticket, this.#context.nowMs + waitMs)
      return undefined
    }
    const readings = results.flatMap((result) => (result.ok ? [result.readings] : []))
    const problems = results.flatMap((result) => (result.ok ? [] : result.problems))
    if (readings.length === 0) return this.#refuse(event, refusalOf(problems))
    const refusal = this.#denialOf(event, readings) ?? this.#fleetRefusal() ?? refusalFor(readings)
    if (refusal !== undefined) return this.#refuse(event, refusal)
    if (problems.length > 0) this.#tell(event, refusalOf(problems))
    return { readings, waitMs }
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

  /** An input says what cell its messages are for: who may publish them needs no right to the cell. */
  #denialOf(
    { submitter: { user }, isByInput }: ReadingsReceived,
    readings: readonly Readings[],
  ): Refusal | undefined {
    if (user === undefined || isByInput === true) return undefined
    const { grid } = this.#context.options
    const problems = readings.flatMap((one) => ungrantedCells(user, one, grid))
    return problems.length === 0 ? undefined : refusalOf(problems)
  }

  /** While a ledger is rebuilt readings wait in the journal: they are none of the nodes', and nobody sends them again. */
  #fleetRefusal(): Refusal | undefined {
    const { identity } = this.#context
    return identity.isRecovering === true ? undefined : fleetRefusal(this.#context)
  }

  #refuse(event: ReadingsReceived, refusal: Refusal): undefined {
    const { ticket } = event
    if (ticket !== undefined) this.#context.emit({ type: 'answer-reading', ticket })
    this.#tell(event, refusal)
  }

  #tell({ submitter, topic }: ReadingsReceived, refusal: Refusal): void {
    const { client, user, via } = submitter
    this.count(refusal.code)
    if (this.#isDue(this.#toldOfMs, sharerOf(submitter))) {
      this.#context.notice('warn', 'cell-refused', refusal.message, {
        ...{ client, via, topic, reason: refusal.code },
        ...(user === undefined ? {} : { by: identityOf(user) }),
      })
    }
    if (!this.#isDue(this.#toldMs, client)) return
    publishRefusal(this.#context, { client, topic }, submitter, refusal)
  }

  #isDue(toldMs: LatestMap<string, number>, name: string): boolean {
    const { nowMs } = this.#context
    if (nowMs - (toldMs.get(name) ?? Number.NEGATIVE_INFINITY) < TOLD_MS) return false
    toldMs.set(name, nowMs)
    return true
  }
}
