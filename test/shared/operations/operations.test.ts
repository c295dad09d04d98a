import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Random } from '../../../shared/core/random.ts'
import {
  createColumn,
  type Field,
  saturate,
  takes,
  withoutNegativeZero,
} from '../../../shared/grid/fields.ts'
import { Geometry, type Region } from '../../../shared/grid/geometry.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import {
  findOperation,
  findTaskOperation,
  OPERATION_NAMES,
  TASK_OPERATIONS,
} from '../../../shared/operations/catalog.ts'
import { GET_LSUS_MAX } from '../../../shared/operations/get.ts'
import {
  type GridContext,
  type ItemsOperation,
  type Operation,
  type ReadOperation,
  type Wire,
  type WriteOperation,
  windowOf,
} from '../../../shared/operations/operation.ts'
import { edgesOf, STAT_BINS_MAX } from '../../../shared/operations/stat.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { PROBLEMS_MAX } from '../../../shared/protocol/problems.ts'
import { exactOf, isHeld, isRight } from '../../support/exact-statistics.ts'
import {
  accepted,
  joinRandomly,
  overTheWire,
  Pages,
  partition,
  problemsOf,
  randomValue,
  readOf,
  writeOf,
} from '../../support/operation-parts.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/operations/operations.test.ts`)
// A `maxLength` is meant: by default lists are far shorter.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true })
const check = (t: Test, property: fc.IRawProperty<unknown>, numRuns = 120): void => {
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}

const digest = findOperation('digest') as ItemsOperation

const FIELDS: readonly Field[] = [
  { name: 'level', type: 'u8' },
  { name: 'elevation', type: 'f64' },
  { name: 'tally', type: 'i32' },
  { name: 'heat', type: 'f32' },
]
const context: GridContext = {
  geometry: new Geometry({ width: 37, height: 21, tile: 8 }),
  fields: FIELDS,
}
const WHOLE = context.geometry.whole

/** The model: one array a field over the whole grid, and one of status. */
class Model {
  readonly columns: number[][]
  readonly status: string[]
  readonly #context: GridContext

  constructor(context: GridContext) {
    const { lsus } = context.geometry
    this.#context = context
    this.columns = context.fields.map(() => new Array<number>(lsus).fill(0))
    this.status = new Array<string>(lsus).fill('idle')
  }

  lsusOf(region: Region): number[] {
    const ids: number[] = []
    for (let y = region.y; y < region.y + region.h; y++) {
      for (let x = region.x; x < region.x + region.w; x++) {
        ids.push(y * this.#context.geometry.width + x)
      }
    }
    return ids
  }

  write(name: string, args: UserArgs, region: Region): void {
    const index = (field: string): number =>
      this.#context.fields.findIndex((candidate) => candidate.name === field)
    this.lsusOf(region).forEach((lsu, at) => {
      if (name === 'scale') this.status[lsu] = 'scaled'
      if (name === 'scale' || name === 'set') {
        for (const [field, value] of Object.entries(args.fields ?? {})) {
          this.columns[index(field)]![lsu] = value
        }
      } else if (name === 'put') {
        this.columns[index(args.field!)]![lsu] = args.values![at]!
      } else {
        const column = this.columns[index(args.field!)]!
        const { type } = this.#context.fields[index(args.field!)]!
        column[lsu] = saturate(type, column[lsu]! + args.value!)
      }
    })
  }
}

interface UserArgs {
  fields?: Record<string, number>
  field?: string
  values?: number[]
  value?: number
}

const anyRegion: fc.Arbitrary<Region> = fc
  .record({ x: fc.nat(WHOLE.w - 1), y: fc.nat(WHOLE.h - 1) })
  .chain(({ x, y }) =>
    fc
      .record({
        w: fc.integer({ min: 1, max: WHOLE.w - x }),
        h: fc.integer({ min: 1, max: WHOLE.h - y }),
      })
      .map(({ w, h }) => ({ x, y, w, h })),
  )

const inOrder =
  (operation: ReadOperation) =>
  (partials: Wire[]): Wire =>
    partials.reduce((left, right) => operation.merge(left, right))

function randomArgs(name: string, region: Region, random: Random): UserArgs {
  const field = FIELDS[random.integer(FIELDS.length)]!
  if (name === 'put') {
    const values = Array.from({ length: region.w * region.h }, () =>
      randomValue(field.type, random),
    )
    return { field: field.name, values }
  }
  if (name === 'add') return { field: field.name, value: randomValue(field.type, random) }
  if (name === 'scale' && random.unit() < 0.3) return {}
  const other = FIELDS[random.integer(FIELDS.length)]!
  const entries = [field, other].map((one) => [one.name, randomValue(one.type, random)])
  return { fields: Object.fromEntries(entries) }
}

t.test('the catalogue holds the operations of wire.md', (t) => {
  t.same([...OPERATION_NAMES].sort(), [
    ...['add', 'digest', 'gather', 'get', 'osl1-edges', 'osl1-items', 'osl1-near'],
    ...['osl1-read', 'osl1-scatter'],
    ...['osl1-write', 'overview', 'put', 'scale', 'scatter', 'set', 'stat', 'verify'],
  ])
  for (const name of OPERATION_NAMES) t.equal(findOperation(name)?.name, name)
  t.equal(findOperation('toString'), undefined)
  t.equal(findOperation(''), undefined)
  t.end()
})

t.test('any writes over any partition leave what an array would hold', (t) => {
  const step = fc.record({
    name: fc.constantFrom('scale', 'put', 'set', 'add'),
    region: anyRegion,
    from: fc.integer(),
    nodes: fc.integer({ min: 1, max: 6 }),
  })
  check(
    t,
    fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), anyRegion, (steps, view) => {
      const pages = new Pages(context)
      const model = new Model(context)
      for (const { name, region, from, nodes } of steps) {
        const random = new Random(from)
        const user = randomArgs(name, region, random)
        const args = accepted(writeOf(name).parse(user, region, context))
        pages.write(name, args, region, partition(context, region, random, nodes))
        model.write(name, user, region)
      }
      const parts = partition(context, view, new Random(seed), 4)
      const args = accepted(readOf('get').parse({}, view, context))
      const join = joinRandomly(readOf('get'), new Random(seed))
      const value = pages.read('get', args, view, parts, join) as {
        fields: Record<string, number[]>
        status: string[]
      }
      const lsus = model.lsusOf(view)
      return (
        value.status.join() === lsus.map((lsu) => model.status[lsu]).join() &&
        FIELDS.every(
          ({ name }, index) =>
            value.fields[name]!.join() === lsus.map((lsu) => model.columns[index]![lsu]).join(),
        )
      )
    }),
  )
  t.end()
})

