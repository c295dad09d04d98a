import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Random } from '../../../shared/core/random.ts'
import type { Field, FieldType } from '../../../shared/grid/fields.ts'
import { Geometry, type Region } from '../../../shared/grid/geometry.ts'
import type { GridContext, Wire } from '../../../shared/operations/operation.ts'
import { SQUARES_MAX, stepsOf } from '../../../shared/operations/squares.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import {
  accepted,
  joinRandomly,
  Pages,
  partition,
  problemsOf,
  randomValue,
  readOf,
} from '../../support/operation-parts.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/operations/overview.test.ts`)
const check = (t: Test, property: fc.IRawProperty<unknown>, numRuns: number): void => {
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })
  t.pass(`${numRuns} runs`)
}

const overview = readOf('overview')
const F32_MAX = 3.4028234663852886e38

interface Picture {
  readonly field: string
  readonly step: number
  readonly x: number
  readonly y: number
  readonly columns: number
  readonly rows: number
  readonly mean?: Uint8Array
  readonly min?: Uint8Array
  readonly max?: Uint8Array
  readonly count?: Uint8Array
}

function floatsOf(bytes: Uint8Array | undefined): number[] {
  return [...new Float32Array(new Uint8Array(bytes!).buffer)]
}

/** A grid of one field with a value in every cell, on pages and in a plain list. */
interface Filled {
  readonly context: GridContext
  readonly pages: Pages
  readonly values: number[]
}

function fill(context: GridContext, draw: () => number): Filled {
  const { whole, lsus } = context.geometry
  const values = Array.from({ length: lsus }, draw)
  const pages = new Pages(context)
  for (let tile = 0; tile < context.geometry.tiles; tile++) {
    const column = pages.page(tile).column(0)
    const { x, y, w } = context.geometry.tileRegion(tile)
    column.forEach((_, at) => {
      column[at] = values[(y + Math.floor(at / w)) * whole.w + x + (at % w)]!
    })
  }
  return { context, pages, values }
}

/** What a square is, by going over its cells: tile after tile, row by row in each. */
function plainSquare(
  { context: { geometry, fields }, values }: Filled,
  square: Region,
  isThere: (tile: number) => boolean,
): { count: number; mean: number; min: number; max: number } {
  let sum = 0
  let count = 0
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const tile of geometry.tilesOf(square).filter(isThere)) {
    const part = geometry.overlap(tile, square)
    let own = 0
    for (let y = part.y; y < part.y + part.h; y++) {
      for (let x = part.x; x < part.x + part.w; x++) {
        const raw = values[y * geometry.width + x]!
        if (raw === fields[0]!.nodata) continue
        const value = Math.min(F32_MAX, Math.max(-F32_MAX, raw))
        own += value
        count += 1
        min = Math.min(min, value)
        max = Math.max(max, value)
      }
    }
    sum += own
  }
  if (count === 0) return { count, mean: Number.NaN, min: Number.NaN, max: Number.NaN }
  const bounded = Math.min(F32_MAX, Math.max(-F32_MAX, sum / count))
  return { count, mean: Math.fround(bounded), min: Math.fround(min), max: Math.fround(max) }
}

/** The first square that is not as a plain loop has it. */
function differs(
  filled: Filled,
  region: Region,
  picture: Picture,
  isThere: (tile: number) => boolean,
): string | undefined {
  const { step, x, y, columns, rows } = picture
  if (x % step !== 0 || y % step !== 0 || x > region.x || y > region.y) return 'not aligned'
  const isWide =
    x + columns * step >= region.x + region.w && x + (columns - 1) * step < region.x + region.w
  const isHigh =
    y + rows * step >= region.y + region.h && y + (rows - 1) * step < region.y + region.h
  if (!isWide || !isHigh || x + step <= region.x || y + step <= region.y)
    return 'not the squares of the region'
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const left = Math.max(region.x, x + column * step)
      const top = Math.max(region.y, y + row * step)
      const w = Math.min(region.x + region.w, x + (column + 1) * step) - left
      const h = Math.min(region.y + region.h, y + (row + 1) * step) - top
      const plain = plainSquare(filled, { x: left, y: top, w, h }, isThere)
      for (const name of ['mean', 'min', 'max', 'count'] as const) {
        if (picture[name] === undefined) continue
        const found = floatsOf(picture[name])[row * columns + column]
        if (Object.is(found, plain[name])) continue
        return `${name} of square ${column},${row} is ${found}, not ${plain[name]}`
      }
    }
  }
  return undefined
}

