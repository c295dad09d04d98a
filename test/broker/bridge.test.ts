/** What the gateway is known by at both ends of its bridge, when it begins, and what it tells the core. */
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { bridgeMarks, FleetBridge } from '../../broker/bridge.ts'
import { GATEWAY } from '../../broker/config.ts'
import type { CellName } from '../../shared/protocol/topics.ts'
import { loadConfig } from '../../shared/runtime/config.ts'
import { type BrokerBench, brokerBench } from '../support/broker-bench.ts'
import { SILENT } from '../support/security-logs.ts'

t.test('a gateway asks for the loop filter that it asked for before it was killed', (t) => {
  const data = t.testdir()
  const config = { topicBase: 'o/v1', bridgeUrl: 'mqtt://far', data }
  const { loopFilter, clientId } = bridgeMarks(config)!
  t.match(loopFilter, /^o\/v1\/task\/[0-9a-f]{32}\/cancel$/)
  t.equal(statSync(join(data, 'bridge-secret')).mode & 0o777, 0o600)
  const again = bridgeMarks(config)!
  t.equal(again.loopFilter, loopFilter)
  t.not(again.clientId, clientId)
  mkdirSync(join(data, 'other'))
  const other = bridgeMarks({ ...config, data: join(data, 'other') })!
  t.not(other.loopFilter, loopFilter, 'who knows all but the file cannot tell')
  rmSync(join(data, 'bridge-secret'))
  t.not(bridgeMarks(config)!.loopFilter, loopFilter)
  t.equal(bridgeMarks({ ...config, bridgeUrl: undefined }), undefined)
  t.end()
})

interface Begun {
  readonly bridge: FleetBridge
  readonly cleared: readonly (CellName | undefined)[]
  readonly codes: readonly string[]
}

interface Wish {
  readonly far?: BrokerBench
  readonly data: string
  fleet?(): string | undefined
}

async function begun(t: Test, { far, data, fleet = () => 'f1' }: Wish): Promise<Begun> {
  const url = far === undefined ? [] : ['--bridge-url', `mqtt://127.0.0.1:${far.broker.port}`]
  const loaded = await loadConfig(GATEWAY, ['--data', data, '--host', '127.0.0.1', ...url], {})
  if (loaded.kind !== 'options') throw new Error('help instead of options')
  const marks = bridgeMarks(loaded.values)
  const { broker } = await brokerBench(t, marks && { bridge: marks })
  broker.publish({ topic: 'obelisk/v1/gateway/state', payload: 'online', qos: 1, retain: true })
  const cleared: (CellName | undefined)[] = []
  const codes: string[] = []
  const bridge = new FleetBridge(
    loaded.values,
    {
      ...{ broker, marks, ca: undefined },
      view: {
        get fleetId() {
          return fleet()
        },
      },
      notices: { take: ({ code }) => codes.push(code) },
      driver: { watchesCleared: (cell) => cleared.push(cell) },
    },
    SILENT,
  )
  t.teardown(() => bridge.close())
  for (const x of [1, 2]) {
    const topic = `obelisk/v1/cell/value/${x}/3/value`
    broker.publish({ topic, payload: x === 1 ? '' : '7', qos: 1, retain: true })
  }
  return { bridge, cleared, codes }
}

t.test('what the other broker has cleared the core is told, cell by cell', async (t) => {
  const far = await brokerBench(t)
  const { cleared, codes } = await begun(t, { far, data: t.testdir() })
  while (cleared.length === 0) await setImmediate()
  t.match(cleared, [{ field: 'value', x: 1, y: 3 }])
  t.equal(cleared.length, 1)
  t.same(codes, ['bridge-up'])
})

t.test('a bridge begins once it is known of which fleet it is, and by its name', async (t) => {
  const far = await brokerBench(t, { topicBase: 'far/v1' })
  const user = await far.mqtt()
  await user.subscribeAsync('obelisk/v1/gateway/state')
  let fleet: string | undefined
  const { bridge, codes } = await begun(t, { far, data: t.testdir(), fleet: () => fleet })
  bridge.begin()
  t.equal(far.broker.counters().clientsConnected, 1, 'only the user is there')
  fleet = 'f1'
  const came = new Promise<void>((resolve) => user.once('message', () => resolve()))
  bridge.begin()
  bridge.begin()
  await came
  t.same(codes, ['bridge-up'])
  const taken = await far.mqtt({ clientId: 'obelisk_f1', clean: false })
  t.ok(taken.connected)
  while (!codes.includes('bridge-down')) await setImmediate()
})

t.test('a bridge that is closed begins no more', async (t) => {
  const far = await brokerBench(t)
  let fleet: string | undefined
  const { bridge } = await begun(t, { far, data: t.testdir(), fleet: () => fleet })
  await bridge.close()
  fleet = 'f1'
  bridge.begin()
  const user = await far.mqtt()
  await user.publishAsync('mark', '', { qos: 1 })
  t.equal(far.broker.counters().clientsConnected, 1)
})

t.test('without a bridge all is cleared, unless there was one before', async (t) => {
  const data = t.testdir()
  t.same((await begun(t, { data })).cleared, [undefined])
  const far = await brokerBench(t)
  const { bridge } = await begun(t, { data, far })
  await bridge.close()
  t.same((await begun(t, { data })).cleared, [], 'the other broker may have what is cleared')
})