t.test('a part may skip tiles that it has already: the others get their own values', (t) => {
  const put = writeOf('put')
  const values = Array.from({ length: context.geometry.lsus }, (_, lsu) => lsu % 251)
  const args = accepted(put.parse({ field: 'tally', values }, WHOLE, context))
  const tiles = Uint32Array.of(1, 4, 9)
  const run = put.run(overTheWire(put.cut(args, WHOLE, tiles, context)), context)
  const page = TilePage.empty(createLayout(FIELDS, context.geometry.tileLsus(9)))
  const before = context.geometry.tileLsus(1) + context.geometry.tileLsus(4)
  run.act(page, windowOf(context.geometry, 9, WHOLE), before)
  const { x, y, w } = context.geometry.tileRegion(9)
  const expected = Array.from(page.column(2), (_, cell) => {
    const lsu = (y + Math.floor(cell / w)) * WHOLE.w + x + (cell % w)
    return values[lsu]
  })
  t.same([...page.column(2)], expected)
  t.end()
})

t.test('writes stop at the ends of the type', (t) => {
  const pages = new Pages(context)
  const region = { x: 3, y: 3, w: 9, h: 9 }
  const parts = [context.geometry.tilesOf(region)]
  const apply = (name: string, user: UserArgs): void =>
    pages.write(name, accepted(writeOf(name).parse(user, region, context)), region, parts)
  apply('set', { fields: { level: 250, tally: 2147483000, heat: 2 ** 127 } })
  for (let time = 0; time < 3; time++) {
    apply('add', { field: 'level', value: 3 })
    apply('add', { field: 'tally', value: 1000 })
    apply('add', { field: 'heat', value: 2 ** 127 })
  }
  const args = accepted(readOf('get').parse({}, region, context))
  const { fields } = pages.read('get', args, region, parts, inOrder(readOf('get'))) as {
    fields: Record<string, number[]>
  }
  t.equal(fields.level![0], 255)
  t.equal(fields.tally![0], 2147483647)
  t.equal(fields.heat![0], 3.4028234663852886e38)
  t.end()
})

t.test('get gives the named fields in the order asked for', (t) => {
  const pages = new Pages(context)
  const region = { x: 5, y: 5, w: 2, h: 2 }
  const args = accepted(readOf('get').parse({ fields: ['heat', 'level'] }, region, context))
  const value = pages.read('get', args, region, [context.geometry.tilesOf(region)], (p) => p[0]!)
  t.same(value, {
    fields: { heat: [0, 0, 0, 0], level: [0, 0, 0, 0] },
    status: ['idle', 'idle', 'idle', 'idle'],
  })
  t.same(Object.keys((value as { fields: object }).fields), ['heat', 'level'])
  const none = accepted(readOf('get').parse({ fields: [] }, region, context))
  t.same(
    pages.read('get', none, region, [context.geometry.tilesOf(region)], (p) => p[0]!),
    {
      fields: {},
      status: ['idle', 'idle', 'idle', 'idle'],
    },
  )
  t.end()
})

