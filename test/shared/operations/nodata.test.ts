/** A field's nodata: cells that hold it are left out of what is summed up, and counted. */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import type { Field } from '../../../shared/grid/fields.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import type { GridContext, Wire } from '../../../shared/operations/operation.ts'
import { compile } from '../../../shared/osl/compiler.ts'
import { hashOfProgram } from '../../../shared/osl/program.ts'
import {
  accepted,
  joinRandomly,
  Pages,
  partition,
  readOf,
  writeOf,
} from '../../support/operation-parts.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/operations/nodata.test.ts`)

const NONE = -9999
const field: Field = { name: 'elev', type: 'i32', nodata: NONE }
const geometry = new Geometry({ width: 30, height: 20, tile: 8 })
const context: GridContext = { geometry, fields: [field] }
const without: GridContext = { geometry, fields: [{ name: 'elev', type: 'i32' }] }
const stat = readOf('stat')

type Stat = Readonly<Record<string, unknown>>

/** Values as they are put into the grid; what `args` ask for of them. */
function read(values: readonly number[], args: Wire, random: Random): Stat {
  const pages = new Pages(without)
  const put = accepted(writeOf('put').parse({ field: 'elev', values }, geometry.whole, context))
  pages.write('put', put, geometry.whole, [geometry.tilesOf(geometry.whole)])
  const parts = partition(context, geometry.whole, random, 5)
  return pages.read('stat', args, geometry.whole, parts, joinRandomly(stat, random)) as Stat
}

t.test('stat leaves out cells without data, on nodes that know of none', (t) => {
  const random = new Random(seed)
  for (const bins of [undefined, 7]) {
    const values = Array.from({ length: geometry.lsus }, (_, id) => {
      return random.integer(3) === 0 || id % 30 < 8 ? NONE : random.integer(100)
    })
    const user = bins === undefined ? { field: 'elev' } : { field: 'elev', bins }
    const found = read(values, accepted(stat.parse(user, geometry.whole, context)), random)
    const known = values.filter((value) => value !== NONE)
    const sum = known.reduce((a, b) => a + b)
    t.match(found, { count: known.length, missing: values.length - known.length, sum })
    t.match(found, { min: Math.min(...known), max: Math.max(...known), mean: sum / known.length })
    const { histogram } = found as { histogram?: { counts: number[] } }
    if (bins !== undefined)
      t.equal(
        histogram!.counts.reduce((a, b) => a + b),
        known.length,
      )
  }
  t.end()
})

t.test('of cells that are all without data there is nothing', (t) => {
  const values = new Array<number>(geometry.lsus).fill(NONE)
  const args = accepted(stat.parse({ field: 'elev', bins: 3 }, geometry.whole, context))
  t.strictSame(read(values, args, new Random(seed)), {
    ...{ count: 0, missing: 600, sum: 0, min: null, max: null, mean: null, variance: null },
    histogram: { edges: [], counts: [] },
  })
  t.end()
})

t.test('a node of an earlier version, which counts all cells, is no answer', (t) => {
  const args = accepted(stat.parse({ field: 'elev' }, geometry.whole, context))
  const tiles = Uint32Array.of(0)
  const asked = { args, tiles, region: geometry.whole, lsus: 64 }
  const earlier = new Pages(context).partial('stat', { field: 0 }, geometry.whole, tiles)
  t.match(stat.faultOf(earlier, asked, context), /what is missing/)
  const now = new Pages(context).partial('stat', args, geometry.whole, tiles)
  t.equal(stat.faultOf(now, asked, context), undefined)
  t.match(stat.faultOf(now, { ...asked, args: { field: 0 } }, context), /what is missing/)
  const overview = readOf('overview')
  const picture = accepted(overview.parse({ field: 'elev', step: 4 }, geometry.whole, context))
  const { nodata: _, ...plain } = picture
  const drawn = new Pages(context).partial('overview', plain, geometry.whole, tiles)
  t.match(overview.faultOf(drawn, { ...asked, args: picture }, context), /not what was asked/)
  t.end()
})

t.test('programs know it, and a statement says otherwise', (t) => {
  const hashOf = (source: string, fields: readonly Field[]): string => {
    const result = compile(source, { fields, width: 30 })
    if (!result.ok) throw new Error(result.problems[0]!.message)
    return hashOfProgram(result.compiled.program)
  }
  const source = 'return m = mean(elev)'
  t.equal(hashOf(source, [field]), hashOf(`nodata elev -9999\n${source}`, without.fields))
  t.equal(
    hashOf(`nodata elev 5\n${source}`, [field]),
    hashOf(`nodata elev 5\n${source}`, without.fields),
  )
  t.not(hashOf(source, [field]), hashOf(source, without.fields))
  t.end()
})
