/**
 * What becomes of a copy of the ledger that is put in the place of one that is lost. A copy knows
 * nothing of what came after it. So all that says where state lies goes: members, streams, placement, the log. The
 * nodes say that themselves (recovery.ts), and may be far ahead. What only the gateway knew stays: tasks that have
 * ended, results, the ids that repeats are known by, what others have retained, upgrades.
 *
 * Readings that may be on no board stay, for as long as it is not known how far the boards are (copied-readings.ts).
 *
 * A task that had not ended may have ended since, and nobody can tell. It fails with `restored`: its id stays
 * taken, so that it never runs a second time.
 */
import { unreachable } from '../../shared/core/assert.ts'
import type { TaskId } from '../../shared/core/ids.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { packTileBits } from '../../shared/operations/columns.ts'
import { valuesOf } from '../../shared/operations/scatter.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import {
  type CopiedCell,
  type IdentityRecord,
  LEDGER_FATES,
  LEDGER_TABLES,
  type LedgerContents,
  type LedgerRecord,
  type TaskRecord,
  type UpgradeNodeRecord,
  wasRebuilt,
} from './ledger-records.ts'
import { NO_STORE } from './state/membership.ts'
import { PLACEMENT_CHUNK_TILES } from './state/placement.ts'
import { supposedIn } from './state/slots.ts'
import { decodeBody, ranMsOf, seqOfInternal } from './state/task-ledger.ts'
import { encodeResult } from './state/task-messages.ts'

export interface RestoreMoment {
  /** Of the ledger that begins. */
  readonly ledgerId: string
  /** Unix ms. */
  readonly nowTs: number
  /** When the copy was made, Unix ms. */
  readonly copyTs: number
}

const UNKNOWN_EFFECT =
  'the ledger was restored from a copy of before its end: whether it acted is to be seen in the grid'
const UNKNOWN_VALUE =
  'the ledger was restored from a copy of before its end: ask again under another id'

/** What is to be changed in the copy, in one transaction. */
export function* restoredChanges(
  copy: LedgerContents,
  moment: RestoreMoment,
): Generator<LedgerRecord> {
  for (const table of LEDGER_TABLES) {
    if (table === 'result' || LEDGER_FATES[table] !== 'dropped') continue
    for (const { key } of copy[table]) yield { table, key, value: undefined }
  }
  for (const { key, value } of copy.meta) {
    yield { table: 'meta', key, value: restoredIdentity(value, copy, moment) }
  }
  const endedMs = ranMsOf(copy)
  for (const { key, value } of copy.task) {
    if (!isEnded(value.state)) yield* restoredTask(key as TaskId, value, endedMs, moment)
  }
  yield* restoredCells(copy)
  for (const { key, value } of copy.upgrade) {
    if (value.state !== 'running') continue
    yield {
      table: 'upgrade',
      key,
      value: { ...value, state: 'stopped', stopped: { code: 'restored' } },
    }
  }
  for (const { key, value } of copy.upgradeNode) {
    const state = stateAfter(value.state)
    if (state !== value.state) yield { table: 'upgradeNode', key, value: { ...value, state } }
  }
}

function restoredIdentity(
  identity: IdentityRecord,
  { member, placement }: LedgerContents,
  { ledgerId, copyTs }: RestoreMoment,
): IdentityRecord {
  const { ledgerId: lost, formerLedgerIds = [], seq, restored } = identity
  const nodes = member
    .filter(({ value: { leaving, storeId } }) => leaving !== 'left' && storeId !== NO_STORE)
    .map(({ key }) => String(key))
  return {
    ...identity,
    ledgerId,
    isRecovering: true,
    formerLedgerIds: [...new Set([...formerLedgerIds, lost])],
    // One that was being rebuilt itself has no members yet.
    restored: restored
      ? { ...restored, ts: copyTs, seq }
      : { ts: copyTs, seq, nodes: nodes.sort(), written: writtenTiles(placement, identity) },
  }
}

/** A bit each. */
function writtenTiles(
  placement: LedgerContents['placement'],
  identity: IdentityRecord,
): Uint8Array {
  const of = { replicas: identity.replicas, wasRebuilt: wasRebuilt(identity) }
  const tiles: number[] = []
  for (const { key, value } of placement) {
    const first = Number(key) * PLACEMENT_CHUNK_TILES
    const supposed = supposedIn(value, of)
    value.born.forEach((born, index) => {
      if (born === 1 && supposed?.[index] !== 1) tiles.push(first + index)
    })
  }
  return packTileBits(tiles)
}

function* restoredTask(
  id: TaskId,
  record: TaskRecord,
  endedMs: number,
  { nowTs }: RestoreMoment,
): Generator<LedgerRecord> {
  const { submitter: _over, sealing: _unsealed, ...rest } = record
  const { total, done } = record.shards
  const { kind = 'write' } = findOperation(record.op) ?? {}
  const isWrite = kind === 'write'
  const value: TaskRecord = {
    ...rest,
    state: 'failed',
    effect: isWrite && record.effect !== 'done' ? 'pending' : record.effect,
    error: { code: 'restored', message: isWrite ? UNKNOWN_EFFECT : UNKNOWN_VALUE },
    endedTs: nowTs,
    endedMs,
    remainingMs: 0,
    shards: { total, done, failed: total - done },
  }
  yield { table: 'task', key: id, value }
  const result = encodeResult(
    { ...value, id, asked: value.asked ?? value.op, error: value.error! },
    { nodes: 0 },
    nowTs,
  )
  yield { table: 'result', key: id, value: result }
}

/**
 * Of each cell the last reading that may be on no board: of the journal, where its tile has come no further than the copy;
 * of a write of the gateway's own, where not even to that.
 */
function* restoredCells({ body, cell, meta }: LedgerContents): Generator<LedgerRecord> {
  const identity = meta[0]!.value
  const cells = new Map<string, CopiedCell>()
  const own = body.flatMap(({ key, value }) => {
    const seq = seqOfInternal(key)
    return seq === undefined ? [] : [{ seq, bytes: value }]
  })
  for (const { seq, bytes } of own.sort((a, b) => a.seq - b.seq)) {
    const { args } = decodeBody(bytes)
    for (const { field, id, value } of valuesOf(args, identity.fields)) {
      cells.set(`${field.name}/${id}`, { value, upTo: seq - 1 })
    }
  }
  for (const { key, value } of cell) {
    cells.set(String(key), typeof value === 'number' ? { value, upTo: identity.seq } : value)
  }
  for (const [key, value] of cells) yield { table: 'cell', key, value }
}

/** What it does now is not known; it says so when an upgrade begins. */
function stateAfter(state: UpgradeNodeRecord['state']): UpgradeNodeRecord['state'] {
  switch (state) {
    case 'fetching':
    case 'fetched':
    case 'installing':
      return 'waiting'
    case 'waiting':
    case 'done':
    case 'went-back':
    case 'lost':
    case 'skipped':
      return state
    default:
      return unreachable(state)
  }
}