t.test('bytes stand for numbers in put and get, as a column of the field has them', (t) => {
  check(
    t,
    fc.property(anyRegion, fc.integer(), fc.constantFrom(...FIELDS), (region, from, field) => {
      const random = new Random(from)
      const lsus = region.w * region.h
      const column = createColumn(field.type, lsus)
      for (let at = 0; at < lsus; at++) column[at] = randomValue(field.type, random)
      // At an odd place, as what comes out of a message may lie.
      const bytes = Buffer.concat([Buffer.of(0), new Uint8Array(column.buffer)]).subarray(1)
      const parsed = writeOf('put').parse({ field: field.name, values: bytes }, region, context)
      const plain = { field: field.name, values: Array.from(column) }
      const args = accepted(parsed)
      const same = accepted(writeOf('put').parse(plain, region, context))
      if (Buffer.compare(encodeCbor(args), encodeCbor(same)) !== 0) return false
      const pages = new Pages(context)
      pages.write('put', args, region, partition(context, region, random, 3))
      const user = { fields: [field.name], as: 'bytes' }
      const packed = accepted(readOf('get').parse(user, region, context))
      const parts = partition(context, region, random, 4)
      const value = pages.read('get', packed, region, parts, joinRandomly(readOf('get'), random))
      const { fields, status } = value as { fields: Record<string, Uint8Array>; status: Uint8Array }
      return (
        Buffer.compare(fields[field.name]!, bytes) === 0 &&
        Buffer.compare(status, new Uint8Array(lsus)) === 0
      )
    }),
  )
  t.end()
})

interface Stat {
  count: number
  sum: number
  min: number
  max: number
  mean: number
  variance: number
  histogram?: { edges: number[]; counts: number[] }
}

function statOf(values: readonly number[]): Stat {
  const count = values.length
  const sum = values.reduce((total, value) => total + value, 0)
  const mean = sum / count
  return {
    count,
    sum,
    min: Math.min(...values),
    max: Math.max(...values),
    mean,
    variance: values.reduce((total, value) => total + (value - mean) ** 2, 0) / count,
  }
}

function filled(field: Field, values: number[], region: Region): Pages {
  const pages = new Pages(context)
  const args = accepted(writeOf('put').parse({ field: field.name, values }, region, context))
  pages.write('put', args, region, [context.geometry.tilesOf(region)])
  return pages
}

t.test('stat equals a plain computation, exactly where numbers are small and whole', (t) => {
  check(
    t,
    fc.property(
      anyRegion,
      fc.integer(),
      fc.constantFrom(...FIELDS),
      fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
      (region, from, field, bins) => {
        const random = new Random(from)
        const values = Array.from({ length: region.w * region.h }, () =>
          field.type === 'i32' ? random.integer(2000) - 1000 : randomValue(field.type, random),
        )
        const pages = filled(field, values, region)
        const user = bins === undefined ? { field: field.name } : { field: field.name, bins }
        const args = accepted(readOf('stat').parse(user, region, context))
        const parts = partition(context, region, random, 5)
        const join = joinRandomly(readOf('stat'), random)
        const found = pages.read('stat', args, region, parts, join) as Stat
        const plain = statOf(values)
        const isWhole = field.type === 'u8' || field.type === 'i32'
        const spread = Math.max(...values.map(Math.abs))
        const near = (a: number, b: number, unit: number): boolean =>
          Math.abs(a - b) <= 1e-12 * Math.max(Math.abs(b), unit)
        if (found.count !== plain.count || found.min !== plain.min || found.max !== plain.max) {
          return false
        }
        if (isWhole ? found.sum !== plain.sum : !near(found.sum, plain.sum, spread * plain.count)) {
          return false
        }
        if (!near(found.mean, plain.mean, spread)) return false
        if (!near(found.variance, plain.variance, spread ** 2)) return false
        if (bins === undefined) return found.histogram === undefined
        const { edges, counts } = found.histogram!
        const model = new Array<number>(bins).fill(0)
        for (const value of values) {
          let bin = bins - 1
          while (bin > 0 && edges[bin]! > value) bin -= 1
          model[bin]! += 1
        }
        return (
          counts.join() === model.join() &&
          edges.length === bins + 1 &&
          counts.reduce((a, b) => a + b) === plain.count
        )
      },
    ),
    250,
  )
  t.end()
})

