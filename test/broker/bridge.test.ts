/** What the gateway is known by at both ends of its bridge, when it begins, and what it clears at the other. */
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { bridgeEnds, bridgeMarks, FleetBridge, filtersOut } from '../../broker/bridge.ts'
import { Clearings } from '../../broker/clearings.ts'
import { GATEWAY } from '../../broker/config.ts'
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
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

const [GONE, STILL_THERE] = [1, 2].map((x) => `obelisk/v1/cell/value/${x}/3/value`) as [
  string,
  string,
]

interface Begun {
  readonly bridge: FleetBridge
  readonly clearings: Clearings
  readonly written: readonly LedgerRecord[]
  readonly codes: readonly string[]
}

interface Wish {
  readonly far?: BrokerBench
  readonly data: string
  readonly owed?: readonly string[]
  fleet?(): string | undefined
}

async function begun(t: Test, { far, data, owed = [], fleet = () => 'f1' }: Wish): Promise<Begun> {
  const url = far === undefined ? [] : ['--bridge-url', `mqtt://127.0.0.1:${far.broker.port}`]
  const loaded = await loadConfig(GATEWAY, ['--data', data, '--host', '127.0.0.1', ...url], {})
  if (loaded.kind !== 'options') throw new Error('help instead of options')
  const marks = bridgeMarks(loaded.values)
  const { broker } = await brokerBench(t, marks && { bridge: marks })
  broker.publish({ topic: 'obelisk/v1/gateway/state', payload: 'online', qos: 1, retain: true })
  broker.publish({ topic: STILL_THERE, payload: '7', qos: 1, retain: true })
  const written: LedgerRecord[] = []
  const clearings = new Clearings(
    owed.map((key) => ({ key, value: true })),
    { ...loaded.values, filtersOut: filtersOut(loaded.values), fleet },
    async (records) => {
      written.push(...records)
    },
    SILENT,
  )
  const codes: string[] = []
  const bridge = new FleetBridge(
    loaded.values,
    {
      ...{ broker, clearings, marks, ca: undefined, ends: bridgeEnds(loaded.values, false) },
      view: {
        get fleetId() {
          return fleet()
        },
      },
      notices: { take: ({ code }) => codes.push(code) },
    },
    SILENT,
  )
  t.teardown(() => bridge.close())
  return { bridge, clearings, written, codes }
}

t.test('what was cleared here is cleared over there, unless it is there again', async (t) => {
  const far = await brokerBench(t, { topicBase: 'far/v1' })
  for (const topic of [GONE, STILL_THERE]) {
    far.broker.publish({ topic, payload: '5', qos: 1, retain: true })
  }
  const user = await far.mqtt()
  const heard: string[] = []
  user.on('message', (topic, payload) => heard.push(`${topic}=${payload}`))
  await user.subscribeAsync('obelisk/v1/cell/#', { qos: 1 })
  while (heard.length < 2) await setImmediate()
  const owed = [GONE, STILL_THERE]
  const { clearings, written, bridge } = await begun(t, { far, data: t.testdir(), owed })
  while (clearings.topics.length > 0 || heard.length < 4) await setImmediate()
  t.same([...new Set(heard.slice(2))], [`${GONE}=`, `${STILL_THERE}=7`])
  t.equal(far.broker.topics.find(GONE), undefined)
  await bridge.close()
  const record = { table: 'clearing', value: undefined }
  t.same(new Set(written), new Set(owed.map((key) => ({ ...record, key }))))
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
