/**
 * Programs that read neighbours, tile by tile with the edges of the tiles around, against the plain computation on the
 * whole grid (osl-evaluator.ts), on fresh random programs.
 */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { Geometry, type Region } from '../../../shared/grid/geometry.ts'
import type { GridContext } from '../../../shared/operations/operation.ts'
import { OSL_EDGES } from '../../../shared/operations/osl-edges.ts'
import {
  edgesArgsOf,
  type NearArgs,
  OSL_NEAR,
  oslNear,
  reachOf,
} from '../../../shared/operations/osl-near.ts'
import { parseProgram } from '../../../shared/operations/program.ts'
import type { EdgesPartial } from '../../../shared/operations/tile-edges.ts'
import {
  accepted,
  joinRandomly,
  Pages,
  partition,
  problemsOf,
  readOf,
} from '../../support/operation-parts.ts'
import { actOnCells, type Cells } from '../../support/osl-evaluator.ts'
import { OSL_FIELDS as FIELDS, ProgramWriter } from '../../support/osl-programs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const PROGRAMS = Number(process.env.PROGRAMS ?? 600)
t.comment(`SEED=${seed} PROGRAMS=${PROGRAMS} npx tap run test/shared/operations/osl-near.test.ts`)

/** Tiles that are clipped at two edges, one of them to a single column, and tiles of more than a block. */
const GRIDS = [
  new Geometry({ width: 21, height: 13, tile: 4 }),
  new Geometry({ width: 23, height: 18, tile: 8 }),
  new Geometry({ width: 70, height: 20, tile: 64 }),
]
const LIMITS = { costMax: Number.POSITIVE_INFINITY }
const COLUMNS = [...FIELDS.map(({ name }) => name), 'status']

/** What the gateway does with what nodes say: edges of the region and what is around it, then the write. */
function runOnTiles(
  args: NearArgs,
  pages: Pages,
  region: Region,
  { grid, random }: { grid: GridContext; random: Random },
): void {
  const asked = edgesArgsOf(args, grid)
  const around = grid.geometry.grown(region, reachOf({ op: OSL_NEAR, args }))
  const parts = partition(grid, around, random, 3)
  const join = joinRandomly(readOf(OSL_EDGES), random)
  const partials = parts.map((tiles) => {
    const partial = pages.partial(OSL_EDGES, asked, around, tiles)
    const fault = readOf(OSL_EDGES).faultOf(
      partial,
      { args: asked, tiles, region: around, lsus: 0 },
      grid,
    )
    if (fault !== undefined) throw new Error(fault)
    return partial
  })
  const edges = join(partials) as EdgesPartial
  pages.write(OSL_NEAR, { ...args, edges }, region, partition(grid, region, random, 3))
}

function randomRegion({ width, height }: Geometry, random: Random): Region {
  const x = random.integer(width)
  const y = random.integer(height)
  return { x, y, w: 1 + random.integer(width - x), h: 1 + random.integer(height - y) }
}

/** Cells for pages and for the plain computation; some tiles are uniform. */
function fill(pages: Pages, geometry: Geometry, writer: ProgramWriter, random: Random): Cells {
  const { width, height } = geometry
  const columns = new Map(COLUMNS.map((name) => [name, new Array<number>(width * height).fill(0)]))
  for (let tile = 0; tile < geometry.tiles; tile++) {
    const own = geometry.tileRegion(tile)
    for (const [index, name] of COLUMNS.entries()) {
      const field = FIELDS[index]
      const draw = (): number => (field === undefined ? random.integer(2) : writer.cell(field))
      const one = random.integer(3) === 0 ? draw() : undefined
      if (one !== undefined) pages.page(tile).fill(index, one)
      for (let at = 0; at < own.w * own.h; at++) {
        const value = one ?? draw()
        if (one === undefined) pages.page(tile).column(index)[at] = value
        columns.get(name)![idOf(geometry, tile, at)] = value
      }
    }
  }
  return { width, height, fields: FIELDS, columns }
}

function idOf(geometry: Geometry, tile: number, at: number): number {
  const own = geometry.tileRegion(tile)
  return (own.y + Math.floor(at / own.w)) * geometry.width + own.x + (at % own.w)
}

