/**
 * The records of the ledger, as plain data: what the coordinator persists and what it starts from
 * again. The adapter encodes values as CBOR and knows nothing of their meaning.
 *
 *   meta       'identity'     which grid, how far the order has come
 *   member     node id        a node that was ever admitted
 *   stream     chunk number   where the streams of some members stand, at the gateway and on their disks
 *   placement  chunk number   holders of the born tiles of one chunk
 *   task       task id        state; kept for the retention, then reduced to what knows a repeat
 *   body       task id        the normal form of an unfinished task, or of one the log still needs
 *   write      sequence       which node holds which part of a sequenced write: the log
 *   written    sequence       how many cells took a value of a program, as far as nodes told before it is done
 *   control    sequence       an order about tiles that a node does not have yet
 *   move       tile           a node that is becoming a holder, and whose copy is dropped for it
 *   result     task id        the CBOR result, as published
 *   cell       field/LSU      a reading that no write has taken up yet: the number; or one of a copy
 *   watch      field/LSU      a cell of which something may be retained: true
 *   clearing   topic          it is still to be cleared at the other end of the bridge: true
 *   rules      version        a rule book: the latest, and those that some stream still has
 *   alarm      rule           whether it is raised, and what of that is not published
 *   ghost      program        the last version that shadowed its current one, and what came of that
 *   ruleTiles  rule/chunk     what nodes told of tiles, under the latest book; 'complete': all was told once
 *   upgrade    'latest'       the boards' next version, and how far it has come
 *   upgradeNode node id       what became of a node in the last upgrade that it was a target of
 *   codex      name/version   a version of a program that tasks name
 *   current    context        which version of each program is meant in it
 */

import type { Field } from '../../shared/grid/fields.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import type { Rule } from '../../shared/operations/rule-book.ts'
import type { ControlOrder } from '../../shared/protocol/control-entries.ts'
import type { TaskState } from '../../shared/protocol/states.ts'
import type { GhostRecord } from './ghost-record.ts'
import type { MoveReason } from './state/move-table.ts'

export interface IdentityRecord {
  readonly ledgerId: string
  readonly grid: { readonly width: number; readonly height: number; readonly tile: number }
  /** Their names and types stay; what stands for no data is as at the last start. */
  readonly fields: readonly Field[]
  readonly replicas: number
  /** Counts the starts of the gateway on this ledger. */
  readonly term: number
  /** The last sequence given to a write. */
  readonly seq: number
  /** The version of the placement. */
  readonly epoch: number
  /** It is being rebuilt from the nodes, and is no ledger yet. */
  readonly isRecovering?: boolean
  /** The ledgers that it was rebuilt for, the oldest first: their nodes are taken over. */
  readonly formerLedgerIds?: readonly string[]
  /** What is being rebuilt began as a copy of an older ledger; until it is done. */
  readonly restored?: RestoredFrom
  /** Nodes of the copy that were not waited for: they may have what is missing, until that is given up. */
  readonly absentNodes?: readonly string[]
  /** How long the gateway has run on this ledger, ms; a moment may be missing after a crash. */
  readonly ranMs?: number
}

/** It began with what the nodes held. */
export function wasRebuilt({ formerLedgerIds = [] }: IdentityRecord): boolean {
  return formerLedgerIds.length > 0
}

/** The copy that a ledger is restored from. */
export interface RestoredFrom {
  /** When it was made, Unix ms. */
  readonly ts: number
  /** The last sequence that it knows. */
  readonly seq: number
  /** Its nodes that may hold something: all of them are waited for. */
  readonly nodes: readonly string[]
  /** The tiles that it has as written, a bit each; one of an earlier version does not say. */
  readonly written?: Uint8Array
}

export interface MemberRecord {
  /** Small number that stands for the node in placements; never given twice. */
  readonly index: number
  readonly storeId: string
  readonly boot: number
  readonly weight: number
  readonly operations: readonly string[]
  /** Unix ms. */
  readonly joinedTs: number
  /** It is being emptied, or was. */
  readonly leaving?: 'draining' | 'left'
  /** The position of the lost ledger's stream at which it is to be told what it keeps. */
  readonly rebaseFrom?: number
}

/** Of one member; an earlier version wrote it as such, with the id of the store, by the id of the node. */
export interface StreamRecord {
  /** The last entry put into the stream. */
  readonly head: number
  /** The last entry that the node acknowledged, its chain and sequence. */
  readonly acked: number
  readonly ackedChain: Uint8Array
  readonly ackedSeq: number
}

/** By member index, from the first one of the chunk on. */
export interface StreamsRecord {
  /** Head, acknowledged position and its sequence of each: three f64 little-endian. */
  readonly marks: Uint8Array
  /** The chain of each at its acknowledged position. */
  readonly chains: Uint8Array
}

