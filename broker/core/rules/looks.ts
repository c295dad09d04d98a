/**
 * Looks: passing reads, for whoever watches the grid. A look is planned, leased, issued again and taken back as the
 * read of a task is, and whoever asked is given its value; but it is no task: it has no name that anybody could use,
 * it is in no ledger, and nothing is published of it. After a restart it is gone, and asked again.
 *
 * Equal looks are one read, and a value is kept to be shown again, as long as no write that touches its region got its
 * place in the order of writes since the read was planned, and all tiles are where they were: then a read that is
 * planned now would show the same.
 */
import { randomId, type TaskId } from '../../../shared/core/ids.ts'
import { LatestMap } from '../../../shared/core/latest-map.ts'
import { type Region, regionsTouch } from '../../../shared/grid/geometry.ts'
import { askedOp, type TaskBody } from '../../../shared/protocol/task.ts'
import type { LookOutcome, Refusal } from '../effects.ts'
import type { GatewayEvent, Ticket } from '../events.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { encodeBody, hashBody, operationOf } from '../state/task-ledger.ts'
import type { ResultFacts } from '../state/task-messages.ts'
import { resolveCall } from './program-calls.ts'
import { type ReadAsker, UNTOLD } from './read-asker.ts'
import type { Reads } from './reads.ts'
import { fleetRefusal, refusalOf, tilesRefusal } from './submissions.ts'
import { UNANSWERED } from './task-endings.ts'

export const LOOKS_MAX = 32
export const LOOKS_OF_CLIENT_MAX = 4
export const LOOK_DEADLINE_MS = 30_000
export const SHOWN_MAX = 64
const SHOWN_BYTES_MAX = 16 * 1024 * 1024
/** Enough to tell two ledgers apart that somebody looked at from one browser. */
const LEDGER_SHOWN = 8

type Requested = Extract<GatewayEvent, { type: 'look-requested' }>
type Shown = Extract<LookOutcome, { ok: true }>

interface Look extends ReadAsker {
  readonly key: string
  /** When it was planned. */
  readonly seq: number
  readonly epoch: number
  /** Its value is shown to those who wait, and not kept. */
  readonly isOnce: boolean
  /** Who waits, by which client. */
  readonly askers: Map<Ticket, string>
  isTouched: boolean
}

type Asked = Pick<Look, 'key' | 'body' | 'isOnce'>

interface Kept {
  readonly outcome: Shown
  readonly region: Region
  readonly epoch: number
  readonly bytes: number
}

export class Looks {
  readonly #context: CoordinatorContext
  readonly #reads: Reads
  readonly #open = new Set<Look>()
  /** By what was asked, the last one shown last. */
  readonly #kept = new LatestMap<string, Kept>(SHOWN_MAX)

  constructor(context: CoordinatorContext, reads: Reads) {
    this.#context = context
    this.#reads = reads
  }

