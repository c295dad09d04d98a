import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import type { Field } from '../../../shared/grid/fields.ts'
import { Geometry, type Region } from '../../../shared/grid/geometry.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { findTaskOperation, OPERATION_NAMES } from '../../../shared/operations/catalog.ts'
import {
  type GridContext,
  type TileCells,
  type Wire,
  windowOf,
} from '../../../shared/operations/operation.ts'
import { accepted, readOf, writeOf } from '../../support/operation-parts.ts'
import { check } from '../../support/property.ts'

const FIELDS: readonly Field[] = [
  { name: 'level', type: 'u8', nodata: 7 },
  { name: 'elevation', type: 'f64', nodata: 0 },
  { name: 'tally', type: 'i32' },
  { name: 'heat', type: 'f32' },
]
const context: GridContext = {
  geometry: new Geometry({ width: 37, height: 21, tile: 8 }),
  fields: FIELDS,
}
const { geometry } = context

/** The same cells, of which nobody knows whether they are one value. */
function plain(page: TilePage): TileCells {
  return {
    lsus: page.lsus,
    get status() {
      return page.status
    },
    column: (index) => page.column(index),
    valueOf: () => undefined,
    fill: (index, value) => {
      page.column(index).fill(value)
    },
  }
}

const region: fc.Arbitrary<Region> = fc.oneof(
  fc.constant(geometry.whole),
  fc.constant({ x: 8, y: 0, w: 16, h: 16 }),
  fc
    .record({ x: fc.nat(36), y: fc.nat(20), w: fc.nat(36), h: fc.nat(20) })
    .map(({ x, y, w, h }) => ({ x, y, w: 1 + (w % (37 - x)), h: 1 + (h % (21 - y)) })),
)

/** Numbers whose sums round, reach the ends of a type, or end as a zero with a sign. */
const numbers: Readonly<Record<string, readonly number[]>> = {
  level: [0, 1, 7, 250],
  elevation: [0, 0.1, -1 / 3, 1e300, Number.MAX_VALUE, 5e-324],
  tally: [0, -5, 2 ** 31 - 1, -(2 ** 31)],
  heat: [0, 0.1, 3.4e38, 1.4e-45, -1.4e-45, -0.7e-45],
}

const valueFor = fc
  .constantFrom(...FIELDS.map(({ name }) => name))
  .chain((field) => fc.tuple(fc.constant(field), fc.constantFrom(...numbers[field]!)))

const write: fc.Arbitrary<Write> = fc.oneof(
  fc.record({
    op: fc.constant('scale'),
    region,
    args: fc.oneof(
      fc.constant({}),
      valueFor.map(([field, value]) => ({ fields: { [field]: value } })),
    ),
  }),
  fc.record({
    op: fc.constant('set'),
    region,
    args: valueFor.map(([field, value]) => ({ fields: { [field]: value } })),
  }),
  fc.record({
    op: fc.constant('add'),
    region,
    args: valueFor.map(([field, value]) => ({ field, value })),
  }),
  fc.tuple(valueFor, fc.nat(36), fc.nat(20)).map(([[field, value], x, y]) => ({
    op: 'put',
    region: { x, y, w: 1, h: 1 },
    args: { field, values: [value] },
  })),
)

const READS: readonly [string, Record<string, unknown>][] = [
  ...FIELDS.flatMap(({ name }): [string, Record<string, unknown>][] => [
    ['stat', { field: name, bins: 5 }],
    ['overview', { field: name, step: 4, of: ['mean', 'min', 'max'] }],
    ['overview', { field: name, step: 32, of: ['mean', 'min', 'max'] }],
    [
      'gather',
      {
        field: name,
        cells: [
          [0, 0],
          [36, 20],
          [9, 9],
        ],
      },
    ],
  ]),
  ['get', {}],
]

type Write = { readonly op: string; readonly region: Region; readonly args: unknown }