t.test('sum, mean and variance are those of exact fractions, whatever the numbers', (t) => {
  const field = FIELDS[1]!
  const region = { x: 3, y: 2, w: 29, h: 17 }
  const finite = fc.double({ noNaN: true, noDefaultInfinity: true })
  const near = (base: number, unit: number): fc.Arbitrary<number> =>
    fc.integer({ min: 0, max: 2 }).map((steps) => base + steps * unit)
  const kind = fc.oneof(
    fc.constant(finite),
    fc.constantFrom(near(1e15, 1), near(-1e9, 2 ** -23), near(0, 2 ** -1074), near(0.1, 0)),
    fc.constantFrom(
      fc.constantFrom(1e308, -1e308),
      fc.constantFrom(1e308, 0),
      fc.constantFrom(1e160, 1e-160, -3, 5e-324),
      fc.constantFrom(Number.MAX_VALUE, -Number.MAX_VALUE, 1),
    ),
  )
  const found = new Set<string>()
  check(
    t,
    fc.property(
      kind.chain((numbers) => fc.array(numbers, { minLength: 1, maxLength: 40 })),
      fc.integer(),
      (drawn, from) => {
        const random = new Random(from)
        const values = Array.from({ length: region.w * region.h }, () =>
          withoutNegativeZero(drawn[random.integer(drawn.length)]!),
        )
        const pages = filled(field, values, region)
        const args = accepted(readOf('stat').parse({ field: field.name }, region, context))
        const parts = partition(context, region, random, 5)
        const join = joinRandomly(readOf('stat'), random)
        const value = pages.read('stat', args, region, parts, join) as Stat
        const exact = exactOf(values)
        return (['sum', 'mean', 'variance'] as const).every((name) => {
          if (!isHeld(exact[name])) return name !== 'mean'
          found.add(name)
          return isRight(value[name], exact[name])
        })
      },
    ),
    150,
  )
  t.equal(found.size, 3)
  t.end()
})

t.test('a read has the same bits whatever the parts, their order and their bracketing', (t) => {
  const field = FIELDS[1]!
  const random = new Random(seed)
  const region = { x: 1, y: 1, w: 35, h: 19 }
  const values = Array.from(
    { length: 35 * 19 },
    () => random.between(-1, 1) * 10 ** random.integer(30),
  )
  const pages = filled(field, values, region)
  for (const [name, user] of [
    ['stat', { field: field.name, bins: 7 }],
    ['get', {}],
  ] as const) {
    const args = accepted(readOf(name).parse(user, region, context))
    const whole = [context.geometry.tilesOf(region)]
    const reference = encodeCbor(pages.read(name, args, region, whole, inOrder(readOf(name))))
    for (let run = 0; run < 40; run++) {
      const parts = partition(context, region, random, 1 + random.integer(9))
      const value = pages.read(name, args, region, parts, joinRandomly(readOf(name), random))
      if (Buffer.compare(encodeCbor(value), reference) !== 0) return t.fail(`${name}, run ${run}`)
    }
    t.pass(name)
  }
  t.end()
})

t.test('histogram edges ascend from min to max and meet both', (t) => {
  const number = fc.double({ noNaN: true, noDefaultInfinity: true })
  const bins = fc.integer({ min: 1, max: STAT_BINS_MAX })
  check(
    t,
    fc.property(
      fc.oneof(
        fc.tuple(number, number),
        number.map((n) => [n, n]),
      ),
      bins,
      (pair, n) => {
        const [min, max] = pair[0]! <= pair[1]! ? pair : [pair[1], pair[0]]
        const edges = edgesOf(min!, max!, n)
        return (
          edges.length === n + 1 &&
          edges[0] === min &&
          edges[n] === max &&
          edges.every((edge, at) => at === 0 || edge >= edges[at - 1]!)
        )
      },
    ),
    500,
  )
  t.same(edgesOf(0, 10, 5), [0, 2, 4, 6, 8, 10])
  t.end()
})

t.test('a histogram of equal values holds them all', (t) => {
  const region = { x: 0, y: 0, w: 9, h: 3 }
  const pages = filled(FIELDS[1]!, new Array(27).fill(0.1), region)
  const args = accepted(readOf('stat').parse({ field: 'elevation', bins: 3 }, region, context))
  const parts = [context.geometry.tilesOf(region)]
  const { histogram, variance, min, max } = pages.read(
    'stat',
    args,
    region,
    parts,
    (p) => p[0]!,
  ) as Stat
  t.same(histogram, { edges: [0.1, 0.1, 0.1, 0.1], counts: [0, 0, 27] })
  t.equal(variance, 0)
  t.same([min, max], [0.1, 0.1])
  t.end()
})

