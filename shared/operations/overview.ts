/**
 * `overview`: a field over a region as squares, each with the mean, the least and the greatest of its
 * LSUs: what a picture is drawn from. All numbers are f32; what is beyond its range is at its end, and
 * a mean is one of numbers that were brought into that range before. Only LSUs of the region count.
 *
 * Up to the tile's side a square lies in one tile, and the node that answers for the tile gives its
 * final numbers. Above, a node gives the sum of each tile, and the gateway adds these in the order of
 * the tiles: so a value does not depend on which node answered for which tile, nor on the order of parts. LSUs that hold
 * the field's nodata are left out; nodes count the others then.
 */
import * as v from 'valibot'
import { bytesOfColumn, columnFromBytes, FIELD_BYTES } from '../grid/fields.ts'
import { GRID_SIDE_MAX, type Region } from '../grid/geometry.ts'
import {
  joinPath,
  PROBLEMS_MAX,
  type Problem,
  parseWith,
  wholeWithin,
} from '../protocol/problems.ts'
import { areTiles, concatBytes, unpackTiles } from './columns.ts'
import { namedField } from './field-values.ts'
import {
  type AskedTiles,
  type GridContext,
  type ReadOperation,
  TILE_ID_BYTES,
  type Wire,
} from './operation.ts'
import {
  ANSWERS,
  type Answer,
  type OverviewPartial,
  runOverview,
  type Source,
  sourceOf,
} from './overview-run.ts'
import { PlacedSquares } from './placed-squares.ts'
import { countSquares, leastStep, SQUARES_MAX, STEP_MAX, squaresOf, stepsOf } from './squares.ts'

/** Of a picture whose size nobody gave. */
const PICTURE_SIDE = 512
const PICTURE_SIDES = { min: 1, max: GRID_SIDE_MAX, default: PICTURE_SIDE }

export interface OverviewArgs extends Wire {
  /** Index of the field. */
  readonly field: number
  readonly step: number
  readonly of: readonly Answer[]
  /** Tiles of which every copy is lost are left out. */
  readonly holes: boolean
  /** LSUs that hold this are left out. */
  readonly nodata?: number
}

const PARTIAL_KEYS = ['tiles', 'mean', 'sum', 'min', 'max', 'count'] as const
const NO_BYTES = new Uint8Array(0)

const schema = v.strictObject({
  field: v.string(),
  step: v.optional(wholeWithin(1, STEP_MAX)),
  width: v.optional(wholeWithin(1, GRID_SIDE_MAX)),
  height: v.optional(wholeWithin(1, GRID_SIDE_MAX)),
  of: v.optional(v.custom<unknown[]>(Array.isArray, `a list of ${ANSWERS.join(', ')}`)),
  holes: v.optional(v.boolean(), false),
})

