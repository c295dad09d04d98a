/** What is owed at the other end of the bridge, and how the disk follows. */
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { LedgerStore } from '../../broker/adapters/ledger-store.ts'
import { RetainedStore } from '../../broker/adapters/mqtt-retained.ts'
import { RetainedJournal } from '../../broker/adapters/mqtt-retained-journal.ts'
import { filtersOut } from '../../broker/bridge.ts'
import { Clearings } from '../../broker/clearings.ts'
import { Coordinator, newIdentity } from '../../broker/core/coordinator.ts'
import { LEDGER_TABLES, type LedgerRecord } from '../../broker/core/ledger-records.ts'
import { GatewayDriver } from '../../broker/driver.ts'
import { retainedLedger } from '../../broker/retained-ledger.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import type { Topic } from '../../shared/protocol/topics.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { BENCH_OPTIONS } from '../support/gateway-bench.ts'
import { SILENT } from '../support/security-logs.ts'

const BASE = 'obelisk/v1'
const BRIDGED = {
  ...{ topicBase: BASE, homeAssistant: 'ha', fleet: () => 'fleet678' },
  filtersOut: filtersOut({ topicBase: BASE, bridgeUrl: 'mqtt://far', homeAssistant: 'ha' }),
}
const UNBRIDGED = { ...BRIDGED, filtersOut: [] }
const stateOf = (node: string): string => `${BASE}/node/${node}/state`

/** With a disk that is written when it is told to. */
function owing(options: typeof BRIDGED | typeof UNBRIDGED, ...owed: readonly string[]) {
  const lines: string[] = []
  const writes: { readonly records: readonly LedgerRecord[]; done(): void }[] = []
  const rows = owed.map((key) => ({ key, value: true }) as const)
  const tell = (_fields: object, line: string): number => lines.push(line)
  const log = { ...SILENT, info: tell, warn: tell }
  const write = (records: readonly LedgerRecord[]): Promise<void> =>
    new Promise((done) => writes.push({ records, done }))
  return { lines, writes, clearings: new Clearings(rows, { max: 3, ...options }, write, log) }
}

t.test('what was not bridged is not owed', (t) => {
  const { clearings } = owing(BRIDGED)
  const topics = [
    stateOf('a'),
    `${BASE}/task/x/result`,
    'ha/device/x/config',
    `${BASE}/cell/v/1/2/value`,
  ]
  for (const topic of topics.slice(0, 3)) {
    t.same(clearings.owe(topic), [{ table: 'clearing', key: topic, value: true }])
  }
  for (const topic of [`${BASE}/node/a/telemetry`, 'site/x', 'ha/status', `${BASE}/cell/v/1/2`]) {
    t.same(clearings.owe(topic), [], topic)
  }
  t.same(clearings.topics, topics.slice(0, 3))
  const before = owing(BRIDGED).clearings
  t.same(before.owe('former/device/obelisk_otherone_x/config'), [], "another fleet's")
  t.equal(before.owe('former/device/obelisk_fleet678_x/config').length, 1, 'it was told there')
  t.end()
})

t.test('the list is bounded, and says once that it is full', (t) => {
  const { clearings, lines } = owing(BRIDGED, stateOf('a'))
  for (const node of ['b', 'c', 'd', 'e']) clearings.owe(stateOf(node))
  t.same(clearings.topics, ['a', 'b', 'c'].map(stateOf))
  t.same(clearings.owe(stateOf('a')).length, 1, 'what is on it stays')
  t.equal(lines.length, 1)
  t.match(lines[0], '3 topics wait to be cleared at the other end of the bridge')
  clearings.settle(stateOf('b'))
  t.equal(clearings.owe(stateOf('f')).length, 1, 'there is room again')
  clearings.owe(stateOf('g'))
  t.equal(lines.length, 1, 'it comes and goes at its bound')
  for (const node of ['a', 'c', 'f']) clearings.settle(stateOf(node))
  for (const node of ['h', 'i', 'j', 'k']) clearings.owe(stateOf(node))
  t.equal(lines.length, 2, 'it is full once more')
  t.end()
})

t.test('without a bridge what is owed waits, and nothing is added', (t) => {
  const { clearings, lines, writes } = owing(UNBRIDGED, stateOf('a'))
  t.match(lines, [/1 topics? .*until bridge_url is there again/])
  t.same(clearings.owe(stateOf('b')), [])
  t.same([clearings.topics, writes], [[stateOf('a')], []])
  t.same(owing(UNBRIDGED).lines, [], 'nothing is owed, nothing is said')
  t.end()
})

