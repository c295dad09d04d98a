/**
 * The work of a step is bounded by its event: it is the same with ten thousand members as with a hundred, and with
 * thousands of tasks that wait as with none. Counted in blocks of code (block-counts.ts), for each kind of event.
 *
 * What is not bounded yet is listed with its reason, and is to grow as long as it is listed.
 */
import t from 'tap'
import type { GatewayEffect } from '../../../broker/core/effects.ts'
import type { GatewayEvent } from '../../../broker/core/events.ts'
import type { FleetInMemory } from '../../../scripts/bench/fleet-in-memory.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import type { CoreUp } from '../../../shared/protocol/messages.ts'
import { CHAIN_START } from '../../../shared/protocol/stream-chain.ts'
import { type BlockCount, BlockCounts, growthOf } from '../../support/block-counts.ts'

const counts = new BlockCounts(/\/(broker\/core|shared\/(core|grid|operations))\//)
counts.begin()
const bench = await import('../../../scripts/bench/fleet-in-memory.ts')
t.teardown(() => counts.end())

const TILE = 16
/** In tiles; of the larger one, nothing else is. */
const GRID_WIDTH = 64
const LARGE_GRID_WIDTH = 256
const SMALL: Size = { nodes: 100, waiting: 0, width: GRID_WIDTH }
/** Of what the rest is as in the small one. */
const LARGER: Readonly<Record<Growth, Size>> = {
  members: { ...SMALL, nodes: 10_000 },
  waiting: { ...SMALL, waiting: 10_000 },
  tiles: { ...SMALL, width: LARGE_GRID_WIDTH },
}
/** Heaps and searches take some more steps in what is larger. */
const SLACK = 60

type Growth = 'members' | 'waiting' | 'tiles'

/** What is not as it should be, and where it grows. */
const UNBOUNDED: Readonly<Record<string, readonly Growth[]>> = {
  // What is missing is not kept as a list.
  recreate: ['tiles'],
  // It loses the tiles that it had, and these are not kept as a list.
  'hello with another store': ['tiles'],
  // That is what they wait for.
  'hello of one who is waited for': ['waiting'],
  // The ring has all members in it, and a plan compares all tiles, since where one belongs depends on those before it.
  // Once a second, and half a second after what happened, for all that did.
  'what is due after that': ['members', 'tiles'],
}

interface Size {
  readonly nodes: number
  readonly waiting: number
  readonly width: number
}

/** A fleet with all tiles written, of which both holders of tile 0 are away, and tasks that wait for them. */
class CountedFleet {
  readonly fleet: FleetInMemory
  readonly away: number[]
  readonly #nodes: number
  readonly #width: number
  readonly #sessions = new Map<number, number>()
  readonly #counted = new Map<string, BlockCount>()
  #next = 0

  constructor({ nodes, waiting, width }: Size) {
    this.#nodes = nodes
    this.#width = width
    const grid = { width: width * TILE, height: GRID_WIDTH * TILE, tile: TILE }
    this.fleet = new bench.FleetInMemory({ grid, replicas: 2, nodes })
    this.#note(this.fleet.admitAll())
    this.fleet.settle()
    this.fleet.calm()
    const first = this.fleet.parse({ op: 'scale', args: { fields: { value: 2 } } })
    const [one, ...others] = [...bench.appliedTo(this.fleet.submit(first))]
    this.count('applied, of one of all', () => this.fleet.receive(...one!))
    for (const applied of others) this.fleet.receive(...applied)
    this.away = this.#holdersOf(0)
    for (const index of this.away) this.fleet.closeConnection(index)
    for (let count = 0; count < waiting; count++) {
      this.write(0)
      this.read(0)
    }
  }

  get counted(): ReadonlyMap<string, BlockCount> {
    return this.#counted
  }

  /** What is due is done before, and not counted. */
  count(kind: string, act: () => GatewayEffect[]): GatewayEffect[] {
    this.fleet.calm()
    let effects: GatewayEffect[] = []
    this.#counted.set(
      kind,
      counts.of(() => {
        effects = act()
      }),
    )
    this.#note(effects)
    return effects
  }

  write(tile: number): GatewayEffect[] {
    return this.#submit({ op: 'set', args: { fields: { value: 2 } } }, tile)
  }

  read(tile: number): GatewayEffect[] {
    return this.#submit({ op: 'stat', args: { field: 'value' } }, tile)
  }

  look(tile: number): GatewayEffect[] {
    const body = { op: 'stat', args: { field: 'value' }, region: this.#regionOf(tile) }
    const result = this.fleet.parse(body)
    return this.fleet.step({ type: 'look-requested', ticket: 10_000_000, client: 'one', result })
  }

  say(index: number, message: Record<string, unknown>): GatewayEffect[] {
    return this.fleet.receive(index, { ...message, session: this.#sessions.get(index)! } as CoreUp)
  }

  /** A tile that nobody has anything to do with who is away, nor whom something happened to. */
  nextTile(): number {
    for (;;) {
      this.#next += 1
      const holders = this.#holdersOf(this.#next)
      if (holders.some((index) => this.away.includes(index))) continue
      for (const index of holders) this.away.push(index)
      return this.#next
    }
  }

  /** A node whom nothing has happened to. */
  nextNode(): number {
    return this.#holdersOf(this.nextTile())[0]!
  }

  newNode(): number {
    return this.#nodes
  }

  #holdersOf(tile: number): number[] {
    return this.fleet.coordinator.view().holdersOf(tile).map(indexOf)
  }

  #submit(body: Record<string, unknown>, tile: number): GatewayEffect[] {
    return this.fleet.submit(this.fleet.parse({ ...body, region: this.#regionOf(tile) }))
  }

  #regionOf(tile: number): Record<string, number> {
    const x = (tile % this.#width) * TILE
    return { x, y: Math.floor(tile / this.#width) * TILE, w: 1, h: 1 }
  }

  #note(effects: readonly GatewayEffect[]): void {
    for (const effect of effects) {
      if (effect.type !== 'send' || effect.message.t !== 'welcome') continue
      this.#sessions.set(indexOf(effect.connection), effect.message.session)
    }
  }
}

function indexOf(name: string): number {
  return Number(name.slice(-5))
}

/** The node that was asked cannot answer, for a reason of its own. */
function refusalOf(effects: readonly GatewayEffect[]): [number, CoreUp] {
  for (const effect of effects) {
    if (effect.type !== 'send' || effect.message.t !== 'read') continue
    const { task, part, attempt, after } = effect.message
    const error = { code: 'page-damaged', message: 'damaged' }
    const answer = {
      t: 'answer',
      task,
      part,
      attempt,
      position: after,
      seq: 0,
      ms: 1,
      error,
    } as const
    return [indexOf(effect.connection), answer]
  }
  throw new Error('nobody was asked')
}

/** Each kind of event once, with nothing else under way but what waits. */
function countAll(size: Size): ReadonlyMap<string, BlockCount> {
  const counted = new CountedFleet(size)
  const { fleet } = counted
  const event = (kind: string, what: GatewayEvent): void => {
    counted.count(kind, () => fleet.step(what))
  }
  const nodeId = (): NodeId => fleet.helloOf(counted.nextNode()).node as NodeId
  const away = counted.away[0]!

  const write = counted.nextTile()
  const [first, last] = [...bench.appliedTo(counted.count('write', () => counted.write(write)))]
  counted.count('applied, of one of two', () => fleet.receive(...first!))
  counted.count('applied, of the last', () => fleet.receive(...last!))
  counted.count('write that waits', () => counted.write(0))
  const read = counted.nextTile()
  const asked = counted.count('read', () => counted.read(read))
  const refusal = refusalOf(asked)
  counted.count('answer that is a refusal', () => fleet.receive(...refusal))
  counted.count('read that waits', () => counted.read(0))
  counted.count('look', () => counted.look(counted.nextTile()))
  counted.count('look cancelled', () => fleet.step({ type: 'look-cancelled', ticket: 10_000_000 }))
  const taken = counted.read(0).find((effect) => effect.type === 'answer')!
  if (!taken.outcome.ok) throw new Error('the read was not accepted')
  const { task } = taken.outcome
  counted.count('cancel', () => fleet.cancel(task))
  const beating = counted.nextNode()
  counted.count('heartbeat', () => counted.say(beating, { t: 'heartbeat', beat: 1 }))
  const stopping = counted.nextNode()
  const stopped = { t: 'stopped', position: 1, code: 'disk-full', message: 'no room' }
  counted.count('stopped', () => counted.say(stopping, stopped))
  const missing = counted.nextNode()
  const { position, chain } = fleet.helloOf(missing)
  counted.count('gap', () => counted.say(missing, { t: 'gap', position, chain }))
  const none = { tiles: new Uint8Array(0), ats: [], digests: new Uint8Array(0) }
  counted.count('examined', () => counted.say(missing, { t: 'examined', ...none }))
  const closing = counted.nextNode()
  counted.count('connection closed', () => fleet.closeConnection(closing))
  counted.count('hello of one who was away', () => fleet.admit(closing))
  counted.count('what is due after that', () => fleet.settle())
  counted.count('hello of a new node', () => fleet.admit(counted.newNode()))
  const replaced = counted.nextNode()
  fleet.closeConnection(replaced)
  const hello = { ...fleet.helloOf(replaced), storeId: 'other', position: 0, chain: CHAIN_START }
  counted.count('hello with another store', () => fleet.receive(replaced, hello))
  event('drain', { type: 'drain-requested', node: nodeId(), isWanted: true })
  event('revoked', { type: 'node-revoked', node: nodeId() })
  event('removal refused', { type: 'removal-requested', node: nodeId() })
  event('disk checked', { type: 'disk-checked', freeBytes: 2 ** 40 })
  const readings = { field: 0, cells: [0, 1], values: [1, 2] }
  event('readings', {
    ...{ type: 'readings-received', ticket: 1, topic: 'obelisk/v1/cell/value' },
    ...{ submitter: { via: 'mqtt', client: 'sensor' }, results: [{ ok: true, readings }] },
  })
  event('trust', { type: 'trust-demanded' })
  event('probe returned', { type: 'probe-returned', beat: 1 })
  event('recreate', { type: 'recreate-requested' })
  counted.count('hello of one who is waited for', () => fleet.admit(away))
  return counted.counted
}

const small = countAll(SMALL)

for (const [growth, size] of Object.entries(LARGER) as [Growth, Size][]) {
  t.test(`work does not grow with ${growth}`, async (t) => {
    for (const [kind, other] of countAll(size)) {
      const count = small.get(kind)!
      const isBounded = other.total <= count.total + SLACK
      const said = `${kind}: ${count.total} → ${other.total} blocks: ${growthOf(count, other)}`
      const isListed = UNBOUNDED[kind]?.includes(growth) === true
      if (isListed) t.notOk(isBounded, `is to be taken from the list: ${said}`)
      else t.ok(isBounded, said)
    }
  })
}