  request({ ticket, client, isOnce = false, result }: Requested): void {
    if (!result.ok) {
      this.#refuse(ticket, refusalOf(result.problems))
      return
    }
    const resolved = resolveCall(this.#context, result.submission)
    if (!resolved.ok) {
      this.#refuse(ticket, refusalOf(resolved.problems))
      return
    }
    const body = { ...resolved.value, deadlineMs: LOOK_DEADLINE_MS }
    if (operationOf(body).kind !== 'read') {
      const message = `${askedOp(body)} is no read of the grid: only such a one can be looked at`
      this.#refuse(ticket, refusalOf([{ path: 'op', code: 'not-allowed', message }]))
      return
    }
    const key = hashBody(encodeBody(body))
    const kept = this.#takeKept(key)
    if (kept !== undefined) {
      this.#context.emit({ type: 'answer-look', ticket, outcome: kept.outcome })
      return
    }
    const { epoch } = this.#context.placement
    const equal = [...this.#open].find(
      (look) => look.key === key && !look.isTouched && look.epoch === epoch,
    )
    const refusal =
      this.#crowdRefusal(client, equal) ??
      fleetRefusal(this.#context) ??
      tilesRefusal(this.#context, body)
    if (refusal !== undefined) this.#refuse(ticket, refusal)
    else if (equal !== undefined) equal.askers.set(ticket, client)
    else this.#begin({ key, body, isOnce }, ticket, client)
  }

  /** Nobody waits for it any more. */
  cancel(ticket: Ticket): void {
    for (const look of [...this.#open]) {
      if (!look.askers.delete(ticket) || look.askers.size > 0) continue
      this.#reads.abandon(look.id)
      this.#close(look)
    }
  }

  /** A write got its place. */
  noteWrite(body: TaskBody): void {
    const region = body.region!
    for (const look of this.#open) {
      if (regionsTouch(look.body.region!, region)) look.isTouched = true
    }
    for (const [key, kept] of this.#kept) {
      if (regionsTouch(kept.region, region)) this.#kept.delete(key)
    }
  }

  #begin(asked: Asked, ticket: Ticket, client: string): void {
    const { random, nowMs, identity, placement, deadlines } = this.#context
    const look: Look = {
      ...UNTOLD,
      id: randomId(random) as TaskId,
      ...asked,
      deadlineMs: nowMs + LOOK_DEADLINE_MS,
      shards: { total: 0, done: 0, failed: 0 },
      seq: identity.seq,
      epoch: placement.epoch,
      askers: new Map([[ticket, client]]),
      isTouched: false,
      completed: (facts) => this.#complete(look, facts),
      failed: (error) => this.#end(look, { ok: false, error }),
    }
    this.#open.add(look)
    deadlines.set(`look/${look.id}`, look.deadlineMs, () => {
      this.#reads.abandon(look.id)
      this.#end(look, { ok: false, error: UNANSWERED })
    })
    this.#reads.submit(look)
  }

  #complete(look: Look, { value, consistent = false }: ResultFacts): void {
    const { identity, placement } = this.#context
    const isLasting = consistent && !look.isTouched && look.epoch === placement.epoch
    const ledger = identity.ledgerId.slice(0, LEDGER_SHOWN)
    const tag = isLasting ? { tag: `${ledger}-${identity.term}-${look.seq}-${look.epoch}` } : {}
    const outcome = { ok: true, value, consistent, ...tag } as const
    if (isLasting && !look.isOnce) this.#keep(look, outcome)
    this.#end(look, outcome)
  }

  #end(look: Look, outcome: LookOutcome): void {
    this.#close(look)
    for (const ticket of look.askers.keys()) {
      this.#context.emit({ type: 'answer-look', ticket, outcome })
    }
  }

  #close(look: Look): void {
    this.#open.delete(look)
    this.#context.deadlines.clear(`look/${look.id}`)
  }

  #keep({ key, body, epoch }: Look, outcome: Shown): void {
    const bytes = bytesOf(outcome.value)
    if (bytes > SHOWN_BYTES_MAX) return
    this.#kept.set(key, { outcome, region: body.region!, epoch, bytes })
    let left = SHOWN_BYTES_MAX
    for (const [shown, kept] of [...this.#kept].reverse()) {
      left -= kept.bytes
      if (left < 0) this.#kept.delete(shown)
    }
  }

  #takeKept(key: string): Kept | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    const isCurrent = kept.epoch === this.#context.placement.epoch
    if (isCurrent) this.#kept.set(key, kept)
    else this.#kept.delete(key)
    return isCurrent ? kept : undefined
  }

  /** Whoever joins one that is under way makes no more work, but has his share all the same. */
  #crowdRefusal(client: string, equal: Look | undefined): Refusal | undefined {
    const clients = [...this.#open].flatMap(({ askers }) => [...askers.values()])
    const own = clients.filter((other) => other === client).length
    const isFull = equal === undefined && this.#open.size >= LOOKS_MAX
    if (!isFull && own < LOOKS_OF_CLIENT_MAX) return undefined
    const message = `so many looks are under way already: ${LOOKS_MAX}, or ${LOOKS_OF_CLIENT_MAX} of one client`
    return { code: 'too-many-looks', message }
  }

  #refuse(ticket: Ticket, refusal: Refusal): void {
    this.#context.emit({ type: 'answer-look', ticket, outcome: { ok: false, refusal } })
  }
}

/** What a value takes, roughly: numbers and byte strings make up nearly all of it. */
function bytesOf(value: unknown): number {
  if (value instanceof Uint8Array) return value.length
  if (typeof value === 'string') return 2 * value.length
  if (typeof value !== 'object' || value === null) return 8
  return Object.values(value).reduce((sum: number, member) => sum + bytesOf(member), 0)
}
