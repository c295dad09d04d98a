/** A ghost beside a program: on a copy, and compared cell by cell or number by number. */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import type { Field } from '../../../shared/grid/fields.ts'
import { Geometry, type Region } from '../../../shared/grid/geometry.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { differenceOf } from '../../../shared/operations/ghost-values.ts'
import type { GridContext, TileDifference, Wire } from '../../../shared/operations/operation.ts'
import { windowOf } from '../../../shared/operations/operation.ts'
import { argsOfProgram } from '../../../shared/operations/osl-program.ts'
import { oslRead } from '../../../shared/operations/osl-read.ts'
import { oslWrite } from '../../../shared/operations/osl-write.ts'
import { STATUS } from '../../../shared/osl/codex.ts'
import { compile } from '../../../shared/osl/compiler.ts'
import { overTheWire } from '../../support/operation-parts.ts'
import { check } from '../../support/property.ts'

const FIELDS: readonly Field[] = [
  { name: 'temp', type: 'f64' },
  { name: 'level', type: 'u8' },
]
const context: GridContext = {
  geometry: new Geometry({ width: 21, height: 13, tile: 8 }),
  fields: FIELDS,
}
const { geometry } = context

function argsOf(source: string, ghost?: string, tolerance = 0): Wire {
  const program = (text: string): Wire => {
    const result = compile(text, { fields: FIELDS, width: geometry.width })
    if (!result.ok) throw new Error(JSON.stringify(result.problems))
    return argsOfProgram(result.compiled.program)
  }
  const shadow = ghost === undefined ? {} : { ghost: { ...program(ghost), tolerance } }
  return overTheWire({ ...program(source), ...shadow })
}

function pageOf(tile: number, seed: number): TilePage {
  const { w, h } = geometry.tileRegion(tile)
  const page = TilePage.empty(createLayout(FIELDS, w * h))
  const random = new Random(seed)
  if (seed % 3 === 0) return page
  const [temp, level] = [page.column(0), page.column(1)]
  for (let at = 0; at < page.lsus; at++) {
    temp[at] = random.integer(5) - 2
    level[at] = random.integer(4)
  }
  return page
}

function act(args: Wire, tile: number, region: Region, seed: number) {
  const run = oslWrite.run(args, context)
  const page = pageOf(tile, seed)
  const copy = page.copy()
  const window = windowOf(geometry, tile, region)
  run.act(page, window, 0)
  return { page, copy, difference: run.ghost?.compare(copy, page, window), run }
}

const sources = fc.constantFrom(
  'temp = temp + 1',
  'temp = temp + 1 where level > 1',
  'level = level + temp',
  'temp = x - y; level = 3',
  'status = scaled; temp = 0.5 * temp',
  'temp = temp / level',
)

const region: fc.Arbitrary<Region> = fc
  .record({ x: fc.nat(20), y: fc.nat(12), w: fc.nat(20), h: fc.nat(12) })
  .map(({ x, y, w, h }) => ({ x, y, w: 1 + (w % (21 - x)), h: 1 + (h % (13 - y)) }))

/** What two pages differ by, as plainly as can be. */
function plainly(one: TilePage, other: TilePage, tile: number, tolerance: number): TileDifference {
  const found: TileDifference = { differ: 0, max: 0 }
  const own = geometry.tileRegion(tile)
  for (let at = 0; at < one.lsus; at++) {
    const lsu = (own.y + Math.floor(at / own.w)) * geometry.width + own.x + (at % own.w)
    let isFar = false
    for (const [field, column] of [[0, 0] as const, [1, 1] as const, [STATUS, 2] as const]) {
      const [current, ghost] = [one.copy().column(column)[at]!, other.copy().column(column)[at]!]
      found.max = Math.max(found.max, Math.abs(current - ghost))
      if (Math.abs(current - ghost) <= tolerance) continue
      isFar = true
      found.first ??= { field, lsu, current, ghost }
    }
    if (isFar) found.differ += 1
  }
  return found
}

t.test('the page is what it is without a ghost, and each cell that differs is found', (t) => {
  check(
    t,
    fc.property(
      fc.record({
        current: sources,
        ghost: sources,
        region,
        tolerance: fc.constantFrom(0, 1, 2.5),
        seed: fc.nat(1000),
        at: fc.nat(20),
      }),
      ({ current, ghost, region, tolerance, seed, at }) => {
        const tiles = geometry.tilesOf(region)
        const tile = tiles[at % tiles.length]!
        const shadowed = act(argsOf(current, ghost, tolerance), tile, region, seed)
        const alone = act(argsOf(current), tile, region, seed)
        const other = act(argsOf(ghost), tile, region, seed)
        for (const { page } of [shadowed, alone, other]) page.seal(tile)
        if (!isDeepStrictEqual(shadowed.page.bytes, alone.page.bytes)) return false
        const expected = plainly(alone.page, other.page, tile, tolerance)
        return alone.difference === undefined && isDeepStrictEqual(shadowed.difference, expected)
      },
    ),
  )
  t.end()
})

