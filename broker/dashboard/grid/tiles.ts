/**
 * Who holds each tile, and whether it was ever written, as `GET /api/ring/tiles` tells it. Runs of tiles are
 * rectangles one tile high, so that layers of a grid of 262,144 tiles are drawn as a few hundred.
 */
import type { GridSize, Region } from '../../../shared/grid/geometry.ts'
import { TILE_BORN, TILE_UNBORN, TILES_SHOWN_MAX } from '../../../shared/protocol/ring-tiles.ts'
import { overlapOf } from './regions.ts'

export interface TileMap {
  readonly epoch: number
  /** Which tiles, counted in tiles. */
  readonly area: Region
  readonly members: readonly string[]
  /** Holders a tile at most. */
  readonly replicas: number
  /** `replicas` numbers a tile: 0 for nobody, else the place in `members`, from 1 on. */
  readonly holders: Uint32Array
  /** One number a tile. */
  readonly state: Uint8Array
}

/** What the gateway sent, if it is a map of tiles. */
export function readTileMap(answer: unknown): TileMap | undefined {
  const { epoch, x, y, w, h, members, replicas, holders, state } = answer as Record<string, unknown>
  if (!(holders instanceof Uint8Array && state instanceof Uint8Array)) return undefined
  const area = { x, y, w, h } as Region
  const tiles = area.w * area.h
  if (state.length !== tiles || holders.length !== tiles * Number(replicas) * 4) return undefined
  return {
    ...{ epoch: Number(epoch), area, replicas: Number(replicas), state },
    members: members as readonly string[],
    // A copy of its own: numbers of four bytes must lie at a multiple of four.
    holders: new Uint32Array(new Uint8Array(holders).buffer),
  }
}

/** The part of the grid to ask for, in tiles: all, else what is in sight; nothing if that is too much. */
export function tilesToAsk(grid: GridSize, visible: Region): Region | undefined {
  const whole = { x: 0, y: 0, w: grid.width, h: grid.height }
  return [whole, visible]
    .map((cells) => tilesOf(cells, grid))
    .find(({ w, h }) => w * h <= TILES_SHOWN_MAX)
}

/** The tiles that a region of cells touches, counted in tiles. */
export function tilesOf({ x, y, w, h }: Region, { tile }: GridSize): Region {
  const left = Math.floor(x / tile)
  const top = Math.floor(y / tile)
  return {
    x: left,
    y: top,
    w: Math.ceil((x + w) / tile) - left,
    h: Math.ceil((y + h) / tile) - top,
  }
}

/** Where a tile stands in the lists of `map`. */
function placeOf({ area }: TileMap, x: number, y: number): number | undefined {
  const isInside = x >= area.x && y >= area.y && x < area.x + area.w && y < area.y + area.h
  return isInside ? (y - area.y) * area.w + x - area.x : undefined
}

/** Of a tile by its place in the grid. */
export function stateOf(map: TileMap, x: number, y: number): number | undefined {
  const place = placeOf(map, x, y)
  return place === undefined ? undefined : map.state[place]
}

export interface TileView {
  readonly holders: readonly string[]
  readonly state: number
}

/** A tile by its place in the grid, if the map has it. */
export function tileView(map: TileMap, x: number, y: number): TileView | undefined {
  const place = placeOf(map, x, y)
  if (place === undefined) return undefined
  const slots = map.holders.subarray(place * map.replicas, (place + 1) * map.replicas)
  const holders = [...slots].filter((slot) => slot > 0).map((slot) => map.members[slot - 1]!)
  return { holders, state: map.state[place]! }
}

/**
 * The map once these cells are written: tiles that were not before are. Nothing if all of them were, as far as the map
 * knows.
 */
export function written(map: TileMap, cells: Region, grid: GridSize): TileMap | undefined {
  const seen = overlapOf(tilesOf(cells, grid), map.area)
  if (seen === undefined) return undefined
  const state = map.state.slice()
  let isOther = false
  for (let y = seen.y; y < seen.y + seen.h; y++) {
    const start = placeOf(map, seen.x, y)!
    for (let place = start; place < start + seen.w; place++) {
      if (state[place] !== TILE_UNBORN) continue
      state[place] = TILE_BORN
      isOther = true
    }
  }
  return isOther ? { ...map, state } : undefined
}

