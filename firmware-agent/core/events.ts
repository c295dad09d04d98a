/**
 * What happens to the agent, in the past tense: the only input of its core. Bytes are decoded before
 * they come here.
 */
import type { GhostReport } from '../../shared/protocol/ghost-report.ts'
import type { Answer, Copy, CoreDown } from '../../shared/protocol/messages.ts'
import type { RuleRecord } from '../../shared/protocol/rule-changes.ts'
import type { IncomingPage } from './effects.ts'

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
  /** The version of the rule book that it brought. */
  readonly rules?: number
  /** What it changed in rules. */
  readonly changes?: readonly RuleRecord[]
  /** Of a program: how many cells of each tile took a value (written-counts.ts). */
  readonly written?: Uint8Array
  /** How its ghost compares. It is not kept on disk: what was not told is not counted. */
  readonly ghost?: GhostReport
}

/** What lies on the disk of one tile; `at` 0 when it is not held. */
export interface ExaminedPage {
  readonly tile: number
  readonly at: number
  readonly digest: Uint8Array
}

/** What became of pages on their way from and to this node (transfers.ts). */
export type TransferEvent =
  /** These tiles, and no others, have damaged pages; it is on disk. */
  | { readonly type: 'pages-broken'; readonly tiles: readonly number[] }
  | { readonly type: 'page-copied'; readonly copy: Copy; readonly page: IncomingPage }
  | {
      readonly type: 'copy-failed'
      readonly copy: Copy
      readonly code: string
      readonly message: string
    }
  /** These are on disk; the others that were given with them were no sound pages. */
  | { readonly type: 'pages-staged'; readonly pages: readonly IncomingPage[] }
  | {
      readonly type: 'staging-failed'
      readonly pages: readonly IncomingPage[]
      readonly code: string
      readonly message: string
    }
  | { readonly type: 'pages-examined'; readonly pages: readonly ExaminedPage[] }

export type AgentEvent =
  | TransferEvent
  | { readonly type: 'connected' }
  | {
      readonly type: 'disconnected'
      readonly reason: string
      /** The gateway knows the key, and has taken it out. */
      readonly isRevoked?: boolean
    }
  | { readonly type: 'message-received'; readonly message: CoreDown }
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
  /** What the store holds from `from` on; `next` is where the rest begins. */
  | {
      readonly type: 'pages-listed'
      readonly from: number
      readonly pages: readonly ExaminedPage[]
      readonly next: number | null
    }
  /** The store belongs to this ledger now, and its stream has no entry yet. */
  | { readonly type: 'store-rebased'; readonly ledgerId: string }
  /** The store was emptied and has a new identity. */
  | { readonly type: 'store-wiped'; readonly storeId: string; readonly boot: number }
  /** Whether the store has room; if not, `message` says what is missing. */
  | { readonly type: 'room-looked'; readonly isRoom: boolean; readonly message: string }
  | { readonly type: 'stop-requested' }
  | { readonly type: 'deadline-reached' }
