/**
 * `stat`: count, sum, extremes, mean and population variance of a field over every LSU of the region,
 * with a histogram from min to max when `bins` is given (a second round, once min and max are known).
 *
 * Each tile gives (count, sum, min, max, m2) with m2 the sum of squared distances from its own mean,
 * in two passes; tiles are folded in tile order by the pairwise formula of Chan, Golub and LeVeque
 * (1979), so that the value does not depend on which node answered for which tile.
 */
import * as v from 'valibot'
import type { Column } from '../grid/fields.ts'
import { parseWith } from '../protocol/problems.ts'
import { concatBytes, packNumbers, packTiles, unpackNumbers, unpackTiles } from './columns.ts'
import { namedField } from './field-values.ts'
import type { ReadOperation, ReadRun, TileWindow, Wire } from './operation.ts'

export const STAT_BINS_MAX = 1024

interface StatArgs extends Wire {
  /** Index of the field. */
  readonly field: number
  readonly bins?: number
  /** Of the second round: the range that the bins cut. */
  readonly range?: [min: number, max: number]
}

/** Round one: one number a tile in each column. */
interface MomentsPartial extends Wire {
  readonly tiles: Uint8Array
  readonly count: Uint8Array
  readonly sum: Uint8Array
  readonly min: Uint8Array
  readonly max: Uint8Array
  readonly m2: Uint8Array
}

/** Round two: LSUs in each bin. */
interface CountsPartial extends Wire {
  readonly counts: Uint8Array
}

const schema = v.strictObject({
  field: v.string(),
  bins: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(STAT_BINS_MAX))),
})

const COLUMNS = ['tiles', 'count', 'sum', 'min', 'max', 'm2'] as const

export const stat: ReadOperation = {
  kind: 'read',
  name: 'stat',
  parse(input, _region, context) {
    const shape = parseWith(schema, input, 'args')
    const problems = shape.ok ? [] : [...shape.problems]
    const field = namedField(input, context.fields, problems)
    if (!shape.ok || field === undefined || problems.length > 0) return { ok: false, problems }
    const { bins } = shape.value
    const index = context.fields.indexOf(field)
    return { ok: true, value: bins === undefined ? { field: index } : { field: index, bins } }
  },
  resultBytesPerTile: () => 4 + 5 * 8,
  run(args) {
    const { range } = args as StatArgs
    return range === undefined ? runMoments(args as StatArgs) : runCounts(args as StatArgs, range)
  },
  merge(left, right) {
    if ('counts' in left) {
      const sums = unpackNumbers((left as CountsPartial).counts)
      unpackNumbers((right as CountsPartial).counts).forEach((count, index) => {
        sums[index] = sums[index]! + count
      })
      return { counts: packNumbers(sums) } satisfies CountsPartial
    }
    const merged = COLUMNS.map((name) => {
      return [name, concatBytes([left[name] as Uint8Array, right[name] as Uint8Array])]
    })
    return Object.fromEntries(merged)
  },
  nextRound(total, args) {
    const { field, bins, range } = args as StatArgs
    if (bins === undefined || range !== undefined) return undefined
    const { min, max } = fold(total as MomentsPartial)
    return { field, bins, range: [min, max] } satisfies StatArgs
  },
  finish(rounds, args) {
    const { bins } = args as StatArgs
    const { count, sum, min, max, m2 } = fold(rounds[0] as MomentsPartial)
    const value = { count, sum, min, max, mean: sum / count, variance: m2 / count }
    if (bins === undefined) return value
    const counts = Array.from(unpackNumbers((rounds[1] as CountsPartial).counts))
    return { ...value, histogram: { edges: edgesOf(min, max, bins), counts } }
  },
}

/**
 * The `bins + 1` edges from `min` to `max`, both met exactly. Rounding may put one a hair below its
 * predecessor or above `max`, most of all when the two are equal or neighbours: edges never descend.
 */
export function edgesOf(min: number, max: number, bins: number): number[] {
  const edges = [min]
  for (let index = 1; index < bins; index++) {
    const share = index / bins
    const edge = min * (1 - share) + max * share
    edges.push(Math.min(max, Math.max(edges[index - 1]!, edge)))
  }
  edges.push(max)
  return edges
}

/** The bin of `value`: its lower edge is not above it; the last bin holds `max` too. */
function binOf(value: number, edges: readonly number[]): number {
  let low = 0
  let high = edges.length - 2
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (edges[middle]! <= value) low = middle
    else high = middle - 1
  }
  return low
}

function runMoments({ field }: StatArgs): ReadRun {
  const tiles: number[] = []
  const count: number[] = []
  const sum: number[] = []
  const min: number[] = []
  const max: number[] = []
  const m2: number[] = []
  return {
    visit(cells, window) {
      const column = cells.column(field)
      let total = 0
      let low = Number.POSITIVE_INFINITY
      let high = Number.NEGATIVE_INFINITY
      eachValue(column, window, (value) => {
        total += value
        if (value < low) low = value
        if (value > high) high = value
      })
      const lsus = window.w * window.h
      const mean = total / lsus
      let squares = 0
      eachValue(column, window, (value) => {
        squares += (value - mean) * (value - mean)
      })
      tiles.push(window.tile)
      count.push(lsus)
      sum.push(total)
      min.push(low)
      max.push(high)
      m2.push(squares)
    },
    finish: (): MomentsPartial => ({
      tiles: packTiles(tiles),
      count: packNumbers(count),
      sum: packNumbers(sum),
      min: packNumbers(min),
      max: packNumbers(max),
      m2: packNumbers(m2),
    }),
  }
}

function runCounts({ field, bins }: StatArgs, [low, high]: [number, number]): ReadRun {
  const edges = edgesOf(low, high, bins!)
  const counts = new Float64Array(bins!)
  return {
    visit(cells, window) {
      eachValue(cells.column(field), window, (value) => {
        const bin = binOf(value, edges)
        counts[bin] = counts[bin]! + 1
      })
    },
    finish: (): CountsPartial => ({ counts: packNumbers(counts) }),
  }
}

function eachValue(column: Column, window: TileWindow, visit: (value: number) => void): void {
  for (let row = 0; row < window.h; row++) {
    const start = (window.top + row) * window.stride + window.left
    for (let at = start; at < start + window.w; at++) visit(column[at]!)
  }
}

interface Moments {
  count: number
  sum: number
  min: number
  max: number
  mean: number
  m2: number
}

function fold(partial: MomentsPartial): Moments {
  const tiles = unpackTiles(partial.tiles)
  const [count, sum, min, max, m2] = COLUMNS.slice(1).map((name) =>
    unpackNumbers(partial[name] as Uint8Array),
  ) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array]
  const order = Uint32Array.from(tiles.keys()).sort((a, b) => tiles[a]! - tiles[b]!)
  const total: Moments = {
    count: 0,
    sum: 0,
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
    mean: 0,
    m2: 0,
  }
  for (const index of order) {
    const joined = total.count + count[index]!
    const distance = sum[index]! / count[index]! - total.mean
    total.m2 += m2[index]! + (distance * distance * total.count * count[index]!) / joined
    total.mean += (distance * count[index]!) / joined
    total.count = joined
    total.sum += sum[index]!
    total.min = Math.min(total.min, min[index]!)
    total.max = Math.max(total.max, max[index]!)
  }
  return total
}
