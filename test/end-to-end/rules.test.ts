/** Rules over real sockets and disks: an alarm is told once, whoever is killed meanwhile. */
import t from 'tap'
import { eventually, Fleet } from '../support/processes.ts'
import { BASE, HttpClient, type Message, WireClient } from '../support/wire-client.ts'

const SHAPE = ['--grid', '16x16', '--tile', '4', '--fields', 'temp:f32,level:u8']
const RULES = `${BASE}/rule/#`
const REGION = { x: 0, y: 0, w: 8, h: 4 }

interface Said {
  readonly state: string
  readonly tiles: number
  readonly count: number
}
const isState =
  (state: string) =>
  ({ payload }: Message): boolean =>
    payload.length > 0 && (JSON.parse(payload.toString()) as Said).state === state

t.test('a rule is raised and cleared, over starts of nodes and of the gateway', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...SHAPE)
  const http = new HttpClient(gateway.http)
  const [a, b] = await fleet.agents(['a', 'b'], gateway.url)
  const write = (temp: number): Promise<unknown> =>
    http.run({ op: 'set', region: REGION, args: { fields: { temp } } })
  const put = async (body: object): Promise<{ status: number; version?: number }> => {
    const headers = { 'content-type': 'application/json' }
    const options = { method: 'PUT', headers, body: JSON.stringify(body) }
    const response = await fetch(`${gateway.http}/api/rules`, options)
    const { version } = (await response.json()) as { version?: number }
    return { status: response.status, ...(version === undefined ? {} : { version }) }
  }
  const hot = { name: 'hot', when: 'temp > 30', message: 'too hot' }
  t.same(await put({ rules: [hot], if_version: 0 }), { status: 200, version: 1 })
  t.same(await put({ rules: [], if_version: 0 }), { status: 409, version: 1 })
  const wire = await WireClient.connect(gateway.url, RULES)

  await write(20)
  await write(31)
  const raised = await wire.next('rule/hot/event', isState('raised'))
  t.match(JSON.parse(raised.payload.toString()), {
    ...{ rule: 'hot', version: 1, message: 'too hot', region: { y: 0, h: 4 } },
  })
  t.match(raised, { qos: 1, retain: false })
  await wire.next('rule/hot/state', isState('raised'))
  await write(32)

  // The other copy says the same when it is back; what stands is in the ledger.
  await a!.run.kill()
  await write(33)
  await a!.restart()
  gateway.run.signal('SIGKILL')
  await gateway.run.exited
  await wire.close()
  await gateway.restart()
  const after = await WireClient.connect(gateway.url, RULES)
  const kept = await after.next('rule/hot/state', isState('raised'))
  t.ok(kept.retain, 'it is retained')
  const [rule] = await eventually('nodes are back', async () => {
    const { rules } = (await (await fetch(`${gateway.http}/api/rules`)).json()) as {
      rules: Said[]
    }
    return rules[0]?.count === 32 && rules
  })
  t.match(rule, { state: 'raised', tiles: 2, count: 32 })

  await b!.run.kill()
  await write(1)
  await after.next('rule/hot/event', isState('cleared'))
  await b!.restart()
  await write(2)
  const events = after.messages.filter(({ topic }) => topic.endsWith('/event'))
  t.equal(events.length, 1, 'each is told once')
  t.same(await put({ rules: [] }), { status: 200, version: 2 })
  await after.next('rule/hot/state', ({ payload }) => payload.length === 0)
  await after.close()
})
