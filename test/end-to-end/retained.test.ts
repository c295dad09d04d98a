/** What subscribers who come later are shown, before and after the gateway starts again. */
import t from 'tap'
import { type Agent, eventually, Fleet, type Gateway, within } from '../support/processes.ts'
import { BASE, decode, HttpClient, type Message, WireClient } from '../support/wire-client.ts'

// For machines that do much else at the same time.
t.setTimeout(300_000)
const fleet = new Fleet(t)

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
  const gateway = await fleet.gateway('--probation-ms', '500', '--replicas', '1')
  const http = new HttpClient(gateway.http)
  const agents = await fleet.agents(['a', 'b'], gateway.url, '--telemetry-interval', '1')
  const below = (id: string): string => `${BASE}/node/${id}/#`
  for (const { id } of agents) {
    await eventually(`all of ${id}`, async () => (await retained(gateway, below(id))).length === 3)
  }
  const drain = fleet.start(['node', 'drain', 'b', '--http', gateway.http, '--wait', '60'])
  t.match(await within('the drain', drain.exited, 60_000), { code: 0 })
  const [, b] = agents as [Agent, Agent]
  t.match(await within('the end of b', b.run.exited), { code: 79 })
  const isGone = async (when: string): Promise<void> => {
    t.same(topicsOf(await retained(gateway, below('b'))), [], when)
    t.equal((await retained(gateway, below('a'))).length, 3)
    const ring = await eventually(`the ring without b ${when}`, async () => {
      const [last] = await retained(gateway, `${BASE}/gateway/ring`)
      const { members = [] } = last === undefined ? {} : decode(last.payload, 'json')
      return members.length === 1 ? members : undefined
    })
    t.match(ring, [{ id: 'a' }])
    t.match((await http.get('/api/ring?holders=true')).members, [{ id: 'a' }])
    t.match(await http.node('b'), { state: 'left', telemetry: undefined }, 'only who asks for it')
  }
  await isGone('after it has left')
  const again = fleet.launch('b', gateway.url)
  t.match(await within('its end', again.run.exited), { code: 79 })
  await isGone('after it was refused')
  await gateway.run.end('SIGTERM')
  await gateway.restart()
  await eventually('all of a', async () => (await retained(gateway, below('a'))).length === 3)
  await isGone('after a start of the gateway')
})
