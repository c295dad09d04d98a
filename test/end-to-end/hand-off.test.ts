/**
 * Tiles go to other nodes under writes: to one that joins, away from one that is drained, and to others
 * when one is dead. Built processes are killed in the middle, and every copy must count exactly.
 */
import t, { type Test } from 'tap'
import { Random } from '../../shared/core/random.ts'
import { Additions, allCompleted, PATIENT } from '../support/additions.ts'
import {
  type Agent,
  eventually,
  Fleet,
  type Gateway,
  loadPause,
  within,
} from '../support/processes.ts'
import { caughtUp, killAgent } from '../support/replicas.ts'
import { HttpClient, type Json, WireClient } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/hand-off.test.ts`)

t.setTimeout(1_200_000)

// Most of the time is spent waiting.
t.jobs = 2

const SIDE = 128
const GRID = ['--grid', `${SIDE}x${SIDE}`, '--fields', 'n:i32']
const QUICK = ['--heartbeat-ms', '300', '--suspect-after-ms', '800', '--dead-after-ms', '2000']
/** Moves wait for deaths, for nodes that come back, and for what was given up and is tried again. */
const MOVE_LIMIT_MS = 240_000

/** Adds, some at a time and each lot to its end, until it is stopped. */
class Load {
  readonly additions: Additions
  readonly #wire: WireClient
  readonly #http: HttpClient
  readonly #loop: Promise<void>
  #isStopped = false

  constructor(wire: WireClient, http: HttpClient, random: Random) {
    this.additions = new Additions(SIDE, random)
    this.#wire = wire
    this.#http = http
    this.#loop = this.#add()
  }

  static async begin(t: Test, gateway: Gateway, random: Random): Promise<Load> {
    const wire = await WireClient.connect(gateway.url)
    t.teardown(() => wire.close())
    const load = new Load(wire, new HttpClient(gateway.http), random)
    await load.more(10)
    return load
  }

  /** At least this many more adds are acknowledged. */
  async more(count: number): Promise<void> {
    const { tasks, open } = this.additions
    const wanted = tasks.size - open.size + count
    await eventually(`${count} more adds`, () => tasks.size - open.size >= wanted)
  }

  async stop(t: Test): Promise<void> {
    await this.more(10)
    this.#isStopped = true
    await within('the last of the load', this.#loop)
    t.comment(`${this.additions.tasks.size} adds`)
    await this.additions.areDone(t, this.#http)
  }

  async #add(): Promise<void> {
    while (!this.#isStopped) {
      for (let count = 0; count < 4; count++) this.additions.next()
      const { id } = this.additions.next()
      await this.additions.send(this.#wire)
      await this.#http.request(`/api/tasks/${id}?wait=20s`)
      await loadPause()
    }
  }
}

/** The ids of each tile's holders. */
async function holders(http: HttpClient): Promise<string[][]> {
  const ring = await http.get('/api/ring?holders=true')
  const names = ring.members.map(({ id }: Json) => id)
  return ring.holders.map((tile: number[]) => tile.map((member) => names[member]))
}

/** Waits until every tile has two copies on these nodes and nothing moves any more. */
async function areHome(http: HttpClient, ids: readonly string[]): Promise<void> {
  const lies = (tile: string[]) => tile.length === 2 && tile.every((id) => ids.includes(id))
  const what = `every tile is twice on ${ids}, and nothing moves`
  await eventually(
    what,
    async () => {
      const { open, planned_tiles } = await http.get('/api/ring/moves')
      if (open.length > 0 || planned_tiles > 0) return false
      return (await holders(http)).every(lies)
    },
    MOVE_LIMIT_MS,
  )
  for (const id of ids) await caughtUp(http, id)
}

/** Reads every copy: with each of these agents away once, and all of them back each time. */
async function withEachAway(
  http: HttpClient,
  agents: readonly Agent[],
  look: (away: string) => Promise<void>,
): Promise<void> {
  const ids = agents.map(({ id }) => id)
  for (const agent of agents) {
    await killAgent(http, agent)
    await look(agent.id)
    await agent.restart()
    await areHome(http, ids)
  }
}

t.test(
  'tiles go to a node that joins, and away from one that is drained',
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const gateway = await fleet.gateway(...GRID, '--probation-ms', '500')
    const http = new HttpClient(gateway.http)
    const [a, b, c] = await fleet.agents(['a', 'b', 'c'], gateway.url)
    await http.run({ op: 'scale' })
    const load = await Load.begin(t, gateway, new Random(seed))
    const isRight = (away: string) =>
      load.additions.areHeld(t, http, `every add once, without ${away}`)

    const plan = await http.get('/api/ring/plan?join=d')
    t.ok(plan.tiles > 0 && plan.bytes > 0, `${plan.tiles} tiles would move to d`)
    const d = await fleet.agent('d', gateway.url)
    await eventually(
      'd has tiles',
      async () => (await http.node('d')).tiles >= plan.tiles,
      MOVE_LIMIT_MS,
    )
    await areHome(http, ['a', 'b', 'c', 'd'])
    t.equal((await http.node('d')).tiles, plan.tiles, 'as was planned')
    t.ok((await http.metric('obelisk_moves_ended_total')) >= plan.tiles)

    const drain = fleet.start(['node', 'drain', 'b', '--http', gateway.http, '--wait', '120'])
    await load.more(20)
    t.match(await within('the drain', drain.exited, 2 * MOVE_LIMIT_MS), { code: 0 })
    t.equal(drain.stdout, 'b left\n')
    t.match(drain.stderr, /^b has \d+ of \d+ tiles; \d+ on the way, \d+ planned/m)
    t.match(await within('the end of b', b!.run.exited), { code: 79 })
    t.match(await http.node('b'), { state: 'left', tiles: 0, connected: false })
    await areHome(http, ['a', 'c', 'd'])
    await load.more(20)
    const again = fleet.launch('b', gateway.url)
    t.match(await within('its end', again.run.exited), { code: 79 }, 'what has left stays away')
    await load.stop(t)
    await withEachAway(http, [a!, c!, d], isRight)

    const undo = fleet.start(['node', 'drain', 'b', '--undo', '--http', gateway.http])
    t.match(await within('its end', undo.exited), { code: 0 })
    await fleet.agent('b', gateway.url)
    await eventually('b has tiles', async () => (await http.node('b')).tiles > 0, MOVE_LIMIT_MS)
    await areHome(http, ['a', 'b', 'c', 'd'])
    await load.additions.areHeld(t, http, 'every add once, with b back')
  },
)

t.test(
  'tiles of a dead node are copied to others, one death after the other',
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const gateway = await fleet.gateway(...GRID, ...QUICK)
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b', 'c', 'd'], gateway.url)
    await http.run({ op: 'scale' })
    const load = await Load.begin(t, gateway, new Random(seed + 1))
    await areHome(http, ['a', 'b', 'c', 'd'])

    await agents[1]!.run.kill()
    await areHome(http, ['a', 'c', 'd'])
    t.match(await http.node('b'), { state: 'dead', tiles: 0 })
    await load.more(20)
    await agents[2]!.run.kill()
    await areHome(http, ['a', 'd'])
    await load.stop(t)
    await load.additions.areHeld(t, http, 'every add once, with two of four')
    await killAgent(http, agents[3]!)
    await load.additions.areHeld(t, http, 'every add once, with one of four')
  },
)

/** About what the drained node holds. */
const MEGABYTES = Number(process.env.HAND_OFF_MB ?? 4)
const MIB = 1024 * 1024
const PACE = MEGABYTES > 16 ? 16 * MIB : MIB
const TILE = 32
const BAND = 2 * TILE

t.test(
  `a slice of ${MEGABYTES} MB is handed off at its pace, through a kill`,
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const random = new Random(seed + 2)
    // Eight numbers and a status an LSU; two of three nodes hold each.
    const side = BAND * Math.ceil(Math.sqrt((MEGABYTES * 1e6 * 1.5) / 65) / BAND)
    const names = [...'stuvwxyz']
    const gateway = await fleet.gateway(
      ...['--grid', `${side}x${side}`, '--tile', `${TILE}`, '--probation-ms', '0'],
      ...['--fields', names.map((name) => `${name}:f64`).join(',')],
      ...['--move-bytes-per-second', `${PACE}`],
    )
    const http = new HttpClient(gateway.http)
    const bound = ['--slice-bytes-max', `${Math.max(64, 4 * MEGABYTES)}MiB`]
    const [a, b] = await fleet.agents(['a', 'b', 'c'], gateway.url, ...bound)
    await http.run({ op: 'scale' })
    const adds: Json[] = []
    const somewhere = (): Json => {
      const [x, y] = [random.integer(side), random.integer(side)]
      return { x, y, w: 1 + random.integer(side - x), h: 1 + random.integer(side - y) }
    }
    const add = async (region = somewhere(), field = random.integer(8)): Promise<void> => {
      const args = { field: names[field], value: 1 + random.integer(9) }
      const task = { id: `add-${adds.length}`, op: 'add', region, args, ...PATIENT }
      adds.push(task)
      const { status } = await http.post(task)
      if (status !== 202) throw new Error(`${task.id}: ${status}`)
    }
    // No column of a tile is one value: it goes over as that, and would be no load.
    for (let x = 0; x < side; x += TILE) {
      for (const field of names.keys()) await add({ x, y: 0, w: 1, h: side }, field)
    }
    for (let count = 0; count < 20; count++) await add()
    await areHome(http, ['a', 'b', 'c'])

    const { tiles } = await http.node('b')
    const { bytes } = await http.get('/api/ring/plan?leave=b')
    t.ok(bytes > MEGABYTES * 0.8e6, `b holds ${tiles} tiles, ${bytes} bytes`)
    const before = await http.metric('obelisk_moved_bytes_total')
    const beganMs = performance.now()
    const drain = fleet.start(['node', 'drain', 'b', '--http', gateway.http, '--wait', '200'])
    let fewest = Number.POSITIVE_INFINITY
    let samples = 0
    const look = async (): Promise<number> => {
      const counts = (await holders(http)).map((tile) => new Set(tile).size)
      fewest = Math.min(fewest, ...counts)
      samples += 1
      return (await http.node('b')).tiles
    }
    await eventually('some of it has moved', async () => (await look()) < tiles, MOVE_LIMIT_MS)
    // Frozen at once, so that it surely owes pages that it was asked for: the rest takes only seconds.
    b!.run.signal('SIGSTOP')
    await add()
    await eventually('it is waited for', async () => {
      await look()
      const { open } = await http.get('/api/ring/moves')
      return open.some((move: Json) => move.stage === 'copying' && move.seconds >= 1)
    })
    await b!.run.kill()
    await eventually('it is missed', async () => {
      await look()
      return (await http.node('b')).state !== 'alive'
    })
    await add()
    // It may be told to leave before it says that it is ready.
    b!.run = fleet.launch('b', gateway.url, ...bound).run
    await eventually(
      'b has left',
      async () => {
        await add()
        await look()
        return (await http.node('b')).state === 'left'
      },
      2 * MOVE_LIMIT_MS,
    )
    const seconds = (performance.now() - beganMs) / 1000
    const moved = (await http.metric('obelisk_moved_bytes_total')) - before
    t.comment(`${moved} bytes of ${bytes} in ${seconds.toFixed(1)} s, ${samples} looks`)
    t.match(await within('the drain', drain.exited), { code: 0 })
    t.match(await within('the end of b', b!.run.exited), { code: 79 })
    // What was not used in the second before may be used at once.
    t.ok(seconds >= bytes / PACE - 1, `${seconds.toFixed(1)} s at ${PACE} bytes a second`)
    // Status is one value: of 65 bytes an LSU, 64 go over.
    t.ok(moved >= (bytes * 64) / 65, 'every page went over')
    t.ok(fewest >= 2, `at each of ${samples} looks every tile had ${fewest} holders or more`)
    await areHome(http, ['a', 'c'])

    await allCompleted(
      t,
      http,
      adds.map(({ id }) => id),
    )
    const isRight = async (name: string): Promise<void> => {
      for (let y = 0; y < side; y += BAND) {
        for (const field of names) {
          const region = { x: 0, y, w: side, h: BAND }
          const { value } = await http.run({ op: 'stat', region, args: { field } })
          const wanted = adds
            .filter(({ args }) => args.field === field)
            .reduce(
              (sum, task) => sum + task.args.value * rowsIn(task.region, y) * task.region.w,
              0,
            )
          if (value.sum !== wanted) t.equal(value.sum, wanted, `${field} from row ${y} ${name}`)
        }
      }
      t.pass(name)
    }
    await isRight('with both')
    await killAgent(http, a!)
    await isRight('of c alone')
    await a!.restart()
    await caughtUp(http, 'a')
  },
)

function rowsIn(region: Json, y: number): number {
  return Math.max(0, Math.min(region.y + region.h, y + BAND) - Math.max(region.y, y))
}
