/**
 * Whether the value of a read is one that it may have: each tile as it was at some moment not before the
 * last write that had completed when the read came; and if it says `consistent`, all of them at one.
 */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import {
  type GridModel,
  namedCells,
  type PlainRegion,
  type TileState,
  tilesOfPlain,
} from './grid-model.ts'
import { faultOfOutputs } from './osl-outputs.ts'
import type { TaskStory } from './task-stories.ts'
import { violated } from './violation.ts'

/** Of a task, or of a look. */
export type ReadStory = Pick<TaskStory, 'id' | 'plain' | 'result'> & {
  readonly mustSee: readonly number[]
}

/** Returns what was checked. */
export function checkRead(model: GridModel, story: ReadStory): string {
  const { op, items } = story.plain
  if (items !== undefined) {
    const sha256 = Object.fromEntries(
      items.map(({ key, data }) => [key, createHash('sha256').update(data).digest('hex')]),
    )
    const value = { items: items.length, sha256 }
    if (!isDeepStrictEqual(story.result!.value, value)) violated(`digest ${story.id} is wrong`)
    return 'digest'
  }
  const region = story.plain.region ?? model.grid.geometry.whole
  const isConsistent = story.result!.consistent === true
  if (op === 'get' || op === 'gather') checkTiles(model, story, region)
  if (isConsistent) checkConsistent(model, story, region)
  return isConsistent ? `consistent-${op}` : `inconsistent-${op}`
}

interface GatherValue {
  readonly values: readonly number[]
}

interface GetValue {
  readonly fields: Readonly<Record<string, readonly number[]>>
  readonly status: readonly string[]
}

/** Each tile on its own. */
function checkTiles(model: GridModel, story: ReadStory, region: PlainRegion): void {
  for (const tile of tilesOfPlain(story.plain, model.grid)) {
    const states = model.statesFrom(tile, story.mustSee[tile]!)
    if (states.some((state) => shows(model, story, region, tile, state))) continue
    const older = model
      .statesFrom(tile, 0)
      .find((state) => shows(model, story, region, tile, state))
    violated(
      older === undefined
        ? `read ${story.id} shows tile ${tile} as it never was`
        : `read ${story.id} shows tile ${tile} at ${older.seq}, but ${story.mustSee[tile]} had completed`,
    )
  }
}

/** Whether the part of a value that lies in a tile shows this state of it. */
function shows(
  model: GridModel,
  story: ReadStory,
  region: PlainRegion,
  tile: number,
  state: TileState,
): boolean {
  const { value } = story.result!
  if (story.plain.op === 'get') return showsTile(model, value as GetValue, region, tile, state)
  const { geometry, fields } = model.grid
  const own = geometry.tileRegion(tile)
  const index = fields.findIndex(({ name }) => name === story.plain.args!.field)
  return namedCells(story.plain).every(([x, y], at) => {
    if (!geometry.touches(tile, { x, y, w: 1, h: 1 })) return true
    const number = state.columns[index]![(y - own.y) * own.w + (x - own.x)]
    return (value as GatherValue).values[at] === number
  })
}

function showsTile(
  model: GridModel,
  value: GetValue,
  region: PlainRegion,
  tile: number,
  state: TileState,
): boolean {
  const { geometry, fields } = model.grid
  const own = geometry.tileRegion(tile)
  const part = geometry.overlap(tile, region)
  for (let y = part.y; y < part.y + part.h; y++) {
    for (let x = part.x; x < part.x + part.w; x++) {
      const inValue = (y - region.y) * region.w + (x - region.x)
      const inTile = (y - own.y) * own.w + (x - own.x)
      if (value.status[inValue] !== (state.status[inTile] === 1 ? 'scaled' : 'idle')) return false
      for (const [index, { name }] of fields.entries()) {
        if (value.fields[name]![inValue] !== state.columns[index]![inTile]) return false
      }
    }
  }
  return true
}

