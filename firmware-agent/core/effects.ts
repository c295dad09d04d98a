/**
 * What the agent's core wants done, in the imperative, performed in order. `apply` reports by the event
 * `entries-applied` only once the state is flushed. A store that fails to flush stops the process.
 */
import type { Answer, Copy, Entry, GridShape, Read, Up } from '../../shared/protocol/messages.ts'
import type { Topic } from '../../shared/protocol/topics.ts'
import type { Standing } from './session.ts'

/** The page of a tile that moves here, as the replica that gave it had it. */
export interface IncomingPage {
  readonly move: number
  readonly tile: number
  readonly at: number
  readonly digest: Uint8Array
  readonly bytes: Uint8Array
}

export interface AnswerName {
  readonly task: string
  readonly part: string
}

export type AgentEffect =
  | { readonly type: 'connect' }
  | { readonly type: 'disconnect'; readonly reason: string }
  | { readonly type: 'send'; readonly message: Up }
  | {
      readonly type: 'publish'
      readonly topic: Topic
      readonly payload: string | Uint8Array
      readonly qos: 0 | 1
      readonly retain: boolean
    }
  /** Pages may be written in this format and those before it, and in no other. */
  | { readonly type: 'allow-pages'; readonly format: number }
  /** Binds a new store to a ledger and its grid. */
  | { readonly type: 'adopt'; readonly ledgerId: string; readonly grid: GridShape }
  | { readonly type: 'apply'; readonly entries: readonly Entry[] }
  /** Results of entries up to here are in the ledger and may be forgotten. */
  | { readonly type: 'forget-results'; readonly position: number }
  | { readonly type: 'read'; readonly read: Read }
  | { readonly type: 'cancel-reads'; readonly task: string }
  /** In one transaction, beside what follows: a slow card keeps nobody from connecting or from ending. */
  | { readonly type: 'store-answers'; readonly answers: readonly Answer[] }
  | { readonly type: 'forget-answers'; readonly answers: readonly AnswerName[] }
  /** What was changed in rules is in the ledger up to here, and may be forgotten. */
  | { readonly type: 'forget-changes'; readonly number: number }
  | { readonly type: 'wipe' }
  /** Reads the page of a tile for another node; comes back as `page-copied` or `copy-failed`. */
  | { readonly type: 'copy-page'; readonly copy: Copy }
  /** Puts pages aside until their entries adopt them; comes back as `pages-staged` or `staging-failed`. */
  | { readonly type: 'stage-pages'; readonly pages: readonly IncomingPage[] }
  | { readonly type: 'discard-page'; readonly tile: number; readonly move: number }
  /** Looks what is held from this tile on; comes back as `pages-listed`. */
  | { readonly type: 'list-pages'; readonly from: number }
  /** Keeps these tiles for another ledger, whose stream begins; comes back as `store-rebased`. */
  | { readonly type: 'rebase'; readonly ledgerId: string; readonly keep: Uint32Array }
  /** Reads and checks pages; comes back as `pages-examined`. */
  | { readonly type: 'examine-pages'; readonly tiles: Uint32Array }
  /** Takes a telemetry sample and publishes it. */
  | { readonly type: 'publish-telemetry' }
  /** Connected and admitted for the first time: the `ready` line. */
  | { readonly type: 'report-ready' }
  /** Admitted, or no more: STATUS to systemd. */
  | { readonly type: 'report-link'; readonly standing: Standing }
  /** Looks whether the store has room; comes back as `room-looked`. */
  | { readonly type: 'look-for-room' }
  /** Stores the time, with nothing else. */
  | { readonly type: 'keep-time' }
  | {
      readonly type: 'log'
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly code: string
      readonly message: string
    }
  /** Ends the process in order. */
  | { readonly type: 'exit'; readonly code: number; readonly reason: string }
