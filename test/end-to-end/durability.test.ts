/**
 * What was acknowledged survives any end of any process: gateways and agents are killed in the middle
 * of everything, started again on what they left on disk, and must count exactly.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Random } from '../../shared/core/random.ts'
import { Additions, allCompleted, PATIENT } from '../support/additions.ts'
import { type Agent, eventually, Fleet, within } from '../support/processes.ts'
import { caughtUp, killAgent, withEachAway } from '../support/replicas.ts'
import { areOnDisk } from '../support/stored-copies.ts'
import {
  BASE,
  HttpClient,
  isEnd,
  type Json,
  type Message,
  WireClient,
} from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/durability.test.ts`)
/** Short, or at full length. */
const isLong = process.env.LONG !== undefined
// Most of the time is spent waiting: for disks, and for agents to try again.
t.jobs = 3

const SIDE = 64
const GRID = ['--grid', `${SIDE}x${SIDE}`, '--fields', 'n:i32']

/** What was seen of tasks, over all connections: no task may leave the end that it reached. */
class Ends {
  readonly #ends = new Map<string, string>()

  watch(t: Test, wire: WireClient): void {
    wire.client.on('message', (topic, payload) => {
      if (!topic.endsWith('/state') || !topic.includes('/task/')) return
      const { id, state } = JSON.parse(payload.toString()) as { id: string; state: string }
      const before = this.#ends.get(id)
      if (before !== undefined && before !== state) t.fail(`${id} was ${before} and is ${state}`)
      if (isEnd(state)) this.#ends.set(id, state)
    })
  }
}

const isRunning = ({ payload }: Message): boolean => {
  return JSON.parse(payload.toString()).state === 'running'
}

async function areHere(http: HttpClient, agents: readonly Agent[]): Promise<void> {
  for (const { id } of agents) await caughtUp(http, id)
}

t.test(
  'an acknowledged task is kept, whenever the gateway is killed',
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const random = new Random(seed + 1)
    const gateway = await fleet.gateway(...GRID)
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b'], gateway.url)
    await http.run({ op: 'scale' })
    const sums = new Additions(SIDE, random)
    const ends = new Ends()
    const ROUNDS = isLong ? 7 : 2
    let acknowledgedInAll = 0
    for (let round = 0; round < ROUNDS; round++) {
      // Every other time tasks are on their way to the agents when it comes; else they only wait.
      if (round % 2 === 0) await areHere(http, agents)
      const wire = await WireClient.connect(gateway.url, `${BASE}/task/+/state`)
      ends.watch(t, wire)
      for (let count = 0; count < 30; count++) sums.next()
      const killAt = 1 + random.integer(sums.open.size)
      const afterMs = random.integer(3) === 0 ? random.between(0, 60) : 0
      let acknowledged = 0
      await sums.send(wire, () => {
        acknowledged += 1
        if (acknowledged !== killAt) return
        if (afterMs === 0) gateway.run.signal('SIGKILL')
        else setTimeout(() => gateway.run.signal('SIGKILL'), afterMs)
      })
      t.match(await within('its end', gateway.run.exited), { signal: 'SIGKILL' })
      t.ok(acknowledged >= killAt, `killed at acknowledgement ${killAt} of ${acknowledged}`)
      acknowledgedInAll += acknowledged
      await wire.close()
      await gateway.restart()
    }
    t.comment(`${acknowledgedInAll} acknowledged, ${sums.open.size} not`)
    const wire = await WireClient.connect(gateway.url, `${BASE}/task/+/state`)
    t.teardown(() => wire.close())
    ends.watch(t, wire)
    await sums.send(wire)
    t.equal(sums.open.size, 0, 'now all are acknowledged')
    await sums.areDone(t, http)
    await sums.areHeld(t, http, 'every add once')

    for (const task of sums.tasks.values()) sums.open.set(task.id, task)
    await sums.send(wire)
    t.notOk(wire.of('task/rejected').length, 'all of them are known')
    await sums.areDone(t, http)
    await areHere(http, agents)
    await areOnDisk(t, agents, sums.cells)
  },
)

