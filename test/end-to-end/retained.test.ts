/** What subscribers who come later are shown, before and after the gateway starts again. */
import t from 'tap'
import { type Agent, eventually, Fleet, type Gateway, within } from '../support/processes.ts'
import { BASE, decode, HttpClient, type Message, WireClient } from '../support/wire-client.ts'

// For machines that do much else at the same time.
t.setTimeout(300_000)

/** All that is retained below a filter. */
async function retained(gateway: Gateway, filter: string): Promise<Message[]> {
  const wire = await WireClient.connect(gateway.url, filter)
  // What is retained for one SUBSCRIBE comes before what is for the next.
  await wire.subscribe(`${BASE}/gateway/state`)
  await wire.next('gateway/state')
  await wire.close()
  return wire.messages.filter(({ topic, retain }) => retain && topic !== `${BASE}/gateway/state`)
}

const topicsOf = (messages: readonly Message[]): string[] => messages.map(({ topic }) => topic)

t.test('a node that was drained and has left leaves nothing retained', async (t) => {
  const fleet = new Fleet(t)
  const options = ['--probation-ms', '500', '--replicas', '1', '--home-assistant', 'home']
  const gateway = await fleet.gateway(...options)
  const http = new HttpClient(gateway.http)
  const agents = await fleet.agents(['a', 'b'], gateway.url, '--telemetry-interval', '1')
  const below = (id: string): string => `${BASE}/node/${id}/#`
  const allOf = async (id: string): Promise<void> => {
    await eventually(`all of ${id}`, async () => (await retained(gateway, below(id))).length === 3)
  }
  const toldOf = async (): Promise<string[]> =>
    topicsOf(await retained(gateway, 'home/device/+/config')).map((topic) => topic.slice(28, -7))
  for (const { id } of agents) await allOf(id)
  const devices = (): Promise<boolean> => toldOf().then((names) => names.length === 3)
  await eventually('Home Assistant is told of both, and of the gateway', devices)
  const drain = fleet.start(['node', 'drain', 'b', '--http', gateway.http, '--wait', '60'])
  t.match(await within('the drain', drain.exited, 60_000), { code: 0 })
  const [, b] = agents as [Agent, Agent]
  t.match(await within('the end of b', b.run.exited), { code: 79 })
  const isGone = async (when: string): Promise<void> => {
    t.same(topicsOf(await retained(gateway, below('b'))), [], when)
    await allOf('a')
    const ring = await eventually(`the ring without b ${when}`, async () => {
      const [last] = await retained(gateway, `${BASE}/gateway/ring`)
      const { members = [] } = last === undefined ? {} : decode(last.payload, 'json')
      return members.length === 1 ? members : undefined
    })
    t.match(ring, [{ id: 'a' }])
    t.same((await toldOf()).sort(), ['_a', '_gateway'], when)
    t.match((await http.get('/api/ring?holders=true')).members, [{ id: 'a' }])
    t.match(await http.node('b'), { state: 'left', telemetry: undefined }, 'only who asks for it')
  }
  await isGone('after it has left')
  const again = fleet.launch('b', gateway.url)
  t.match(await within('its end', again.run.exited), { code: 79 })
  await isGone('after it was refused')
  await gateway.run.end('SIGTERM')
  await gateway.restart()
  await isGone('after a start of the gateway')
})

t.test('what others have left outlives the gateway, however it ends', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--retained-messages-max', '60')
  const left = async (): Promise<Record<string, string>> => {
    const messages = await retained(gateway, 'home/#')
    return Object.fromEntries(messages.map(({ topic, payload }) => [topic, payload.toString()]))
  }
  const expected: Record<string, string> = {}
  const home = await WireClient.connect(gateway.url)
  for (let n = 0; n < 50; n++) {
    expected[`home/${n}`] = `${n}`
    void home.publish(`home/${n}`, `${n}`, true)
  }
  t.ok(await home.publish('home/0', '', true), 'acknowledged, and all before it')
  delete expected['home/0']
  await gateway.run.end('SIGKILL')
  await gateway.restart()
  t.same(await left(), expected, 'killed in the moment of the PUBACK')

  const again = await WireClient.connect(gateway.url, 'home/#')
  again.client.publish('home/qos-0', 'on', { qos: 0, retain: true })
  again.client.publish('home/1', '', { qos: 0, retain: true })
  expected['home/qos-0'] = 'on'
  delete expected['home/1']
  const isHeard = (): boolean => again.messages.some(({ topic }) => topic === 'home/qos-0')
  await eventually('it is heard', isHeard)
  await gateway.run.end('SIGTERM')
  await gateway.restart()
  t.same(await left(), expected, 'told to stop, at QoS 0 too')

  const watch = await WireClient.connect(gateway.url, `${BASE}/gateway/event`)
  t.teardown(() => watch.close())
  for (let n = 60; n < 80; n++) t.ok(await watch.publish(`home/${n}`, 'x', true), `${n}`)
  const event = await watch.nextJson('gateway/event', ({ code }) => code === 'retained-full')
  t.match(event, { level: 'warn' })
  t.ok(event.count > 0, 'what does not fit is said')
  const http = new HttpClient(gateway.http)
  t.equal(await http.metric('obelisk_mqtt_dropped_total', 'retained-full'), 9, 'and counted')
  t.equal(Object.keys(await left()).length, 60)
})
