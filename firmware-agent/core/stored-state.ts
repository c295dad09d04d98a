/**
 * What the core of the agent is given of the store when it starts: whose store it is, where its stream
 * stands, and what was not told to the gateway yet.
 */
import type { Answer, GridShape } from '../../shared/protocol/messages.ts'
import type { RuleRecord } from '../../shared/protocol/rule-changes.ts'
import type { PartResult, StreamMark } from './events.ts'

/** Whose store it is. */
export interface StoreFacts {
  readonly storeId: string
  /** Counts the starts. */
  readonly boot: number
  /** Null while the store belongs to no ledger. */
  readonly ledgerId: string | null
  readonly grid: GridShape | null
}

/** What the store holds at the start. */
export interface StoredState extends StoreFacts {
  readonly mark: StreamMark
  readonly results: readonly PartResult[]
  readonly answers: readonly Answer[]
  /** Tiles whose page is damaged. */
  readonly broken: readonly number[]
  /** The version of the rule book, 0 without one. */
  readonly rules: number
  /** What was changed in rules and not taken, in order. */
  readonly changes: readonly RuleRecord[]
  /** The last wall time that was stored, Unix ms, or 0. */
  readonly timeFloorMs: number
}