function drawGrid(random: Random): GridContext {
  const tile = [4, 6, 9, 12, 16][random.integer(5)]!
  const type = (['u8', 'i32', 'f32', 'f64'] as const)[random.integer(4)]!
  const width = 1 + random.integer(70)
  const height = 1 + random.integer(50)
  const fields: Field[] = [{ name: 'v', type, ...(random.integer(2) === 0 ? {} : { nodata: 7 }) }]
  return { geometry: new Geometry({ width, height, tile }), fields }
}

function drawRegion({ geometry: { width, height } }: GridContext, random: Random): Region {
  const x = random.integer(width)
  const y = random.integer(height)
  return { x, y, w: 1 + random.integer(width - x), h: 1 + random.integer(height - y) }
}

const ANSWERS = ['mean', 'min', 'max'] as const

t.test('overview equals a plain loop, whatever the grid, region, step and parts', (t) => {
  check(
    t,
    fc.property(fc.integer(), (from) => {
      const random = new Random(from)
      const context = drawGrid(random)
      const filled = fill(context, () => {
        return random.integer(3) === 0 ? 7 : randomValue(context.fields[0]!.type, random)
      })
      const region = drawRegion(context, random)
      const steps = stepsOf(context.geometry.tile).filter((step) => step <= 128)
      const always = random.integer(3)
      const user = {
        field: 'v',
        step: steps[random.integer(steps.length)]!,
        of: ANSWERS.filter((_, index) => index === always || random.unit() < 0.5),
      }
      const args = accepted(overview.parse(user, region, context))
      const once = (): Uint8Array => {
        const parts = partition(context, region, random, 1 + random.integer(5))
        const picture = filled.pages.read(
          'overview',
          args,
          region,
          parts,
          joinRandomly(overview, random),
        )
        const wrong = differs(filled, region, picture as Picture, () => true)
        if (wrong !== undefined) throw new Error(`${JSON.stringify(user)}: ${wrong}`)
        return encodeCbor(picture)
      }
      const [first, ...others] = [once(), once(), once()]
      return others.every((bytes) => Buffer.compare(first!, bytes) === 0)
    }),
    150,
  )
  t.end()
})

t.test('with holes, tiles that nobody has are left out, and a square of none is NaN', (t) => {
  check(
    t,
    fc.property(fc.integer(), (from) => {
      const random = new Random(from)
      const context = drawGrid(random)
      const filled = fill(context, () => (random.integer(2) === 0 ? 7 : random.integer(200)))
      const region = drawRegion(context, random)
      const steps = stepsOf(context.geometry.tile).filter((step) => step <= 64)
      const step = steps[random.integer(steps.length)]!
      const user = { field: 'v', step, of: ANSWERS, holes: true }
      const args = accepted(overview.parse(user, region, context))
      const lost = new Set([...context.geometry.tilesOf(region)].filter(() => random.unit() < 0.4))
      const isThere = (tile: number): boolean => !lost.has(tile)
      const parts = partition(context, region, random, 3)
        .map((tiles) => tiles.filter(isThere))
        .filter(({ length }) => length > 0)
      const join = (partials: Wire[]): Wire =>
        partials.length === 0 ? {} : joinRandomly(overview, random)(partials)
      const picture = filled.pages.read('overview', args, region, parts, join) as Picture
      const wrong = differs(filled, region, picture, isThere)
      if (wrong !== undefined) throw new Error(`step ${step}: ${wrong}`)
      return picture.count !== undefined
    }),
    80,
  )
  t.end()
})

