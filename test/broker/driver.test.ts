import t from 'tap'
import { Coordinator, newIdentity } from '../../broker/core/coordinator.ts'
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
import { GatewayDriver, type GatewayPorts } from '../../broker/driver.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import {
  decodeDown,
  encodeMessage,
  PROTOCOL_VERSION,
  type Up,
} from '../../shared/protocol/messages.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { planOf, roundOf } from '../support/flat-round.ts'
import { BENCH_OPTIONS, EMPTY_STORE } from '../support/gateway-bench.ts'

/** A driver of a new gateway, whose ports note what is done, in order. */
function newDriver(done: Partial<GatewayPorts>): GatewayDriver {
  const ignore = (): void => {}
  const ports: GatewayPorts = {
    write: async () => {},
    send: ignore,
    admit: ignore,
    disconnect: ignore,
    probe: ignore,
    isRecipient: () => false,
    seal: () => Promise.reject(new Error('nothing is sealed here')),
    publish: ignore,
    notice: ignore,
    clock: SYSTEM_CLOCK,
    ...done,
  }
  const coordinator = new Coordinator(
    BENCH_OPTIONS,
    newIdentity(BENCH_OPTIONS, 'ledger'),
    new Random(1),
  )
  return new GatewayDriver(coordinator, BENCH_OPTIONS.grid, ports, (error) => {
    throw error
  })
}

t.test('one step may have more records than a call has room for arguments', async (t) => {
  const written: LedgerRecord[] = []
  const driver = newDriver({
    write: async (records) => {
      for (const record of records) written.push(record)
    },
  })
  const records: LedgerRecord[] = Array.from({ length: 500_000 }, (_, at) => ({
    table: 'task',
    key: `t${at}`,
    value: undefined,
  }))
  driver.begin([{ type: 'persist', records }])
  await driver.stop()
  t.equal(written.length, records.length)
})

t.test('what comes before the start has its records is kept for after it', async (t) => {
  const done: string[] = []
  const driver = newDriver({
    write: async (records) => {
      done.push(...records.map(({ key }) => `wrote ${key}`))
    },
    notice: ({ code }) => done.push(code),
  })
  const drained = driver.drain('nobody' as NodeId, true).then(() => done.push('answered'))
  await driver.idle()
  await new Promise(setImmediate)
  t.same(done, [], 'nothing has left')
  driver.begin([
    {
      type: 'persist',
      records: [{ table: 'task', key: 'first', value: undefined }],
    },
    { type: 'notice', notice: { level: 'info', code: 'gateway-started', message: '' } },
  ])
  await drained
  await driver.stop()
  t.same(done, ['wrote first', 'gateway-started', 'answered'])
})

t.test('what is to be sealed is called off once nobody wants it', async (t) => {
  const asked: AbortSignal[] = []
  const driver = newDriver({
    seal: async (_order, unwanted) => {
      asked.push(unwanted)
      return await new Promise(() => {})
    },
  })
  const NONE = { op: 'get', to: 'alice', ts: 1, value: new Uint8Array() }
  const [first, second] = ['r', 's'].map((name) => ({ ...NONE, task: name as TaskId }))
  driver.begin([
    { type: 'seal', order: first! },
    { type: 'seal', order: second! },
    { type: 'unseal', task: first!.task },
  ])
  await driver.stop()
  t.same(
    asked.map(({ aborted }) => aborted),
    [true, false],
  )
})

t.test('a round leaves slice by slice, and nothing overtakes it', async (t) => {
  const done: string[] = []
  const round = roundOf(planOf([0, 1, 2, 3, 4].map((member) => [member, 1])))
  const another = roundOf(planOf([[9, 1]]))
  const drained: Promise<unknown>[] = []
  const driver = newDriver({
    write: async (records) => {
      done.push(...records.map(({ key }) => `wrote ${key}`))
    },
    send: (connection, payload) => {
      const decoded = decodeDown(payload)
      done.push(`${connection} ${decoded.ok && decoded.message.t}`)
    },
    notice: ({ code }) => done.push(code),
    clock: {
      ...SYSTEM_CLOCK,
      now: () => SYSTEM_CLOCK.now(),
      turn: async () => {
        done.push('turn')
        await SYSTEM_CLOCK.turn()
        const asked = driver.drain('nobody' as NodeId, true)
        drained.push(asked.then(() => done.push('answered')))
      },
    },
  })
  const notice = { level: 'info', code: 'told', message: '' } as const
  driver.begin([
    { type: 'persist', records: [{ table: 'task', key: 'first', value: undefined }] },
    { type: 'send-round', round, from: 0, to: 2 },
    { type: 'send-round', round, from: 2, to: 4 },
    { type: 'send-round', round, from: 4, to: 5 },
    { type: 'send-round', round: another, from: 0, to: 1 },
    { type: 'notice', notice },
  ])
  await driver.idle()
  await Promise.all(drained)
  await driver.stop()
  t.same(done, [
    ...['wrote first', 'to-0 read', 'to-1 read', 'turn', 'to-2 read', 'to-3 read', 'turn'],
    ...['to-4 read', 'to-9 read', 'told', 'answered', 'answered'],
  ])
})

t.test('a heartbeat is answered at once, but not before what waits for the disk', async (t) => {
  const sent: string[] = []
  let session = 0
  let written = (): void => {}
  const driver = newDriver({
    write: () =>
      new Promise((resolve) => {
        written = resolve
      }),
    send: (_, payload) => {
      const decoded = decodeDown(payload)
      if (!decoded.ok) throw new Error(decoded.problem)
      sent.push(decoded.message.t)
      if (decoded.message.t === 'welcome') session = decoded.message.session
    },
  })
  const say = (message: Up): void =>
    driver.receive('a-1', 'a' as NodeId, encodeMessage(message), (_, problem) => {
      throw new Error(problem)
    })
  driver.begin([])
  say({
    ...{ t: 'hello', version: PROTOCOL_VERSION, node: 'a', boot: 1, process: 'first' },
    ...EMPTY_STORE,
    ...{ weight: 1, operations: [], grid: null },
  })
  written()
  await driver.idle()
  say({ t: 'heartbeat', session, beat: 1 })
  t.same(sent, ['welcome', 'beat'])
  void driver.drain('a' as NodeId, true)
  say({ t: 'heartbeat', session, beat: 2 })
  t.equal(sent.length, 2, 'what it confirms may be on its way to the disk')
  written()
  await driver.idle()
  t.equal(sent.length, 3)
  await driver.stop()
  say({ t: 'heartbeat', session, beat: 3 })
  t.equal(sent.length, 3, 'nobody is answered any more')
})
