import t from 'tap'
import { Coordinator, newIdentity } from '../../broker/core/coordinator.ts'
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
import { GatewayDriver, type GatewayPorts } from '../../broker/driver.ts'
import { Random } from '../../shared/core/random.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { BENCH_OPTIONS } from '../support/gateway-bench.ts'

t.test('one step may have more records than a call has room for arguments', async (t) => {
  const written: LedgerRecord[] = []
  const ignore = (): void => {}
  const ports: GatewayPorts = {
    write: async (records) => {
      for (const record of records) written.push(record)
    },
    send: ignore,
    admit: ignore,
    disconnect: ignore,
    probe: ignore,
    publish: ignore,
    notice: ignore,
    clock: SYSTEM_CLOCK,
  }
  const coordinator = new Coordinator(
    BENCH_OPTIONS,
    newIdentity(BENCH_OPTIONS, 'ledger'),
    new Random(1),
  )
  const driver = new GatewayDriver(coordinator, BENCH_OPTIONS.grid, ports, (error) => {
    throw error
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
