/**
 * The partial result of one reducing microglyph: packed on a node, checked against what was asked for, joined to others
 * in any order to the same bits, and shaped into an output's value.
 */
import type { Geometry, Region } from '../grid/geometry.ts'
import {
  concatBytes,
  packNumbers,
  packTiles,
  unpackNumbers,
  unpackTiles,
} from '../operations/columns.ts'
import {
  isPackedInteger,
  nearest,
  packInteger,
  SUM_EXPONENT,
  unpackInteger,
} from '../operations/exact-sums.ts'
import type { GridContext, Wire } from '../operations/operation.ts'
import { edgesOf } from '../operations/stat.ts'
import type { OutputKind } from './program.ts'
import {
  Count,
  Histogram,
  isBefore,
  type Reduction,
  resultOf,
  type Shown,
  Span,
  Sum,
  Top,
} from './reductions.ts'

export interface CountPartial extends Wire {
  readonly yes: number
  readonly known: number
}

/** Packed integers, in units of 2^-1074 and 2^-2148; as they are once they were merged. */
export interface SumPartial extends Wire {
  readonly count: number
  readonly sum: Uint8Array | bigint
  readonly squares: Uint8Array | bigint
}

/** Of no cell, all but `count` is 0. */
export interface SpanPartial extends Wire {
  readonly count: number
  readonly min: number
  readonly max: number
  readonly minId: number
  readonly maxId: number
}

interface HistogramPartial extends Wire {
  readonly counts: Uint8Array
  readonly below: number
  readonly above: number
}

/** The greatest first, `k` at the most. */
interface TopPartial extends Wire {
  readonly k: number
  readonly values: Uint8Array
  readonly ids: Uint8Array
}

/** Cells of the windows, one after the other. */
interface ShownPartial extends Wire {
  readonly values: Uint8Array
}

/** A reducing microglyph: what it makes, and what it was told. */
export interface Slot {
  readonly number: number
  readonly name: string
  /** Of a histogram low, high and bins; of a top list k. */
  readonly constants: readonly number[]
  readonly isByClass: boolean
}

export function packed(reduction: Reduction): Wire {
  if (reduction instanceof Count) return { ...reduction } satisfies CountPartial
  if (reduction instanceof Sum) {
    const { count, sums } = reduction
    return packedSum(count, sums.sum, sums.squares)
  }
  if (reduction instanceof Span) {
    const { count, min, max, minId, maxId } = reduction
    return packedSpan({ count, min, max, minId, maxId })
  }
  if (reduction instanceof Histogram) {
    const { counts, below, above } = reduction
    return { counts: packNumbers(counts), below, above } satisfies HistogramPartial
  }
  if (reduction instanceof Top) {
    const { k, values, ids } = reduction
    return { k, values: packNumbers(values), ids: packTiles(ids) } satisfies TopPartial
  }
  const columns = (reduction as Shown).parts.map((part) => new Uint8Array(part.buffer))
  return { values: concatBytes(columns) } satisfies ShownPartial
}

export function packedSum(count: number, sum: bigint, squares: bigint): SumPartial {
  return { count, sum: packInteger(sum), squares: packInteger(squares) }
}

export function packedSpan({ count, min, max, minId, maxId }: SpanPartial): SpanPartial {
  if (count === 0) return { count, min: 0, max: 0, minId: 0, maxId: 0 }
  return { count, min: resultOf(min), max: resultOf(max), minId, maxId }
}

function isCount(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max
}

export function isSound(
  partial: Wire,
  { name, constants }: Slot,
  lsus: { asked: number; grid: number },
): boolean {
  switch (name) {
    case 'count': {
      const { yes, known } = partial as Partial<CountPartial>
      return isCount(known, lsus.asked) && isCount(yes, known)
    }
    case 'sum': {
      const { count, sum, squares } = partial as Partial<SumPartial>
      return isCount(count, lsus.asked) && isPackedInteger(sum) && isPackedInteger(squares)
    }
    case 'span': {
      const { count, min, max, minId, maxId } = partial as Partial<SpanPartial>
      const areIds = isCount(minId, lsus.grid - 1) && isCount(maxId, lsus.grid - 1)
      const areNumbers = Number.isFinite(min) && Number.isFinite(max) && min! <= max!
      return isCount(count, lsus.asked) && areNumbers && areIds
    }
    case 'histogram': {
      const { counts, below, above } = partial as Partial<HistogramPartial>
      if (!(counts instanceof Uint8Array) || counts.length !== 8 * constants[2]!) return false
      if (!isCount(below, lsus.asked) || !isCount(above, lsus.asked)) return false
      const bins = unpackNumbers(counts)
      const total = bins.reduce((sum, bin) => sum + bin, below + above)
      return bins.every((bin) => isCount(bin, lsus.asked)) && total <= lsus.asked
    }
    case 'top': {
      const { k, values, ids } = partial as Partial<TopPartial>
      if (k !== constants[0] || !(values instanceof Uint8Array) || !(ids instanceof Uint8Array))
        return false
      const count = ids.length / 4
      if (!isCount(count, constants[0]!) || values.length !== 8 * count) return false
      return (
        unpackNumbers(values).every((value) => Number.isFinite(value)) &&
        unpackTiles(ids).every((id) => id < lsus.grid)
      )
    }
    default: {
      const { values } = partial as Partial<ShownPartial>
      return values instanceof Uint8Array && values.length === 8 * lsus.asked
    }
  }
}