t.test('the variance of close values far from zero is not lost', (t) => {
  const region = { x: 0, y: 0, w: 32, h: 16 }
  const values = Array.from({ length: 512 }, (_, at) => 1e9 + (at % 2))
  const pages = filled(FIELDS[1]!, values, region)
  const args = accepted(readOf('stat').parse({ field: 'elevation' }, region, context))
  const parts = [...context.geometry.tilesOf(region)].map((tile) => Uint32Array.of(tile))
  const found = pages.read('stat', args, region, parts, inOrder(readOf('stat'))) as Stat
  t.equal(found.variance, 0.25)
  t.equal(found.mean, 1e9 + 0.5)
  t.end()
})

t.test('digest gives the SHA-256 of each item by key', (t) => {
  const item = fc.tuple(fc.string({ minLength: 1, unit: 'grapheme' }), fc.uint8Array())
  const items = fc.uniqueArray(item, { minLength: 1, maxLength: 30, selector: ([key]) => key })
  check(
    t,
    fc.property(items, fc.integer(), (items, from) => {
      const random = new Random(from)
      const parts = Array.from({ length: 4 }, () => digest.run({}))
      for (const [key, bytes] of items) parts[random.integer(4)]!.visit(key, bytes)
      const join = joinRandomly(digest, random)
      const total = join(parts.map((part) => overTheWire(part.finish())))
      const expected = items.map(([key, bytes]) => [
        key,
        createHash('sha256').update(bytes).digest('hex'),
      ])
      const value = digest.finish(total, {}) as { items: number; sha256: Map<string, string> }
      const found = [...value.sha256].sort()
      return value.items === items.length && found.join() === expected.sort().join()
    }),
  )
  t.end()
})

t.test('digest has the same bytes whatever the parts and their order', (t) => {
  const keys = Array.from({ length: 40 }, (_, at) => `k${(at * 7) % 40}`)
  const forms = Array.from({ length: 20 }, (_, from) => {
    const random = new Random(from)
    const parts = Array.from({ length: 5 }, () => digest.run({}))
    for (const key of keys) parts[random.integer(5)]!.visit(key, Buffer.from(key))
    const total = joinRandomly(digest, random)(parts.map((part) => part.finish()))
    return Buffer.from(encodeCbor(digest.finish(total, {}))).toString('hex')
  })
  t.equal(new Set(forms).size, 1)
  t.end()
})

t.test('digest keeps keys that mean something to JavaScript', (t) => {
  const keys = ['__proto__', '__proto_', 'constructor', 'toJSON', 'hasOwnProperty', '10', '2']
  const run = digest.run({})
  for (const key of keys) run.visit(key, Buffer.from(key))
  const { sha256 } = overTheWire(digest.finish(run.finish(), {}) as Wire) as { sha256: object }
  const expected = keys.map((key) => [key, createHash('sha256').update(key).digest('hex')])
  t.same(Object.entries(sha256).sort(), expected.sort())
  t.end()
})

t.test('the bounds of bytes for each tile hold', (t) => {
  // Heads, keys, exact sums and the histogram of a second round: what a part has once, not for each tile.
  const ONCE = 1024
  const random = new Random(seed)
  for (let run = 0; run < 60; run++) {
    const tile = 4 + random.integer(40)
    const wide: GridContext = {
      geometry: new Geometry({ width: tile * 4 - 1, height: tile * 3, tile }),
      fields: FIELDS,
    }
    const region = wide.geometry.whole
    const pages = new Pages(wide)
    const tiles = wide.geometry.tilesOf(region).filter(() => random.unit() < 0.6)
    const field = FIELDS[random.integer(FIELDS.length)]!
    for (const [name, user] of [
      ['stat', { field: field.name }],
      ['get', {}],
      ['get', { fields: [field.name] }],
      ['get', { fields: [] }],
    ] as const) {
      const args = accepted(readOf(name).parse(user, { ...region, w: 1, h: 1 }, wide))
      const size = encodeCbor(pages.partial(name, args, region, tiles)).length
      const bound = readOf(name).resultBytesPerTile(args, wide, tiles) * tiles.length + ONCE
      if (size > bound) t.fail(`${name}: ${size} bytes, bound ${bound}`)
    }
    const values = Array.from({ length: region.w * region.h }, () =>
      randomValue(field.type, random),
    )
    for (const [name, user] of [
      ['put', { field: field.name, values }],
      ['set', { fields: { elevation: 0.1, heat: 0.5 } }],
      ['add', { field: 'level', value: 1 }],
      ['scale', {}],
    ] as const) {
      const args = accepted(writeOf(name).parse(user, region, wide))
      const size = encodeCbor(writeOf(name).cut(args, region, tiles, wide)).length
      const bound = writeOf(name).argumentBytesPerTile(args, wide, tiles) * tiles.length + ONCE
      if (size > bound) t.fail(`${name}: ${size} bytes, bound ${bound}`)
    }
  }
  const counts = accepted(
    readOf('stat').parse({ field: 'heat', bins: STAT_BINS_MAX }, WHOLE, context),
  )
  const second = { ...counts, range: [0, 1] }
  const pages = new Pages(context)
  const size = encodeCbor(pages.partial('stat', second, WHOLE, Uint32Array.of(0))).length
  t.ok(size <= STAT_BINS_MAX * 8 + ONCE, 'a histogram takes eight bytes a bin')
  t.end()
})

