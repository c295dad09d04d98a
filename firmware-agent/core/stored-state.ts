/**
 * What the core of the agent is given of the store when it starts: whose store it is, where its stream
 * stands, and what was not told to the gateway yet.
 */
import type { Answer, GridShape } from '../../shared/protocol/messages.ts'
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
  /** The last wall time that was stored, Unix ms, or 0. */
  readonly timeFloorMs: number
}