/** What each is says a member that no other has. */
export function merged(left: Wire, right: Wire): Wire {
  if ('yes' in left) {
    const [a, b] = [left as CountPartial, right as CountPartial]
    return { yes: a.yes + b.yes, known: a.known + b.known } satisfies CountPartial
  }
  if ('sum' in left) {
    const [a, b] = [left as SumPartial, right as SumPartial]
    return {
      count: a.count + b.count,
      sum: integerOf(a.sum) + integerOf(b.sum),
      squares: integerOf(a.squares) + integerOf(b.squares),
    } satisfies SumPartial
  }
  if ('minId' in left) return mergedSpans(left as SpanPartial, right as SpanPartial)
  if ('counts' in left) {
    const [a, b] = [left as HistogramPartial, right as HistogramPartial]
    const counts = unpackNumbers(a.counts)
    for (const [bin, count] of unpackNumbers(b.counts).entries()) counts[bin]! += count
    const [below, above] = [a.below + b.below, a.above + b.above]
    return { counts: packNumbers(counts), below, above } satisfies HistogramPartial
  }
  if ('k' in left) return mergedTops(left as TopPartial, right as TopPartial)
  const values = concatBytes([(left as ShownPartial).values, (right as ShownPartial).values])
  return { values } satisfies ShownPartial
}

function integerOf(sum: Uint8Array | bigint): bigint {
  return typeof sum === 'bigint' ? sum : unpackInteger(sum)
}

function mergedSpans(a: SpanPartial, b: SpanPartial): SpanPartial {
  if (a.count === 0 || b.count === 0) return a.count === 0 ? b : a
  const isMinOfA = a.min < b.min || (a.min === b.min && a.minId < b.minId)
  const isMaxOfA = a.max > b.max || (a.max === b.max && a.maxId < b.maxId)
  const [least, greatest] = [isMinOfA ? a : b, isMaxOfA ? a : b]
  return {
    count: a.count + b.count,
    ...{ min: least.min, minId: least.minId, max: greatest.max, maxId: greatest.maxId },
  }
}

function mergedTops(left: TopPartial, right: TopPartial): TopPartial {
  const { k } = left
  const entries = [left, right].flatMap(({ values, ids }) => {
    const numbers = unpackNumbers(values)
    return [...unpackTiles(ids)].map((id, index) => ({ id, value: numbers[index]! }))
  })
  entries.sort((a, b) => (isBefore(a.value, a.id, b.value, b.id) ? -1 : 1))
  entries.length = Math.min(k, entries.length)
  return {
    k,
    values: packNumbers(entries.map(({ value }) => value)),
    ids: packTiles(entries.map(({ id }) => id)),
  }
}

/** How columns and places are told of what a program went over. */
export interface Over {
  shown(values: Float64Array): unknown
  pointOf(id: number, value: number): unknown
}

export function overGrid(tiles: Uint8Array, region: Region, { geometry }: GridContext): Over {
  const { width } = geometry
  return {
    shown: (values) => rowByRow(values, unpackTiles(tiles), region, geometry),
    pointOf: (id, value) => ({ x: id % width, y: Math.floor(id / width), value }),
  }
}

export function shapeOutput(kind: OutputKind, slot: Slot, partial: Wire, over: Over): unknown {
  switch (kind) {
    case 'count':
      return (partial as CountPartial).yes
    case 'any':
      return (partial as CountPartial).yes > 0
    case 'all':
      return (partial as CountPartial).yes === (partial as CountPartial).known
    case 'sum':
    case 'mean':
    case 'var':
      return shapeSum(kind, partial as SumPartial)
    case 'min':
    case 'max':
    case 'argmin':
    case 'argmax':
      return shapeSpan(kind, partial as SpanPartial, over)
    case 'histogram': {
      const { counts, below, above } = partial as HistogramPartial
      const [low, high, bins] = slot.constants as [number, number, number]
      return { edges: edgesOf(low, high, bins), counts: [...unpackNumbers(counts)], below, above }
    }
    case 'top': {
      const { values, ids } = partial as TopPartial
      const numbers = unpackNumbers(values)
      return [...unpackTiles(ids)].map((id, at) => over.pointOf(id, numbers[at]!))
    }
    case 'show':
      return over.shown(unpackNumbers((partial as ShownPartial).values))
  }
}

function shapeSum(kind: 'sum' | 'mean' | 'var', partial: SumPartial): number | null {
  const [sum, squares] = [integerOf(partial.sum), integerOf(partial.squares)]
  const n = BigInt(partial.count)
  if (kind === 'sum') return resultOf(nearest(sum, 1n, SUM_EXPONENT))
  if (n === 0n) return null
  if (kind === 'mean') return nearest(sum, n, SUM_EXPONENT)
  return resultOf(nearest(n * squares - sum * sum, n * n, 2 * SUM_EXPONENT))
}

function shapeSpan(kind: string, partial: SpanPartial, over: Over): unknown {
  const { count, min, max, minId, maxId } = partial
  if (count === 0) return null
  if (kind === 'min' || kind === 'max') return kind === 'min' ? min : max
  return kind === 'argmin' ? over.pointOf(minId, min) : over.pointOf(maxId, max)
}

/** Row by row; what is missing is NaN, which JSON has as null. */
function rowByRow(
  values: Float64Array,
  tiles: Uint32Array,
  region: Region,
  geometry: Geometry,
): number[] {
  const out = new Array<number>(region.w * region.h).fill(Number.NaN)
  let from = 0
  for (const tile of tiles) {
    const window = geometry.overlap(tile, region)
    for (let row = 0; row < window.h; row++) {
      const to = (window.y - region.y + row) * region.w + (window.x - region.x)
      for (let column = 0; column < window.w; column++) out[to + column] = values[from++]!
    }
  }
  return out
}