export interface PlacementRecord {
  /** One byte a tile: 1 when born. */
  readonly born: Uint8Array
  /** `replicas` member indexes + 1 a tile, u32 little-endian; 0 is no holder. */
  readonly holders: Uint8Array
  /**
   * One byte a tile: 1 where nobody knows whether it was written before a recovery, 2 where it was written since; empty
   * where there is neither. A ledger that was never rebuilt leaves it out, and so did an earlier version.
   */
  readonly supposed?: Uint8Array
}

export interface TaskRecord {
  /** The gateway made the id; left out, it is of who submitted the task. */
  readonly isNamed?: false
  /** Who sent it, as long as it waits for its place in the order. */
  readonly submitter?: string
  /** The identity that it is of, where everybody is asked who he is. */
  readonly by?: string
  readonly op: string
  /** What was asked for, where another operation runs it. */
  readonly asked?: string
  /** Hex SHA-256 of the normal form. */
  readonly hash: string
  /** Of what was asked for, where that names a program of the codex: by it a repeat is known. */
  readonly askedHash?: string
  readonly state: TaskState
  readonly effect: 'none' | 'pending' | 'done'
  /** Order of acceptance. */
  readonly order: number
  /** Unix ms. */
  readonly acceptedTs: number
  readonly endedTs: number | null
  /** As `ranMs` of the identity was then. */
  readonly endedMs?: number
  /** Milliseconds that were left to the deadline when this was written. */
  readonly remainingMs: number
  /** Of a sequenced write. */
  readonly seq: number | null
  /** The write is done, and its value is not sealed yet. A read in that place is done once more after a start. */
  readonly sealing?: SealingRecord
  readonly shards: { readonly total: number; readonly done: number; readonly failed: number }
  readonly error: { readonly code: string; readonly message: string } | null
  /** State and result are gone; id and hash still know a repeat. */
  readonly isCleared: boolean
}

/** What the result of a write says in clear beside its value, and what the value says. */
export interface SealingRecord {
  readonly copies: number
  readonly nodes: number
  /** Of a program, what the value says. */
  readonly written?: Readonly<Record<string, number>>
}

export interface WriteRecord {
  readonly task: string
  /** A tile of it has no copy any more: whoever acknowledges it, it is not done. */
  readonly isLost?: boolean
  /** Of a write of the gateway's own, as long as the log keeps it; of others their task says so. */
  readonly isDone?: boolean
  readonly parts: WriteParts | NamedParts
}

export interface WrittenRecord {
  /** By the fields that it may set, ascending. */
  readonly totals: readonly number[]
  /** The tiles of the write that are counted, a bit each. */
  readonly counted: Uint8Array
}

/** Columns, one row a part (part-records.ts). */
export interface WriteParts {
  /** Member indexes, u32 little-endian. */
  readonly members: Uint8Array
  /** f64 little-endian. */
  readonly positions: Uint8Array
  /** How many tiles each has, u32 little-endian. */
  readonly counts: Uint8Array
  /** From each tile of a part to the next one, the first from 0. */
  readonly gaps: Uint8Array
}

/** As an earlier version wrote them: `tiles` are packed u32. */
export type NamedParts = readonly {
  readonly node: string
  readonly position: number
  readonly tiles: Uint8Array
}[]

/** An order of control-entries.ts as it stands in an entry; `tiles` are packed u32. */
export interface ControlRecord {
  readonly node: string
  readonly position: number
  readonly op: ControlOrder['op']
  readonly args: Readonly<Record<string, unknown>>
  readonly tiles: Uint8Array
}

/** A move whose target has the page in its stream; one that is still copying is planned again. */
export interface MoveRecord {
  readonly id: number
  readonly to: string
  readonly from: string | null
  readonly reason: MoveReason
  /** Where in the stream of `to` the page is adopted. */
  readonly adopted: number
}

/** A reading of the copy that a ledger is restored from: it counts where its tile has come no further than `upTo`. */
export interface CopiedCell {
  readonly value: number
  readonly upTo: number
}

export interface PackageRef {
  /** Hexadecimal: its name. */
  readonly sha256: string
  readonly bytes: number
}

/** How many nodes may be away at a time, or what share of the targets. */
export type WaveSize = { readonly nodes: number } | { readonly percent: number }

export interface UpgradeRecord {
  readonly id: string
  readonly version: string
  /** By the architecture, as Debian names it. */
  readonly packages: Readonly<Record<string, PackageRef>>
  readonly wave: WaveSize
  /** Between waves. */
  readonly pauseMs: number
  /** Also to nodes that run a newer version, up to this one: its inventory says so. */
  readonly downgradeFrom?: string
  /** Tiles may be away with their only copy. */
  readonly mayBeAway: boolean
  readonly state: 'running' | 'stopped' | 'done'
  readonly isCanaryDone: boolean
  /** Unix ms. */
  readonly startedTs: number
  readonly stopped?: { readonly code: string; readonly node?: string }
}

