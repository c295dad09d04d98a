/**
 * Whether the value of a read is one that it may have: each tile as it was at some moment not before the
 * last write that had completed when the read came; and if it says `consistent`, all of them at one.
 */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { GridModel, PlainRegion, TileState } from './grid-model.ts'
import type { TaskStory } from './task-stories.ts'
import { violated } from './violation.ts'

/** Returns what was checked. */
export function checkRead(model: GridModel, story: TaskStory): string {
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
  if (op === 'get') checkTiles(model, story, region)
  if (isConsistent) checkConsistent(model, story, region)
  return isConsistent ? `consistent-${op}` : `inconsistent-${op}`
}

interface GetValue {
  readonly fields: Readonly<Record<string, readonly number[]>>
  readonly status: readonly string[]
}

/** Each tile on its own. */
function checkTiles(model: GridModel, story: TaskStory, region: PlainRegion): void {
  const value = story.result!.value as GetValue
  for (const tile of model.grid.geometry.tilesOf(region)) {
    const states = model.statesFrom(tile, story.mustSee[tile]!)
    if (states.some((state) => showsTile(model, value, region, tile, state))) continue
    const older = model
      .statesFrom(tile, 0)
      .find((state) => showsTile(model, value, region, tile, state))
    violated(
      older === undefined
        ? `read ${story.id} shows tile ${tile} as it never was`
        : `read ${story.id} shows tile ${tile} at ${older.seq}, but ${story.mustSee[tile]} had completed`,
    )
  }
}

/** Whether the part of a value that lies in a tile shows this state of it. */
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
function checkConsistent(model: GridModel, story: TaskStory, region: PlainRegion): void {
  const tiles = [...model.grid.geometry.tilesOf(region)]
  const mustSee = Math.max(...tiles.map((tile) => story.mustSee[tile]!))
  const candidates = [0, ...model.sequences].filter((seq) => seq >= mustSee)
  const shows = (seq: number): boolean =>
    story.plain.op === 'get'
      ? tiles.every((tile) =>
          showsTile(model, story.result!.value as GetValue, region, tile, model.tileAt(tile, seq)),
        )
      : showsStat(model, story, region, seq)
  if (candidates.some(shows)) return
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

function showsStat(model: GridModel, story: TaskStory, region: PlainRegion, seq: number): boolean {
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
