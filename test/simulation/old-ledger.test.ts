/**
 * A gateway that starts on an old ledger: tens of thousands of tasks whose deadlines are over, or that were kept
 * for long enough, fall due at once. No step may make work without a bound; others are answered meanwhile.
 * `TASKS=200000` is the long form.
 */
import t from 'tap'
import { newIdentity } from '../../broker/core/coordinator.ts'
import type { LedgerRecord, TaskRecord } from '../../broker/core/ledger-records.ts'
import { encodeBody, hashBody } from '../../broker/core/state/task-ledger.ts'
import { Random } from '../../shared/core/random.ts'
import { parseSubmission } from '../../shared/protocol/task.ts'
import { BENCH_OPTIONS, GET } from '../support/gateway-bench.ts'
import { LedgerDisk } from '../support/ledger-disk.ts'
import { SHIPPED } from '../support/programs.ts'
import { SimulatedClock } from '../support/simulated-clock.ts'
import { SimulatedGateway } from '../support/simulated-gateway.ts'
import { SimulatedNetwork } from '../support/simulated-network.ts'

t.setTimeout(600_000)

const HOUR_MS = 3600 * 1000
const TASKS = Number(process.env.TASKS ?? 40_000)
const OPEN = Math.round(0.3 * TASKS)
const ENDED = TASKS - OPEN
const KEPT = 10
/** Some records of each of 256 tasks, and those of the step. */
const RECORDS_MAX = 5 * 256
const OPTIONS = {
  ...BENCH_OPTIONS,
  tasksMax: 2 * TASKS,
  retentionMs: HOUR_MS,
  retentionTasks: KEPT,
}

const nothing = (): void => {}

function oldRecords(): LedgerRecord[] {
  const payload = Buffer.from(JSON.stringify({ ...GET, deadline_ms: 60_000 }))
  const parsed = parseSubmission(payload, OPTIONS.grid)
  if (!parsed.ok) throw new Error('the task of the test is refused')
  const body = encodeBody(parsed.submission.body)
  const open: TaskRecord = {
    op: 'get',
    hash: hashBody(body),
    state: 'accepted',
    effect: 'none',
    order: 0,
    acceptedTs: 0,
    endedTs: null,
    remainingMs: 1000,
    seq: null,
    shards: { total: 0, done: 0, failed: 0 },
    error: null,
    isCleared: false,
  }
  const ended: TaskRecord = { ...open, state: 'completed', endedTs: 0, endedMs: 0, remainingMs: 0 }
  const identity = { ...newIdentity(OPTIONS, 'ledger'), ranMs: 2 * HOUR_MS }
  const records: LedgerRecord[] = [{ table: 'meta', key: 'identity', value: identity }]
  for (let order = 1; order <= ENDED; order++) {
    const key = `ended-${order}`
    records.push({ table: 'task', key, value: { ...ended, order, isNamed: false } })
    records.push({ table: 'result', key, value: body })
  }
  for (let order = ENDED + 1; order <= ENDED + OPEN; order++) {
    const key = `open-${order}`
    records.push({ table: 'task', key, value: { ...open, order } })
    records.push({ table: 'body', key, value: body })
  }
  return records
}

t.test('many old tasks end and go in bounded steps, over a crash, beside others', async (t) => {
  const clock = new SimulatedClock()
  const ledger = new LedgerDisk()
  ledger.write(oldRecords())
  const ends = new Map<string, number>()
  let most = 0
  const network = { latencyMinMs: 1, latencyMaxMs: 1, keepaliveMs: 15_000 }
  const setUp = {
    programs: SHIPPED,
    options: OPTIONS,
    identity: newIdentity(OPTIONS, 'ledger'),
    flushMinMs: 1,
    flushMaxMs: 5,
  }
  const gateway = new SimulatedGateway(setUp, {
    clock,
    network: new SimulatedNetwork(network, clock, new Random(1)),
    disk: ledger.disk,
    random: new Random(2),
    strikes: () => false,
    witness: {
      effect(effect) {
        if (effect.type === 'persist') most = Math.max(most, effect.records.length)
      },
      flushed(records) {
        for (const { table, key, value } of records) {
          if (table !== 'task' || value?.state !== 'expired') continue
          ends.set(String(key), (ends.get(String(key)) ?? 0) + 1)
        }
      },
      started: nothing,
      received: nothing,
      sent: nothing,
      notice: nothing,
      announced: nothing,
      published: nothing,
    },
  })
  gateway.start()
  await clock.run(60_000, () => ends.size > OPEN / 2)
  t.ok(ends.size < OPEN, `${ends.size} have ended in the middle of it`)
  gateway.crash()
  gateway.start()
  await clock.run(clock.nowMs + 60_000, () => ends.size > (3 * OPEN) / 4)
  let endedAtAnswer = OPEN
  gateway.submit(Buffer.from(JSON.stringify(GET)), { via: 'mqtt', client: 'late' }, () => {
    endedAtAnswer = ends.size
  })
  await clock.run(clock.nowMs + 61_000)
  t.ok(endedAtAnswer < OPEN, `a client is answered when ${endedAtAnswer} have ended`)
  t.equal(ends.size, OPEN)
  t.ok([...ends.values()].every((times) => times === 1))
  t.equal(ledger.count('body'), 0)
  t.equal(ledger.count('task'), OPEN)
  t.equal(ledger.count('result'), OPEN)
  t.ok(most <= RECORDS_MAX, `${most} records in the largest step`)
  await clock.run(clock.nowMs + HOUR_MS + 61_000)
  t.equal(ledger.count('result'), KEPT)
})
