/**
 * What happens to the agent, in the past tense: the only input of its core. Bytes are decoded before
 * they come here.
 */
import type { Answer, Down } from '../../shared/protocol/messages.ts'

/** Where a stream stands on this node's disk. */
export interface StreamMark {
  readonly position: number
  readonly chain: Uint8Array
  /** The sequence of the last applied entry. */
  readonly seq: number
}

export interface PartResult {
  readonly position: number
  readonly lsus: number
}

export type AgentEvent =
  | { readonly type: 'connected' }
  | { readonly type: 'disconnected'; readonly reason: string }
  | { readonly type: 'message-received'; readonly message: Down }
  /** The entries up to `mark` are on disk, with their results. */
  | {
      readonly type: 'entries-applied'
      readonly mark: StreamMark
      readonly results: readonly PartResult[]
    }
  /** A local trouble stopped the stream; what came before it was applied. */
  | { readonly type: 'apply-failed'; readonly code: string; readonly message: string }
  /** A read came to its end, well or not; the answer is complete. */
  | { readonly type: 'read-finished'; readonly answer: Answer }
  /** The store was emptied and has a new identity. */
  | { readonly type: 'store-wiped'; readonly storeId: string; readonly boot: number }
  | { readonly type: 'stop-requested' }
  | { readonly type: 'deadline-reached' }
