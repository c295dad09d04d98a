import t from 'tap'
import type { GatewayEffect } from '../../../../broker/core/effects.ts'
import { Random } from '../../../../shared/core/random.ts'
import { packTiles, unpackTiles } from '../../../../shared/operations/columns.ts'
import { packInteger } from '../../../../shared/operations/exact-sums.ts'
import { linesOf } from '../../../support/effect-lines.ts'
import {
  ADD,
  cells,
  EMPTY_STORE,
  GatewayBench,
  GET,
  readerOf,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

function resultShown(bench: GatewayBench): string | Uint8Array {
  for (const effect of bench.effects) {
    if (effect.type === 'publish' && effect.topic.kind === 'task-result-json') return effect.payload
  }
  return '{}'
}

t.test('a part waits for the head of its node’s stream', async (t) => {
  const bench = settledPair({ lagMs: 60_000 })
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.submit({ id: 'r', ...GET })
  const { reader } = readerOf(bench)
  t.match(bench.readsTo(reader), [{ after: 2, attempt: 1, op: 'get' }])
})

t.test('a socket that closes gives the part to another in the same step', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'r', ...GET })
  const { reader, other } = readerOf(bench)
  bench.close(reader)
  t.match(bench.readsTo(other), [{ task: 'r', attempt: 2 }])
})

t.test('so does a lease that ends, and a node that fell silent', async (t) => {
  const bench = settledPair({ suspectAfterMs: 60_000 })
  bench.submit({ id: 'r', ...GET })
  const { reader, other } = readerOf(bench)
  bench.wait(bench.options.leaseMs)
  t.match(bench.readsTo(other), [{ attempt: 2 }])
  t.match(bench.notices('lease-ended'), [{ node: reader }])

  const silent = settledPair()
  silent.submit({ id: 'r', ...GET })
  const { reader: quiet, other: heard } = readerOf(silent)
  silent.wait(silent.options.suspectAfterMs - 1)
  silent.beat(heard)
  silent.wait(1)
  t.match(silent.readsTo(heard), [{ attempt: 2 }])
  t.match(silent.notices('node-suspect'), [{ node: quiet }])
})

t.test('the first answer counts, and a late one is received all the same', async (t) => {
  const bench = settledPair({ suspectAfterMs: 60_000 })
  bench.submit({ id: 'r', ...GET })
  const { reader, other } = readerOf(bench)
  const [read] = bench.readsTo(reader)
  bench.wait(bench.options.leaseMs)
  bench.answer(reader, read!, { value: cells(0, 1) })
  t.equal(bench.task('r')?.state, 'completed')
  t.equal(bench.sent('received').length, 1)
  bench.answer(other, { ...read!, attempt: 2 }, { value: cells(0, 5) })
  t.equal(bench.sent('received').length, 1)
  t.notOk(bench.effects.some(({ type }) => type === 'announce-end'))
  t.equal(bench.view.counts().answersLate, 1)
})

t.test('a node’s own trouble is tried elsewhere; that of all holders is the end', async (t) => {
  const bench = settledPair()
  bench.submit({ id: 'r', ...GET })
  const { reader, other } = readerOf(bench)
  const [read] = bench.readsTo(reader)
  const error = { code: 'page-damaged', message: 'tile 0' }
  bench.answer(reader, read!, { error })
  const [again] = bench.readsTo(other)
  t.match(again, { attempt: 2 })
  bench.answer(other, again!, { error })
  t.match(bench.task('r'), { state: 'failed', error: { code: 'page-damaged' } })
})

t.test('a damaged page is no trouble of unborn tiles that go with it', async (t) => {
  const bench = settledPair()
  bench.start()
  bench.hello('a')
  bench.submit({ id: 'r', op: 'get', region: { x: 0, y: 0, w: 8, h: 4 } })
  const [read] = bench.readsTo('a')
  t.same(read?.grid?.unborn, new Uint8Array(Uint32Array.of(1).buffer))
  bench.answer('a', read!, { error: { code: 'page-damaged', message: 'tile 0' } })
  t.equal(bench.task('r')?.state, 'running')
  bench.hello('b')
  const [again] = bench.readsTo('b')
  t.match(again, { attempt: 2 })
})