const small: Region = { x: 0, y: 0, w: 2, h: 1 }

t.test('what is wrong with arguments is named with path and code', (t) => {
  const table: [name: string, args: unknown, problems: string[]][] = [
    ['scale', {}, []],
    ['scale', { fields: {} }, []],
    ['scale', { fields: { heat: 21.3 } }, []],
    ['scale', { feilds: {} }, ['unknown-key args.feilds']],
    ['scale', { a: 1, b: 2 }, ['unknown-key args.a', 'unknown-key args.b']],
    ['scale', { toString: 1 }, ['unknown-key args.toString']],
    ['scale', [], ['wrong-type args']],
    ['scale', null, ['wrong-type args']],
    ['scale', 'all', ['wrong-type args']],
    ['scale', new Uint8Array(0), ['wrong-type args']],
    ['scale', { fields: [] }, ['wrong-type args.fields']],
    ['scale', { fields: null }, ['wrong-type args.fields']],
    ['set', {}, ['missing args.fields']],
    ['set', { fields: {} }, ['wrong-count args.fields']],
    ['set', { fields: { level: 1, tally: -5, heat: 0.5, elevation: 0.1 } }, []],
    ['set', { fields: { status: 1 } }, ['unknown-field args.fields.status']],
    ['set', { fields: { constructor: 1 } }, ['unknown-field args.fields.constructor']],
    ['set', JSON.parse('{"fields":{"__proto__":1}}'), ['unknown-field args.fields.__proto__']],
    [
      'set',
      { fields: { level: 256, tally: 0.5, heat: 1e39, elevation: '1', depth: 1 } },
      [
        'out-of-range args.fields.level',
        'out-of-range args.fields.tally',
        'out-of-range args.fields.heat',
        'wrong-type args.fields.elevation',
        'unknown-field args.fields.depth',
      ],
    ],
    ['add', { field: 'level', value: 255 }, []],
    ['add', { field: 'level', value: -1 }, ['out-of-range args.value']],
    ['add', { field: 'tally', value: 1.5 }, ['out-of-range args.value']],
    ['add', { field: 'heat', value: 0.1 }, []],
    ['add', { field: 'heat', value: -3.5e38 }, ['out-of-range args.value']],
    ['add', { field: 'elevation', value: 0.1 }, []],
    ['add', { field: 'elevation', value: Number.POSITIVE_INFINITY }, ['out-of-range args.value']],
    ['add', { field: 'elevation', value: Number.NaN }, ['wrong-type args.value']],
    ['add', { field: 'depth', value: 1 }, ['unknown-field args.field']],
    ['add', {}, ['missing args.field', 'missing args.value']],
    [
      'add',
      { field: 1, value: '1', by: 2 },
      ['wrong-type args.field', 'wrong-type args.value', 'unknown-key args.by'],
    ],
    ['put', { field: 'level', values: [1, 2] }, []],
    ['put', { field: 'level', values: [1] }, ['wrong-count args.values']],
    ['put', { field: 'level', values: [1, 2, 3] }, ['wrong-count args.values']],
    ['put', { field: 'level', values: [1, 300] }, ['out-of-range args.values[1]']],
    [
      'put',
      { field: 'level', values: ['1', null] },
      ['wrong-type args.values[0]', 'wrong-type args.values[1]'],
    ],
    [
      'put',
      { field: 'depth', values: [1] },
      ['unknown-field args.field', 'wrong-count args.values'],
    ],
    ['put', { field: 'level', values: 'ab' }, ['wrong-type args.values']],
    ['put', { field: 'level', values: Uint8Array.of(1, 2) }, []],
    ['put', { field: 'heat', values: Uint8Array.of(1, 2) }, ['wrong-count args.values']],
    ['put', { field: 'heat', values: new Uint8Array(9) }, ['wrong-count args.values']],
    [
      'put',
      { field: 'elevation', values: new Uint8Array(Float64Array.of(1, Number.NaN).buffer) },
      ['out-of-range args.values[1]'],
    ],
    ['put', { values: [1, 2] }, ['missing args.field']],
    ['get', {}, []],
    ['get', { fields: ['heat'] }, []],
    ['get', { fields: ['heat', 'heat'] }, ['duplicate args.fields[1]']],
    [
      'get',
      { fields: ['depth', 1] },
      ['unknown-field args.fields[0]', 'wrong-type args.fields[1]'],
    ],
    ['get', { fields: 'heat' }, ['wrong-type args.fields']],
    ['get', { as: 'bytes' }, []],
    ['get', { as: 'numbers' }, []],
    ['get', { as: 'base64' }, ['wrong-type args.as']],
    ['stat', { field: 'heat' }, []],
    ['stat', { field: 'heat', bins: 1 }, []],
    ['stat', { field: 'heat', bins: STAT_BINS_MAX }, []],
    ['stat', { field: 'heat', bins: 0 }, ['out-of-range args.bins']],
    ['stat', { field: 'heat', bins: STAT_BINS_MAX + 1 }, ['out-of-range args.bins']],
    ['stat', { field: 'heat', bins: 1.5 }, ['out-of-range args.bins']],
    ['stat', { field: 'heat', range: [0, 1] }, ['unknown-key args.range']],
    ['stat', { field: 'depth' }, ['unknown-field args.field']],
    // A key too many hides nothing of what is wrong beside it.
    [
      'set',
      { fields: { level: 300 }, x: 1 },
      ['out-of-range args.fields.level', 'unknown-key args.x'],
    ],
    ['add', { field: 'depth', value: 1, x: 1 }, ['unknown-field args.field', 'unknown-key args.x']],
    [
      'put',
      { field: 'level', values: [300, 1], x: 1 },
      ['out-of-range args.values[0]', 'unknown-key args.x'],
    ],
    ['put', { field: 'depth', values: 5 }, ['unknown-field args.field', 'wrong-type args.values']],
    ['get', { fields: ['depth'], x: 1 }, ['unknown-field args.fields[0]', 'unknown-key args.x']],
    ['stat', { field: 'depth', bins: 0 }, ['out-of-range args.bins', 'unknown-field args.field']],
    ['digest', {}, []],
    ['digest', { algorithm: 'sha256' }, ['unknown-key args.algorithm']],
    ['digest', [], ['wrong-type args']],
    ['verify', {}, []],
    ['verify', { algorithm: 'ed25519' }, ['unknown-key args.algorithm']],
  ]
  for (const [name, args, expected] of table) {
    const operation = findOperation(name)!
    const parsed =
      operation.kind === 'items' ? operation.parse(args) : operation.parse(args, small, context)
    t.same(problemsOf(parsed).sort(), expected.sort(), `${name} ${JSON.stringify(args)}`)
  }
  t.end()
})

