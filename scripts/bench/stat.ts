/**
 * What exact sums cost `stat` on a node: the first round over tiles in memory, against the plain loop
 * that adds doubles (sum and extremes, then squared distances from the mean) and against the check of
 * the page that each tile is read from. After `npm run build`: `node dist/scripts/bench/stat.js`.
 */

import { digest } from '../../shared/core/hash.ts'
import { Random } from '../../shared/core/random.ts'
import type { Column } from '../../shared/grid/fields.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { type ReadOperation, windowOf } from '../../shared/operations/operation.ts'
import { benchOptions } from './bench-options.ts'
import { describeMachine, formatTable, timeRuns } from './measure.ts'

benchOptions('stat.js', {})

const LSUS = 1024 * 1024
const RUNS = { warmUps: 5, runs: 30 }
const FIELDS = [{ name: 'value', type: 'f64' }] as const
const random = new Random(1)

const KINDS: readonly (readonly [name: string, draw: () => number])[] = [
  ['whole numbers below 1000', () => random.integer(1000)],
  [
    '53 bits, of one magnitude',
    () => 1 + (random.uint32() * 2 ** 21 + random.integer(2 ** 21)) / 2 ** 53,
  ],
  ['53 bits, of 1000 magnitudes', () => (1 + random.unit()) * 2 ** (random.integer(1000) - 500)],
]

function plain(column: Column): number {
  let sum = 0
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  for (let at = 0; at < column.length; at++) {
    const value = column[at]!
    sum += value
    if (value < min) min = value
    if (value > max) max = value
  }
  const mean = sum / column.length
  let squares = 0
  for (let at = 0; at < column.length; at++) {
    const distance = column[at]! - mean
    squares += distance * distance
  }
  return sum + min + max + squares
}

const rows = [['Values', 'Tile', 'check of the page', 'plain loop', 'exact', 'ratio']]
for (const [name, draw] of KINDS) {
  for (const tile of [16, 32]) {
    const geometry = new Geometry({ width: 1024, height: 1024, tile })
    const region = geometry.whole
    const windows = Array.from(geometry.tilesOf(region), (one) => windowOf(geometry, one, region))
    const pages = windows.map(() => {
      const page = TilePage.empty(createLayout(FIELDS, tile * tile))
      page.column(0).forEach((_, at, column) => {
        column[at] = draw()
      })
      page.seal()
      return page
    })
    const operation = findOperation('stat') as ReadOperation
    const each = (run: (page: TilePage, index: number) => unknown) =>
      timeRuns(RUNS, () => pages.map(run)).ownP50Ms
    const checkMs = each((page) => digest(page.bytes))
    const plainMs = each((page) => plain(page.column(0)))
    const exactMs = timeRuns(RUNS, () => {
      const run = operation.run({ field: 0 }, { geometry, fields: FIELDS })
      pages.forEach((page, index) => {
        run.visit(page, windows[index]!)
      })
      return run.finish()
    }).ownP50Ms
    const perLsu = (ms: number): string => ((ms * 1e6) / LSUS).toFixed(1)
    const ratio = (exactMs / plainMs).toFixed(1)
    rows.push([name, `${tile}`, perLsu(checkMs), perLsu(plainMs), perLsu(exactMs), ratio])
  }
}
process.stdout.write(`${describeMachine()}\nNanoseconds an LSU, p50.\n${formatTable(rows)}\n`)