t.test(
  'nor is it one of other tiles of the part, of which the node has the only copy',
  async (t) => {
    const bench = settledPair()
    const both = { x: 0, y: 0, w: 8, h: 4 }
    bench.submit({ id: 'w', ...ADD, region: both })
    for (const name of ['a', 'b']) bench.apply(name, bench.entriesTo(name))
    const broken = (tile: number) => new Uint8Array(Uint32Array.of(tile).buffer)
    bench.close('b')
    bench.submit({ id: 'r', op: 'get', region: both })
    const [read] = bench.readsTo('a')
    t.equal(read?.grid?.tiles.length, 8, 'one node is asked for both')
    bench.hello('b', { broken: broken(1) })
    const { position, chain } = bench.node('a')
    bench.say('a', { t: 'applied', position, chain, results: [], broken: broken(0) })
    bench.answer('a', read!, { error: { code: 'page-damaged', message: 'tile 0' } })
    t.equal(bench.task('r')?.state, 'running')
    const tilesTo = (name: string) => [...bench.readsTo(name)].map(({ grid }) => grid!.tiles[0])
    t.same([tilesTo('a'), tilesTo('b')], [[1], [0]])
  },
)

t.test('an answer that is not of what was asked goes to the other holder', async (t) => {
  const { status, columns } = cells(0, 1) as { status: Uint8Array; columns: Uint8Array[] }
  const wrong: Record<string, unknown>[] = [
    { tiles: 7 },
    {},
    { ...cells(1, 1) },
    { tiles: new Uint8Array(0), status: new Uint8Array(0), columns: [new Uint8Array(0)] },
    { ...cells(0, 1), status: status.subarray(1) },
    { ...cells(0, 1), columns: [columns[0]!.subarray(8)] },
    { ...cells(0, 1), columns: [] },
  ]
  for (const value of wrong) {
    const bench = settledPair()
    bench.submit({ id: 'r', ...GET })
    const { reader, other } = readerOf(bench)
    bench.answer(reader, bench.readsTo(reader)[0]!, { value })
    t.match(bench.notices('read-refused'), [{ node: reader, error: 'bad-answer' }])
    t.equal(bench.view.counts().answersBad, 1)
    const [again] = bench.readsTo(other)
    bench.answer(other, again!, { value: cells(0, 1) })
    t.equal(bench.task('r')?.state, 'completed')
  }
  const bench = settledPair()
  bench.submit({ id: 'r', ...GET })
  const { reader, other } = readerOf(bench)
  bench.answer(reader, bench.readsTo(reader)[0]!, { value: wrong[0]! })
  bench.answer(other, bench.readsTo(other)[0]!, { value: wrong[0]! })
  t.match(bench.task('r'), { state: 'failed', error: { code: 'bad-answer' } }, 'not the gateway')
})

t.test('at its deadline a read ends and is taken back', async (t) => {
  const bench = settledPair({ suspectAfterMs: 60_000 })
  bench.submit({ id: 'r', ...GET, deadline_ms: 700 })
  const { reader } = readerOf(bench)
  t.equal(bench.readsTo(reader)[0]!.leaseMs, 700)
  bench.wait(700)
  t.match(bench.task('r'), { state: 'expired', error: { code: 'deadline' } })
  t.equal(bench.view.counts().readsOpen, 0)
})

t.test('a write between two answers makes a read inconsistent', async (t) => {
  const bench = new GatewayBench({ replicas: 1, lagMs: 60_000 })
  bench.join('a', 'b')
  bench.submit({ id: 'w', ...ADD })
  const [toA, toB] = [bench.entriesTo('a'), bench.entriesTo('b')]
  t.ok(toA.length > 0 && toB.length > 0, 'both hold some of the grid')
  bench.apply('a', toA)
  bench.apply('b', toB)
  for (const isBetween of [false, true]) {
    const id = isBetween ? 'between' : 'before'
    bench.submit({ id, op: 'stat', args: { field: 'value' } })
    const [readA] = bench.readsTo('a')
    const [readB] = bench.readsTo('b')
    const zeros = { min: 0, max: 0, sum: packInteger(0n), squares: packInteger(0n) }
    const zerosOver = ({ tiles }: { tiles: Uint8Array }) => ({
      tiles,
      count: 4 * tiles.length,
      ...zeros,
    })
    bench.answer('a', readA!, { value: zerosOver(readA!.grid!) })
    if (isBetween) {
      bench.submit({ id: 'x', ...ADD })
      bench.apply('b', bench.entriesTo('b'))
    }
    bench.answer('b', readB!, { value: zerosOver(readB!.grid!) })
    t.equal(bench.task(id)?.state, 'completed')
    t.match(
      JSON.parse(String(resultShown(bench))),
      isBetween ? { consistent: false, range: [2, 2] } : { consistent: true },
    )
  }
})

