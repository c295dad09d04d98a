/** In which order writes take their places, and what a write that waits holds up. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { newIdentity } from '../../../../broker/core/coordinator.ts'
import { CoordinatorContext } from '../../../../broker/core/state/coordinator-context.ts'
import { givenOf } from '../../../../broker/core/state/task-ledger.ts'
import { WaitingWrites } from '../../../../broker/core/state/waiting-writes.ts'
import type { TaskId } from '../../../../shared/core/ids.ts'
import { Random } from '../../../../shared/core/random.ts'
import { Geometry, type Region } from '../../../../shared/grid/geometry.ts'
import { BENCH_OPTIONS, GatewayBench, settledPair } from '../../../support/gateway-bench.ts'
import { check } from '../../../support/property.ts'

/** Squares of 4 × 4 on a grid of 4 × 2 tiles. */
const tileAt = (x: number, y = 0, w = 1): { x: number; y: number; w: number; h: number } => ({
  x: 4 * x,
  y: 4 * y,
  w: 4 * w,
  h: 4,
})

function set(bench: GatewayBench, client: string, id: string, region: object): void {
  const args = { fields: { value: 1 } }
  assert.ok(bench.submit({ id, op: 'set', region, args }, { client }).ok)
}

/** Two nodes with one copy of each tile; the names of who holds tile 0 and who holds another one. */
function fleet(grid = BENCH_OPTIONS.grid): {
  bench: GatewayBench
  away: string
  here: string
  lost: number[]
  held: number[]
} {
  const bench = new GatewayBench({ replicas: 1, grid })
  bench.join('a', 'b')
  bench.submit({ id: 'first', op: 'scale' })
  const sent = ['a', 'b'].map((name) => [name, bench.entriesTo(name)] as const)
  for (const [name, entries] of sent) bench.apply(name, entries)
  const across = [0, 1, 2, 3]
  const heldBy = (name: string): number[] =>
    across.filter((tile) => bench.view.holdersOf(tile).includes(name as never))
  const [away, here] = heldBy('a').length > 0 && heldBy('b').length > 0 ? ['a', 'b'] : ['', '']
  assert.ok(away !== '', 'each holds a tile of the first row')
  return { bench, away, here, lost: heldBy(away), held: heldBy(here) }
}

const running = (bench: GatewayBench, ...ids: string[]): string[] =>
  ids.filter((id) => bench.task(id)?.state === 'running')

t.test('a write that waits keeps what its submitter sends to its tiles behind it', async (t) => {
  const { bench, away, lost, held } = fleet()
  bench.close(away)
  set(bench, 'me', 'wide', tileAt(0, 0, 4))
  set(bench, 'me', 'later', tileAt(held[0]!))
  set(bench, 'me', 'below', tileAt(held[0]!, 1))
  set(bench, 'other', 'theirs', tileAt(held[0]!))
  set(bench, 'other', 'lost', tileAt(lost[0]!))
  t.notOk(running(bench, 'later').length > 0, 'though its own tile is there')
  t.ok(running(bench, 'theirs').length > 0, 'others are not held up')
  bench.hello(away)
  const order = bench.entriesTo(away).map(({ seq }) => seq)
  t.same(running(bench, 'wide', 'later', 'lost'), ['wide', 'later', 'lost'])
  t.same(
    order,
    [...order].sort((a, b) => a - b),
  )
})

t.test('what waits says what for, and what runs does not', async (t) => {
  const { bench, away, here, lost, held } = fleet()
  const waitOf = (id: string) => bench.view.task(id as TaskId)?.waiting_for
  bench.close(away)
  set(bench, 'me', 'wide', tileAt(0, 0, 4))
  const said = bench.effects.flatMap((effect) =>
    effect.type === 'publish' && effect.topic.kind === 'task-state' ? [String(effect.payload)] : [],
  )
  t.equal(said.length, 1)
  t.match(JSON.parse(said[0]!), { id: 'wide', state: 'accepted', waiting_for: 'holders-away' })
  set(bench, 'me', 'later', tileAt(held[0]!))
  t.equal(waitOf('later'), 'earlier-write')
  bench.submit({ id: 'read', op: 'get', region: tileAt(lost[0]!) })
  t.equal(waitOf('read'), 'holders-away')
  set(bench, 'other', 'full', tileAt(held[0]!))
  t.equal(waitOf('full'), undefined)
  bench.say(here, { t: 'stopped', position: 1, code: 'store-full', message: 'no room' })
  t.equal(waitOf('full'), 'store-full')
  set(bench, 'third', 'fuller', tileAt(held[0]!))
  t.equal(waitOf('fuller'), 'store-full')
  bench.hello(here)
  bench.apply(here, bench.entriesTo(here))
  bench.hello(away)
  for (const id of ['wide', 'later', 'read', 'full', 'fuller']) t.equal(waitOf(id), undefined, id)
})

