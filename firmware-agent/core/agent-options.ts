/**
 * What the core of the agent is told when it is made, and what it tells of itself for telemetry.
 * Neither changes what the other side sees: that is in the messages.
 */
import type { UpgradeOutcome } from '../../shared/protocol/upgrade-messages.ts'
import type { OutboxCounts } from './outbox.ts'
import type { Presence } from './presence.ts'
import type { SessionOptions } from './session.ts'

export interface Upgradeable {
  readonly version: string
  readonly architecture: string
  /** What became of the last package, as far as that is known now. */
  readonly outcome: UpgradeOutcome | undefined
}

export interface AgentOptions extends SessionOptions, Presence {
  /** Random, new for each process. */
  readonly process: string
  readonly weight: number
  /** What the hello says of the bound of its slice, if anything. */
  readonly sliceBytesMax?: number
  /** Of a node that takes versions from its gateway. */
  readonly upgrade?: Upgradeable
  /** Of a node that gives its log: how many lines it keeps. */
  readonly logs?: number
  /** The newest format of pages that is read here, if it is not the first. */
  readonly pages?: number
  readonly telemetryIntervalMs: number
  readonly outboxBytesMax: number
  /** Of a page that goes to another node; tests want small ones. */
  readonly pieceBytes?: number
}

/** What telemetry tells of the agent's own work. */
export interface AgentCounts {
  readonly outbox: OutboxCounts
  readonly shardsRunning: number
  readonly shardsDone: number
  readonly shardsFailed: number
  readonly roundTripMs: number | null
  readonly clockOffsetMs: number | null
  /** The best that is known, Unix ms. */
  readonly wallMs: number
}