t.test(
  'all are killed at once, in the middle of work, and go on',
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const random = new Random(seed + 2)
    const gateway = await fleet.gateway(...GRID)
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b'], gateway.url)
    await http.run({ op: 'scale' })
    const sums = new Additions(SIDE, random)
    for (let round = 0; round < (isLong ? 4 : 1); round++) {
      await areHere(http, agents)
      const wire = await WireClient.connect(gateway.url)
      for (let count = 0; count < 40; count++) sums.next()
      const killAt = 1 + random.integer(sums.open.size)
      let acknowledged = 0
      await sums.send(wire, () => {
        acknowledged += 1
        if (acknowledged !== killAt) return
        for (const { run } of [gateway, ...agents]) run.signal('SIGKILL')
      })
      await within('the end of all', Promise.all([gateway, ...agents].map(({ run }) => run.exited)))
      await wire.close()
      await gateway.restart()
      await Promise.all(agents.map((agent) => agent.restart()))
    }
    const wire = await WireClient.connect(gateway.url)
    t.teardown(() => wire.close())
    await sums.send(wire)
    await sums.areDone(t, http)
    await areHere(http, agents)
    await areOnDisk(t, agents, sums.cells)
  },
)

t.test(
  'an agent that is killed in the middle of a shard catches up exactly',
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const random = new Random(seed + 3)
    const gateway = await fleet.gateway('--grid', '512x512', '--fields', 'n:i32,d:f64')
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b'], gateway.url)
    const [victim, other] = agents as [Agent, Agent]
    const LSUS = 512 * 512
    let total = 0
    const wire = await WireClient.connect(gateway.url, `${BASE}/task/+/state`)
    t.teardown(() => wire.close())
    const add = async (id: string): Promise<string> => {
      total += 3
      t.ok(await wire.submit({ id, op: 'add', args: { field: 'n', value: 3 }, ...PATIENT }))
      return id
    }
    const allEqual = async (name: string): Promise<void> => {
      const { value } = await http.run({ op: 'stat', args: { field: 'n' } })
      t.match(value, { count: LSUS, min: total, max: total, sum: LSUS * total, variance: 0 }, name)
    }

    await http.run({ op: 'scale' })
    /** Six writes lie in the frozen victim's socket; from now on it works on them. */
    const giveWork = async (round: number): Promise<string[]> => {
      victim.run.signal('SIGSTOP')
      const ids = await Promise.all([1, 2, 3, 4, 5, 6].map((index) => add(`${round}-${index}`)))
      for (const id of ids) await wire.next(`task/${id}/state`, isRunning)
      victim.run.signal('SIGCONT')
      return ids
    }
    await giveWork(0)
    const startMs = performance.now()
    await caughtUp(http, victim.id)
    let workMs = performance.now() - startMs
    const HITS = isLong ? 4 : 1
    let hits = 0
    for (let round = 1; round <= 15 && hits < HITS; round++) {
      const ids = await giveWork(round)
      const afterMs = random.between(0, workMs)
      await within('a random moment', new Promise((go) => setTimeout(go, afterMs)))
      await killAgent(http, victim)
      const { stream } = await http.node(victim.id)
      if (stream.acked < stream.head) hits += 1
      else workMs *= 0.7
      await allCompleted(t, http, ids)
      await victim.restart()
      await caughtUp(http, victim.id)
    }
    t.equal(hits, HITS, `it was killed within ${Math.round(workMs)} ms of work before it`)
    await withEachAway(http, agents, (away) => allEqual(`every add once, without ${away}`))

    await killAgent(http, other)
    for (let round = 0; round < (isLong ? 2 : 1); round++) {
      // Frozen, so that it surely has not answered when it is killed.
      victim.run.signal('SIGSTOP')
      const read = http.run({ op: 'stat', args: { field: 'n', bins: 7 }, ...PATIENT })
      await eventually(
        'the read has begun',
        async () => (await http.metric('obelisk_reads_open')) > 0,
      )
      await killAgent(http, victim)
      await victim.restart()
      const { state, value } = await read
      t.match(
        { state, value },
        { state: 'completed', value: { min: total, max: total, count: LSUS } },
      )
    }
  },
)

t.test('an answer that nobody could take waits on disk', { buffered: true }, async (t) => {
  for (const isRestarted of [false, true]) {
    const name = isRestarted ? 'the agent started again too' : 'the agent went on'
    await t.test(name, (t) => answersAfterRestart(t, isRestarted))
  }
})