t.test('items go to nodes by key and come back as one', async (t) => {
  const bench = settledPair()
  const items = Array.from({ length: 40 }, (_, index) => ({ key: `k${index}`, data: 'x' }))
  bench.submit({ id: 'd', op: 'digest', items })
  const parts = ['a', 'b'].flatMap((name) => bench.readsTo(name).map((read) => ({ name, read })))
  t.equal(parts.length, 2)
  const keys = parts.flatMap(({ read }) => read.items!.keys)
  t.same(keys.sort(), items.map(({ key }) => key).sort())
  for (const { name, read } of parts) {
    const sha256 = new Uint8Array(32 * read.items!.keys.length)
    bench.answer(name, read, { value: { keys: read.items!.keys, sha256 } })
  }
  t.equal(bench.task('d')?.state, 'completed')
})

/** One replica; tile 0 has been written on `a`, and is lost if `isLost`. */
function withOneCopy({ isLost }: { isLost: boolean }): GatewayBench {
  const bench = new GatewayBench({ replicas: 1 })
  bench.join('a')
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.apply('a', bench.entriesTo('a'))
  if (isLost) {
    bench.close('a')
    bench.hello('a', EMPTY_STORE)
  }
  return bench
}

const LOOK = { op: 'overview', args: { field: 'value', step: 4, holes: true } }
const BOTH = { x: 0, y: 0, w: 8, h: 4 }

function squaresOf(bench: GatewayBench): { mean: number[]; count: number[] } {
  const { value } = JSON.parse(resultShown(bench) as string)
  const floats = (base64: string): number[] => [
    ...new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer),
  ]
  return { mean: floats(value.mean), count: floats(value.count) }
}

t.test('a read that may have holes asks nobody for a tile without a copy', async (t) => {
  const bench = withOneCopy({ isLost: true })
  bench.submit({ id: 'o', ...LOOK, region: BOTH })
  const [read] = bench.readsTo('a')
  t.same([read?.grid?.tiles.length, read?.grid?.unborn], [0, packTiles([1])])
  const mean = new Uint8Array(Float32Array.of(0.5).buffer)
  bench.answer('a', read!, { value: { tiles: packTiles([1]), mean } })
  t.same(squaresOf(bench), { mean: [Number.NaN, 0.5], count: [0, 16] })
})

t.test('and ends at once where there is nobody to ask', async (t) => {
  const bench = withOneCopy({ isLost: true })
  bench.submit({ id: 'o', ...LOOK, region: TILE_0 })
  t.match(bench.task('o'), { state: 'completed', shards: { total: 0, done: 0 } })
  t.same(squaresOf(bench), { mean: [Number.NaN], count: [0] })
})

t.test('or where what it waited for is lost meanwhile', async (t) => {
  const bench = withOneCopy({ isLost: false })
  bench.submit({ id: 'o', ...LOOK, region: TILE_0 })
  t.equal(bench.readsTo('a').length, 1)
  bench.close('a')
  t.equal(bench.task('o')?.state, 'running', 'its holder may come back')
  bench.hello('a', EMPTY_STORE)
  t.match(bench.task('o'), { state: 'completed' })
  t.same(squaresOf(bench), { mean: [Number.NaN], count: [0] })
})

/** What a node gives for a `get` of whole tiles. */
function cellsOf({ grid }: Asked['read']): Record<string, unknown> {
  const tiles = [...unpackTiles(grid!.tiles), ...unpackTiles(grid!.unborn)].sort((a, b) => a - b)
  return {
    tiles: packTiles(tiles),
    status: new Uint8Array(16 * tiles.length),
    columns: [new Uint8Array(new Float64Array(16 * tiles.length).buffer)],
  }
}

interface Asked {
  readonly name: string
  readonly read: Parameters<GatewayBench['answer']>[1]
}

