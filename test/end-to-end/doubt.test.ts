/**
 * A gateway that stood still, or hears half of its fleet no more, doubts itself before it declares a
 * node dead. `FREEZE_MS=60000` makes it stand still for a minute.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  type Agent,
  eventually,
  Fleet,
  type Gateway,
  LIMIT_MS,
  within,
} from '../support/processes.ts'
import { HttpClient, type Json } from '../support/wire-client.ts'

// Most of the time is spent waiting.
t.jobs = 2

const DEAD_MS = 2500
const SUSPECT_MS = 900
const FREEZE_MS = Number(process.env.FREEZE_MS ?? 3 * DEAD_MS)
/** Agents may sleep for a minute before they come back. */
const BACK_MS = FREEZE_MS + 60_000 + LIMIT_MS

const SET_UP = [
  ...['--grid', '64x64', '--fields', 'n:i32', '--heartbeat-ms', '200'],
  ...['--suspect-after-ms', `${SUSPECT_MS}`, '--dead-after-ms', `${DEAD_MS}`],
]

function eventsOf(gateway: Gateway): Json[] {
  const lines = readFileSync(`${gateway.directory}/events.jsonl`, 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line) as Json)
}

function eventsNamed(gateway: Gateway, code: string): Json[] {
  return eventsOf(gateway).filter((event) => event.code === code)
}

async function allAre(http: HttpClient, state: string, agents: readonly Agent[]): Promise<void> {
  await eventually(
    `${agents.map(({ id }) => id)} are ${state}`,
    async () => {
      const nodes = (await http.get('/api/nodes')) as unknown as Json[]
      return agents.every(({ id }) => nodes.some((node) => node.id === id && node.state === state))
    },
    BACK_MS,
  )
}

/** Enough of them that the gateway knows how regularly each beats. */
async function haveBeaten(http: HttpClient): Promise<void> {
  await eventually('a history of heartbeats', async () => {
    const nodes = (await http.get('/api/nodes')) as unknown as Json[]
    return nodes.every(({ phi }) => phi !== undefined)
  })
}

async function passes(ms: number): Promise<void> {
  const startMs = performance.now()
  await eventually(`${ms} ms`, () => performance.now() - startMs >= ms, ms + LIMIT_MS)
}

t.test(
  `a gateway that is frozen for ${FREEZE_MS} ms declares nobody dead`,
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const gateway = await fleet.gateway(...SET_UP)
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b', 'c'], gateway.url)
    const add = { op: 'add', args: { field: 'n', value: 1 } }
    t.match(await http.run(add), { state: 'completed' })
    await haveBeaten(http)
    const startMs = Date.now()
    gateway.run.signal('SIGSTOP')
    await passes(FREEZE_MS)
    gateway.run.signal('SIGCONT')
    await eventually('it notices', () => eventsNamed(gateway, 'doubt-began').length > 0)
    await allAre(http, 'alive', agents)
    await eventually(
      'its doubts end',
      async () => (await http.get('/api/detector')).doubts.length === 0,
      BACK_MS,
    )
    t.same(eventsNamed(gateway, 'node-dead'), [])
    const reasons = eventsNamed(gateway, 'doubt-began').filter(({ ts }) => ts > startMs)
    t.ok(
      reasons.some(({ reason }) => reason === 'loop-lag'),
      JSON.stringify(reasons),
    )
    t.match(await http.run(add), { state: 'completed' })
    t.match(await http.run({ op: 'stat', args: { field: 'n' } }), { value: { min: 2, max: 2 } })

    await haveBeaten(http)
    const [victim] = agents as [Agent]
    const killedMs = Date.now()
    await victim.run.kill()
    await allAre(http, 'dead', [victim])
    // What is said waits for the disk; what is asked over HTTP does not.
    const death = await eventually('it is told', () => eventsNamed(gateway, 'node-dead')[0])
    t.ok(death.ts - killedMs >= DEAD_MS - SUSPECT_MS, 'who is dead is still found to be')
    await eventually('no doubt is left', async () => (await http.metric('obelisk_doubts')) === 0)
  },
)

t.test(
  'half of the fleet silent at once kills nobody, until an operator says so',
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const gateway = await fleet.gateway(...SET_UP)
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b', 'c', 'd'], gateway.url)
    const silent = agents.slice(0, 2)
    await haveBeaten(http)
    for (const agent of silent) agent.run.signal('SIGSTOP')
    await eventually('it notices', () =>
      eventsNamed(gateway, 'doubt-began').some(({ reason }) => reason === 'mass-silence'),
    )
    await passes(2 * DEAD_MS)
    t.same(eventsNamed(gateway, 'node-dead'), [])
    const trust = fleet.start(['gateway', 'trust', '--http', gateway.http])
    t.match(await within('the command', trust.exited), { code: 0 })
    t.match(trust.stdout, /^no more doubt for .*mass-silence/)
    await allAre(http, 'dead', silent)
    await eventually('both deaths are told', () => eventsNamed(gateway, 'node-dead').length === 2)
    for (const agent of silent) agent.run.signal('SIGCONT')
    await allAre(http, 'alive', agents)
  },
)
