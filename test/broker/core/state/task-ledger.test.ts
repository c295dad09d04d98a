import t from 'tap'
import type { TaskRecord } from '../../../../broker/core/ledger-records.ts'
import { IDS_KEPT_MS } from '../../../../broker/core/state/retention.ts'
import {
  bodyMark,
  decodeBody,
  encodeBody,
  givenOf,
  hashBody,
  type Task,
  TaskLedger,
} from '../../../../broker/core/state/task-ledger.ts'
import type { TaskId } from '../../../../shared/core/ids.ts'
import { decodeCbor, encodeCbor } from '../../../../shared/protocol/cbor.ts'
import type { TaskBody } from '../../../../shared/protocol/task.ts'

const DAY_MS = 24 * 3600 * 1000
const OPTIONS = { retentionMs: DAY_MS, retentionTasks: 10_000, tasksMax: 50_000 }
const BODY: TaskBody = {
  op: 'add',
  region: { x: 1, y: 2, w: 3, h: 4 },
  args: { field: 0, value: 1 },
  deadlineMs: 60_000,
}

const at = (ms: number): { ts: number; ledgerMs: number } => ({ ts: ms, ledgerMs: ms })

function accept(ledger: TaskLedger, id: string, ts = 0, nowMs = 0, isNamed = true): Task {
  const accepted = { ts, deadlineMs: nowMs + 60_000, isNamed }
  return ledger.accept(id as TaskId, givenOf(BODY), accepted)
}

/** Ends a task as a read does: nobody needs its body any more. */
function finish(ledger: TaskLedger, task: Task, ts: number): void {
  ledger.end(task, 'completed', at(ts))
  ledger.dropBody(task)
}

/** All tasks as records, through the bytes of the disk. */
function restored(
  ledger: TaskLedger,
  { nowMs = 0, laterMs = 0, options = OPTIONS } = {},
): TaskLedger {
  const limits = { bytesMax: 1e7, depthMax: 16, itemsMax: 1e6 }
  const records: { key: string; value: TaskRecord }[] = []
  const bodies = new Map<string, Uint8Array>()
  for (const task of ledger.all) {
    const decoded = decodeCbor(encodeCbor(ledger.record(task, nowMs)), limits)
    if (!decoded.ok) throw new Error(decoded.message)
    records.unshift({ key: task.id, value: decoded.value as TaskRecord })
    if (task.body !== undefined) bodies.set(task.id, encodeBody(task.body))
  }
  const again = new TaskLedger(options)
  again.restore(records, bodies, { nowMs: laterMs, ledgerMs: 0 })
  return again
}

t.test('a body keeps its bytes through encoding, with its region or its items', async (t) => {
  const items: TaskBody = {
    op: 'digest',
    items: { keys: ['a', 'é'], values: [Uint8Array.of(1), new Uint8Array(0)] },
    args: {},
    deadlineMs: 5,
  }
  for (const body of [BODY, items]) {
    const encoded = encodeBody(body)
    t.same(encodeBody(decodeBody(encoded)), encoded)
    t.equal(decodeBody(encoded).op, body.op)
  }
  t.same(decodeBody(encodeBody(BODY)), BODY)
  const other = { ...BODY, deadlineMs: 60_001 }
  t.not(hashBody(encodeBody(other)), hashBody(encodeBody(BODY)))
})

t.test('a task is accepted once and ends once', async (t) => {
  const ledger = new TaskLedger(OPTIONS)
  const task = accept(ledger, 'one')
  t.match(task, { state: 'accepted', effect: 'none', order: 1, seq: undefined })
  t.equal(ledger.find('one' as TaskId), task)
  t.throws(() => accept(ledger, 'one'))
  ledger.end(task, 'failed', at(5))
  t.match(task, { state: 'failed', endedTs: 5 })
  t.throws(() => ledger.end(task, 'completed', at(6)))
  t.same(bodyMark(task).length, 8)
  t.ok(task.hash.startsWith(Buffer.from(bodyMark(task)).toString('hex')))
})

t.test('bodies are counted while they are open, then while the log needs them', async (t) => {
  const ledger = new TaskLedger(OPTIONS)
  const bytes = encodeBody(BODY).length
  const [one, two] = [accept(ledger, 'one'), accept(ledger, 'two')]
  t.match([ledger.openBytes, ledger.logBytes], [2 * bytes, 0])
  ledger.end(one, 'completed', at(0))
  t.match([ledger.openBytes, ledger.logBytes], [bytes, bytes])
  const again = restored(ledger)
  t.match([again.openBytes, again.logBytes], [bytes, bytes])
  ledger.dropBody(one)
  ledger.dropBody(one)
  t.match([ledger.openBytes, ledger.logBytes], [bytes, 0])
  ledger.dropBody(two)
  t.match([ledger.openBytes, ledger.logBytes], [0, 0])
  ledger.end(two, 'completed', at(0))
  t.match([ledger.openBytes, ledger.logBytes], [0, 0])
})

