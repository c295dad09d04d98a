/**
 * `stat`: count, sum, extremes, mean and population variance of a field over every LSU of the region,
 * with a histogram from min to max when `bins` is given (a second round, once min and max are known). LSUs that hold
 * the field's nodata are counted apart.
 *
 * A node gives the exact sum of its part's values and that of their squares; the gateway adds these up
 * and rounds once. So a value is right to the last bit, and does not depend on which node answered for
 * which tile.
 */
import * as v from 'valibot'
import type { Column } from '../grid/fields.ts'
import { parseWith, wholeWithin } from '../protocol/problems.ts'
import { areTiles, concatBytes, packNumbers, packTiles, unpackNumbers } from './columns.ts'
import {
  ExactSums,
  isPackedInteger,
  nearest,
  packInteger,
  SUM_EXPONENT,
  unpackInteger,
} from './exact-sums.ts'
import { namedField } from './field-values.ts'
import type { ReadOperation, ReadRun, TileWindow, Wire } from './operation.ts'

export const STAT_BINS_MAX = 1024

interface StatArgs extends Wire {
  /** Index of the field. */
  readonly field: number
  readonly bins?: number
  /** LSUs that hold this are left out. */
  readonly nodata?: number
  /** Of the second round: the range that the bins cut. */
  readonly range?: [min: number, max: number]
}

/** Round one. */
interface MomentsPartial extends Wire {
  readonly tiles: Uint8Array
  /** Of no LSU, both extremes are 0. */
  readonly count: number
  /** LSUs that hold nodata; there if the arguments say which. An older node leaves it out, and so is no answer. */
  readonly missing?: number
  readonly min: number
  readonly max: number
  /** Packed integers, in units of 2^-1074 and 2^-2148; as they are once they were merged. */
  readonly sum: Uint8Array | bigint
  readonly squares: Uint8Array | bigint
}

/** Round two: LSUs in each bin. */
interface CountsPartial extends Wire {
  readonly counts: Uint8Array
  readonly missing?: number
}

const schema = v.strictObject({
  field: v.string(),
  bins: v.optional(wholeWithin(1, STAT_BINS_MAX)),
})