/** The first cell that is not as it was computed on the whole grid. */
function difference(pages: Pages, geometry: Geometry, cells: Cells): string | undefined {
  for (let tile = 0; tile < geometry.tiles; tile++) {
    for (const [index, name] of COLUMNS.entries()) {
      const one = pages.page(tile).valueOf(index)
      for (let at = 0; at < geometry.tileLsus(tile); at++) {
        const got = one ?? pages.page(tile).column(index)[at]!
        const wanted = cells.columns.get(name)![idOf(geometry, tile, at)]!
        if (!Object.is(got, wanted))
          return `${name} at ${at} of tile ${tile} is ${got}, not ${wanted}`
      }
    }
  }
  return undefined
}

t.test('tiles with captured edges come to what the whole grid comes to', (t) => {
  const random = new Random(seed)
  let run = 0
  let stepped = 0
  for (let index = 0; index < PROGRAMS; index++) {
    const geometry = GRIDS[random.integer(8) === 0 ? 2 : random.integer(2)]!
    const grid = { geometry, fields: FIELDS }
    const steps = 1 + random.integer(3)
    const writer = new ProgramWriter(random, { reach: Math.floor(4 / steps) })
    const source = writer.write()
    const region = random.integer(4) === 0 ? geometry.whole : randomRegion(geometry, random)
    const input = { source, with: writer.parameters, steps }
    const parsed = parseProgram(input, region, grid, LIMITS)
    if (!parsed.ok || parsed.value.op !== OSL_NEAR) continue
    run++
    if (steps > 1) stepped++
    const pages = new Pages(grid)
    const cells = fill(pages, geometry, writer, random)
    for (let step = 0; step < steps; step++) actOnCells(source, cells, region, writer.parameters)
    runOnTiles(parsed.value.args as NearArgs, pages, region, { grid, random })
    const wrong = difference(pages, geometry, cells)
    if (wrong === undefined) continue
    t.fail(`program ${index}: ${wrong}`, { source, region, steps })
    break
  }
  // An eighth of them does, on average: fewer than a twentieth is no chance (five standard deviations).
  t.ok(run > PROGRAMS / 20, `${run} of ${PROGRAMS} programs read neighbours`)
  t.ok(stepped > run / 20, `${stepped} of them in several steps`)
  t.end()
})

const LIFE = `
let n = cell[-1,-1] + cell[0,-1] + cell[1,-1] + cell[-1,0] + cell[1,0] + cell[-1,1] + cell[0,1] + cell[1,1]
cell = if n == 3 or (n == 2 and cell == 1) then 1 else 0`

t.test(
  'a neighbour is as it was before, missing outside the grid and where it has no data',
  (t) => {
    const geometry = new Geometry({ width: 20, height: 9, tile: 8 })
    const grid = { geometry, fields: [{ name: 'v', type: 'f64' as const }] }
    const random = new Random(1)
    const run = (source: string, region = geometry.whole): number[] => {
      const pages = new Pages(grid)
      for (let tile = 0; tile < geometry.tiles; tile++) {
        const column = pages.page(tile).column(0)
        for (let at = 0; at < column.length; at++) column[at] = idOf(geometry, tile, at)
      }
      const parsed = parseProgram({ source }, region, grid, LIMITS)
      if (!parsed.ok) throw new Error(parsed.problems[0]!.message)
      runOnTiles(parsed.value.args as NearArgs, pages, region, { grid, random })
      const all: number[] = []
      for (let tile = 0; tile < geometry.tiles; tile++) {
        for (let at = 0; at < geometry.tileLsus(tile); at++)
          all[idOf(geometry, tile, at)] = pages.page(tile).column(0)[at]!
      }
      return all
    }
    const ids = Array.from({ length: 180 }, (_, id) => id)
    const shifted = ids.map((id) => (id % 20 === 0 ? id : id - 1))
    t.strictSame(run('v = v[-1,0]'), shifted)
    t.strictSame(run('v = coalesce(v[0,-1], -1)').slice(0, 21), [...new Array(20).fill(-1), 0])
    t.strictSame(run('nodata v 7\nv = coalesce(v[1,0], 0.5)').slice(5, 8), [6, 0.5, 8])
    const few = run('v = v[-1,0]', { x: 8, y: 1, w: 2, h: 1 })
    t.strictSame(
      ids.filter((id) => few[id] !== id),
      [28, 29],
    )
    t.strictSame(few.slice(28, 30), [27, 28])
    t.end()
  },
)