function acted(
  pages: readonly TilePage[],
  { op, region, args }: Write,
  cells: (page: TilePage) => TileCells,
): void {
  const operation = writeOf(op)
  const tiles = Uint32Array.from(geometry.tilesOf(region))
  const normal = accepted(operation.parse(args, region, context))
  const run = operation.run(operation.cut(normal, region, tiles, context), context)
  let before = 0
  for (const tile of tiles) {
    const window = windowOf(geometry, tile, region)
    run.act(cells(pages[tile]!), window, before)
    before += window.w * window.h
  }
}

function told(
  pages: readonly TilePage[],
  [op, args]: (typeof READS)[number],
  region: Region,
  cells: (page: TilePage) => TileCells,
): unknown[] {
  const operation = readOf(op)
  const at = op === 'gather' ? geometry.whole : region
  let round: Wire | undefined = accepted(operation.parse(args, at, context))
  const rounds: Wire[] = []
  while (round !== undefined) {
    const run = operation.run(round, context)
    for (const tile of geometry.tilesOf(at))
      run.visit(cells(pages[tile]!), windowOf(geometry, tile, at))
    rounds.push(run.finish())
    round = operation.nextRound?.(rounds.at(-1)!, round)
  }
  return rounds
}

const newPages = (): TilePage[] =>
  Array.from({ length: geometry.tiles }, (_, tile) =>
    TilePage.empty(createLayout(FIELDS, geometry.tileLsus(tile))),
  )

t.test('writes and reads have the same bits, whatever is known of columns of one value', (t) => {
  const packedCounts = new Set<boolean>()
  check(
    t,
    fc.property(
      fc.array(write, { minLength: 1, maxLength: 6 }),
      region,
      fc.nat(),
      (writes, at, draw) => {
        const random = new Random(draw)
        let packed = newPages()
        const reference = newPages()
        for (const [index, one] of writes.entries()) {
          acted(packed, one, (page) => page)
          acted(reference, one, plain)
          for (const pages of [packed, reference]) {
            for (const [tile, page] of pages.entries()) {
              page.at = index + 1
              page.seal(tile)
            }
          }
          packed = packed.map((page, tile) => {
            if (random.integer(3) === 0) return page
            const stored = page.stored(random.integer(4) > 0)
            packedCounts.add(stored.length < page.layout.bytes)
            return TilePage.open(page.layout, stored, undefined, tile) as TilePage
          })
        }
        for (const [tile, page] of packed.entries()) {
          const expected = reference[tile]!
          if (!Buffer.from(page.digest).equals(expected.digest)) return false
          if (!Buffer.from(page.bytes).equals(expected.bytes)) return false
        }
        return READS.every((read) => {
          const left = told(
            packed.map((page) => page.copy()),
            read,
            at,
            (page) => page,
          )
          const right = told(reference, read, at, plain)
          return isDeepStrictEqual(left, right)
        })
      },
    ),
    150,
  )
  t.equal(packedCounts.size, 2, 'both forms were met')
  t.end()
})

t.test('who acts alike does the same to all tiles that hold the same values', (t) => {
  const { whole, lsus } = geometry
  const ids = Array.from({ length: lsus }, (_, id) => id)
  const wishes: Readonly<Record<string, unknown>> = {
    scale: { fields: { tally: 3 } },
    set: { fields: { heat: 0.1, level: 2 } },
    add: { field: 'elevation', value: 0.1 },
    put: { field: 'tally', values: ids },
    scatter: { field: 'tally', ids, values: ids },
  }
  for (const name of OPERATION_NAMES) {
    // Programs have a test of their own (osl/interpreter.test.ts).
    const operation = findTaskOperation(name)
    if (operation?.kind !== 'write') continue
    const pages = newPages()
    for (const page of pages) {
      page.fill(1, 1 / 3)
      page.fill(2, -4)
    }
    acted(pages, { op: name, region: whole, args: wishes[name] }, (page) => page)
    const digests = new Set(
      pages.map((page) => {
        page.at = 1
        page.seal()
        return `${page.lsus}/${Buffer.from(page.digest).toString('hex')}`
      }),
    )
    const normal = accepted(operation.parse(wishes[name], whole, context))
    const isAlike = operation.run(normal, context).isAlike === true
    t.equal(isAlike, digests.size === new Set(pages.map(({ lsus }) => lsus)).size, name)
  }
  t.end()
})