t.test('what is beyond f32 is at its end, and a mean is one of such numbers', (t) => {
  const context: GridContext = {
    geometry: new Geometry({ width: 8, height: 8, tile: 4 }),
    fields: [{ name: 'v', type: 'f64' }],
  }
  const region = { x: 0, y: 0, w: 8, h: 8 }
  for (const step of [2, 4, 8]) {
    const args = accepted(overview.parse({ field: 'v', step, of: ANSWERS }, region, context))
    const read = (draw: (index: number) => number): Picture => {
      let index = 0
      const { pages } = fill(context, () => draw(index++))
      const parts = [context.geometry.tilesOf(region)]
      return pages.read('overview', args, region, parts, ([one]) => one!) as Picture
    }
    const huge = read(() => 1.7e308)
    t.ok(floatsOf(huge.mean).every((mean) => mean === F32_MAX))
    const deep = read(() => -1.7e308)
    t.ok(floatsOf(deep.min).every((min) => min === -F32_MAX))
    const both = read((index) => (index % 2 === 0 ? 1.7e308 : -1.7e308))
    t.ok(floatsOf(both.mean).every((mean) => mean === 0))
    t.ok(floatsOf(both.max).every((max) => max === F32_MAX))
  }
  t.end()
})

t.test('panning changes no square', (t) => {
  const random = new Random(seed)
  const context: GridContext = {
    geometry: new Geometry({ width: 64, height: 64, tile: 8 }),
    fields: [{ name: 'v', type: 'f64' }],
  }
  const filled = fill(context, () => random.between(-5, 5))
  const read = (region: Region, step: number): Picture => {
    const args = accepted(overview.parse({ field: 'v', step }, region, context))
    const parts = [context.geometry.tilesOf(region)]
    return filled.pages.read('overview', args, region, parts, ([one]) => one!) as Picture
  }
  for (const step of [2, 8, 16]) {
    const one = read({ x: 0, y: 0, w: 64, h: 64 }, step)
    const other = read({ x: 16, y: 32, w: 48, h: 16 }, step)
    const means = floatsOf(one.mean)
    floatsOf(other.mean).forEach((mean, at) => {
      const column = other.x / step + (at % other.columns)
      const row = other.y / step + Math.floor(at / other.columns)
      if (means[row * one.columns + column] !== mean) t.fail(`step ${step}, square ${at}`)
    })
  }
  t.pass()
  t.end()
})

t.test('without a step, the least that fits is chosen', (t) => {
  const at = (width: number, height: number, tile: number): GridContext => ({
    geometry: new Geometry({ width, height, tile }),
    fields: [{ name: 'v', type: 'u8' as FieldType }],
  })
  const stepOf = (user: object, region: Region, context: GridContext): unknown =>
    accepted(overview.parse({ field: 'v', ...user }, region, context)).step
  const large = at(8192, 8192, 16)
  t.equal(stepOf({}, large.geometry.whole, large), 16)
  t.equal(stepOf({ width: 8192, height: 8192 }, large.geometry.whole, large), 16)
  t.equal(stepOf({ width: 8192, height: 32 }, large.geometry.whole, large), 256)
  t.equal(stepOf({}, { x: 0, y: 0, w: 1024, h: 1024 }, large), 2)
  t.equal(stepOf({}, { x: 1, y: 0, w: 1024, h: 1024 }, large), 4)
  t.equal(stepOf({}, { x: 100, y: 100, w: 512, h: 512 }, large), 1)
  t.equal(stepOf({ width: 1, height: 1 }, { x: 4095, y: 0, w: 2, h: 1 }, large), 8192)
  const odd = at(8190, 8190, 63)
  t.equal(stepOf({}, odd.geometry.whole, odd), 21)
  t.equal(stepOf({ width: 1 }, odd.geometry.whole, odd), 63 * 2 ** 8)
  const default_ = accepted(overview.parse({ field: 'v' }, large.geometry.whole, large))
  const same = accepted(
    overview.parse(
      { field: 'v', step: 16, of: ['mean'], holes: false },
      large.geometry.whole,
      large,
    ),
  )
  t.same(default_, same, 'the normal form has the defaults')
  t.end()
})

