/**
 * What a task over the grid goes over: all LSUs of its region, or those that it names one by one. Then its
 * region is the box around them, and most tiles of the box may be none of its own.
 */

import type { Geometry, Region } from '../../../shared/grid/geometry.ts'
import { countInTiles, tilesOfIds } from '../../../shared/operations/named-lsus.ts'
import type { GridContext, Wire } from '../../../shared/operations/operation.ts'
import { edgeBytesMax, reachOf } from '../../../shared/operations/osl-near.ts'
import type { TaskBody } from '../../../shared/protocol/task.ts'
import { operationOf } from './task-ledger.ts'

/** Of arguments that name LSUs: asked for with each write, acknowledgement and plan. */
const namedTiles = new WeakMap<Wire, Uint32Array>()

/** Of tasks over the whole of a grid. */
const allTiles = new WeakMap<Geometry, Uint32Array>()

/** The ids of its tiles, ascending; others are given the same. */
export function tilesOf(body: TaskBody, { geometry }: GridContext): Uint32Array {
  const ids = namedLsusOf(body)
  if (ids === undefined) return tilesIn(body.region!, geometry)
  let tiles = namedTiles.get(body.args)
  if (tiles === undefined) {
    tiles = tilesOfIds(ids, geometry)
    namedTiles.set(body.args, tiles)
  }
  return tiles
}

function tilesIn(region: Region, geometry: Geometry): Uint32Array {
  if (geometry.countTilesOf(region) < geometry.tiles) return geometry.tilesOf(region)
  const tiles = allTiles.get(geometry) ?? geometry.tilesOf(region)
  allTiles.set(geometry, tiles)
  return tiles
}

/** Its region, and what it reads around it. */
export function regionRead(body: TaskBody, { geometry }: GridContext): Region {
  const reach = reachOf(body)
  return reach === 0 ? body.region! : geometry.grown(body.region!, reach)
}

/** The tiles of that: its own, mostly. */
export function tilesRead(body: TaskBody, grid: GridContext): Uint32Array {
  if (reachOf(body) === 0) return tilesOf(body, grid)
  return grid.geometry.tilesOf(regionRead(body, grid))
}

/** The most bytes that what it reads around its tiles adds to what it is accepted with. */
export function bytesReadOf(body: TaskBody, grid: GridContext): number {
  if (reachOf(body) === 0) return 0
  return edgeBytesMax(body.args, grid.geometry.countTilesOf(regionRead(body, grid)), grid)
}

/** Whether a tile is one of its own. */
export function goesOver(body: TaskBody, tile: number, grid: GridContext): boolean {
  if (!grid.geometry.touches(tile, body.region!)) return false
  const ids = namedLsusOf(body)
  if (ids === undefined) return true
  return countInTiles(ids, Uint32Array.of(tile), grid.geometry) > 0
}

/** How many LSUs it goes over. */
export function lsusOf(body: TaskBody): number {
  const { w, h } = body.region!
  return namedLsusOf(body)?.length ?? w * h
}

/** How many of them lie in these tiles, which are its own. */
export function lsusIn(body: TaskBody, tiles: Uint32Array, { geometry }: GridContext): number {
  const ids = namedLsusOf(body)
  if (ids !== undefined) return countInTiles(ids, tiles, geometry)
  const region = body.region!
  let lsus = 0
  for (const tile of tiles) {
    if (geometry.isWithin(tile, region)) lsus += geometry.tileLsus(tile)
    else {
      const { w, h } = geometry.overlap(tile, region)
      lsus += w * h
    }
  }
  return lsus
}

/** Those that it names, in the order of tiles; nothing where it goes over its region. */
export function namedLsusOf(body: TaskBody): Uint32Array | undefined {
  const operation = operationOf(body)
  return operation.kind === 'items' ? undefined : operation.idsOf?.(body.args)
}
