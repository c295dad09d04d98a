/**
 * What entries changed in rules, until the gateway has it in its ledger. It is told in order, one message at a time; each
 * new connection begins with one, though there be nothing left to tell: then the gateway knows that.
 */
import {
  ROWS_PER_RECORD_MAX,
  type RuleChanges,
  type RuleRecord,
} from '../../shared/protocol/rule-changes.ts'
import type { PartResult } from './events.ts'
import type { StoredState } from './stored-state.ts'

/** An answer that has not come by then is not waited for, in beats of the gateway. */
const BEATS_MAX = 2

export class RuleOutbox {
  #version: number
  #records: RuleRecord[]
  #hasWord = false
  /** Of the message that is on its way: beats since. */
  #beats: number | undefined

  constructor({ rules, changes }: Pick<StoredState, 'rules' | 'changes'>) {
    this.#version = rules
    this.#records = [...changes]
  }

  /** Of the rule book that is on the disk; 0 without one. */
  get version(): number {
    return this.#version
  }

  applied(results: readonly PartResult[]): void {
    for (const { rules, changes = [] } of results) {
      if (rules !== undefined) {
        this.#version = rules
        this.#hasWord = true
      }
      this.#records.push(...changes)
    }
  }

  admitted(): void {
    this.#beats = undefined
    this.#hasWord = this.#version > 0
  }

  /** Records up to `number` are in the gateway's ledger. */
  taken(number: number): void {
    this.#records = this.#records.filter((record) => record.number > number)
    this.#beats = undefined
  }

  /** The gateway is there. */
  beaten(): void {
    if (this.#beats === undefined) return
    this.#beats += 1
    if (this.#beats < BEATS_MAX) return
    this.#beats = undefined
    this.#hasWord = true
  }

  /** The store was emptied, or begins anew. */
  clear(): void {
    this.#version = 0
    this.#records = []
    this.#hasWord = false
  }

  /** What is to be told now, if anything. */
  next(session: number): RuleChanges | undefined {
    if (this.#beats !== undefined || (!this.#hasWord && this.#records.length === 0))
      return undefined
    let rows = 0
    const records = this.#records.filter((record) => {
      rows += record.rules.length
      return rows <= ROWS_PER_RECORD_MAX
    })
    this.#hasWord = false
    this.#beats = 0
    const left = this.#records.length - records.length
    return { t: 'rule-changes', session, version: this.#version, records, left }
  }
}
