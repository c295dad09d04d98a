/**
 * The counting test: several clients add thousands of times over random regions, while agents and the
 * gateway are killed at random moments, frozen, and cut off. In the end each LSU, on each replica,
 * is the number of accepted tasks that covered it.
 */
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { allCompleted, areEqual } from '../support/additions.ts'
import { CountingLoad, HttpDoor, MqttDoor } from '../support/counting-load.ts'
import { ProcessFaults, READY_WITHIN_MS } from '../support/process-faults.ts'
import { type Agent, Fleet } from '../support/processes.ts'
import { caughtUp } from '../support/replicas.ts'
import { compareStoredCopies } from '../support/stored-copies.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { HttpClient } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const KILLS = Number(process.env.KILLS ?? 10)
t.comment(`SEED=${seed} KILLS=${KILLS} npx tap run test/end-to-end/chaos.test.ts`)
// For machines that do much else at the same time.
t.setTimeout(900_000 + KILLS * 5000)

const SIDE = 64
const REPLICAS = 2
const IDS = ['a', 'b', 'c', 'd']
/** Everything is compared after as many. */
const KILLS_PER_ROUND = 50
const GATEWAY = [
  ...['--grid', `${SIDE}x${SIDE}`, '--fields', 'n:i32', '--replicas', `${REPLICAS}`],
  // So short that a process that is frozen or down for long is missed.
  ...['--heartbeat-ms', '400', '--suspect-after-ms', '1200', '--lag-ms', '1000'],
  ...['--log-level', 'warn'],
]

t.test('each LSU of each replica counts the tasks that covered it', async (t) => {
  const startMs = performance.now()
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GATEWAY)
  const relays: TcpRelay[] = []
  t.teardown(() => {
    for (const relay of relays) relay.close()
  })
  const relay = async (port: number): Promise<TcpRelay> => {
    const opened = await TcpRelay.open({ port, host: '127.0.0.1' })
    relays.push(opened)
    return opened
  }
  const agents: Agent[] = []
  for (const id of IDS) {
    const { mqtt } = await relay(gateway.port)
    agents.push(fleet.launch(id, mqtt, '--log-level', 'warn'))
  }
  for (const agent of agents) await agent.ready(READY_WITHIN_MS)
  const mqtt = await relay(gateway.port)
  const doors = [
    ...[1, 2, 3].map((index) => new MqttDoor(mqtt.mqtt, new Random(seed + index))),
    new HttpDoor((await relay(gateway.httpPort)).http),
    new HttpDoor((await relay(gateway.httpPort)).http),
  ]
  const load = new CountingLoad(SIDE, doors, new Random(seed + 10))
  t.teardown(() => load.close())
  const random = new Random(seed)
  const faults = new ProcessFaults({ gateway, agents, relays }, random)
  const http = new HttpClient(gateway.http)
  // A tile is given its holders with its first write: all are here now.
  await http.run({ op: 'scale' })

  const directories = agents.map(({ directory }) => directory)

  let compared = 0
  /** Leaves nothing running. */
  const compare = async (): Promise<void> => {
    await faults.over()
    await allCompleted(t, http, await load.settled())
    for (const { id } of agents) await caughtUp(http, id)
    const name = `after ${load.tasks} tasks and ${faults.kills} kills`
    const { value } = await http.run({ op: 'get', args: { fields: ['n'] } })
    const { cells } = load
    areEqual(t, value.fields.n, cells, `as read over the wire ${name}`)
    t.same(faults.ownEnds, [], 'nothing ended by itself')
    t.same(load.rejections, [], 'nothing was refused')
    await faults.killAll()
    const { lsus, problems } = await compareStoredCopies(directories, cells, REPLICAS)
    t.same(problems, [], `as each disk holds it ${name}`)
    t.equal(lsus, REPLICAS * SIDE * SIDE, 'every copy was looked at')
    compared += lsus
    const { agentKills, gatewayKills, freezes, cuts } = faults.counts
    t.comment(
      `${agentKills} agents and ${gatewayKills} gateways killed, ${freezes} freezes, ${cuts} cuts; ` +
        `${load.tasks} tasks, ${compared} LSUs compared on disk, ` +
        `${Math.round((performance.now() - startMs) / 1000)} s`,
    )
  }

  while (faults.kills < KILLS) {
    if (faults.kills > 0) await faults.startAll()
    const until = Math.min(KILLS, faults.kills + KILLS_PER_ROUND)
    while (faults.kills < until) {
      load.give(60 + random.integer(120))
      // Mostly in the middle of work, sometimes while what was killed before is starting.
      if (random.integer(3) > 0) await load.someMore()
      const afterMs = random.integer(2) === 0 ? 0 : random.between(0, 150)
      await new Promise((resolve) => setTimeout(resolve, afterMs))
      await faults.next()
    }
    await compare()
  }
  const { cells } = load
  cells[SIDE] = cells[SIDE]! + 1
  const { problems } = await compareStoredCopies(directories, cells, REPLICAS)
  t.equal(problems.length, REPLICAS, `one task more would be missed: ${problems[0]}`)
})