export interface Run {
  readonly kind: number
  /** In cells. */
  readonly region: Region
}

/** By the state of tiles. */
export const byState =
  (map: TileMap, state: number) =>
  (place: number): number =>
    map.state[place] === state ? 1 : 0

/**
 * By who stands first among the holders: 0 for nobody, else the place in `members`, from 1 on. With a node given,
 * only tiles of which it has a copy.
 */
export function byHolder(map: TileMap, node?: string): (place: number) => number {
  if (node === undefined) return (place) => map.holders[place * map.replicas]!
  const slot = map.members.indexOf(node) + 1
  return (place) => {
    const start = place * map.replicas
    const isHolder = slot > 0 && map.holders.subarray(start, start + map.replicas).includes(slot)
    return isHolder ? slot : 0
  }
}

/** By how many hold it. */
export const byCount =
  (map: TileMap) =>
  (place: number): number => {
    const start = place * map.replicas
    return map.holders.subarray(start, start + map.replicas).filter((slot) => slot > 0).length
  }

/**
 * What the layer of holders shows: whoever stands first, or all that the chosen node has; of a large fleet, whose
 * colours nobody could tell apart, how many hold each tile.
 */
export function kindsOf(
  map: TileMap,
  { isLarge, node }: { readonly isLarge: boolean; readonly node: string | undefined },
): (place: number) => number {
  return isLarge && node === undefined ? byCount(map) : byHolder(map, node)
}

/** How many tiles have so many copies, by that number. */
export function copiesOf(map: TileMap): Uint32Array {
  const copies = new Uint32Array(map.replicas + 1)
  const countAt = byCount(map)
  for (let place = 0; place < map.state.length; place++) copies[countAt(place)]!++
  return copies
}

/** How many tiles each of `members` has copies of, as far as the map goes. */
export function countsOf(map: TileMap): Uint32Array {
  const counts = new Uint32Array(map.members.length)
  for (const slot of map.holders) if (slot > 0) counts[slot - 1]!++
  return counts
}

interface InSight {
  readonly stage: { readonly grid: GridSize }
  readonly visible: Region
}

/** Tiles in sight that are beside each other and of one kind, as rectangles; those of kind 0 are left out. */
export function runsOf(
  map: TileMap,
  { stage: { grid }, visible }: InSight,
  kindOf: (place: number) => number,
): Run[] {
  const seen = overlapOf(tilesOf(visible, grid), map.area)
  const runs: Run[] = []
  if (seen === undefined) return runs
  const { tile: side, width, height } = grid
  for (let row = seen.y; row < seen.y + seen.h; row++) {
    const y = row * side
    const h = Math.min(side, height - y)
    const first = placeOf(map, seen.x, row)!
    let start = 0
    for (let column = 1; column <= seen.w; column++) {
      const kind = kindOf(first + start)
      if (column < seen.w && kindOf(first + column) === kind) continue
      const x = (seen.x + start) * side
      const right = Math.min(width, (seen.x + column) * side)
      if (kind !== 0) runs.push({ kind, region: { x, y, w: right - x, h } })
      start = column
    }
  }
  return runs
}

/**
 * The colour of a node: red, green and blue, 0 to 255. Hues apart from each other for any number of nodes: each is a golden
 * angle from the one before, and every other one is darker.
 */
export function colourOf(member: number): readonly [red: number, green: number, blue: number] {
  const hue = (member * 137.508) % 360
  const light = member % 2 === 0 ? 0.42 : 0.58
  const spread = 0.62 * Math.min(light, 1 - light)
  // CSS Color 4, 7.1: a channel by how far the hue is from it.
  const channel = (start: number): number => {
    const at = (start + hue / 30) % 12
    return Math.round(255 * (light - spread * Math.max(-1, Math.min(at - 3, 9 - at, 1))))
  }
  return [channel(0), channel(8), channel(4)]
}
