/** Runs one read, or one pure operation on items, to its partial result. */
import { TilePage } from '../../shared/grid/tile-page.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { unpackTiles } from '../../shared/operations/columns.ts'
import {
  type ItemsOperation,
  type ReadOperation,
  type Wire,
  windowOf,
} from '../../shared/operations/operation.ts'
import type { Read } from '../../shared/protocol/messages.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import type { Pace } from './pace.ts'
import { PageArena } from './page-arena.ts'
import type { SliceStore } from './slice-store.ts'

/** How many missing tiles an error names. */
const TILES_NAMED_MAX = 32

/** The partial result, or nothing if the read was cancelled on the way. */
export async function runRead(
  read: Read,
  store: SliceStore,
  pace: Pace,
  isCancelled: () => boolean,
): Promise<Wire | undefined> {
  const operation = findOperation(read.op)
  if (operation === undefined || operation.kind === 'write') {
    throw new AppError('unknown-operation', `there is no read operation "${read.op}" here`)
  }
  if (operation.kind === 'items') return await runItems(read, operation, pace, isCancelled)
  return await runGrid(read, operation, store, pace, isCancelled)
}

async function runItems(
  read: Read,
  operation: ItemsOperation,
  pace: Pace,
  isCancelled: () => boolean,
): Promise<Wire | undefined> {
  const { items } = read
  if (items === undefined || items.keys.length !== items.values.length) {
    throw new AppError('read-invalid', `${read.op} needs items, a value for each key`)
  }
  const run = operation.run(read.args)
  for (const [index, key] of items.keys.entries()) {
    run.visit(key, items.values[index]!)
    if (!pace.isDue) continue
    await pace.rest()
    if (isCancelled()) return undefined
  }
  return run.finish()
}

async function runGrid(
  read: Read,
  operation: ReadOperation,
  store: SliceStore,
  pace: Pace,
  isCancelled: () => boolean,
): Promise<Wire | undefined> {
  const { grid } = store
  if (grid === undefined) throw new AppError('grid-unknown', 'the store has no grid yet')
  if (read.grid === undefined) {
    throw new AppError('read-invalid', `${read.op} runs over a region of the grid`)
  }
  const [x, y, w, h] = read.grid.region
  const region = { x, y, w, h }
  const tiles = tilesToVisit(read.grid, store)
  if (!grid.geometry.contains(region)) {
    throw new AppError('read-invalid', 'the region lies outside the grid')
  }
  const stray = tiles.find((tile) => !grid.geometry.touches(tile, region))
  if (stray !== undefined) {
    throw new AppError('read-invalid', `tile ${stray} does not touch the region`)
  }
  const run = operation.run(read.args, grid)
  const arena = new PageArena()
  const room = (bytes: number): Uint8Array => arena.take(bytes)
  for (const tile of tiles) {
    arena.clear()
    const page = store.readPage(tile, room) ?? TilePage.empty(grid.layoutOf(tile), room)
    run.visit(page, windowOf(grid.geometry, tile, region))
    if (!pace.isDue) continue
    await pace.rest()
    if (isCancelled()) return undefined
  }
  return run.finish()
}

/** Every tile of the read once, ascending; fails if one is neither held nor unborn. */
function tilesToVisit(part: NonNullable<Read['grid']>, store: SliceStore): Uint32Array {
  const unborn = unpackTiles(part.unborn)
  const mayMiss = new Set(unborn)
  const tiles = Uint32Array.from(new Set([...unpackTiles(part.tiles), ...unborn])).sort()
  const missing = tiles.filter((tile) => !store.holds(tile) && !mayMiss.has(tile))
  if (missing.length > 0) {
    const more = missing.length > TILES_NAMED_MAX ? ` and ${missing.length - TILES_NAMED_MAX}` : ''
    const named = missing.subarray(0, TILES_NAMED_MAX).join(', ')
    throw new AppError('tile-missing', `not held here: tiles ${named}${more}`)
  }
  return tiles
}