t.test('what an operation says of its arguments is what it takes', (t) => {
  const parse = (operation: Operation, args: unknown) =>
    operation.kind === 'items' ? operation.parse(args) : operation.parse(args, small, context)
  for (const name of TASK_OPERATIONS) {
    const operation = findTaskOperation(name)
    if (operation === undefined) continue
    const { does, args } = operation.about
    t.match(does, /^[a-z][^.]*$/, name)
    const junk = parse(operation, { '?': 1 })
    const told = junk.ok ? '' : junk.problems.find(({ code }) => code === 'unknown-key')?.message
    const names = args.map((one) => one.name)
    const known = /\(known: (.*)\)$/.exec(told ?? '')?.[1] ?? ''
    t.same(known.split(', ').sort(), names.length === 0 ? [''] : [...names].sort(), name)
    // A scatter needs one of two ways to name LSUs, of which neither is needed.
    const missing = problemsOf(parse(operation, {})).filter((one) => one !== 'missing args.ids')
    const needed = args.filter(({ isOptional }) => !isOptional).map((one) => one.name)
    t.same(missing.sort(), needed.map((one) => `missing args.${one}`).sort(), name)
    for (const { name: argument, kind, min, max, choices } of args) {
      const faults = (value: unknown): string[] =>
        problemsOf(parse(operation, { [argument]: value })).filter((one) =>
          one.includes(` args.${argument}`),
        )
      if (kind === 'whole') {
        t.same(faults(min! - 1), [`out-of-range args.${argument}`])
        t.same(faults(max! + 1), [`out-of-range args.${argument}`])
        t.not(faults(min!).includes(`out-of-range args.${argument}`), true)
      }
      if (kind === 'choice') for (const choice of choices!) t.same(faults(choice), [], choice)
      if (kind === 'choices') t.same(faults(choices), [])
    }
  }
  t.end()
})