t.test('a write that has its place says what it waits for, and only while it does', async (t) => {
  for (const isAppliedFirst of [true, false]) {
    const bench = settledPair({ minInSync: 2, lagMs: 1e6 })
    const waitOf = () => bench.view.task('w' as TaskId)?.waiting_for
    const args = { fields: { value: 1 } }
    bench.submit({ id: 'w', op: 'set', args, region: tileAt(0), deadline_ms: 3_600_000 })
    const entries = bench.entriesTo('a')
    if (isAppliedFirst) bench.apply('a', entries)
    bench.close('b')
    if (!isAppliedFirst) {
      t.equal(waitOf(), undefined, 'the other is at work')
      bench.apply('a', entries)
    }
    t.equal(waitOf(), 'holders-away')
    bench.hello('b')
    t.equal(waitOf(), undefined, 'admitted')
    const { position, chain } = bench.node('b')
    bench.say('b', { t: 'stopped', position, code: 'store-full', message: 'full' })
    t.equal(waitOf(), 'store-full')
    bench.say('b', { t: 'gap', position, chain })
    t.equal(waitOf(), undefined, 'resumed')
    bench.live(bench.options.suspectAfterMs, ['a'])
    t.equal(waitOf(), 'holders-away')
    bench.beat('b')
    t.equal(waitOf(), undefined, 'heard again')
    bench.start()
    t.equal(waitOf(), undefined, 'nobody could be here yet')
    bench.wait(bench.options.returnGraceMs)
    t.equal(waitOf(), 'holders-away')
    bench.hello('b')
    t.equal(waitOf(), undefined)
    bench.apply('b', bench.entriesTo('b'))
    t.match(bench.task('w'), { state: 'completed' })
  }
})

t.test('a write without a place says what it waits for now', async (t) => {
  const bench = settledPair({ minInSync: 2 })
  const args = { fields: { value: 1 } }
  const ids = ['w', 'x'] as TaskId[]
  const waits = () => ids.map((id) => bench.view.task(id)?.waiting_for)
  bench.close('b')
  for (const id of ids) bench.submit({ id, op: 'set', args, region: tileAt(0) }, { client: id })
  t.same(waits(), ['holders-away', 'holders-away'])
  const { position, chain } = bench.node('a')
  bench.say('a', { t: 'stopped', position, code: 'store-full', message: 'full' })
  t.same(waits(), ['store-full', 'store-full'])
  bench.say('a', { t: 'gap', position, chain })
  t.same(waits(), ['holders-away', 'holders-away'])
  bench.hello('b')
  t.same(waits(), [undefined, undefined])
})

t.test('what stood behind a write goes on when that is cancelled or expires', async (t) => {
  for (const how of ['cancel', 'expire']) {
    const { bench, away, here, held } = fleet()
    bench.close(away)
    bench.submit(
      { id: 'wide', op: 'scale', deadline_ms: 1000, region: tileAt(0, 0, 4) },
      { client: 'me' },
    )
    set(bench, 'me', 'later', tileAt(held[0]!))
    t.same(running(bench, 'later'), [])
    if (how === 'cancel') bench.cancel('wide')
    else bench.live(1000, [here])
    t.same(running(bench, 'later'), ['later'], how)
  }
})

t.test('a start of the gateway keeps the order', async (t) => {
  const { bench, away, here, held } = fleet()
  bench.close(away)
  set(bench, 'me', 'wide', tileAt(0, 0, 4))
  set(bench, 'me', 'later', tileAt(held[0]!))
  bench.start()
  bench.hello(here)
  t.same(running(bench, 'later'), [])
  set(bench, 'me', 'last', tileAt(held[0]!))
  t.same(running(bench, 'last'), [])
  bench.hello(away)
  t.same(running(bench, 'wide', 'later', 'last'), ['wide', 'later', 'last'])
})

