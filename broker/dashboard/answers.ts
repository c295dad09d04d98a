/** What the gateway answers, where the page knows it otherwise than the gateway does. Times are Unix ms. */
import type { Role } from '../../shared/protocol/access.ts'
import type { NodeView, TaskView, UpgradePlanRow } from '../../shared/protocol/views.ts'

export interface NodeRow extends Omit<NodeView, 'id' | 'telemetry'> {
  readonly id: string
  readonly telemetry?: Readonly<Record<string, number | null>>
}

/** As it is listed, or as the stream tells it, which does not say when it was accepted. */
export interface TaskRow extends Omit<TaskView, 'id' | 'accepted_ts'> {
  readonly id: string
  /** Of a write that has its place in the order. */
  readonly seq?: number
  readonly accepted_ts?: number
}

export interface Happening {
  readonly ts: number
  readonly level: 'info' | 'warn' | 'error'
  readonly code: string
  readonly message: string
  readonly node?: string
  readonly count?: number
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

export interface UpgradeStep extends Omit<UpgradePlanRow, 'node'> {
  readonly node: string
}
