/** The promises that the simulator checks: what a read must see, also of what a lost ledger took with it. */
import t from 'tap'
import type { LedgerRecord, TaskRecord } from '../../broker/core/ledger-records.ts'
import { EntryParts } from '../../broker/core/state/entry-parts.ts'
import { packParts } from '../../broker/core/state/part-records.ts'
import type { TaskId } from '../../shared/core/ids.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import { Checkers } from '../support/checkers.ts'
import { BENCH_OPTIONS } from '../support/gateway-bench.ts'
import { GridModel, type PlainTask } from '../support/grid-model.ts'
import { TaskStories, type TaskStory } from '../support/task-stories.ts'

const { grid } = BENCH_OPTIONS
const TILE = 0
const REGION = grid.geometry.tileRegion(TILE)
const PARTS = packParts(EntryParts.of([{ member: 0, position: 1, tiles: Uint32Array.of(TILE) }]))
const LSUS = grid.geometry.tileLsus(TILE)

function recordOf({ plain, hash }: TaskStory, rest: Partial<TaskRecord>): LedgerRecord {
  const value: TaskRecord = {
    op: plain.op,
    hash,
    state: 'completed',
    effect: 'none',
    order: 0,
    acceptedTs: 0,
    endedTs: 0,
    remainingMs: 0,
    seq: null,
    shards: { total: 1, done: 1, failed: 0 },
    error: null,
    isCleared: false,
    ...rest,
  }
  return { table: 'task', key: plain.id!, value }
}

/** Two writes of one tile are shown as done. */
function afterTwoWrites() {
  const model = new GridModel(grid)
  const stories = new TaskStories(grid)
  const checkers = new Checkers(
    {
      minInSync: 1,
      retentionMs: 0,
      isLost: () => false,
      isRaised: () => false,
      count: () => {},
    },
    model,
    stories,
    { countCopies: () => 1 },
  )
  const ask = (id: string, rest: Pick<PlainTask, 'op' | 'args'>): TaskStory =>
    stories.begin({ id, deadline_ms: 1000, region: REGION, ...rest }, checkers.lastDone)
  for (const seq of [1, 2]) {
    const id = `write-${seq}`
    const write = ask(id, { op: 'set', args: { fields: { value: seq } } })
    checkers.flushed([
      recordOf(write, { seq, effect: 'done' }),
      { table: 'write', key: seq, value: { task: id, parts: PARTS } },
      { table: 'result', key: id, value: encodeCbor({ state: 'completed', copies: 1 }) },
    ])
    checkers.published({
      type: 'publish',
      topic: { kind: 'task-state', task: id as TaskId },
      payload: JSON.stringify({ state: 'completed', effect: 'done' }),
      qos: 1,
      retain: true,
    })
  }
  const answer = (read: TaskStory, number: number): void => {
    const value = {
      fields: { value: new Array(LSUS).fill(number) },
      status: new Array(LSUS).fill('idle'),
    }
    const result = encodeCbor({ state: 'completed', value, consistent: true })
    checkers.flushed([recordOf(read, {}), { table: 'result', key: read.plain.id!, value: result }])
  }
  /** Of this tile only what came up to `seq` is left. */
  const recoverAt = (seq: number): void => {
    model.truncate(TILE, seq)
    model.sequences.splice(seq)
    checkers.forget(TILE, seq)
  }
  return { ask: () => ask('read', { op: 'get' }), answer, recoverAt }
}

t.test('a read shows all that had been done when it was asked', async (t) => {
  const newest = afterTwoWrites()
  t.doesNotThrow(() => newest.answer(newest.ask(), 2))
  const older = afterTwoWrites()
  t.throws(() => older.answer(older.ask(), 1), /shows tile 0 at 1, but 2 had completed/)
})

t.test('a read that was asked before a recovery shows what that left, and no less', async (t) => {
  const left = afterTwoWrites()
  const read = left.ask()
  left.recoverAt(1)
  t.doesNotThrow(() => left.answer(read, 1))
  const less = afterTwoWrites()
  const early = less.ask()
  less.recoverAt(1)
  t.throws(() => less.answer(early, 0), /shows tile 0 at 0, but 1 had completed/)
})
