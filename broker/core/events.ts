/**
 * What happens to the gateway, in the past tense: the only input of the coordinator. Bytes are decoded
 * before they come here.
 */
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import type { Rule } from '../../shared/operations/rule-book.ts'
import type { UserPrincipal } from '../../shared/protocol/access.ts'
import type { CoreUp } from '../../shared/protocol/messages.ts'
import type { ReadingsResult } from '../../shared/protocol/readings.ts'
import type { Sealed } from '../../shared/protocol/sealed.ts'
import type { SubmissionResult } from '../../shared/protocol/task.ts'
import type { UpgradeRecord } from './ledger-records.ts'
import type { ContextWish, ProgramWish, Switch } from './state/codex.ts'
import type { GhostWish } from './state/ghosts.ts'

/** One MQTT connection of a node: its client id. */
export type ConnectionId = string

/** Names somebody who waits for an answer: a held PUBACK or an open HTTP request. */
export type Ticket = number

/** How a submission came in. */
export interface Submitter {
  readonly via: 'mqtt' | 'http'
  /** The MQTT client id, or the remote address of the HTTP client. */
  readonly client: string
  /** Who it is, where everybody is asked. */
  readonly user?: UserPrincipal
  /** The connection of an HTTP client; an MQTT client is its id, on whatever connection. */
  readonly connection?: string
  /**
   * For a resent MQTT packet without a task id: client and packet id, the best there is to match
   * it with what came before (wire.md, Task).
   */
  readonly packetId?: number
  readonly isDuplicate?: boolean
}

type Wished = 'version' | 'packages' | 'wave' | 'pauseMs' | 'downgradeFrom' | 'mayBeAway'

export interface UpgradeWish extends Pick<UpgradeRecord, Wished> {
  /** Also to nodes on which this very package did not come to run. */
  readonly again: boolean
  /** All, unless they are named. */
  readonly only?: readonly NodeId[]
}

export type UpgradeDemand = 'stop' | 'resume' | { readonly start: UpgradeWish }

/** What an operator wants of the codex. */
export type CodexDemand =
  | ({ readonly do: 'define' } & ProgramWish)
  | ({ readonly do: 'use' } & Switch)
  | ({ readonly do: 'set-context' } & ContextWish)
  | ({ readonly do: 'begin-ghost' } & GhostWish)
  | { readonly do: 'end-ghost'; readonly name: string }

export interface MessageReceived {
  readonly type: 'node-message-received'
  readonly connection: ConnectionId
  readonly node: NodeId
  readonly message: CoreUp
}

export type GatewayEvent =
  | MessageReceived
  | { readonly type: 'connection-closed'; readonly connection: ConnectionId }
  | {
      readonly type: 'task-submitted'
      readonly ticket: Ticket
      readonly submitter: Submitter
      readonly result: SubmissionResult
      /** It is to be sealed to somebody whom nobody knows. */
      readonly lacksRecipient?: boolean
    }
  | {
      readonly type: 'cancel-requested'
      /** Absent over MQTT, where nobody is answered but by the task's state. */
      readonly ticket?: Ticket
      readonly submitter: Submitter
      readonly task: TaskId
    }
  | {
      readonly type: 'readings-received'
      /** Of whoever waits for its acknowledgement; without one, nobody does. */
      readonly ticket?: Ticket
      readonly submitter: Submitter
      /** As it came: whoever is refused is told it. */
      readonly topic: string
      /**
       * Each is of one field. What cannot be taken of a message is no reason not to take the rest. Beyond the rate
       * (reading-rates.ts) nobody has looked at it.
       */
      readonly results: readonly ReadingsResult[] | 'too-many'
      /** Its acknowledgement is to wait at least so many ms, for the rate. */
      readonly waitMs?: number
      /** Not whoever published it says what cell it is for, but an input of the configuration. */
      readonly isByInput?: boolean
    }
  | {
      readonly type: 'look-requested'
      readonly ticket: Ticket
      /** Of whom only so many are taken at a time. */
      readonly client: string
      /** What it shows is not asked for again soon: it is not kept. */
      readonly isOnce?: boolean
      /** A read of the grid; its id and its deadline are not looked at. */
      readonly result: SubmissionResult
    }
  /** Whoever has the ticket does not wait any more. */
  | { readonly type: 'look-cancelled'; readonly ticket: Ticket }
  | { readonly type: 'task-sealed'; readonly task: TaskId; readonly sealed: Sealed }
  | {
      readonly type: 'sealing-failed'
      readonly task: TaskId
      readonly error: { readonly code: string; readonly message: string }
    }
  /** An operator gives up all tiles whose every copy was lost: they begin anew, as zeros. */
  | {
      readonly type: 'recreate-requested'
      readonly ticket?: Ticket
      /** The mark of those that he was shown (missing-tiles.ts): with more by now, none is given up. */
      readonly shown?: string
    }
  | {
      readonly type: 'codex-demanded'
      readonly ticket: Ticket
      readonly demand: CodexDemand
      /** Who asks, where everybody is asked. */
      readonly by?: string
    }
  /** An operator wants a known node emptied, or takes that back. */
  | { readonly type: 'drain-requested'; readonly node: NodeId; readonly isWanted: boolean }
  /** The node has no right to be one any more; nothing it says from now on comes here. */
  | { readonly type: 'node-revoked'; readonly node: NodeId }
  /** An operator has the nodes brought to another version, or that stopped, or taken up again. */
  | { readonly type: 'upgrade-demanded'; readonly demand: UpgradeDemand }
  /** An operator has set the rule book. */
  | { readonly type: 'rules-set'; readonly rules: readonly Rule[] }
  /** What became of a rule is published. */
  | { readonly type: 'rule-event-told'; readonly rule: string; readonly number: number }
  /** An operator wants a node forgotten that is dead or has left. */
  | { readonly type: 'removal-requested'; readonly node: NodeId }
  /** A beat of the gateway's own client came back through the broker. */
  | { readonly type: 'probe-returned'; readonly beat: number }
  /** An operator says that what the gateway sees of the fleet is true. */
  | { readonly type: 'trust-demanded' }
  /** How much room the disk of the ledger has. */
  | { readonly type: 'disk-checked'; readonly freeBytes: number }
  | { readonly type: 'deadline-reached' }

export type ReadingsReceived = Extract<GatewayEvent, { type: 'readings-received' }>

/** One moment on both clocks. Deadlines and leases run on the monotonic one; wall time is for `ts`. */
export interface Instant {
  readonly monotonicMs: number
  /** Unix ms. */
  readonly wallMs: number
}
