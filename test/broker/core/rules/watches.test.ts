/** Watched cells: what is read when, and what is published of it. */
import t from 'tap'
import { type CoordinatorOptions, newIdentity } from '../../../../broker/core/coordinator.ts'
import { LOOKS_OF_CLIENT_MAX } from '../../../../broker/core/rules/looks.ts'
import {
  WATCH_LOOK_MS,
  WATCH_PAUSE_MS,
  WATCH_PAUSE_MS_MAX,
} from '../../../../broker/core/rules/watches.ts'
import { bytesOfColumn, createColumn } from '../../../../shared/grid/fields.ts'
import { packTiles, unpackTiles } from '../../../../shared/operations/columns.ts'
import { runOfTile, unpackIds } from '../../../../shared/operations/named-lsus.ts'
import { CHAIN_START } from '../../../../shared/protocol/stream-chain.ts'
import { BENCH_OPTIONS, GatewayBench, TILE_0 } from '../../../support/gateway-bench.ts'

type Read = ReturnType<GatewayBench['readsTo']>[number]

const { geometry } = BENCH_OPTIONS.grid
const CELL = { field: 0, x: 1, y: 0 }
const IN_TILE_1 = { field: 0, x: 5, y: 0 }
const TROUBLE = { code: 'page-damaged', message: 'it is' }

const set = (x: number, y: number, value: number): Record<string, unknown> => {
  return { op: 'set', region: { x, y, w: 1, h: 1 }, args: { fields: { value } } }
}

/** All nodes apply all that comes. */
function settle(bench: GatewayBench): void {
  const effects = [...bench.effects]
  for (;;) {
    const sent = [...bench.nodes.keys()].map((name) => [name, bench.entriesTo(name)] as const)
    const next = sent.flatMap(([name, entries]) =>
      entries.length === 0 ? [] : bench.apply(name, entries),
    )
    if (next.length === 0) break
    effects.push(...next)
    bench.effects = next
  }
  bench.effects = effects
}

/** Two nodes, and this of the grid is watched. */
function watching(
  watches: CoordinatorOptions['watches'],
  options: Partial<CoordinatorOptions> = {},
): GatewayBench {
  const bench = new GatewayBench({ watches, ...options })
  bench.join('a', 'b')
  return bench
}

/** A write that all have soon; what came of it until so long after stands among the effects. */
function write(bench: GatewayBench, task: Record<string, unknown>, ms = 0): void {
  bench.submit(task)
  settle(bench)
  waitOn(bench, ms)
}

/** What was and what comes stand among the effects. */
function waitOn(bench: GatewayBench, ms: number): void {
  const effects = [...bench.effects]
  bench.effects = [...effects, ...bench.wait(ms)]
}

interface Asked {
  readonly name: string
  readonly read: Read
  readonly ids: readonly number[]
}

/** What the last step asked for watches, of which node. */
function asked(bench: GatewayBench): Asked[] {
  return [...bench.nodes.keys()].flatMap((name) =>
    bench.readsTo(name).map((read) => {
      const ids = [...unpackIds(read.args.ids as Uint8Array)]
      return { name, read, ids }
    }),
  )
}

const idsAsked = (bench: GatewayBench): number[] => asked(bench).flatMap(({ ids }) => ids)

/** What a node gives for a `gather`. */
function partialOf(bench: GatewayBench, { grid, args }: Read, numberOf: (id: number) => number) {
  const { type } = bench.options.grid.fields[args.field as number]!
  const ids = unpackIds(args.ids as Uint8Array)
  const tiles = [...unpackTiles(grid!.tiles), ...unpackTiles(grid!.unborn)]
  const values = tiles.flatMap((tile) => {
    const { from, end } = runOfTile(ids, tile, geometry)
    return [...ids.subarray(from, end)].map(numberOf)
  })
  const column = createColumn(type, values.length)
  column.set(values)
  return { tiles: new Uint8Array(Uint32Array.from(tiles).buffer), values: bytesOfColumn(column) }
}

/** All that the last step asked for is answered. */
function answer(bench: GatewayBench, numberOf: (id: number) => number): void {
  const effects = asked(bench).flatMap(({ name, read }) =>
    bench.answer(name, read, { value: partialOf(bench, read, numberOf) }),
  )
  bench.effects = effects
}