t.test('what neighbours cannot be read for is refused with its place', (t) => {
  const cell = { geometry: new Geometry({ width: 8192, height: 8192, tile: 64 }), fields: FIELDS }
  const parse = (args: object, region = { x: 0, y: 0, w: 64, h: 64 }) =>
    problemsOf(parseProgram(args, region, cell, LIMITS) as never)
  t.strictSame(parse({ source: 'a = a[1,0]', steps: 4 }), [])
  t.strictSame(parse({ source: 'a = a[2,0]', steps: 3 }), ['osl-radius args.steps'])
  t.strictSame(parse({ source: 'a = a[1,0]', steps: 5 }), ['out-of-range args.steps'])
  t.strictSame(parse({ source: 'a = a + 1', steps: 2 }), ['not-allowed args.steps'])
  t.strictSame(parse({ source: 'return s = sum(a[1,0])' }), ['osl-radius args'])
  const wide = { x: 0, y: 0, w: 4096, h: 4096 }
  t.strictSame(parse({ source: 'c = c[1,0]' }, wide), [])
  t.strictSame(parse({ source: 'c = c[1,0]' }, { ...wide, w: 4097 }), ['too-large region'])
  t.strictSame(parse({ source: 'a = a[4,0]' }, wide), ['too-large region'])
  t.end()
})

t.test('arguments that no gateway made are refused before cells are touched', (t) => {
  const geometry = new Geometry({ width: 16, height: 8, tile: 8 })
  const grid = { geometry, fields: [{ name: 'cell', type: 'u8' as const }] }
  const parsed = parseProgram({ source: LIFE }, geometry.whole, grid, LIMITS)
  const args = accepted(parsed as never).args as NearArgs
  const pages = new Pages(grid)
  const edges = pages.partial(
    OSL_EDGES,
    edgesArgsOf(args, grid),
    geometry.whole,
    geometry.tilesOf(geometry.whole),
  ) as EdgesPartial
  const part = oslNear.cut({ ...args, edges }, geometry.whole, Uint32Array.of(0, 1), grid)
  oslNear.run(part, grid)
  const broken: object[] = [
    args,
    { ...part, steps: 5 },
    { ...part, region: [0, 0, 17, 8] },
    { ...part, tiles: new Uint8Array(4) },
    { ...part, halos: [] },
    { ...part, halos: [new Uint8Array(3)] },
  ]
  for (const wrong of broken) t.throws(() => oslNear.run(wrong as never, grid))
  const other = oslNear.cut({ ...args, edges }, geometry.whole, Uint32Array.of(0), grid)
  const window = { tile: 1, stride: 8, left: 0, top: 0, w: 8, h: 8 }
  t.throws(() => oslNear.run(other, grid).act(pages.page(1), window, 0), /no halo/)
  t.end()
})

t.test('a node that answers with other edges than it was asked for is told apart', (t) => {
  const geometry = new Geometry({ width: 16, height: 16, tile: 8 })
  const grid = { geometry, fields: FIELDS }
  const args = { columns: [0, FIELDS.length], reach: 2 }
  const tiles = Uint32Array.of(0, 3)
  const pages = new Pages(grid)
  pages.page(3).column(0)[0] = 1
  const partial = pages.partial(OSL_EDGES, args, geometry.whole, tiles) as EdgesPartial
  const asked = { args, tiles, region: geometry.whole, lsus: 128 }
  const faultOf = (of: object) => readOf(OSL_EDGES).faultOf(of as never, asked, grid)
  t.equal(faultOf(partial), undefined)
  t.match(faultOf({ ...partial, tiles: partial.tiles.subarray(4) }), /tiles/)
  t.match(faultOf({ ...partial, ones: [partial.ones[0]] }), /columns/)
  t.match(faultOf({ ...partial, ones: [new Uint8Array(1), new Uint8Array(2)] }), /flag/)
  t.match(faultOf({ ...partial, values: [new Uint8Array(9), partial.values[1]] }), /cells/)
  t.match(faultOf({}), /tiles/)
  for (const wrong of [{}, { columns: [FIELDS.length + 1], reach: 1 }, { columns: [0], reach: 0 }])
    t.throws(() => readOf(OSL_EDGES).run(wrong, grid))
  t.end()
})
