/**
 * What the gateway shows of itself, as plain JSON: the answers of the HTTP API. Names are those of
 * the wire (wire.md), so that a task reads the same over MQTT and over HTTP.
 */
import type { NodeId, TaskId } from '../core/ids.ts'
import type { Field } from '../grid/fields.ts'
import type { Region } from '../grid/geometry.ts'
import type { MemberState, TaskState } from './states.ts'

/** The JSON of `task/<task>/state`, and when the task began and must end. Times are Unix ms. */
export interface TaskView {
  readonly id: TaskId
  readonly op: string
  readonly state: TaskState
  readonly effect?: 'none' | 'pending' | 'done'
  readonly shards: { readonly total: number; readonly done: number; readonly failed: number }
  readonly error?: { readonly code: string; readonly message: string }
  /** Why it does not go on at this moment. */
  readonly waiting_for?: string
  readonly ts: number
  readonly accepted_ts: number
  readonly ended_ts?: number
  readonly deadline_ts?: number
  /** Of one over the grid that had not ended when the gateway was started. */
  readonly region?: Region
}

export interface NodeView {
  readonly id: NodeId
  readonly state: MemberState
  readonly connected: boolean
  /** It is being emptied. */
  readonly draining?: true
  /** Written tiles that it had when that began; `tiles_written` are left. */
  readonly drain_tiles?: number
  /** Of one that is drained or dead: tiles that moves end in a second, those of others among them. */
  readonly rate?: number
  /** How long it takes until it holds nothing. */
  readonly eta_seconds?: number
  /** Why nothing of it gets on. */
  readonly waits_for?: string
  /** Why it takes no more of its stream, by its own word: a full disk, a damaged entry. */
  readonly stopped?: { readonly code: string; readonly message: string }
  readonly weight: number
  /** Its part of the grid; tiles that were never written follow the ring, and take no room. */
  readonly tiles: number
  /** Those of them that were written: what it has on its disk, or is to have. */
  readonly tiles_written: number
  /** So long it is given no tiles of others; absent when that is over. */
  readonly probation_seconds?: number
  /** How often its store was started. */
  readonly incarnation: number
  readonly joined_ts?: number
  readonly operations?: readonly string[]
  /** How suspicious its silence is (phi accrual); absent while it has sent too few heartbeats. */
  readonly phi?: number
  /** Whether it would be given more tiles to hold. */
  readonly may_take_tiles?: boolean
  /** It comes and goes. */
  readonly quarantined?: boolean
  /** It installs another version: nobody wonders where it is. */
  readonly upgrading?: true
  /** What it runs; absent where the gateway has not heard it since the start. */
  readonly version?: string
  /** Entries put into its stream, and how many of them it has on disk. */
  readonly stream?: { readonly head: number; readonly acked: number }
  /** The difference of the two. */
  readonly behind?: number
  /** Its last word since the gateway started, Unix ms. */
  readonly heard_ts?: number
  /** Somebody should look at it. */
  readonly troubled?: true
  /** Answers to reads that it gave up for want of room, since its start. */
  readonly answers_shed?: number
  /** The node's birth message, where one node is asked for, and its last telemetry, as it sent them. */
  readonly info?: Readonly<Record<string, unknown>>
  readonly telemetry?: Readonly<Record<string, unknown>>
}

/** A rule as its author wrote it. */
export interface RuleText {
  readonly name: string
  readonly when: string
  /** Left out: the whole grid. */
  readonly over?: Region
  readonly message: string
}

/** The JSON of `GET /api/rules`. */
export interface RuleBookView {
  /** 0: none was ever set. */
  readonly version: number
  readonly rules: readonly (RuleText & RuleStanding)[]
}

/** How a rule stands; nothing before it was ever raised. */
export interface RuleStanding {
  readonly state?: 'raised' | 'cleared'
  /** Tiles in which it is true of some cell, and cells of which it is. */
  readonly tiles?: number
  readonly count?: number
  /** When that was said last, Unix ms. */
  readonly ts?: number
}

export interface UpgradePlanRow {
  readonly node: NodeId
  readonly state: string
  readonly code?: string
}

/** The JSON of `GET /api/upgrades`. */
export interface UpgradeView {
  readonly id: string
  readonly version: string
  readonly state: 'running' | 'stopped' | 'done'
  /** Why it stopped, and at which node. */
  readonly stopped?: { readonly code: string; readonly node?: string }
  readonly waits_for?: string
  readonly wave: { readonly nodes: number } | { readonly percent: number }
  readonly pause_seconds: number
  readonly canary_done: boolean
  readonly started_ts: number
  readonly packages: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>
  readonly counts: Readonly<Record<string, number>>
  readonly nodes: readonly UpgradePlanRow[]
}

/** Whether the gateway trusts what it sees of the fleet. */
export interface DetectorView {
  readonly doubts: readonly { readonly reason: string; readonly since_ts: number }[]
  /** The ledger is being rebuilt from the nodes, and nobody is a member before that is done. */
  readonly recovery?: RecoveryView
  /** Nobody has them, which is refused until they come or are given up; left out where there are none. */
  readonly tiles_missing?: number
  /** So many of these are known to have been written; of the others nobody can tell. */
  readonly tiles_missing_written?: number
  /** Another one once more are missing; sent along with the wish to give up those that were shown. */
  readonly tiles_missing_mark?: string
  /** Nodes of the copy that a restore did not wait for: they may have what is missing. The first 100. */
  readonly nodes_absent?: readonly string[]
  /** So many more, where there are any. */
  readonly nodes_absent_more?: number
}

