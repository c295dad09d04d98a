/**
 * The desk of the codex: an operator defines programs, and says which version is current. What it comes to is persisted
 * in the step that answers, so whoever is answered finds it after a crash; everybody sees it on `gateway/codex`.
 */
import { unreachable } from '../../../shared/core/assert.ts'
import { count } from '../../../shared/core/count.ts'
import { MAIN_CONTEXT } from '../../../shared/protocol/program-call.ts'
import type { CodexOutcome } from '../effects.ts'
import type { CodexDemand, GatewayEvent } from '../events.ts'
import type { LedgerContents, LedgerRecord } from '../ledger-records.ts'
import type { CodexFault, ContextWish, ProgramWish, Switch } from '../state/codex.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { type GhostWish, isOpen } from '../state/ghosts.ts'
import { publishCodex } from './codex-notice.ts'
import type { GhostWatch } from './ghost-watch.ts'
import type { LedgerRoom } from './ledger-room.ts'
import { fleetRefusal, refusalOf } from './submissions.ts'

type Demanded = Extract<GatewayEvent, { type: 'codex-demanded' }>

/** Beside its source, roughly. */
const RECORD_BYTES = 1024

export class CodexDesk {
  readonly #context: CoordinatorContext
  readonly #room: LedgerRoom
  readonly #ghosts: GhostWatch

  constructor(context: CoordinatorContext, room: LedgerRoom, ghosts: GhostWatch) {
    this.#context = context
    this.#room = room
    this.#ghosts = ghosts
  }

  restore(contents: Pick<LedgerContents, 'codex' | 'current' | 'ghost'>): void {
    this.#context.ghosts.restore(contents)
    for (const { name, version } of this.#context.codex.restore(contents)) {
      const message = `program ${name}@${version} is not as it was defined: tasks that name it are refused`
      this.#context.notice('error', 'program-damaged', message, { program: name, version })
    }
    publishCodex(this.#context)
  }

  obey({ ticket, demand, by }: Demanded): void {
    const outcome = this.#refusal(demand) ?? this.#act(demand, by)
    this.#context.emit({ type: 'answer-codex', ticket, outcome })
  }

  #refusal(demand: CodexDemand): CodexOutcome | undefined {
    const { identity } = this.#context
    const bytes = RECORD_BYTES + (demand.do === 'define' ? demand.source.length : 0)
    const refusal =
      (identity.isRecovering === true ? fleetRefusal(this.#context) : undefined) ??
      this.#room.diskRefusal(bytes)
    return refusal && { ok: false, refusal }
  }

  #act(demand: CodexDemand, by: string | undefined): CodexOutcome {
    switch (demand.do) {
      case 'define':
        return this.#define(demand, by)
      case 'use':
        return this.#use(demand, by)
      case 'set-context':
        return this.#setContext(demand, by)
      case 'begin-ghost':
        return this.#beginGhost(demand, by)
      case 'end-ghost':
        return this.#endGhost(demand.name, by)
      default:
        return unreachable(demand)
    }
  }

  #define(wish: ProgramWish, by: string | undefined): CodexOutcome {
    const { codex, ts } = this.#context
    const change = codex.define(wish, { by: by ?? null, ts })
    if (!change.ok) return refused(change.fault)
    const { record, isNew } = change.made
    const { name, version, hash } = record
    if (isNew) {
      const message = `version ${version} of program ${name} is there`
      const fields = { program: name, version, hash, ...byOf(by) }
      this.#context.notice('info', 'program-defined', message, fields)
      this.#keep(change.records)
    }
    return { ok: true, isNew, name, version }
  }

  #use(wish: Switch, by: string | undefined): CodexOutcome {
    const { name, version, context = MAIN_CONTEXT } = wish
    const change = this.#context.codex.use(wish)
    if (!change.ok) return refused(change.fault)
    const isNew = change.records.length > 0
    if (isNew) {
      const message = `version ${version} of program ${name} is current in ${context}`
      const fields = { program: name, version, context, ...byOf(by) }
      this.#context.notice('info', 'program-switched', message, fields)
      this.#ghosts.followSwitch(name)
      this.#keep(change.records)
    }
    return { ok: true, isNew, name, version }
  }

  #setContext(wish: ContextWish, by: string | undefined): CodexOutcome {
    const { name, programs } = wish
    const change = this.#context.codex.setContext(wish)
    if (!change.ok) return refused(change.fault)
    const { version } = change.made
    const message = `context ${name} names ${count(Object.keys(programs).length, 'program')}`
    const fields = { context: name, version, ...byOf(by) }
    this.#context.notice('info', 'context-set', message, fields)
    for (const program of Object.keys(programs)) this.#ghosts.followSwitch(program)
    this.#keep(change.records)
    return { ok: true, isNew: true, name, version }
  }

  #beginGhost(wish: GhostWish, by: string | undefined): CodexOutcome {
    const { codex, ghosts, ts } = this.#context
    const change = ghosts.begin(wish, codex, { by: by ?? null, ts })
    if (!change.ok) return refused(change.fault)
    const { name } = wish
    const { version, beside } = change.made
    const message = `${name}@${version} shadows ${name}@${beside}`
    const fields = { program: name, version, beside, ...byOf(by) }
    this.#context.notice('info', 'ghost-begun', message, fields)
    this.#keep(change.records)
    return { ok: true, isNew: true, name, version }
  }

  #endGhost(name: string, by: string | undefined): CodexOutcome {
    const { codex, ghosts } = this.#context
    const lack = codex.lackOf(name)
    if (lack !== undefined) return refused(lack)
    const ghost = ghosts.of(name)
    if (ghost === undefined || !isOpen(ghost)) {
      return refused({ code: 'unknown-ghost', message: `no version shadows ${name}` })
    }
    this.#ghosts.endByHand(name, ghost, by)
    publishCodex(this.#context)
    return { ok: true, isNew: true, name, version: ghost.version }
  }

  #keep(records: readonly LedgerRecord[]): void {
    for (const record of records) this.#context.persist(record)
    publishCodex(this.#context)
  }
}

function byOf(by: string | undefined): { by?: string } {
  return by === undefined ? {} : { by }
}

function refused(fault: CodexFault): CodexOutcome {
  return { ok: false, refusal: 'problems' in fault ? refusalOf(fault.problems) : fault }
}