t.test('get reads at most 65,536 LSUs', (t) => {
  const big: GridContext = {
    geometry: new Geometry({ width: 512, height: 512, tile: 16 }),
    fields: FIELDS,
  }
  t.ok(readOf('get').parse({}, { x: 0, y: 0, w: 256, h: 256 }, big).ok)
  t.equal(256 * 256, GET_LSUS_MAX)
  const tooLarge = readOf('get').parse({ fields: ['x'] }, { x: 0, y: 0, w: 257, h: 256 }, big)
  t.same(problemsOf(tooLarge), ['too-large region', 'unknown-field args.fields[0]'])
  t.end()
})

t.test('what depends on a malformed region is not held against the caller', (t) => {
  t.same(problemsOf(readOf('get').parse({}, undefined, context)), [])
  const put = writeOf('put').parse({ field: 'level', values: [1, 2, 300] }, undefined, context)
  t.same(problemsOf(put), ['out-of-range args.values[2]'])
  t.end()
})

t.test('zero has one form', (t) => {
  for (const [name, user] of [
    ['set', { fields: { elevation: -0 } }],
    ['add', { field: 'elevation', value: -0 }],
    ['put', { field: 'elevation', values: [-0, 0] }],
  ] as const) {
    const plain = JSON.parse(JSON.stringify(user))
    t.same(
      [...encodeCbor(accepted(writeOf(name).parse(user, small, context)))],
      [...encodeCbor(accepted(writeOf(name).parse(plain, small, context)))],
      name,
    )
  }
  t.end()
})

t.test('many thousand wrong members give a bounded list of problems', (t) => {
  const many = 150_000
  const names = Object.fromEntries(Array.from({ length: many }, (_, at) => [`f${at}`, 1]))
  const long = 'x'.repeat(500_000)
  const bodies: [string, unknown][] = [
    ['set', { fields: names }],
    ['scale', names],
    ['put', { field: 'level', values: new Array(many).fill('x') }],
    ['get', { fields: new Array(many).fill('heat') }],
    ['get', { fields: new Array(many).fill(1) }],
    ['get', { fields: [long] }],
    ['set', { fields: { [long]: 1 } }],
    ['add', { field: long, value: 1 }],
    ['scale', { [long]: 1 }],
  ]
  for (const [name, args] of bodies) {
    const operation = findOperation(name) as WriteOperation
    const parsed = operation.parse(args, small, context)
    const problems = parsed.ok ? [] : parsed.problems
    t.ok(problems.length > 0 && problems.length <= PROBLEMS_MAX + 2, `${name}: ${problems.length}`)
    t.ok(JSON.stringify(problems).length < 10_000, 'short in all')
  }
  t.end()
})

t.test('an f32 gives back the nearest to what it was given', (t) => {
  const field = FIELDS.find(({ type }) => type === 'f32')!
  const values = [21.3, 0.1, 16777217, -(2 ** -151)]
  const region = { x: 0, y: 0, w: 4, h: 1 }
  const parts = [context.geometry.tilesOf(region)]
  const read = (pages: Pages): unknown => {
    const args = accepted(readOf('get').parse({ fields: [field.name] }, region, context))
    return pages.read('get', args, region, parts, inOrder(readOf('get')))
  }
  const given = (numbers: number[]) => ({ fields: { [field.name]: numbers } })
  t.match(read(filled(field, values, region)), given(values.map((one) => Math.fround(one) + 0)))
  const pages = new Pages(context)
  const user = { fields: { [field.name]: 21.3 } }
  pages.write('set', accepted(writeOf('set').parse(user, region, context)), region, parts)
  t.match(read(pages), given(new Array(4).fill(21.299999237060547)))
  const addition = { field: field.name, value: 0.1 }
  pages.write('add', accepted(writeOf('add').parse(addition, region, context)), region, parts)
  t.match(read(pages), given(new Array(4).fill(Math.fround(21.299999237060547 + 0.1))))
  t.end()
})

t.test('numbers that a field does not take never reach a page', (t) => {
  const number = fc.oneof(fc.double(), fc.integer(), fc.integer({ min: -3, max: 300 }))
  check(
    t,
    fc.property(fc.constantFrom(...FIELDS), number, (field, value) => {
      const isTaken = takes(field.type, value)
      const column = createColumn(field.type, 2)
      column.fill(value)
      const put = writeOf('put').parse(
        { field: field.name, values: [value, value] },
        small,
        context,
      )
      const set = writeOf('set').parse({ fields: { [field.name]: value } }, small, context)
      const add = writeOf('add').parse({ field: field.name, value }, small, context)
      return [put, set, add].every((parsed) => parsed.ok === isTaken)
    }),
    400,
  )
  t.end()
})