/** Whom a gateway waits for that rebuilds its ledger. Of the names there are the first 100. */
export interface RecoveryView {
  /** When the copy was made that it began with, if it did. */
  readonly copy_ts?: number
  /** So many are to show what they hold, and so many have. */
  readonly expected: number
  readonly shown: number
  readonly nodes: readonly string[]
  /** Of the copy; nobody knows them where an operator said how many there are. */
  readonly awaited: readonly string[]
  /** Are here with a store that has nothing, and count as none. */
  readonly empty: readonly string[]
  /** So many more of these, where there are any. */
  readonly empty_more?: number
  /** Until then it waits in any case, for those that joined after the copy. */
  readonly until_ts?: number
}

export interface Health {
  readonly ok: boolean
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail?: string }>>
}

/** The JSON of `GET /api/grid`. */
export interface GridView {
  readonly width: number
  readonly height: number
  readonly tile: number
  readonly fields: readonly Field[]
  readonly replicas: number
  readonly epoch: number
  /** The id of the ledger: another one holds other values. */
  readonly ledger: string
}

/** The JSON of `gateway/ring`. */
export interface RingView {
  readonly epoch: number
  readonly replicas: number
  readonly tile: number
  readonly grid: { readonly width: number; readonly height: number }
  readonly fields: readonly Field[]
  /** Of the gateway. */
  readonly version: string
  readonly members: readonly {
    readonly id: NodeId
    readonly state: MemberState
    readonly weight: number
    readonly tiles: number
  }[]
  /** Of each tile, in ring order: where its holders stand in `members`; only over HTTP, and if asked for. */
  readonly holders?: readonly (readonly number[])[]
}

/** The CBOR of `GET /api/ring/tiles`: a rectangle of tiles, row by row. */
export interface RingTilesView {
  readonly epoch: number
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
  readonly replicas: number
  /** Those that hold some tile here. */
  readonly members: readonly string[]
  /** Of each tile `replicas` times where its holder stands in `members`, from 1 on, or 0: u32, little-endian. */
  readonly holders: Uint8Array
  /** Of each tile a byte: 0 never written, 1 written, 2 missing, since every copy is lost. */
  readonly state: Uint8Array
}

export interface MoveView {
  readonly tile: number
  readonly reason: 'repair' | 'drain' | 'balance'
  /** Whose copy goes for it. */
  readonly from?: NodeId
  readonly to: NodeId
  readonly stage: 'planned' | 'copying' | 'catching-up'
  readonly waits_for?: string
  readonly seconds?: number
}

/** A node that gets no tiles of others yet, and for how long. */
export interface ProbationView {
  readonly node: NodeId
  readonly seconds: number
}

/** `too-few-nodes` ends when another node joins, `no-source` when a holder is back. */
export type StallReason = 'too-few-nodes' | 'no-source'

/** Copies that should leave a node and never can as the fleet is. */
export interface Stall {
  readonly node: NodeId
  readonly reason: StallReason
  /** How many tiles that is. */
  readonly tiles: number
  readonly message: string
}

/** The JSON of `GET /api/ring/moves`. */
export interface MovesView {
  readonly open: readonly MoveView[]
  /** The first of them; `planned_tiles` says how many there are. */
  readonly planned: readonly MoveView[]
  readonly planned_tiles: number
  readonly planned_bytes: number
  /** Why planned ones have not begun, and how many; and how many tiles have nowhere to go. */
  readonly waiting: Readonly<Partial<Record<string, number>>>
  /** Why none is planned at this moment. */
  readonly paused_for?: 'recovering' | 'doubting' | 'unsettled'
  /** Who is left out of what is planned, for a while. */
  readonly probation: readonly ProbationView[]
  /** What can never leave its node as the fleet is. */
  readonly stalled: readonly Stall[]
  /** Tiles that ended in the last half minute, a second. */
  readonly rate: number
  /** For all that is left, by that rate; absent while nothing gets on. */
  readonly eta_seconds?: number
  /** Why nothing gets on. */
  readonly stands_still?: string
  readonly ended_total: number
  readonly rolled_back_total: number
  readonly copied_bytes_total: number
}

/** The JSON of `GET /api/ring/plan`. */
export interface PlanView {
  readonly tiles: number
  readonly bytes: number
  readonly seconds: number
  readonly moves: readonly { readonly from?: string; readonly to: string; readonly tiles: number }[]
  /** Who would be left out at this moment. */
  readonly probation: readonly ProbationView[]
  /** What could never leave its node. */
  readonly stalled: readonly Stall[]
}

/** Lines of a board's own log. */
export interface LogView {
  /** As the board's logger wrote them, the oldest first. */
  readonly lines: readonly Readonly<Record<string, unknown>>[]
  /** What the next question is to be `after`. */
  readonly next: string
  /** Lines of any level that the board gave up, unread, since `after`. */
  readonly left: number
}
