/** What the HTTP door asks of the codex, answered by the coordinator's codex and by the driver. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { own } from '../shared/core/own.ts'
import type { SoundSource } from '../shared/osl/checked-source.ts'
import { explain } from '../shared/osl/explain.ts'
import type {
  CheckedView,
  CodexView,
  ContextView,
  GhostView,
  ProgramRowView,
  ProgramView,
  SourceView,
  VersionView,
} from '../shared/protocol/codex-views.ts'
import { MAIN_CONTEXT } from '../shared/protocol/program-call.ts'
import type { CodexPort } from './adapters/http-port.ts'
import type { CodexOutcome } from './core/effects.ts'
import type { CodexDemand } from './core/events.ts'
import type { ProgramRecord } from './core/ledger-records.ts'
import { refusalOf } from './core/rules/submissions.ts'
import type { Codex } from './core/state/codex.ts'
import type { Ghosts } from './core/state/ghosts.ts'
import type { GatewayDriver } from './driver.ts'

export class CodexCalls implements CodexPort {
  readonly #codex: Codex
  readonly #ghosts: Ghosts
  readonly #driver: Pick<GatewayDriver, 'codex'>
  /** Units a cell. A list names more programs than stay compiled. */
  readonly #costs = new WeakMap<ProgramRecord, number | null>()

  constructor(
    { codex, ghosts }: { readonly codex: Codex; readonly ghosts: Ghosts },
    driver: Pick<GatewayDriver, 'codex'>,
  ) {
    this.#codex = codex
    this.#ghosts = ghosts
    this.#driver = driver
  }

  async list(): Promise<CodexView> {
    // A full codex takes half a second to compile: others have their turn between two programs.
    for (const { name } of this.#codex.programs) {
      const current = this.#currentOf(name)
      if (this.#costs.has(current)) continue
      this.#costOf(current)
      await nextTurn()
    }
    const { programs, contexts, integrity } = this.#codex
    return {
      programs: programs.map(({ name }) => this.#rowOf(name)),
      contexts: contexts.map(([name]) => this.context(name)),
      integrity,
    }
  }

  program(name: string): ProgramView | undefined {
    const versions = this.#codex.versionsOf(name)
    const latest = versions.at(-1)
    if (latest === undefined) return undefined
    const { number, glyph } = latest
    return {
      ...{ name, number },
      ...glyphOf(glyph),
      ...this.#ghostOf(name),
      versions: versions.map((record) => this.#versionOf(record)).reverse(),
    }
  }

  version(name: string, version: number): SourceView | undefined {
    const record = this.#codex.find(name, version)
    if (record === undefined) return undefined
    const { source } = record
    const compiled = this.#codex.compiled(record)
    const shown = compiled.ok ? explained(compiled.value) : null
    return { ...this.#versionOf(record), source, explained: shown }
  }

  check(source: string): ReturnType<CodexPort['check']> {
    const compiled = this.#codex.compile({ source })
    return compiled.ok
      ? { ok: true, value: explained(compiled.value) }
      : { ok: false, refusal: refusalOf(compiled.problems) }
  }

  context(name: string): ContextView {
    const { version = 0, programs = {} } = this.#codex.context(name) ?? {}
    return { name, version, programs }
  }

  demand(demand: CodexDemand, by?: string): Promise<CodexOutcome> {
    return this.#driver.codex(demand, by)
  }

  #rowOf(name: string): ProgramRowView {
    const version = this.#codex.currentOf(name, MAIN_CONTEXT)!
    const latest = this.#codex.versionsOf(name).at(-1)!
    const current = this.#currentOf(name)
    const { kind, columns, parameters, hash, by, ts } = current
    return {
      ...{ name, number: latest.number },
      ...glyphOf(latest.glyph),
      ...{ version, latest: latest.version, kind, parameters, hash },
      ...columnsOf(columns),
      ...{ cost: this.#costOf(current), by, ts },
      ...this.#ghostOf(name),
    }
  }

  #ghostOf(name: string): { ghost?: GhostView } {
    const record = this.#ghosts.of(name)
    if (record === undefined) return {}
    const { number: _number, late: _late, stateTs, difference, ...ghost } = record
    if (difference === undefined) return { ghost: { ...ghost, state_ts: stateTs } }
    const { max, ...found } = difference
    return {
      ghost: { ...ghost, state_ts: stateTs, difference: { ...found, max_difference: max } },
    }
  }

  #currentOf(name: string): ProgramRecord {
    const current = this.#codex.find(name, this.#codex.currentOf(name, MAIN_CONTEXT)!)
    return current ?? this.#codex.versionsOf(name).at(-1)!
  }

  #costOf(record: ProgramRecord): number | null {
    let cost = this.#costs.get(record)
    if (cost === undefined) {
      const compiled = this.#codex.compile(record)
      cost = compiled.ok ? explained(compiled.value).cost : null
      this.#costs.set(record, cost)
    }
    return cost
  }

  #versionOf(record: ProgramRecord): VersionView {
    const { name, version, number, glyph, kind, parameters, hash, parent, by, ts, chain } = record
    const { columns } = record
    const naming = this.#codex.contexts.filter(
      ([, { programs }]) => own(programs, name) === version,
    )
    return {
      ...{ name, version, number },
      ...glyphOf(glyph),
      ...{ kind, parameters, hash, parent, by, ts },
      ...columnsOf(columns),
      chain: Buffer.from(chain).toString('hex'),
      verified: !this.#codex.isDamaged(record),
      current_in: naming.map(([context]) => context),
    }
  }
}

function explained({ program, parameters, sound, fields }: SoundSource): CheckedView {
  const names = fields.map(({ name }) => name)
  return { ...explain(program, sound, names, parameters), parameters: [...parameters.keys()] }
}

function glyphOf(glyph: string | null): { glyph?: string } {
  return glyph === null ? {} : { glyph }
}

function columnsOf(columns: string | undefined): { columns?: string } {
  return columns === undefined ? {} : { columns }
}