export const overview: ReadOperation = {
  kind: 'read',
  name: 'overview',
  about: {
    does: 'gives a field over a region as squares: what a picture is drawn from',
    args: [
      { name: 'field', kind: 'field' },
      { name: 'step', kind: 'whole', isOptional: true, min: 1, max: STEP_MAX },
      { name: 'width', kind: 'whole', isOptional: true, ...PICTURE_SIDES },
      { name: 'height', kind: 'whole', isOptional: true, ...PICTURE_SIDES },
      { name: 'of', kind: 'choices', isOptional: true, choices: ANSWERS, default: ['mean'] },
      { name: 'holes', kind: 'flag', isOptional: true, default: false },
    ],
  },
  parse(input, region, context) {
    const shape = parseWith(schema, input, 'args')
    const problems = shape.ok ? [] : [...shape.problems]
    const field = namedField(input, context.fields, problems)
    if (!shape.ok) return { ok: false, problems }
    const { step, width, height, holes } = shape.value
    const of = parseAnswers(shape.value.of, problems)
    const { tile } = context.geometry
    if (step !== undefined) checkStep(step, region, tile, problems)
    if (step !== undefined && (width ?? height) !== undefined) {
      const message = 'args.step goes with neither width nor height'
      problems.push({ path: 'args.step', code: 'not-allowed', message })
    }
    if (field === undefined || problems.length > 0) return { ok: false, problems }
    const picture = { width: width ?? PICTURE_SIDE, height: height ?? PICTURE_SIDE }
    const chosen = step ?? (region === undefined ? tile : leastStep(region, tile, picture))
    const index = context.fields.indexOf(field)
    const nodata = field.nodata === undefined ? {} : { nodata: field.nodata }
    const args = { field: index, step: chosen, of, holes, ...nodata }
    return { ok: true, value: args satisfies OverviewArgs }
  },
  fieldsOf: (args) => [(args as OverviewArgs).field],
  leavesHoles: (args) => (args as OverviewArgs).holes,
  resultBytesPerTile(args, { geometry }) {
    const { step } = args as OverviewArgs
    const squares = step < geometry.tile ? (geometry.tile / step) ** 2 : 1
    const each = sourcesOf(args as OverviewArgs, geometry.tile).map(bytesOf)
    return TILE_ID_BYTES + squares * each.reduce((sum, bytes) => sum + bytes, 0)
  },
  run: (args, context) => runOverview(args as OverviewArgs, context),
  faultOf(partial, asked, context) {
    const sources = sourcesOf(asked.args as OverviewArgs, context.geometry.tile)
    const { tiles, ...given } = partial
    if (!areTiles(tiles, asked.tiles)) return 'it is not of the tiles that were asked for'
    if (Object.keys(given).length !== sources.length)
      return 'it has not what was asked of each square'
    const count = recordsOf(asked, context)
    const isSound = sources.every((name) => {
      const bytes = given[name]
      if (!(bytes instanceof Uint8Array) || bytes.length !== count * bytesOf(name)) return false
      return unpack(name, bytes).every((number) => {
        return Number.isFinite(number) && (name !== 'count' || isCount(number, asked.lsus))
      })
    })
    return isSound ? undefined : 'it has not the numbers of its squares'
  },
  merge(left, right) {
    const both = PARTIAL_KEYS.filter((key) => left[key] !== undefined)
    return Object.fromEntries(
      both.map((key) => [key, concatBytes([left[key] as Uint8Array, right[key] as Uint8Array])]),
    )
  },
  finish(rounds, args, region, context) {
    const { field, step, of, holes, nodata } = args as OverviewArgs
    // With holes there may have been nobody to ask.
    const { tiles = NO_BYTES, ...columns } = rounds[0] as Partial<OverviewPartial>
    const squares = squaresOf(region, step)
    const placed = new PlacedSquares(unpackTiles(tiles), squares, region, context.geometry)
    if (nodata !== undefined) placed.countOnly(unpack('count', columns.count ?? NO_BYTES))
    const numbers = of.map((name) => {
      const from = sourceOf(name, step > context.geometry.tile)
      const joined = placed.join(name, unpack(from, columns[from] ?? NO_BYTES))
      return [name, bytesOfColumn(joined)] as const
    })
    return {
      field: context.fields[field]!.name,
      ...squares,
      ...Object.fromEntries(numbers),
      ...(holes ? { count: bytesOfColumn(Float32Array.from(placed.counts)) } : {}),
    }
  },
}

/** What a node gives of each square. */
function sourcesOf({ step, of, nodata }: OverviewArgs, tile: number): Source[] {
  const sources = of.map((answer) => sourceOf(answer, step > tile))
  return nodata === undefined ? sources : [...sources, 'count']
}

function isCount(number: number, max: number): boolean {
  return Number.isInteger(number) && number >= 0 && number <= max
}

function parseAnswers(given: unknown[] | undefined, problems: Problem[]): Answer[] {
  if (given === undefined) return ['mean']
  const choice = ANSWERS.join(', ')
  for (const [index, name] of given.entries()) {
    if (problems.length >= PROBLEMS_MAX) break
    const path = joinPath('args.of', index)
    if (!ANSWERS.some((one) => one === name)) {
      problems.push({ path, code: 'wrong-type', message: `${path} must be one of ${choice}` })
    } else if (given.indexOf(name) < index) {
      problems.push({ path, code: 'duplicate', message: `${path} names "${name}" again` })
    }
  }
  if (given.length === 0) {
    const message = `args.of names nothing (${choice})`
    problems.push({ path: 'args.of', code: 'wrong-count', message })
  }
  return ANSWERS.filter((one) => given.includes(one))
}

/** A step that was asked for: there must be such squares, and not too many of them. */
function checkStep(
  step: number,
  region: Region | undefined,
  tile: number,
  problems: Problem[],
): void {
  const path = 'args.step'
  if (!stepsOf(tile).includes(step)) {
    const message = `${path} is ${step}, expected a divisor of the tile's side ${tile}, or that times a power of two`
    problems.push({ path, code: 'out-of-range', message })
  } else if (region !== undefined) {
    const count = countSquares(region, step)
    if (count <= SQUARES_MAX) return
    const message = `the region has ${count} squares of step ${step}, at most ${SQUARES_MAX} are given`
    problems.push({ path, code: 'too-large', message })
  }
}

function bytesOf(name: Source): number {
  return FIELD_BYTES[name === 'sum' ? 'f64' : 'f32']
}

function unpack(name: Source, bytes: Uint8Array): Float32Array | Float64Array {
  return columnFromBytes(name === 'sum' ? 'f64' : 'f32', bytes) as Float32Array | Float64Array
}

/** How many a partial result has in each of its columns. */
function recordsOf({ args, tiles, region }: AskedTiles, { geometry }: GridContext): number {
  const { step } = args as OverviewArgs
  if (step >= geometry.tile) return tiles.length
  let count = 0
  for (const tile of tiles) count += countSquares(geometry.overlap(tile, region), step)
  return count
}