t.test('what is settled goes from the disk, and not what is owed again', async (t) => {
  const { clearings, writes } = owing(BRIDGED, ...['a', 'b', 'c'].map(stateOf))
  for (const node of ['a', 'b', 'c', 'none']) clearings.settle(stateOf(node))
  t.same(
    writes.map(({ records }) => records.length),
    [1],
    'the rest waits for it',
  )
  clearings.owe(stateOf('c'))
  let isClosed = false
  const closed = clearings.close().then(() => {
    isClosed = true
  })
  writes[0]!.done()
  while (writes.length < 2) await setImmediate()
  t.same(writes[1]!.records, [{ table: 'clearing', key: stateOf('b'), value: undefined }])
  t.notOk(isClosed)
  writes[1]!.done()
  await closed
  t.same(clearings.topics, [stateOf('c')])
  clearings.settle(stateOf('c'))
  t.equal(writes.length, 3)
})

t.test('it is owed on disk before anybody sees that something is cleared', async (t) => {
  const done: string[] = []
  const clearings = new Clearings([], BRIDGED, async () => {}, SILENT)
  const ignore = (): void => {}
  const driver = new GatewayDriver(
    new Coordinator(BENCH_OPTIONS, newIdentity(BENCH_OPTIONS, 'ledger'), new Random(1)),
    BENCH_OPTIONS.grid,
    {
      clock: SYSTEM_CLOCK,
      ...{ send: ignore, admit: ignore, disconnect: ignore, probe: ignore, notice: ignore },
      isRecipient: () => false,
      seal: () => Promise.reject(new Error('nothing is sealed here')),
      recordsOf: (publish) => clearings.owedBy(publish),
      write: async (records) => {
        done.push(...records.map(({ key }) => `wrote ${key}`))
      },
      publish: ({ topic, payload }) => done.push(`${topic.kind}=${payload}`),
    },
    (error) => {
      throw error
    },
  )
  const topics: readonly Topic[] = [
    { kind: 'node-state', node: 'a' as NodeId },
    { kind: 'task-result', task: 't1' as TaskId },
    { kind: 'node-telemetry-json', node: 'a' as NodeId },
  ]
  driver.begin(
    topics.flatMap((topic) =>
      ['1', ''].map(
        (payload) => ({ type: 'publish', topic, payload, qos: 1, retain: true }) as const,
      ),
    ),
  )
  await driver.stop()
  t.same(done, [
    ...[`wrote ${stateOf('a')}`, `wrote ${BASE}/task/t1/result`],
    `wrote ${BASE}/node/a/telemetry/json`,
    'wrote ha/device/obelisk_fleet678_a/config',
    ...['node-state=1', 'node-state=', 'task-result=1', 'task-result='],
    ...['node-telemetry-json=1', 'node-telemetry-json='],
  ])
})

t.test('what others have cleared is owed from the write on that says so', async (t) => {
  const open = (): Promise<LedgerStore> =>
    LedgerStore.open(directory, LEDGER_TABLES, (error) => {
      throw error
    })
  const directory = t.testdir()
  const ledger = await open()
  const clearings = new Clearings([], BRIDGED, (records) => ledger.write(records), SILENT)
  const parts = { ledger, clearings, disk: { freeBytes: undefined }, notices: { take: () => {} } }
  const journal = new RetainedJournal(retainedLedger(parts))
  const store = new RetainedStore({ foreignMessagesMax: 9, foreignBytesMax: 9999 })
  journal.keep(
    store,
    () => true,
    () => {},
  )
  const say = (topic: string, text: string): void => {
    store.store({ topic, payload: Buffer.from(text), qos: 1, isForeign: true })
  }
  const config = (name: string): string => `ha/device/${name}/config`
  for (const topic of [...['a', 'b', 'c'].map(config), 'site/x']) say(topic, '{}')
  await journal.flushed()
  for (const topic of [config('a'), config('b'), 'site/x']) say(topic, '')
  t.same(clearings.topics, ['a', 'b'].map(config), 'before it leaves')
  // The other end may be quicker than the disk.
  clearings.settle(config('b'))
  await journal.flushed()
  await clearings.close()
  await ledger.close()
  const after = await open()
  t.teardown(() => after.close())
  t.same(
    after.load().clearing.map(({ key }) => key),
    [config('a')],
  )
  t.same(
    [...after.retained()].map(({ topic }) => topic),
    [config('c')],
  )
})