t.test('an HTTP connection is a submitter, its address is none', async (t) => {
  const { bench, away, held } = fleet()
  bench.close(away)
  const from = (connection: string) => ({ via: 'http', client: '127.0.0.1', connection }) as const
  const args = { fields: { value: 1 } }
  bench.submit({ id: 'wide', op: 'set', args, region: tileAt(0, 0, 4) }, from('1'))
  bench.submit({ id: 'same', op: 'set', args, region: tileAt(held[0]!) }, from('1'))
  bench.submit({ id: 'another', op: 'set', args, region: tileAt(held[0]!) }, from('2'))
  t.same(running(bench, 'same', 'another'), ['another'])
})

t.test(
  'whatever comes and goes, each submitter has its order and nobody waits for others',
  async (t) => {
    const region = fc.record({ x: fc.nat(3), w: fc.integer({ min: 1, max: 4 }) })
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ client: fc.constantFrom('p', 'q'), region }) },
      { weight: 1, arbitrary: fc.record({ toggles: fc.constantFrom('a', 'b') }) },
      { weight: 1, arbitrary: fc.record({ cancels: fc.nat(20) }) },
    )
    check(
      t,
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { bench, lost } = fleet()
        const isHere: Record<string, boolean> = { a: true, b: true }
        const sent: { id: string; client: string; tiles: number[]; place: number | undefined }[] =
          []
        let places = 0
        const note = (): void => {
          for (const one of sent) {
            const isPlaced =
              running(bench, one.id).length > 0 || bench.task(one.id)?.state === 'completed'
            if (one.place === undefined && isPlaced) one.place = places
          }
          places += 1
        }
        for (const one of steps) {
          if ('toggles' in one) {
            const { toggles: name } = one
            if (isHere[name]) bench.close(name)
            else bench.hello(name)
            isHere[name] = !isHere[name]
          } else if ('cancels' in one) {
            const task = sent[one.cancels]
            if (task !== undefined && bench.cancel(task.id).ok) sent.splice(sent.indexOf(task), 1)
          } else {
            const { x, w } = one.region
            const width = Math.min(w, 4 - x)
            const id = `w${sent.length}-${places}`
            set(bench, one.client, id, tileAt(x, 0, width))
            const tiles = Array.from({ length: width }, (_, at) => x + at)
            sent.push({ id, client: one.client, tiles, place: undefined })
          }
          note()
          const holderHere = (tile: number): boolean => isHere[lost.includes(tile) ? 'a' : 'b']!
          sent.forEach((later, at) => {
            const earlier = sent.slice(0, at).filter(({ client, tiles }) => {
              return client === later.client && tiles.some((tile) => later.tiles.includes(tile))
            })
            const waitsBehind = earlier.some(({ place }) => place === undefined)
            if (later.place !== undefined) assert.ok(!waitsBehind, `${later.id} overtook`)
            else
              assert.ok(
                waitsBehind || !later.tiles.every(holderHere),
                `${later.id} waits for nothing`,
              )
          })
        }
      }),
      60,
    )
  },
)

class CountingGeometry extends Geometry {
  looks = 0

  override tilesOf(region: Region): Uint32Array {
    this.looks += 1
    return super.tilesOf(region)
  }

  override shareTile(a: Region, b: Region): boolean {
    this.looks += 1
    return super.shareTile(a, b)
  }
}

t.test('an acknowledgement costs the same, however many writes wait for other nodes', async (t) => {
  const costOf = (waiting: number): number => {
    const geometry = new CountingGeometry({ width: 16, height: 8, tile: 4 })
    const { bench, away, here, lost, held } = fleet({ ...BENCH_OPTIONS.grid, geometry })
    bench.close(away)
    for (let at = 0; at < waiting; at++) set(bench, `c${at}`, `w${at}`, tileAt(lost[0]!))
    set(bench, 'other', 'acked', tileAt(held[0]!))
    const entries = bench.entriesTo(here)
    geometry.looks = 0
    bench.apply(here, entries)
    assert.equal(bench.task('acked')?.state, 'completed')
    return geometry.looks
  }
  t.equal(costOf(300), costOf(0))
})

/** So many writes of one client wait, each at its own tile: nobody is there. */
function deserted(geometry: Geometry, waiting: number): GatewayBench {
  const grid = { ...BENCH_OPTIONS.grid, geometry }
  const bench = new GatewayBench({ grid, tasksMax: 3000 })
  bench.join('a')
  bench.close('a')
  for (let at = 0; at < waiting; at++) set(bench, 'me', `w${at}`, tileAt(at % 64, at >> 6))
  return bench
}