/** What the last step published of cells, as `x,y payload`. */
function told(bench: GatewayBench): string[] {
  return bench.effects.flatMap((effect) =>
    effect.type === 'publish' && effect.topic.kind === 'cell-value'
      ? [`${effect.topic.x},${effect.topic.y} ${effect.payload}`]
      : [],
  )
}

t.test('a write is followed by one passing read, and what it brings is retained', async (t) => {
  const bench = watching([CELL])
  t.same(idsAsked(bench), [], 'nothing was ever written there')
  write(bench, set(1, 0, 7))
  t.same(idsAsked(bench), [1])
  const before = JSON.stringify(bench.ledger.load())
  answer(bench, () => 7.5)
  const topic = { kind: 'cell-value', field: 'value', x: 1, y: 0 } as const
  t.same(
    bench.effects.filter(({ type }) => type !== 'send'),
    [{ type: 'publish', topic, payload: '7.5', qos: 1, retain: true }],
    'no persist, no notice',
  )
  t.equal(JSON.stringify(bench.ledger.load()), before)
  t.equal(bench.view.counts().readsOpen, 0)
  bench.wait(5000)
  t.same([idsAsked(bench), told(bench)], [[], []], 'and that was all')
})

t.test('only what has changed is published', async (t) => {
  const bench = watching([CELL, { ...CELL, x: 2 }])
  write(bench, { op: 'add', region: TILE_0, args: { field: 'value', value: 1 } })
  answer(bench, (id) => id)
  t.same(told(bench), ['1,0 1', '2,0 2'])
  const add = { op: 'add', region: TILE_0, args: { field: 'value', value: 1 } }
  write(bench, add, WATCH_PAUSE_MS)
  answer(bench, (id) => (id === 2 ? 3 : 1))
  t.same(told(bench), ['2,0 3'])
})

t.test('however many writes there are, a field is read once a second', async (t) => {
  const fields = [
    { name: 'value', type: 'f64' },
    { name: 'level', type: 'u8' },
  ] as const
  const bench = watching([CELL, { ...CELL, field: 1 }], { grid: { geometry, fields } })
  let looks = 0
  for (let ms = 0; ms < 4900; ms += 50) {
    write(bench, { ...set(1, 0, ms), args: { fields: { value: ms, level: ms % 100 } } }, 50)
    looks += asked(bench).length
    answer(bench, () => ms)
  }
  t.equal(looks, 10, 'two fields, five seconds')
})

t.test('a write elsewhere is nothing to a watch', async (t) => {
  const bench = watching([CELL])
  write(bench, set(1, 0, 7))
  answer(bench, () => 7)
  write(bench, set(2, 0, 7), WATCH_PAUSE_MS)
  t.same(idsAsked(bench), [])
  const scatter = (x: number): Record<string, unknown> => {
    return { op: 'scatter', args: { field: 'value', x: [x, 3], y: [0, 3], values: [1, 2] } }
  }
  write(bench, scatter(0), WATCH_PAUSE_MS)
  t.same(idsAsked(bench), [], 'inside the box of the cells, but none of them')
  write(bench, scatter(1))
  t.same(idsAsked(bench), [1])
})

t.test('a reading is published once it is written', async (t) => {
  const bench = watching([CELL])
  bench.read([[1, 0, 21.5]])
  bench.wait(BENCH_OPTIONS.cellsWindowMs)
  settle(bench)
  waitOn(bench, 0)
  answer(bench, () => 21.5)
  t.same(told(bench), ['1,0 21.5'])
})

t.test('numbers are those of the field; what is none is nothing', async (t) => {
  const bench = watching([CELL])
  const texts: string[] = []
  for (const value of [Math.fround(21.3), -0, 1e300, Number.NaN, Number.POSITIVE_INFINITY, 5]) {
    write(bench, set(1, 0, 0), WATCH_PAUSE_MS)
    answer(bench, () => value)
    texts.push(...told(bench))
  }
  t.same(texts, ['1,0 21.299999237060547', '1,0 0', '1,0 1e+300', '1,0 ', '1,0 5'])
})

