/**
 * LSUs that a task names one by one. In the normal form their ids stand in the order of tiles, and in
 * the order of ids inside each, packed as u32: what lies in a tile is one run, which is found by halves.
 */
import type { Geometry, Region } from '../grid/geometry.ts'

const ID_BYTES = 4
const INDEXES = 65_536

/** Without a copy where the bytes lie so that it can be. */
export function unpackIds(bytes: Uint8Array): Uint32Array {
  const length = Math.floor(bytes.length / ID_BYTES)
  const isAligned = bytes.byteOffset % ID_BYTES === 0
  const { buffer, byteOffset } = isAligned ? bytes : new Uint8Array(bytes)
  return new Uint32Array(buffer, byteOffset, length)
}

export function packIds(ids: Uint32Array): Uint8Array {
  return new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)
}

/** Where an LSU stands in its tile, which covers `own`; a RangeError if it is of another. */
export function cellOf(id: number, own: Region, { width }: Geometry): number {
  const y = Math.floor(id / width)
  const column = id - y * width - own.x
  const row = y - own.y
  if (column < 0 || row < 0 || column >= own.w || row >= own.h) {
    throw new RangeError(`LSU ${id} is of another tile`)
  }
  return row * own.w + column
}

export function tileOf(id: number, { width, tile, tilesAcross }: Geometry): number {
  const row = Math.floor(id / width)
  return Math.floor(row / tile) * tilesAcross + Math.floor((id - row * width) / tile)
}

/** Indexes of ids, at most 65,536, in the order of the normal form; equal ids in the order they came in. */
export function orderOfIds(ids: Uint32Array, geometry: Geometry): Uint32Array {
  const { width, tile: side } = geometry
  // One number for each: which tile, which LSU in a whole tile (below 2^27 together), and which index (below
  // 2^16). To sort numbers as they are takes a tenth of sorting by a function.
  const keys = new Float64Array(ids.length)
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index]!
    const row = Math.floor(id / width)
    const cell = (row % side) * side + ((id - row * width) % side)
    keys[index] = (tileOf(id, geometry) * side * side + cell) * INDEXES + index
  }
  keys.sort()
  const order = new Uint32Array(ids.length)
  for (let at = 0; at < order.length; at++) order[at] = keys[at]! % INDEXES
  return order
}

/** The tiles of ids in their order, ascending. */
export function tilesOfIds(ids: Uint32Array, geometry: Geometry): Uint32Array {
  const tiles = new Uint32Array(ids.length)
  let count = 0
  for (const id of ids) {
    const tile = tileOf(id, geometry)
    if (count === 0 || tiles[count - 1] !== tile) tiles[count++] = tile
  }
  return tiles.slice(0, count)
}

/** The least rectangle that holds them; there is one at least. */
export function boxOfIds(ids: Iterable<number>, { width, height }: Geometry): Region {
  let [left, top, right, bottom] = [width, height, 0, 0]
  for (const id of ids) {
    const y = Math.floor(id / width)
    const x = id - y * width
    left = Math.min(left, x)
    right = Math.max(right, x)
    top = Math.min(top, y)
    bottom = Math.max(bottom, y)
  }
  return { x: left, y: top, w: right - left + 1, h: bottom - top + 1 }
}

/** Where the ids of a tile begin and end, among ids in their order. */
export function runOfTile(
  ids: Uint32Array,
  tile: number,
  geometry: Geometry,
): { from: number; end: number } {
  return {
    from: countBelow(ids, tile, geometry),
    end: countBelow(ids, tile + 1, geometry),
  }
}

function countBelow(ids: Uint32Array, tile: number, geometry: Geometry): number {
  let [low, high] = [0, ids.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (tileOf(ids[middle]!, geometry) < tile) low = middle + 1
    else high = middle
  }
  return low
}

/** How many of them lie in these tiles. */
export function countInTiles(ids: Uint32Array, tiles: Uint32Array, geometry: Geometry): number {
  let count = 0
  for (const tile of tiles) {
    const { from, end } = runOfTile(ids, tile, geometry)
    count += end - from
  }
  return count
}

/** The most that lie in one of these tiles. */
export function mostInTile(ids: Uint32Array, tiles: Uint32Array, geometry: Geometry): number {
  let most = 0
  for (const tile of tiles) {
    const { from, end } = runOfTile(ids, tile, geometry)
    most = Math.max(most, end - from)
  }
  return most
}

/** The ids of these tiles, and what stands beside each of them: `each` bytes. */
export function cutToTiles(
  { ids: packed, beside, each }: { ids: Uint8Array; beside?: Uint8Array; each: number },
  tiles: Uint32Array,
  geometry: Geometry,
): { ids: Uint8Array; beside: Uint8Array } {
  const ids = unpackIds(packed)
  const count = countInTiles(ids, tiles, geometry)
  const cutIds = new Uint32Array(count)
  const cutBeside = new Uint8Array(count * each)
  let at = 0
  for (const tile of tiles) {
    const { from, end } = runOfTile(ids, tile, geometry)
    cutIds.set(ids.subarray(from, end), at)
    if (beside !== undefined) cutBeside.set(beside.subarray(from * each, end * each), at * each)
    at += end - from
  }
  return { ids: new Uint8Array(cutIds.buffer), beside: cutBeside }
}