/** All of it at one place in the order of writes. */
function checkConsistent(model: GridModel, story: ReadStory, region: PlainRegion): void {
  const tiles = tilesOfPlain(story.plain, model.grid)
  const mustSee = Math.max(...tiles.map((tile) => story.mustSee[tile]!))
  // Writes to other tiles show nothing else.
  const states = tiles.flatMap((tile) => model.statesFrom(tile, mustSee).map(({ seq }) => seq))
  const candidates = [...new Set(states.map((seq) => Math.max(seq, mustSee)))]
  const { op } = story.plain
  const wasLikeThat = (seq: number): boolean => {
    if (op === 'stat') return showsStat(model, story, region, seq)
    if (op === 'overview') return showsOverview(model, story, region, seq)
    if (op === 'program') return showsProgram(model, story, region, seq)
    return tiles.every((tile) => shows(model, story, region, tile, model.tileAt(tile, seq)))
  }
  if (candidates.some(wasLikeThat)) return
  violated(`${story.plain.op} ${story.id} says consistent, but the grid was never like that`)
}

interface StatValue {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly mean: number
  readonly variance: number
  readonly histogram?: { readonly edges: readonly number[]; readonly counts: readonly number[] }
}

function showsStat(model: GridModel, story: ReadStory, region: PlainRegion, seq: number): boolean {
  const { field, bins } = story.plain.args!
  const value = story.result!.value as StatValue
  const numbers = numbersOf(model, field!, region, seq)
  const count = numbers.length
  const sum = numbers.reduce((total, number) => total + number, 0)
  const min = Math.min(...numbers)
  const max = Math.max(...numbers)
  const mean = sum / count
  const variance = numbers.reduce((total, number) => total + (number - mean) ** 2, 0) / count
  const scale = Math.max(1, Math.abs(min), Math.abs(max))
  const isEqual =
    value.count === count &&
    value.min === min &&
    value.max === max &&
    Math.abs(value.mean - mean) <= 1e-9 * scale &&
    Math.abs(value.variance - variance) <= 1e-9 * scale * scale
  if (!isEqual || bins === undefined) return isEqual
  const { edges, counts } = value.histogram!
  const own = new Array<number>(bins).fill(0)
  for (const number of numbers) {
    let bin = bins - 1
    while (bin > 0 && number < edges[bin]!) bin--
    own[bin]! += 1
  }
  return edges[0] === min && edges.at(-1) === max && isDeepStrictEqual(counts, own)
}

function showsProgram(
  model: GridModel,
  story: ReadStory,
  region: PlainRegion,
  seq: number,
): boolean {
  const { source, with: parameters } = story.plain.args!
  const value = story.result!.value as Record<string, unknown>
  const cells = model.cellsAt(region, seq)
  return faultOfOutputs(source!, value, cells, region, parameters!) === undefined
}

interface OverviewValue {
  readonly x: number
  readonly y: number
  readonly columns: number
  readonly rows: number
  readonly mean: Uint8Array
  readonly max: Uint8Array
}

/** Each square is what a plain look at its cells gives; whole numbers have exact sums. */
function showsOverview(
  model: GridModel,
  story: ReadStory,
  region: PlainRegion,
  seq: number,
): boolean {
  const { field, step } = story.plain.args!
  const { x, y, columns, rows, mean, max } = story.result!.value as OverviewValue
  const floats = (bytes: Uint8Array) => new Float32Array(new Uint8Array(bytes).buffer)
  const [means, greatest] = [floats(mean), floats(max)]
  for (let at = 0; at < columns * rows; at++) {
    const left = Math.max(region.x, x + (at % columns) * step!)
    const top = Math.max(region.y, y + Math.floor(at / columns) * step!)
    const right = Math.min(region.x + region.w, x + ((at % columns) + 1) * step!)
    const bottom = Math.min(region.y + region.h, y + (Math.floor(at / columns) + 1) * step!)
    const square = { x: left, y: top, w: right - left, h: bottom - top }
    const numbers = numbersOf(model, field!, square, seq)
    const sum = numbers.reduce((total, number) => total + number, 0)
    if (means[at] !== Math.fround(sum / numbers.length)) return false
    if (greatest[at] !== Math.fround(Math.max(...numbers))) return false
  }
  return true
}

function numbersOf(model: GridModel, field: string, region: PlainRegion, seq: number): number[] {
  const { geometry, fields } = model.grid
  const index = fields.findIndex(({ name }) => name === field)
  const numbers: number[] = []
  for (const tile of geometry.tilesOf(region)) {
    const own = geometry.tileRegion(tile)
    const part = geometry.overlap(tile, region)
    const column = model.tileAt(tile, seq).columns[index]!
    for (let y = part.y; y < part.y + part.h; y++) {
      for (let x = part.x; x < part.x + part.w; x++) {
        numbers.push(column[(y - own.y) * own.w + (x - own.x)]!)
      }
    }
  }
  return numbers
}