t.test('what is no program here, returns values or reads neighbours is no ghost', (t) => {
  const args = argsOf('temp = 1')
  const ghostOf = (ghost: unknown) => oslWrite.run({ ...args, ghost }, context).ghost
  t.ok(ghostOf({ ...argsOf('temp = 2'), tolerance: 0 }))
  t.equal(ghostOf({ tolerance: 0 }), undefined)
  t.equal(ghostOf({ ...argsOf('temp = 2'), code: Uint8Array.of(1), tolerance: 0 }), undefined)
  t.equal(ghostOf({ ...argsOf('return a = sum(temp)'), tolerance: 0 }), undefined)
  t.equal(ghostOf({ ...argsOf('temp = temp[1, 0]'), tolerance: 0 }), undefined)
  const one = oslWrite.run(argsOf('temp = 1', 'temp = x'), context)
  t.equal(one.isAlike, undefined, 'it asks for the place, so all tiles are looked at')
  t.equal(oslWrite.run(argsOf('temp = 1', 'temp = 2'), context).isAlike, true)
  t.end()
})

t.test('a read gives both in one visit; parts without the ghost leave none', (t) => {
  const args = argsOf(
    'return a = sum(temp); return n = count(level > 1)',
    'return a = sum(temp + 1)',
  )
  const region = geometry.whole
  const partials = [...geometry.tilesOf(region)].map((tile) => {
    const run = oslRead.run(args, context)
    run.visit(pageOf(tile, tile + 1), windowOf(geometry, tile, region))
    return { tile, partial: overTheWire(run.finish()) }
  })
  const asked = (tile: number) => {
    const { w, h } = geometry.tileRegion(tile)
    return { args, tiles: Uint32Array.of(tile), region, lsus: w * h }
  }
  for (const { tile, partial } of partials) {
    t.equal(oslRead.faultOf(partial, asked(tile), context), undefined)
    t.equal(oslRead.withSoundGhost!(partial, asked(tile), context), partial)
  }
  const total = partials.map(({ partial }) => partial).reduce(oslRead.merge)
  const value = oslRead.finish([total], args, region, context) as { a: number }
  const ghost = oslRead.finishGhost!([total], args, region, context) as { a: number }
  t.equal(ghost.a, value.a + 21 * 13)
  t.strictSame(
    oslRead.finish([total], args, region, context),
    oslRead.finish(
      [total],
      argsOf('return a = sum(temp); return n = count(level > 1)'),
      region,
      context,
    ),
  )
  const [first, ...rest] = partials
  const { ghost: _left, ...without } = first!.partial
  const merged = [...rest.map(({ partial }) => partial), without].reduce(oslRead.merge)
  t.equal(oslRead.finishGhost!([merged], args, region, context), undefined)
  const damaged = { ...first!.partial, ghost: [{ sums: 1 }] }
  t.equal(oslRead.faultOf(damaged, asked(first!.tile), context), undefined)
  t.notOk('ghost' in oslRead.withSoundGhost!(damaged, asked(first!.tile), context))
  t.end()
})

t.test('values differ by their numbers, and by what is in one of them alone', (t) => {
  const value = { a: 1, h: { counts: [1, 2], below: 0 }, p: { x: 1, y: 2, value: 3 }, m: null }
  t.strictSame(differenceOf(value, structuredClone(value), 0), { differ: 0, max: 0 })
  t.strictSame(differenceOf(value, { ...value, h: { counts: [1, 5], below: 1 } }, 0), {
    ...{ differ: 2, max: 3, first: { what: 'h.counts[1]', current: 2, ghost: 5 } },
  })
  t.strictSame(differenceOf(value, { ...value, a: 1.25 }, 0.5), { differ: 0, max: 0.25 })
  t.match(differenceOf(value, { ...value, m: 0 }, 9), {
    ...{ differ: 1, first: { what: 'm', current: null, ghost: 0 } },
  })
  const { a: _a, ...less } = value
  t.match(differenceOf(value, less, 9), {
    differ: 1,
    first: { what: 'a', current: 1, ghost: null },
  })
  const column = (...numbers: number[]) => ({ show: Float64Array.from(numbers) })
  t.strictSame(differenceOf(column(1, Number.NaN), column(1, Number.NaN), 0), {
    ...{ differ: 0, max: 0 },
  })
  t.match(differenceOf(column(1, Number.NaN), column(1, 2), 9), {
    ...{ differ: 1, first: { what: 'show[1]', current: null, ghost: 2 } },
  })
  const far = differenceOf({ a: 1.7e308 }, { a: -1.7e308 }, 0)
  t.equal(far.max, Number.MAX_VALUE, 'a number, as JSON has them')
  t.end()
})