export const stat: ReadOperation = {
  kind: 'read',
  name: 'stat',
  about: {
    does: 'sums a field up over a region: extremes, mean, variance, and a histogram if bins are asked for',
    args: [
      { name: 'field', kind: 'field' },
      { name: 'bins', kind: 'whole', isOptional: true, min: 1, max: STAT_BINS_MAX },
    ],
  },
  parse(input, _region, context) {
    const shape = parseWith(schema, input, 'args')
    const problems = shape.ok ? [] : [...shape.problems]
    const field = namedField(input, context.fields, problems)
    if (!shape.ok || field === undefined || problems.length > 0) return { ok: false, problems }
    const { bins } = shape.value
    const { nodata } = field
    const args = {
      field: context.fields.indexOf(field),
      ...(bins === undefined ? {} : { bins }),
      ...(nodata === undefined ? {} : { nodata }),
    }
    return { ok: true, value: args satisfies StatArgs }
  },
  fieldsOf: (args) => [(args as StatArgs).field],
  resultBytesPerTile: () => 4,
  run(args, context) {
    const { range } = args as StatArgs
    if (range !== undefined) return runCounts(args as StatArgs, range)
    return runMoments(args as StatArgs, context.geometry.tile ** 2)
  },
  faultOf(partial, { args, tiles, lsus }) {
    const { bins, range, nodata } = args as StatArgs
    const missing = partial.missing ?? 0
    const saysMissing = (partial.missing !== undefined) === (nodata !== undefined)
    if (!saysMissing || !isWhole(missing, lsus)) return 'it does not say what is missing'
    if (range !== undefined) {
      const { counts } = partial as Partial<CountsPartial>
      const isOfBins = counts instanceof Uint8Array && counts.length === 8 * bins!
      const total = isOfBins ? unpackNumbers(counts).reduce((sum, count) => sum + count, 0) : 0
      return total + missing === lsus ? undefined : 'its bins do not hold what was asked for'
    }
    const { tiles: packed, count, min, max, sum, squares } = partial as Partial<MomentsPartial>
    const isOfTiles = areTiles(packed, tiles) && isWhole(count, lsus) && count + missing === lsus
    if (!isOfTiles) return 'it is not of the tiles that were asked for'
    const isSound =
      Number.isFinite(min) &&
      Number.isFinite(max) &&
      min! <= max! &&
      isPackedInteger(sum) &&
      isPackedInteger(squares)
    return isSound ? undefined : 'its numbers are none'
  },
  merge(left, right) {
    if ('counts' in left) {
      const sums = unpackNumbers((left as CountsPartial).counts)
      unpackNumbers((right as CountsPartial).counts).forEach((count, index) => {
        sums[index] = sums[index]! + count
      })
      return { counts: packNumbers(sums), ...addedMissing(left, right) } satisfies CountsPartial
    }
    const a = left as MomentsPartial
    const b = right as MomentsPartial
    const extremes = [a, b].filter(({ count }) => count > 0)
    return {
      tiles: concatBytes([a.tiles, b.tiles]),
      count: a.count + b.count,
      ...addedMissing(left, right),
      min: extremes.reduce((least, { min }) => Math.min(least, min), extremes[0]?.min ?? 0),
      max: extremes.reduce((greatest, { max }) => Math.max(greatest, max), extremes[0]?.max ?? 0),
      sum: integerOf(a.sum) + integerOf(b.sum),
      squares: integerOf(a.squares) + integerOf(b.squares),
    } satisfies MomentsPartial
  },
  nextRound(total, args) {
    const { bins, range } = args as StatArgs
    const { count, min, max } = total as MomentsPartial
    if (bins === undefined || range !== undefined || count === 0) return undefined
    return { ...args, range: [min, max] }
  },
  finish(rounds, args) {
    const { bins } = args as StatArgs
    const { count, missing, min, max, ...packed } = rounds[0] as MomentsPartial
    const [sum, squares] = [integerOf(packed.sum), integerOf(packed.squares)]
    const n = BigInt(count)
    const counts = { count, ...(missing === undefined ? {} : { missing }) }
    if (count === 0) {
      const none = { sum: 0, min: null, max: null, mean: null, variance: null }
      const histogram = bins === undefined ? {} : { histogram: { edges: [], counts: [] } }
      return { ...counts, ...none, ...histogram }
    }
    const value = {
      ...counts,
      sum: nearest(sum, 1n, SUM_EXPONENT),
      min,
      max,
      mean: nearest(sum, n, SUM_EXPONENT),
      variance: nearest(n * squares - sum * sum, n * n, 2 * SUM_EXPONENT),
    }
    if (bins === undefined) return value
    const inBins = Array.from(unpackNumbers((rounds[1] as CountsPartial).counts))
    return { ...value, histogram: { edges: edgesOf(min, max, bins), counts: inBins } }
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
export function binOf(value: number, edges: readonly number[]): number {
  let low = 0
  let high = edges.length - 2
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (edges[middle]! <= value) low = middle
    else high = middle - 1
  }
  return low
}

function isWhole(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max
}

function addedMissing(left: Wire, right: Wire): { missing?: number } {
  if (left.missing === undefined) return {}
  return { missing: (left.missing as number) + (right.missing as number) }
}

function runMoments({ field, nodata }: StatArgs, lsusMax: number): ReadRun {
  const tiles: number[] = []
  const values = new Float64Array(lsusMax)
  const words = new Int32Array(values.buffer)
  const sums = new ExactSums()
  // No number is equal to it.
  const none = nodata ?? Number.NaN
  let count = 0
  let missing = 0
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  return {
    visit(cells, window) {
      tiles.push(window.tile)
      const one = cells.valueOf(field)
      if (one === none) {
        missing += window.w * window.h
        return
      }
      if (one !== undefined) {
        values[0] = one
        if (one < min) min = one
        if (one > max) max = one
        sums.addSame(words, window.w * window.h)
        count += window.w * window.h
        return
      }
      const column = cells.column(field)
      let lsus = 0
      // What a closure keeps is slow to change: locals, until the tile is done.
      let [low, high] = [min, max]
      for (let row = 0; row < window.h; row++) {
        const start = (window.top + row) * window.stride + window.left
        for (let at = start; at < start + window.w; at++) {
          const value = column[at]!
          if (value === none) continue
          values[lsus++] = value
          if (value < low) low = value
          if (value > high) high = value
        }
      }
      min = low
      max = high
      sums.add(words, lsus)
      count += lsus
      missing += window.w * window.h - lsus
    },
    finish: (): MomentsPartial => ({
      tiles: packTiles(tiles),
      count,
      ...(nodata === undefined ? {} : { missing }),
      ...(count === 0 ? { min: 0, max: 0 } : { min, max }),
      sum: packInteger(sums.sum),
      squares: packInteger(sums.squares),
    }),
  }
}

function runCounts({ field, bins, nodata }: StatArgs, [low, high]: [number, number]): ReadRun {
  const edges = edgesOf(low, high, bins!)
  const counts = new Float64Array(bins!)
  const none = nodata ?? Number.NaN
  let missing = 0
  return {
    visit(cells, window) {
      const one = cells.valueOf(field)
      if (one === none) {
        missing += window.w * window.h
        return
      }
      if (one !== undefined) {
        const bin = binOf(one, edges)
        counts[bin] = counts[bin]! + window.w * window.h
        return
      }
      eachValue(cells.column(field), window, (value) => {
        if (value === none) {
          missing++
          return
        }
        const bin = binOf(value, edges)
        counts[bin] = counts[bin]! + 1
      })
    },
    finish: (): CountsPartial => ({
      counts: packNumbers(counts),
      ...(nodata === undefined ? {} : { missing }),
    }),
  }
}

function eachValue(column: Column, window: TileWindow, visit: (value: number) => void): void {
  for (let row = 0; row < window.h; row++) {
    const start = (window.top + row) * window.stride + window.left
    for (let at = start; at < start + window.w; at++) visit(column[at]!)
  }
}

function integerOf(sum: Uint8Array | bigint): bigint {
  return typeof sum === 'bigint' ? sum : unpackInteger(sum)
}
