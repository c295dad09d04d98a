import { join } from 'node:path'
import t from 'tap'
import { DeviceMetrics } from '../../firmware-agent/adapters/device-metrics.ts'
import { OperationRunner } from '../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../firmware-agent/adapters/slice-store.ts'
import { AgentDriver } from '../../firmware-agent/driver.ts'
import { Random } from '../../shared/core/random.ts'
import { encodeMessage } from '../../shared/protocol/messages.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { AgentBench, GRID, HEARTBEAT_MS, readOf, SESSION } from '../support/agent-bench.ts'
import { eventually } from '../support/processes.ts'
import { countTransactions } from '../support/transactions.ts'

const MIB = 1024 * 1024
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

t.test('unconfirmed answers share a transaction, which nothing waits for', async (t) => {
  const directory = join(t.testdir(), 'store')
  const limits = { sliceBytesMax: 8 * MIB, outboxBytesMax: MIB }
  const fail = (error: unknown): void => {
    t.fail(String(error))
  }
  const store = await SliceStore.open(directory, limits, new Random(1), fail)
  const metrics = new DeviceMetrics({ diskPath: directory })
  t.teardown(() => metrics.close())
  const { agent } = new AgentBench({ ...store.identity, mark: store.mark }, limits)
  let isWrittenAtExit: boolean | undefined
  const driver = new AgentDriver(
    { node: 'a' as never, topicBase: 'obelisk/v1' },
    agent,
    { clock: SYSTEM_CLOCK, store, metrics, runner: new OperationRunner({}, store), log: silent },
    {
      ready() {},
      link() {},
      key() {},
      exit() {
        isWrittenAtExit = store.waitingSinceMs === undefined
      },
      fatal: fail,
    },
  )
  t.teardown(() => driver.stopTimer())
  driver.deliver({ type: 'deadline-reached' })
  driver.deliver({ type: 'connected' })
  const ledgerId = 'ledger'
  const heartbeatMs = HEARTBEAT_MS
  const welcome = { t: 'welcome', version: 1, session: SESSION, confirmed: 0 } as const
  driver.received(encodeMessage({ ...welcome, ledgerId, grid: GRID, heartbeatMs }))
  await eventually('the store has its grid', () => store.grid)
  const count = 400
  for (let task = 0; task < count; task++) {
    const items = { keys: ['k'], values: [Uint8Array.of(task)] }
    driver.received(encodeMessage(readOf(`task-${task}`, { op: 'digest', items })))
  }
  await eventually('all are answered', () => agent.counts.outbox.records === count)
  const transactions = countTransactions(directory)
  const before = transactions.read()
  driver.deliver({ type: 'disconnected', reason: 'cut' })
  driver.deliver({ type: 'stop-requested' })
  t.equal(isWrittenAtExit, false, 'the end does not wait in the queue for the disk')
  await store.close()
  t.equal(transactions.read() - before, 1)
  await transactions.close()
  const again = await SliceStore.open(directory, limits, new Random(2), fail)
  t.equal(again.stored.answers.length, count, 'all are there')
  await again.close()
})