t.test('a write costs the same, however many of its client wait at other tiles', async (t) => {
  const costOf = (waiting: number): number => {
    const geometry = new CountingGeometry({ width: 256, height: 256, tile: 4 })
    const bench = deserted(geometry, waiting)
    geometry.looks = 0
    set(bench, 'me', 'last', tileAt(63, 63))
    return geometry.looks
  }
  t.equal(costOf(300), costOf(1))
})

t.test('what is due is looked at in slices', async (t) => {
  const identity = newIdentity(BENCH_OPTIONS, 'ledger')
  const context = new CoordinatorContext(BENCH_OPTIONS, new Random(1), identity)
  const waiting = new WaitingWrites(context)
  const tasks = [0, 1, 2].map((tile) => {
    const body = { op: 'scale', region: tileAt(tile), args: {}, deadlineMs: 1000 }
    const accepted = { ts: 0, deadlineMs: 1000, isNamed: true, submitter: 'me' }
    const task = context.tasks.accept(`w${tile}` as TaskId, givenOf(body), accepted)
    waiting.add(task)
    return task
  })
  const reasons = () => tasks.map((task) => waiting.reasonOf(task))
  t.equal(waiting.take({ left: 2 }), undefined, 'nobody has joined')
  t.ok(waiting.hasDue)
  t.same(reasons(), [{ tile: 0 }, { tile: 1 }, undefined])
  t.equal(waiting.take({ left: 2 }), undefined)
  t.notOk(waiting.hasDue)
  t.same(reasons(), [{ tile: 0 }, { tile: 1 }, { tile: 2 }])
})

t.test('after a start, others have their turn before all that waits is looked at', async (t) => {
  const geometry = new CountingGeometry({ width: 256, height: 256, tile: 4 })
  const bench = deserted(geometry, 2500)
  bench.start()
  const waits = () => bench.view.task('w2499' as TaskId)?.waiting_for
  t.equal(waits(), undefined)
  bench.wait(0)
  t.equal(waits(), 'settling')
})

t.test('each write that waits has something that it waits for', async (t) => {
  const identity = newIdentity(BENCH_OPTIONS, 'ledger')
  const context = new CoordinatorContext(BENCH_OPTIONS, new Random(1), identity)
  const waiting = new WaitingWrites(context)
  const [first, second, last] = ['first', 'second', 'last'].map((id) => {
    const body = { op: 'scale', region: tileAt(1), args: {}, deadlineMs: 1000 }
    const accepted = { ts: 0, deadlineMs: 1000, isNamed: true, submitter: 'me' }
    const task = context.tasks.accept(id as TaskId, givenOf(body), accepted)
    waiting.add(task)
    return task
  })
  t.equal(waiting.take({ left: 9 }), undefined, 'nobody has joined')
  t.same(waiting.reasonOf(first!), { tile: 1 })
  t.equal(waiting.reasonOf(second!)?.behind, first)
  t.equal(waiting.reasonOf(last!)?.behind, second)
  t.ok(waiting.remove(second!))
  t.notOk(waiting.remove(second!), 'it does not wait any more')
  t.equal(waiting.take({ left: 9 }), undefined)
  t.equal(waiting.reasonOf(second!), undefined)
  t.equal(waiting.reasonOf(last!)?.behind, first, 'the next before it')
  t.equal(waiting.size, 2)
})

t.test('writes of two operations that wait for a tile each say their own reason', async (t) => {
  const bench = settledPair({ minInSync: 2 })
  bench.close('a')
  bench.close('b')
  set(bench, '1', 'setting', tileAt(0))
  bench.submit({ id: 'scaling', op: 'scale', region: tileAt(0) }, { client: '2' })
  bench.hello('a', { operations: ['set', 'get'] })
  t.match(bench.task('setting'), { waiting_for: 'holders-away' })
  t.match(bench.task('scaling'), { waiting_for: 'unknown-operation' })
})

t.test('whether the fleet has settled is asked once for many tiles that are to be born', (t) => {
  const identity = newIdentity({ grid: BENCH_OPTIONS.grid, replicas: 2 }, 'ledger')
  for (const isSettled of [false, true]) {
    const context = new CoordinatorContext(BENCH_OPTIONS, new Random(1), identity)
    const asked = t.capture(context, 'isSettled', () => isSettled)
    const tiles = Uint32Array.from({ length: BENCH_OPTIONS.grid.geometry.tiles }, (_, at) => at)
    const blocked = [...new WaitingWrites(context).blockedTiles(tiles, 'scale')]
    t.same(blocked, [...tiles], 'nobody has joined')
    t.equal(asked().length, 1)
  }
  t.end()
})
