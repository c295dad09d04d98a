/** What the gateway answers, as far as the page shows it (docs/protocol.md, HTTP). Times are Unix ms. */
import type { Role } from '../../shared/protocol/access.ts'
import type { MemberState, TaskState } from '../../shared/protocol/states.ts'

export interface Region {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

export interface Stopped {
  readonly code: string
  readonly message: string
}

export interface NodeRow {
  readonly id: string
  readonly state: MemberState
  readonly connected: boolean
  readonly draining?: true
  /** Written tiles that it had when that began. */
  readonly drain_tiles?: number
  /** Tiles that moves end in a second. */
  readonly rate?: number
  readonly eta_seconds?: number
  /** Why nothing of it gets on. */
  readonly waits_for?: string
  /** Entries that it has not acknowledged. */
  readonly behind?: number
  readonly quarantined?: boolean
  readonly stopped?: Stopped
  readonly weight: number
  readonly tiles: number
  readonly tiles_written: number
  readonly probation_seconds?: number
  readonly incarnation: number
  readonly joined_ts?: number
  /** What it runs, where its gateway may upgrade it. */
  readonly version?: string
  readonly upgrading?: true
  readonly heard_ts?: number
  readonly operations?: readonly string[]
  readonly stream?: { readonly head: number; readonly acked: number }
  readonly info?: Readonly<Record<string, unknown>>
  readonly telemetry?: Readonly<Record<string, number | null>>
}

export interface TaskRow {
  readonly id: string
  readonly op: string
  readonly state: TaskState
  readonly effect?: 'none' | 'pending' | 'done'
  readonly shards: { readonly total: number; readonly done: number; readonly failed: number }
  readonly error?: { readonly code: string; readonly message: string }
  readonly waiting_for?: string
  /** Of a write that has its place in the order. */
  readonly seq?: number
  readonly ts: number
  readonly accepted_ts?: number
  readonly ended_ts?: number
  readonly deadline_ts?: number
}

export interface Happening {
  readonly ts: number
  readonly level: 'info' | 'warn' | 'error'
  readonly code: string
  readonly message: string
  readonly node?: string
  readonly count?: number
}

export interface Stall {
  readonly node: string
  readonly reason: string
  readonly tiles: number
  readonly message: string
}

export interface Move {
  readonly tile: number
  readonly reason: 'repair' | 'drain' | 'balance'
  readonly from?: string
  readonly to: string
  readonly stage: 'planned' | 'copying' | 'catching-up'
}

export interface Moves {
  readonly open: readonly Move[]
  readonly planned: readonly Move[]
  readonly planned_tiles: number
  readonly planned_bytes: number
  readonly waiting: Readonly<Record<string, number>>
  readonly paused_for?: string
  readonly stalled: readonly Stall[]
  readonly eta_seconds?: number
  /** Why nothing gets on. */
  readonly stands_still?: string
}

export interface Plan {
  readonly tiles: number
  readonly bytes: number
  readonly seconds: number
  readonly moves: readonly { readonly from?: string; readonly to: string; readonly tiles: number }[]
  readonly stalled: readonly Stall[]
}

export interface Doubt {
  readonly reason: string
  readonly since_ts: number
}

export interface UserRow {
  readonly name: string
  readonly roles: readonly Role[]
  readonly hasPassword: boolean
  readonly disabledTs?: number
  readonly lastTs?: number
  readonly tokens: readonly {
    readonly id: string
    readonly label: string
    readonly untilTs: number
    readonly lastTs?: number
  }[]
}

/** A token that gives a board an identity. */
export interface TokenRow {
  readonly id: string
  /** Null for any node that nobody has heard of. */
  readonly node: string | null
  readonly replaces: boolean
  readonly createdTs: number
  readonly untilTs: number
  readonly by: string
  readonly usedTs?: number
  readonly revokedTs?: number
}

export interface SecurityStatus {
  readonly mode: 'open' | 'secured'
  readonly authority: {
    readonly pin: string
    readonly untilTs: number
    readonly backupTs?: number
    readonly changedTs?: number
    readonly leaves: readonly {
      readonly of: string
      readonly names: readonly string[]
      readonly untilTs: number
    }[]
  }
  readonly openTokens: number
  readonly locked: readonly {
    readonly user?: string
    readonly source: string
    readonly seconds: number
  }[]
  readonly refused: readonly {
    readonly ts: number
    readonly event: string
    readonly who: string
    readonly source?: string
    readonly code?: string
    readonly count: number
  }[]
  readonly log: { readonly folder: string; readonly isBroken: boolean }
}

/** A package for boards. */
export interface PackageRow {
  readonly sha256: string
  readonly bytes: number
  readonly version: string
  readonly architecture: string
}

export interface UpgradeStep {
  readonly node: string
  readonly state: string
  readonly code?: string
}

export interface Upgrade {
  readonly id: string
  readonly version: string
  readonly state: 'running' | 'stopped' | 'done'
  readonly stopped?: { readonly code: string; readonly node?: string }
  readonly waits_for?: string
  readonly counts: Readonly<Record<string, number>>
  readonly nodes: readonly UpgradeStep[]
}