t.test('state and result are kept for a day, and never fewer than so many', async (t) => {
  const ledger = new TaskLedger(OPTIONS)
  const count = OPTIONS.retentionTasks + 5
  for (let at = 0; at < count; at++) finish(ledger, accept(ledger, `t${at}`), at)
  t.same(ledger.takeExpiredRetention(DAY_MS - 1), [], 'not before a day')
  const first = ledger.takeExpiredRetention(DAY_MS + 2)
  t.same(
    first.map(({ id }) => id),
    ['t0', 't1', 't2'],
    'then those that ended a day ago',
  )
  const rest = ledger.takeExpiredRetention(100 * DAY_MS)
  t.same(
    rest.map(({ id }) => id),
    ['t3', 't4'],
    'but 10,000 stay, whatever their age',
  )
  t.equal(ledger.all.length, OPTIONS.retentionTasks)
  t.equal(ledger.find('t0' as TaskId)?.isCleared, true, 'a repeat is still known')
})

t.test('a task whose body the log needs is not cleared', async (t) => {
  const ledger = new TaskLedger({ ...OPTIONS, retentionTasks: 0 })
  const task = accept(ledger, 'one')
  ledger.end(task, 'completed', at(0))
  t.same(ledger.takeExpiredRetention(2 * DAY_MS), [])
  ledger.dropBody(task)
  t.same(ledger.takeExpiredRetention(2 * DAY_MS), [task])
})

t.test('an id is known for seven days after the end, and then forgotten', async (t) => {
  const ledger = new TaskLedger({ ...OPTIONS, retentionTasks: 1 })
  for (const [at, id] of ['one', 'two', 'three'].entries()) finish(ledger, accept(ledger, id), at)
  t.same(ledger.takeForgotten(IDS_KEPT_MS + 5), [], 'not before it was cleared')
  ledger.takeExpiredRetention(DAY_MS + 5)
  t.same(ledger.takeForgotten(IDS_KEPT_MS - 1), [])
  t.match(ledger.takeForgotten(IDS_KEPT_MS), [{ id: 'one' }])
  t.equal(ledger.find('one' as TaskId), undefined)
  t.equal(ledger.size, 2)
  t.match(ledger.takeForgotten(100 * IDS_KEPT_MS), [{ id: 'two' }])
  t.ok(ledger.find('three' as TaskId), 'what is not cleared stays')
  t.ok(accept(ledger, 'one'), 'a forgotten id may be used again')
})

t.test('an id that the gateway made goes with its state, also after a restart', async (t) => {
  const options = { ...OPTIONS, retentionTasks: 1 }
  const before = new TaskLedger(options)
  const isNamed = (id: string): boolean => id.startsWith('named')
  for (const [at, id] of ['made-1', 'named-1', 'made-2', 'named-2', 'made-3'].entries()) {
    finish(before, accept(before, id, 0, 0, isNamed(id)), at)
  }
  for (const ledger of [restored(before, { options }), before]) {
    t.equal(ledger.takeExpiredRetention(2 * DAY_MS).length, 4)
    const known = ['made-1', 'named-1', 'made-2', 'named-2', 'made-3'].filter((id) => {
      return ledger.find(id as TaskId) !== undefined
    })
    t.same(known, ['named-1', 'named-2', 'made-3'])
    t.equal(ledger.size, 3)
    t.match(ledger.takeForgotten(IDS_KEPT_MS + 2), [{ id: 'named-1' }])
  }
})

t.test('a full table refuses, it does not forget', async (t) => {
  const ledger = new TaskLedger({ ...OPTIONS, tasksMax: 2 })
  accept(ledger, 'one')
  t.notOk(ledger.isFull)
  finish(ledger, accept(ledger, 'two'), 0)
  t.ok(ledger.isFull)
  t.equal(ledger.size, 2)
})

t.test('a restart brings back tasks, their order and what is left to their deadline', async (t) => {
  const ledger = new TaskLedger(OPTIONS)
  const open = accept(ledger, 'open', 100, 1000)
  Object.assign(open, { state: 'running', effect: 'pending', seq: 7 })
  open.shards = { total: 3, done: 1, failed: 0 }
  const ended = accept(ledger, 'ended', 101, 1000)
  ended.error = { code: 'deadline', message: 'late' }
  finish(ledger, ended, 102)
  const again = restored(ledger, { nowMs: 21_000, laterMs: 500 })
  t.same(
    again.all.map(({ id }) => id),
    ['open', 'ended'],
  )
  const { deadlineMs, ...rest } = open
  t.match(again.find(open.id), rest)
  t.equal(again.find(open.id)?.deadlineMs, 500 + (deadlineMs - 21_000))
  t.match(again.find(ended.id), { state: 'completed', endedTs: 102, body: undefined })
  t.match(again.find(ended.id)?.error, { code: 'deadline' })
  t.equal(accept(again, 'next').order, 3)
})

t.test('after a restart the oldest end goes first, as before', async (t) => {
  const options = { ...OPTIONS, retentionTasks: 1 }
  const ledger = new TaskLedger(options)
  const tasks = ['one', 'two', 'three'].map((id) => accept(ledger, id))
  for (const [at, index] of [2, 0, 1].entries()) finish(ledger, tasks[index]!, at)
  const again = restored(ledger, { options })
  t.match(again.takeExpiredRetention(2 * DAY_MS), [{ id: 'three' }, { id: 'one' }])
  t.match(again.takeForgotten(2 * IDS_KEPT_MS), [{ id: 'three' }, { id: 'one' }])
})