export type UpgradeNodeState =
  /** It has not fetched the package, or is away. */
  | 'waiting'
  | 'fetching'
  /** The package lies on its disk. */
  | 'fetched'
  | 'installing'
  | 'done'
  /** It runs the version of before. */
  | 'went-back'
  /** It did not come back, or not in time. */
  | 'lost'
  | 'skipped'

export interface UpgradeNodeRecord {
  /** The id of the upgrade. */
  readonly upgrade: string
  readonly state: UpgradeNodeState
  readonly code?: string
  /** The latest order to install; an outcome of another one is not its. */
  readonly attempt?: string
  /** Packages that did not come to run on it, the latest last. */
  readonly failed?: readonly string[]
}

export interface RulesRecord {
  readonly rules: readonly Rule[]
  /** When it was set, Unix ms. */
  readonly ts: number
}

export interface ProgramRecord {
  readonly name: string
  /** From 1. */
  readonly version: number
  /** Of the name: what a microglyph would carry. */
  readonly number: number
  readonly glyph: string | null
  readonly source: string
  readonly kind: 'write' | 'read'
  /** Of one over items: what a record has. */
  readonly columns?: string
  /** In the order in which the source has them, without `$`. */
  readonly parameters: readonly string[]
  /** The version that it was made from. */
  readonly parent: number | null
  /** Hex SHA-256 of code and pool, with 0 in the places of parameters. */
  readonly hash: string
  /** Who defined it, where everybody is asked who he is. */
  readonly by: string | null
  /** Unix ms. */
  readonly ts: number
  /** The chain of the version before (lineage.ts). */
  readonly before: Uint8Array
  readonly chain: Uint8Array
}

export interface ContextRecord {
  /** Counts its changes. */
  readonly version: number
  /** The version that is current, by the name of its program. */
  readonly programs: Readonly<Record<string, number>>
}

/** What is published when a rule is raised, or cleared. */
export interface RuleEvent {
  readonly rule: string
  readonly version: number
  readonly state: 'raised' | 'cleared'
  readonly message: string
  /** Around the tiles. */
  readonly region: Region
  readonly tiles: number
  /** Cells for which the condition is true. */
  readonly count: number
  /** The write that it came with. */
  readonly seq: number
  /** Unix ms. */
  readonly ts: number
}

export interface AlarmRecord {
  /** Growing. */
  readonly number: number
  readonly last: RuleEvent
  /** Those that may not have been published, with their numbers. */
  readonly untold: readonly (RuleEvent & { readonly number: number })[]
  /** The rule is in the book no more. */
  readonly isGone?: true
}

/** Columns: the last word on each tile. */
export interface RuleTilesRecord {
  readonly tiles: readonly number[]
  readonly ats: readonly number[]
  readonly counts: readonly number[]
}

export interface LedgerTables {
  meta: IdentityRecord
  member: MemberRecord
  stream: StreamsRecord | StreamRecord
  placement: PlacementRecord
  task: TaskRecord
  body: Uint8Array
  write: WriteRecord
  written: WrittenRecord
  control: ControlRecord
  move: MoveRecord
  result: Uint8Array
  cell: number | CopiedCell
  watch: true
  clearing: true
  rules: RulesRecord
  alarm: AlarmRecord
  ruleTiles: RuleTilesRecord
  upgrade: UpgradeRecord
  upgradeNode: UpgradeNodeRecord
  codex: ProgramRecord
  current: ContextRecord
  ghost: GhostRecord
}

export type LedgerTable = keyof LedgerTables

/** All of them, and what becomes of each in a copy that takes the place of a lost ledger (restored-ledger.ts). */
export const LEDGER_FATES: Readonly<Record<LedgerTable, 'kept' | 'dropped' | 'changed'>> = {
  meta: 'changed',
  member: 'dropped',
  stream: 'dropped',
  placement: 'dropped',
  task: 'changed',
  body: 'dropped',
  write: 'dropped',
  written: 'dropped',
  control: 'dropped',
  move: 'dropped',
  result: 'kept',
  cell: 'changed',
  watch: 'kept',
  clearing: 'kept',
  rules: 'kept',
  alarm: 'kept',
  ruleTiles: 'dropped',
  upgrade: 'changed',
  upgradeNode: 'changed',
  codex: 'kept',
  current: 'kept',
  ghost: 'kept',
}

export const LEDGER_TABLES = Object.keys(LEDGER_FATES) as readonly LedgerTable[]

/** One change; a `value` of undefined deletes. */
export type LedgerRecord = {
  [T in LedgerTable]: {
    readonly table: T
    readonly key: string | number
    readonly value: LedgerTables[T] | undefined
  }
}[LedgerTable]

/** Everything but results, which are read one at a time. */
export type LedgerContents = {
  readonly [T in Exclude<LedgerTable, 'result'>]: readonly {
    readonly key: string | number
    readonly value: LedgerTables[T]
  }[]
}
