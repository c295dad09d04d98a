/**
 * What the agent's core wants done, in the imperative, performed in order. `store-answer` is durable
 * before a later `send` leaves; `apply` reports by the event `entries-applied` only once the state is
 * flushed. A store that fails to flush stops the process.
 */
import type { Answer, Entry, GridShape, Read, Up } from '../../shared/protocol/messages.ts'
import type { Topic } from '../../shared/protocol/topics.ts'

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
  /** Binds a new store to a ledger and its grid. */
  | { readonly type: 'adopt'; readonly ledgerId: string; readonly grid: GridShape }
  | { readonly type: 'apply'; readonly entries: readonly Entry[] }
  /** Results of entries up to here are in the ledger and may be forgotten. */
  | { readonly type: 'forget-results'; readonly position: number }
  | { readonly type: 'read'; readonly read: Read }
  | { readonly type: 'cancel-reads'; readonly task: string }
  | { readonly type: 'store-answer'; readonly answer: Answer }
  | {
      readonly type: 'forget-answers'
      readonly answers: readonly { readonly task: string; readonly part: string }[]
    }
  | { readonly type: 'wipe' }
  /** Takes a telemetry sample and publishes it. */
  | { readonly type: 'publish-telemetry' }
  /** Connected and admitted for the first time: the `ready` line, and READY to systemd. */
  | { readonly type: 'report-ready' }
  | {
      readonly type: 'log'
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly code: string
      readonly message: string
    }
  /** Ends the process in order. */
  | { readonly type: 'exit'; readonly code: number; readonly reason: string }
