/**
 * The rule book as the ledger has it: the version that counts, and those before it that an entry of some stream still
 * carries. What follows from a change of it is rule-watch.ts's.
 */
import { argsOfBook, type Rule } from '../../../shared/operations/rule-book.ts'
import type { RulesOrder } from '../../../shared/protocol/control-entries.ts'
import type { RuleBookView } from '../../../shared/protocol/views.ts'
import type { LedgerContents, RulesRecord } from '../ledger-records.ts'
import type { CoordinatorContext } from './coordinator-context.ts'

const NOTHING: RulesRecord = { rules: [], ts: 0 }

export class RuleBook {
  readonly #context: CoordinatorContext
  readonly #versions = new Map<number, RulesRecord>()
  readonly #orders = new Map<number, RulesOrder>()
  #version = 0

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  /** 0: none was ever set. */
  get version(): number {
    return this.#version
  }

  get rules(): readonly Rule[] {
    return this.of(this.#version).rules
  }

  of(version: number): RulesRecord {
    return this.#versions.get(version) ?? NOTHING
  }

  restore(rows: LedgerContents['rules']): void {
    for (const { key, value } of rows) {
      const version = Number(key)
      this.#versions.set(version, value)
      this.#version = Math.max(this.#version, version)
    }
  }

  /** The next version. */
  set(rules: readonly Rule[]): void {
    this.#version += 1
    const value = { rules, ts: this.#context.ts }
    this.#versions.set(this.#version, value)
    this.#context.persist({ table: 'rules', key: this.#version, value })
  }

  /** Versions that nothing needs any more, but for the latest. */
  forgetBut(needed: ReadonlySet<number>): void {
    for (const version of [...this.#versions.keys()]) {
      if (version === this.#version || needed.has(version)) continue
      this.#versions.delete(version)
      this.#orders.delete(version)
      this.#context.persist({ table: 'rules', key: version, value: undefined })
    }
  }

  /** As it goes into streams; the same object each time. */
  orderOf(version: number): RulesOrder {
    let order = this.#orders.get(version)
    if (order === undefined) {
      const { version: _, ...args } = argsOfBook(version, this.of(version).rules)
      order = { op: '$rules', version, ...(args as { rules: unknown[] }) }
      this.#orders.set(version, order)
    }
    return order
  }

  view(): RuleBookView {
    const { alarms, raised } = this.#context
    const rules = this.rules.map(({ program: _, ...text }, index) => {
      const last = alarms.last(text.name)
      if (last === undefined) return text
      const { state, ts } = last
      const tiles = raised.tilesOf(index).size
      return { ...text, state, tiles, count: raised.cellsOf(index), ts }
    })
    return { version: this.#version, rules }
  }
}