for (const flatMin of [2, 1000]) {
  t.test(
    `a write to what was asked for as unborn makes a read inconsistent, ${flatMin}`,
    async (t) => {
      const names = ['a', 'b', 'c']
      const bench = new GatewayBench({ flatMin })
      bench.join(...names)
      bench.submit({ id: 'r', op: 'get' })
      const asked = names.map((name) => ({ name, reads: bench.readsTo(name) }))
      t.ok(asked.every(({ reads }) => reads.length === 1))
      bench.submit({ id: 'w', ...ADD })
      const entries = names.map((name) => bench.entriesTo(name))
      names.forEach((name, at) => {
        bench.apply(name, entries[at]!)
      })
      for (const { name, reads } of asked)
        bench.answer(name, reads[0]!, { value: cellsOf(reads[0]!) })
      t.equal(bench.task('r')?.state, 'completed')
      t.match(JSON.parse(String(resultShown(bench))), { consistent: false })
    },
  )
}

t.test('a round that was sent as one goes on as its parts would', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed} npx tap run test/broker/core/rules/reads.test.ts`)
  const random = new Random(seed)
  const names = ['a', 'b', 'c', 'd', 'e']
  const benches = [2, 1000].map((flatMin) => new GatewayBench({ flatMin, leaseMs: 900 }))
  const asked: Asked[] = []
  const away = new Set<string>()
  const different: string[] = []
  let again = 0
  /** Both say the same, in whatever order a step says it to several nodes. */
  const both = (act: (bench: GatewayBench) => GatewayEffect[]): void => {
    const effects = benches.map(act)
    const [flat, single] = effects.map((said) => said.flatMap(linesOf).sort().join('\n'))
    if (flat !== single) different.push(`${flat}\n--- but\n${single}`)
    for (const effect of effects[0]!) {
      if (effect.type !== 'send' || effect.message.t !== 'read') continue
      const name = effect.connection.slice(0, 1)
      asked.push({ name, read: effect.message })
      if (effect.message.attempt > 1) again += 1
    }
  }
  both((bench) => {
    bench.join(...names)
    return bench.effects
  })
  let tasks = 0
  for (let step = 0; step < 400; step++) {
    const name = names[random.integer(names.length)]!
    const [x, y] = [4 * random.integer(4), 4 * random.integer(2)]
    const region = { x, y, w: 4 * (1 + random.integer(4 - x / 4)), h: 8 - y }
    const [kind, share, place] = [random.integer(9), random.unit(), random.unit()]
    if (kind < 2) {
      tasks += 1
      both((bench) => {
        bench.submit({ id: `r${tasks}`, ...GET, region })
        return bench.effects
      })
    } else if (kind === 2) {
      both((bench) => {
        bench.submit({ id: `w${step}`, ...ADD, region })
        const { effects } = bench
        const entries = new Map(names.map((one) => [one, bench.entriesTo(one)]))
        const applied = names.flatMap((one) => bench.apply(one, entries.get(one)!))
        return [...effects, ...applied]
      })
    } else if (kind === 3 && away.size < 2 && !away.has(name)) {
      away.add(name)
      both((bench) => bench.close(name))
    } else if (kind === 4 && away.delete(name)) {
      both((bench) => bench.hello(name))
    } else if (kind === 5) {
      const here = names.filter((one) => !away.has(one))
      both((bench) => bench.live(300 * Math.ceil(3 * share), here))
    } else if (kind === 6 && tasks > 0 && share < 0.3) {
      both((bench) => {
        bench.cancel(`r${tasks}`)
        return bench.effects
      })
    } else if (kind > 6 && asked.length > 0) {
      const [{ name: from, read }] = asked.splice(Math.floor(place * asked.length), 1) as [Asked]
      const trouble = { error: { code: 'io', message: 'it cannot be read' } }
      const over = share < 0.2 ? trouble : { value: cellsOf(read) }
      if (!away.has(from)) both((bench) => bench.answer(from, read, over))
    }
  }
  t.same(different.slice(0, 1), [])
  const states = Array.from({ length: tasks }, (_, at) => benches[0]!.task(`r${at + 1}`)?.state)
  t.ok(states.includes('completed'), states.join(' '))
  t.ok(again > 0, 'some parts went elsewhere')
})