t.test('a cell is 0 once something else of its tile was written', async (t) => {
  const bench = watching([CELL, IN_TILE_1])
  write(bench, set(3, 3, 7))
  t.same(idsAsked(bench), [1])
  answer(bench, () => 0)
  t.same(told(bench), ['1,0 0'])
})

t.test('watches take nobody’s share of the looks', async (t) => {
  const bench = watching([CELL])
  write(bench, set(1, 0, 7))
  for (let count = 0; count < LOOKS_OF_CLIENT_MAX; count++) {
    const wish = { op: 'get', region: { x: 0, y: 0, w: 1 + count, h: 1 } }
    t.equal(bench.shown(bench.look(wish)), undefined)
  }
})

t.test('a write during a look is read by the next one', async (t) => {
  const bench = watching([CELL])
  write(bench, set(1, 0, 7))
  const [first] = asked(bench)
  write(bench, set(1, 0, 8), 3 * WATCH_PAUSE_MS)
  t.same(idsAsked(bench), [], 'one at a time')
  bench.answer(first!.name, first!.read, { value: partialOf(bench, first!.read, () => 7) })
  t.same(told(bench), ['1,0 7'])
  bench.wait(WATCH_PAUSE_MS)
  answer(bench, () => 8)
  t.same(told(bench), ['1,0 8'])
})

t.test('what nobody can answer is asked for when somebody can, and not before', async (t) => {
  const bench = watching([CELL, IN_TILE_1], { replicas: 1 })
  write(bench, { op: 'add', args: { field: 'value', value: 1 } })
  answer(bench, () => 1)
  write(bench, { op: 'add', args: { field: 'value', value: 1 } })
  const [holder] = bench.view.holdersOf(0)
  const other = holder === 'a' ? 'b' : 'a'
  t.same(bench.view.holdersOf(1), [other], 'each has one')
  bench.close(holder!)
  bench.live(2 * WATCH_PAUSE_MS, [other])
  t.same(idsAsked(bench), [5])
  t.equal(asked(bench).length, 1)
  bench.hello(holder!)
  bench.wait(WATCH_PAUSE_MS)
  t.same(idsAsked(bench), [1])
})

t.test('who goes in the middle of a look does not keep the others', async (t) => {
  const bench = watching([CELL, IN_TILE_1], { replicas: 1 })
  write(bench, { op: 'add', args: { field: 'value', value: 1 } })
  t.same(idsAsked(bench).sort(), [1, 5])
  const [holder] = bench.view.holdersOf(0)
  bench.close(holder!)
  t.equal(bench.view.counts().readsOpen, 1)
  bench.wait(0)
  t.equal(bench.view.counts().readsOpen, 0, 'given up')
  bench.wait(2 * WATCH_PAUSE_MS)
  t.same(idsAsked(bench), [5])
  answer(bench, () => 7)
  t.same(told(bench), ['5,0 7'])
})

t.test('a look that nobody answers is given up, and begun again', async (t) => {
  const bench = watching([CELL], {
    suspectAfterMs: 600_000,
    deadAfterMs: 700_000,
    leaseMs: 600_000,
  })
  write(bench, set(1, 0, 7))
  bench.wait(WATCH_LOOK_MS - 1)
  t.same([idsAsked(bench), bench.view.counts().readsOpen], [[], 1])
  bench.wait(1)
  t.equal(bench.view.counts().readsOpen, 0)
  bench.wait(2 * WATCH_PAUSE_MS)
  t.same(idsAsked(bench), [1])
})

t.test('a tile that cannot be read holds up its own cells alone', async (t) => {
  const watches = Array.from({ length: 4 }, (_, tile) => ({ field: 0, x: 4 * tile, y: 0 }))
  const bench = watching(watches)
  write(bench, { op: 'add', args: { field: 'value', value: 1 } })
  const texts: string[] = []
  let looks = 0
  for (let ms = 0; ms < 4 * WATCH_PAUSE_MS_MAX; ms += 500) {
    bench.live(500)
    // Each holder that is asked for a cell of tile 2 has a trouble.
    for (let round = 0; round < 3; round++) {
      const effects = asked(bench).flatMap(({ name, read, ids }) => {
        looks += 1
        if (ids.includes(8)) return bench.answer(name, read, { error: TROUBLE })
        return bench.answer(name, read, { value: partialOf(bench, read, () => 1) })
      })
      bench.effects = effects
      texts.push(...told(bench))
    }
  }
  t.same(texts.sort(), ['0,0 1', '12,0 1', '4,0 1'])
  t.ok(looks < 60, `${looks} parts were asked for`)
})