t.test('what is wrong with arguments is named', (t) => {
  const context: GridContext = {
    geometry: new Geometry({ width: 1024, height: 1024, tile: 12 }),
    fields: [{ name: 'v', type: 'f64' }],
  }
  const table: [args: unknown, problems: string[]][] = [
    [{ field: 'v' }, []],
    [{ field: 'v', step: 24, of: ['max', 'min'], holes: true }, []],
    [{ field: 'v', step: 2 }, []],
    [{ field: 'v', step: 1 }, ['too-large args.step']],
    [{ field: 'v', step: 5 }, ['out-of-range args.step']],
    [{ field: 'v', step: 36 }, ['out-of-range args.step']],
    [{ field: 'v', step: 0 }, ['out-of-range args.step']],
    [{ field: 'v', step: 1e9 }, ['out-of-range args.step']],
    [{ field: 'v', step: 2, width: 5 }, ['not-allowed args.step']],
    [
      { field: 'v', width: 0, height: 9000 },
      ['out-of-range args.width', 'out-of-range args.height'],
    ],
    [{ field: 'v', of: [] }, ['wrong-count args.of']],
    [{ field: 'v', of: ['mean', 'mean'] }, ['duplicate args.of[1]']],
    [{ field: 'v', of: ['mode', 3] }, ['wrong-type args.of[0]', 'wrong-type args.of[1]']],
    [{ field: 'v', of: 'mean' }, ['wrong-type args.of']],
    [{ field: 'w', of: ['mode'] }, ['unknown-field args.field', 'wrong-type args.of[0]']],
    [{ field: 'v', holes: 1, cut: 2 }, ['wrong-type args.holes', 'unknown-key args.cut']],
    [{}, ['missing args.field']],
  ]
  for (const [args, expected] of table) {
    const parsed = overview.parse(args, context.geometry.whole, context)
    t.same(problemsOf(parsed).sort(), expected.sort(), JSON.stringify(args))
  }
  const fine = { field: 'v', step: 1 }
  t.ok(overview.parse(fine, { x: 512, y: 512, w: 512, h: 512 }, context).ok)
  t.equal(512 * 512, SQUARES_MAX)
  const malformed = overview.parse({ field: 'v', step: 5 }, undefined, context)
  t.same(problemsOf(malformed), ['out-of-range args.step'])
  t.end()
})

t.test(
  'a partial result is held to the squares that were asked for, and is as short as is said',
  (t) => {
    const random = new Random(seed)
    for (let run = 0; run < 60; run++) {
      const context = drawGrid(random)
      const { pages } = fill(context, () => random.integer(100))
      const region = drawRegion(context, random)
      const steps = stepsOf(context.geometry.tile).filter((step) => step <= 64)
      const user = { field: 'v', step: steps[random.integer(steps.length)]!, of: ANSWERS }
      const args = accepted(overview.parse(user, region, context))
      const tiles = context.geometry.tilesOf(region)
      const asked = { args, tiles, region, lsus: region.w * region.h }
      const partial = pages.partial('overview', args, region, tiles)
      t.equal(overview.faultOf(partial, asked, context), undefined)
      const bound = overview.resultBytesPerTile(args, context, tiles) * tiles.length + 64
      t.ok(encodeCbor(partial).length <= bound, 'not longer than said')
      const cut = (bytes: unknown): Uint8Array => (bytes as Uint8Array).subarray(1)
      const isSum = 'sum' in partial
      const mean = isSum ? 'sum' : 'mean'
      const nan = isSum ? Float64Array.of(Number.NaN) : Float32Array.of(Number.NaN)
      const spoilt = new Uint8Array(partial[mean] as Uint8Array)
      spoilt.set(new Uint8Array(nan.buffer))
      const wrong: Wire[] = [
        { ...partial, tiles: cut(partial.tiles) },
        { ...partial, min: cut(partial.min) },
        { ...partial, max: 7 },
        { ...partial, count: 'count' in partial ? cut(partial.count) : partial.min },
        { ...partial, [mean]: spoilt },
        { ...partial, [mean]: undefined },
      ]
      for (const one of wrong) t.ok(overview.faultOf(one, asked, context))
    }
    t.end()
  },
)