async function answersAfterRestart(t: Test, isRestarted: boolean): Promise<void> {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '256x256', '--fields', 'n:i32')
  const http = new HttpClient(gateway.http)
  const agent = await fleet.agent('a', gateway.url, '--telemetry-interval', '1')
  const set = (value: number): Json => ({ op: 'set', args: { fields: { n: value } }, ...PATIENT })
  await http.run(set(1))

  // The part lies in the agent's socket when the gateway dies.
  agent.run.signal('SIGSTOP')
  const { body } = await http.post({ op: 'stat', args: { field: 'n' }, ...PATIENT })
  await eventually('the part was sent', async () => {
    return (await http.get(`/api/tasks/${body.id}`)).state === 'running'
  })
  await gateway.run.kill()
  agent.run.signal('SIGCONT')
  const store = readdirSync(agent.directory).find((name) => name.startsWith('state-'))!
  const file = join(agent.directory, store, 'data.mdb')
  await eventually('the answer is on disk', () => readFileSync(file).includes(body.id))
  if (isRestarted) {
    await agent.run.kill()
    agent.run = fleet.launch(agent.id, gateway.url, '--telemetry-interval', '1').run
  }

  await gateway.restart()
  // A part that is computed again sees this write, which is in the stream before it.
  const write = http.run(set(2))
  const { value, state } = await eventually('the read has ended', async () => {
    const answer = await http.request(`/api/tasks/${body.id}/result?wait=20s`)
    return answer.status === 200 && answer.body
  })
  t.match({ state, value }, { state: 'completed', value: { count: 65_536, min: 1, max: 1 } })
  t.match(await write, { state: 'completed' })
  const { value: later } = await http.run({ op: 'stat', args: { field: 'n' } })
  t.match(later, { min: 2, max: 2 })

  const wire = await WireClient.connect(gateway.url, `${BASE}/node/a/telemetry/json`)
  t.teardown(() => wire.close())
  await wire.nextJson('node/a/telemetry/json', ({ outbox_records }) => outbox_records === 0)
}

t.test('a ledger is of one grid, and of one gateway', { buffered: true }, async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x48', '--tile', '16', '--fields', 'n:i32,d:f64')
  const agent = await fleet.agent('a', gateway.url)
  const http = new HttpClient(gateway.http)
  await http.run({ op: 'scale' })

  const again = ['gateway', '--port', '0', '--http-port', '0', '--data', gateway.directory]
  const second = fleet.start([...again, '--grid', '64x48', '--fields', 'n:i32,d:f64'])
  t.match(await within('its end', second.exited), { code: 70 }, 'a second gateway is refused')
  t.match(second.stderr, gateway.directory)
  t.match(second.stderr, 'another process uses')
  const recovery = fleet.start(['gateway', 'recover', '--nodes', '1', ...again.slice(1)])
  t.match(await within('its end', recovery.exited), { code: 70 })
  t.match(recovery.stderr, /another process uses .*: end the gateway first /)
  const twin = fleet.launch('a', gateway.url)
  t.match(await within('its end', twin.run.exited), { code: 70 }, 'a second agent as well')
  t.match(twin.run.stderr, 'another process uses')
  t.match(await http.run({ op: 'stat', args: { field: 'n' } }), { state: 'completed' })
  t.equal((await http.node('a')).incarnation, 1, 'the first of each was not disturbed')

  t.match(await gateway.run.end('SIGTERM'), { code: 0 })
  const made = { '--grid': '64x48', '--tile': '16', '--fields': 'n:i32,d:f64' }
  const others = { '--grid': '48x64', '--tile': '8', '--fields': 'n:i32' }
  const all = fleet.start([...again, ...Object.entries(others).flat()])
  t.match(await within('its end', all.exited), { code: 78 })
  t.notMatch(all.stderr, /^ready/m)
  t.notMatch(all.stderr, /\n\s+at /, 'a sentence, no stack')
  for (const [flag, value] of Object.entries(others)) {
    for (const part of [flag, value, made[flag as keyof typeof made]]) t.match(all.stderr, part)
  }
  // Nothing of it said again: as it was made.
  const { port, httpPort, directory } = gateway
  const ports = ['--port', `${port}`, '--http-port', `${httpPort}`]
  await fleet.start(['gateway', ...ports, '--data', directory]).line('ready ')
  await caughtUp(http, agent.id)
  t.match(await http.run({ op: 'stat', args: { field: 'n' } }), { value: { count: 3072 } })
})
