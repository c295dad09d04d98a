/**
 * The counting test where every tenth packet is lost, each way: gateway, agents and a client in network
 * namespaces of their own. The gateway listens on loopback only; a relay in its namespace stands at
 * the address that the others reach.
 */
import { join } from 'node:path'
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { allCompleted } from '../support/additions.ts'
import { CountingLoad, HttpDoor, MqttDoor } from '../support/counting-load.ts'
import { NetworkNamespaces } from '../support/network-namespaces.ts'
import { ProcessFaults, READY_WITHIN_MS } from '../support/process-faults.ts'
import { Agent, Fleet, freePort, Gateway, PROGRAM, type Run } from '../support/processes.ts'
import { caughtUp } from '../support/replicas.ts'
import { compareStoredCopies } from '../support/stored-copies.ts'
import { type Place, TcpRelay } from '../support/tcp-relay.ts'
import { TYPESCRIPT } from '../support/typescript/node-options.ts'
import { HttpClient } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/packet-loss.test.ts`)

const LOSS = 0.1
const SIDE = 64
const REPLICAS = 2
const TASKS = 400
const IDS = ['a', 'b', 'c']
const RELAY = new URL('../support/relay-program.ts', import.meta.url).pathname
const GRID = ['--grid', `${SIDE}x${SIDE}`, '--fields', 'n:i32', '--replicas', `${REPLICAS}`]
const skip = NetworkNamespaces.obstacle() ?? false

t.test('with every tenth packet lost each LSU still counts its tasks', { skip }, async (t) => {
  // Made first, so that its teardown is last: a namespace stays as long as a process is in it.
  const network = NetworkNamespaces.open(t)
  const fleet = new Fleet(t)
  for (const name of [...IDS, 'client']) network.spoke(name)
  network.lose(LOSS)

  const runIn = (name: string, ...argv: readonly string[]): Run => {
    const [program, ...rest] = network.command(name)
    return fleet.command(program, [...rest, process.execPath, ...argv])
  }
  const relayIn = async (name: string, at: Place, to: Place): Promise<void> => {
    const places = [at, to].map((place) => JSON.stringify(place))
    await runIn(name, TYPESCRIPT, RELAY, ...places).line('ready ', READY_WITHIN_MS)
  }
  const [port, httpPort] = [await freePort(), await freePort()]
  const directory = join(fleet.directory, 'gateway')
  const argv = [...GRID, '--log-level', 'warn']
  const gateway = new Gateway({ port, httpPort, directory }, argv, (all) =>
    runIn('hub', PROGRAM, ...all),
  )
  await gateway.ready(READY_WITHIN_MS)
  const loopback = { host: '127.0.0.1' }
  const hub = { host: network.hubAddress }
  await relayIn('hub', { ...hub, port }, { ...loopback, port })
  await relayIn('hub', { ...hub, port: httpPort }, { ...loopback, port: httpPort })

  // The file system is one for all namespaces: Unix sockets lead into them.
  const relays: TcpRelay[] = []
  t.teardown(() => {
    for (const relay of relays) relay.close()
  })
  const way = async (name: string, to: Place): Promise<TcpRelay> => {
    const path = join(fleet.directory, `${name}-${relays.length}`)
    await relayIn(name, { path }, to)
    const relay = await TcpRelay.open({ path })
    relays.push(relay)
    return relay
  }
  const watching = new HttpClient((await way('hub', { ...loopback, port: httpPort })).http)
  const mqtt = (await way('client', { ...hub, port })).mqtt
  const http = (await way('client', { ...hub, port: httpPort })).http

  // Nothing goes over a network in the clear: each has its gateway at its own loopback.
  for (const id of IDS) await relayIn(id, { ...loopback, port }, { ...hub, port })
  const agents = IDS.map((id) => {
    const own = ['--id', id, '--url', `mqtt://127.0.0.1:${port}`]
    const data = join(fleet.directory, id)
    return new Agent(id, data, () => runIn(id, PROGRAM, 'agent', ...own, '--data', data))
  })
  for (const agent of agents) await agent.ready(READY_WITHIN_MS)
  // A tile is given its holders with its first write: all are here now.
  await watching.run({ op: 'scale' })

  const doors = [1, 2].map((index) => new MqttDoor(mqtt, new Random(seed + index)))
  const load = new CountingLoad(SIDE, [...doors, new HttpDoor(http)], new Random(seed + 10))
  t.teardown(() => load.close())
  const faults = new ProcessFaults({ gateway, agents, relays: [] }, new Random(seed))
  const FAULTS = 4
  for (let count = 0; count < FAULTS; count++) {
    load.give(TASKS / FAULTS)
    await load.someMore()
    await faults.next()
  }
  await faults.over()
  await allCompleted(t, watching, await load.settled())
  for (const { id } of agents) await caughtUp(watching, id)
  const { value } = await watching.run({ op: 'get', args: { fields: ['n'] } })
  t.strictSame(value.fields.n, load.cells, 'as read over the wire')
  t.same(faults.ownEnds, [], 'nothing ended by itself')
  t.same(load.rejections, [], 'nothing was refused')

  for (const name of network.names) {
    const { passed, lost } = network.losses(name)
    t.ok(lost > 0, `${name} lost ${lost} of ${passed + lost} packets that came`)
  }
  await faults.killAll()
  const directories = agents.map((agent) => agent.directory)
  const { lsus, problems } = await compareStoredCopies(directories, load.cells, REPLICAS)
  t.same(problems, [], `as each disk holds it after ${load.tasks} tasks, ${faults.kills} kills`)
  t.equal(lsus, REPLICAS * SIDE * SIDE, 'every copy was looked at')
})
