/**
 * What the coordinator wants done, in the imperative. The driver performs effects strictly in order,
 * and a `persist` is on disk before any later effect of any later step leaves. That is the whole
 * durability contract of the gateway: everything that the outside may see was written first. A
 * `persist` that fails stops the process.
 */
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import type { Down } from '../../shared/protocol/messages.ts'
import type { Problem } from '../../shared/protocol/problems.ts'
import type { TaskState } from '../../shared/protocol/states.ts'
import type { Topic } from '../../shared/protocol/topics.ts'
import type { ConnectionId, Ticket } from './events.ts'
import type { LedgerRecord } from './ledger-records.ts'

/** Why a submission or a request was refused (docs/operations.md has the table). */
export type RefusalCode =
  | Problem['code']
  | 'invalid'
  | 'task-id-conflict'
  | 'no-node'
  | 'too-late'
  | 'unknown-task'
  | 'overloaded'
  | 'rate-limited'
  | 'ledger-full'
  | 'disk-full'
  | 'store-full'
  | 'tile-missing'
  | 'recovering'
  | 'too-many-looks'
  | 'unknown-program'
  | 'unknown-ghost'
  | 'version-conflict'
  | 'codex-full'

export interface Refusal {
  readonly code: RefusalCode
  readonly message: string
  readonly errors?: readonly Problem[]
  /** When it makes sense to try again, where that is known. */
  readonly retryMs?: number
}

/** The answer to whoever holds a ticket. */
export type Outcome =
  | { readonly ok: true; readonly task: TaskId; readonly state: TaskState }
  | { readonly ok: false; readonly task?: TaskId; readonly refusal: Refusal }

/** What became of a demand on the codex: the version that it is about, of a program or a context. */
export type CodexOutcome =
  | {
      readonly ok: true
      /** Something changed. */
      readonly isNew: boolean
      readonly name: string
      readonly version: number
    }
  | { readonly ok: false; readonly refusal: Refusal }

/** What a look has come to; nobody changes the value, which others are given, too. */
export type LookOutcome =
  | {
      readonly ok: true
      readonly value: unknown
      readonly consistent: boolean
      /** Two values of the same look with the same tag are the same. */
      readonly tag?: string
    }
  | { readonly ok: false; readonly refusal: Refusal }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } }

/** Facts for the event log, the `gateway/event` topic and the counters. */
export interface GatewayNotice {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** Stable, kebab-case: `node-joined`, `task-ended`… */
  readonly code: string
  readonly message: string
  readonly fields?: Readonly<Record<string, string | number | boolean>>
}

/** Of an upgrade, or of one node of it. */
export interface UpgradeChange {
  readonly upgrade: string
  readonly state: string
  readonly version?: string
  readonly node?: NodeId
  readonly code?: string
}

/** What is to be sealed, and what is said of it in clear. */
export interface SealingOrder {
  readonly task: TaskId
  readonly op: string
  readonly to: string
  readonly ts: number
  /** CBOR. */
  readonly value: Uint8Array
}

/** What very many nodes are sent at once: each message is made when it leaves. */
export interface MessageRound {
  readonly size: number
  connectionOf(at: number): ConnectionId
  payloadOf(at: number): Uint8Array
}

export type GatewayEffect =
  | { readonly type: 'persist'; readonly records: readonly LedgerRecord[] }
  | { readonly type: 'send'; readonly connection: ConnectionId; readonly message: Down }
  /** The messages `from … to` of a round, which leaves in several of these. */
  | {
      readonly type: 'send-round'
      readonly round: MessageRound
      readonly from: number
      readonly to: number
    }
  /** From now on the connection speaks for the node: its state, info, telemetry and events pass. */
  | { readonly type: 'admit'; readonly connection: ConnectionId; readonly node: NodeId }
  /** Closes a connection once what was sent to it before has left. */
  | { readonly type: 'disconnect'; readonly connection: ConnectionId; readonly reason: string }
  | {
      readonly type: 'publish'
      readonly topic: Topic
      readonly payload: string | Uint8Array
      readonly qos: 0 | 1
      readonly retain: boolean
      /** The identity that it concerns, where its topic does not say so. */
      readonly owner?: string
      /** Of the state of a write: what it changes, for those who watch the grid. */
      readonly touches?: { readonly region: Region; readonly seq?: number }
    }
  /** Seals the value of a task to its recipient; `task-sealed` or `sealing-failed` follows. It is written nowhere. */
  | { readonly type: 'seal'; readonly order: SealingOrder }
  /** Nobody wants that any more. One of the two events follows all the same: then its value is let go. */
  | { readonly type: 'unseal'; readonly task: TaskId }
  | { readonly type: 'answer'; readonly ticket: Ticket; readonly outcome: Outcome }
  | { readonly type: 'answer-look'; readonly ticket: Ticket; readonly outcome: LookOutcome }
  | { readonly type: 'answer-codex'; readonly ticket: Ticket; readonly outcome: CodexOutcome }
  /** A reading, or a later one of its cell, is in the ledger; or it was refused, which is told otherwise. */
  | { readonly type: 'answer-reading'; readonly ticket: Ticket }
  /** So many tiles begin anew; undefined where more are missing than were shown, and nothing was done. */
  | {
      readonly type: 'answer-recreate'
      readonly ticket: Ticket
      readonly tiles: number | undefined
    }
  /** A write of the gateway's own has got its place: for those who watch the grid. */
  | {
      readonly type: 'announce-write'
      readonly regions: readonly Region[]
      readonly seq: number
    }
  /** The task reached one of its ends, and its result is in the ledger. */
  | { readonly type: 'announce-end'; readonly task: TaskId; readonly state: TaskState }
  /** An upgrade, or a node of it, has another state. */
  | { readonly type: 'announce-upgrade'; readonly change: UpgradeChange }
  /** What was published of a rule just before has left; `rule-event-told` follows. */
  | { readonly type: 'note-told'; readonly rule: string; readonly number: number }
  | { readonly type: 'notice'; readonly notice: GatewayNotice }
  /** Sends a beat through the broker, as a client does; `probe-returned` tells that it came back. */
  | { readonly type: 'probe'; readonly beat: number }