t.test('what is lost is taken back, and told again when it is there', async (t) => {
  const bench = watching([CELL])
  write(bench, set(1, 0, 7))
  answer(bench, () => 7)
  write(bench, set(1, 0, 8), WATCH_PAUSE_MS)
  const [late] = asked(bench)
  const broken = new Uint8Array(Uint32Array.of(0).buffer)
  const lose = (name: string): void => {
    const { position, chain } = bench.node(name)
    bench.say(name, { t: 'applied', position, chain, results: [], broken })
    settle(bench)
  }
  lose('a')
  t.same(told(bench), [])
  lose('b')
  t.same(told(bench), ['1,0 '], 'nobody has it')
  bench.answer(late!.name, late!.read, { value: partialOf(bench, late!.read, () => 8) })
  t.same(told(bench), [], 'that was before')
  bench.live(5000)
  t.same([idsAsked(bench), told(bench)], [[], []])
  bench.step({ type: 'recreate-requested' })
  settle(bench)
  bench.live(5000)
  t.same([idsAsked(bench), told(bench)], [[], []], 'it was never written')
  write(bench, set(2, 0, 8), WATCH_PAUSE_MS)
  answer(bench, () => 0)
  t.same(told(bench), ['1,0 0'])
})

t.test('after a start all is read anew, and what is watched no more is taken back', async (t) => {
  const bench = watching([CELL, { ...CELL, x: 2 }])
  write(bench, set(1, 0, 7))
  answer(bench, () => 7)
  t.equal(bench.ledger.count('watch'), 2)
  Object.assign(bench.options, { watches: [CELL, { ...CELL, x: 3 }] })
  bench.start()
  t.same(told(bench), ['2,0 '])
  const names = () => [...bench.ledger.load().watch].map(({ key }) => key).sort()
  t.same(names(), ['value/1', 'value/3'])
  bench.start()
  t.same(told(bench), [], 'that was said before')
  bench.hello('a')
  waitOn(bench, 0)
  t.same(idsAsked(bench).sort(), [1, 3])
  answer(bench, (id) => id)
  t.same(told(bench), ['1,0 1', '3,0 3'])
  bench.start()
  t.same(told(bench), [], 'that was said before')

  Object.assign(bench.options, { watches: [] })
  bench.start()
  t.same(told(bench), ['1,0 ', '3,0 '])
  t.same(names(), [])
})

t.test('what was lost before a start is taken back again: others may have kept it', async (t) => {
  const bench = watching([CELL, IN_TILE_1])
  write(bench, set(1, 0, 7))
  answer(bench, () => 7)
  const broken = new Uint8Array(Uint32Array.of(0).buffer)
  for (const name of ['a', 'b']) {
    const { position, chain } = bench.node(name)
    bench.say(name, { t: 'applied', position, chain, results: [], broken })
    settle(bench)
  }
  bench.start()
  waitOn(bench, 0)
  t.same(told(bench), ['1,0 ', '5,0 '])
  bench.live(5000)
  t.same(told(bench), [], 'once')
})

t.test('while a ledger is rebuilt nothing is taken back, and then what nobody has', async (t) => {
  const bench = new GatewayBench({ watches: [CELL, IN_TILE_1], recoverNodes: 1 })
  const identity = { ...newIdentity(bench.options, 'rebuilt'), isRecovering: true }
  bench.ledger.write([{ table: 'meta', key: 'identity', value: identity }])
  bench.start()
  bench.live(5000)
  t.same(told(bench), [])
  bench.hello('a', { ledgerId: 'lost', position: 3, chain: CHAIN_START, seq: 30 })
  const held = { tiles: packTiles([0]), ats: [20], from: 0, next: null }
  bench.receive(`a-${bench.connections}`, 'a', {
    ...{ t: 'held', storeId: 'store-a', position: 3, ...held },
  })
  t.same(told(bench), ['5,0 '])
})
