/** An entry as it came, checked as far as can be before cells are touched. */
import { findOperation } from '../../shared/operations/catalog.ts'
import { unpackTiles } from '../../shared/operations/columns.ts'
import type { WriteOperation } from '../../shared/operations/operation.ts'
import { type ControlOrder, isControl, orderOf } from '../../shared/protocol/control-entries.ts'
import type { Entry } from '../../shared/protocol/messages.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import type { SliceGrid } from './slice-grid.ts'

/** An entry that was found sound, with what it names. */
export interface CheckedEntry {
  readonly entry: Entry
  readonly tiles: Uint32Array
  readonly action: WriteAction | ControlOrder
}

export interface WriteAction {
  readonly op: 'write'
  readonly operation: WriteOperation
  readonly region: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
  }
}

/** Checks what can be known before cells are touched; fails with the entry's own trouble. */
export function checkEntry(entry: Entry, grid: SliceGrid): CheckedEntry {
  if (isControl(entry.op)) return checkOrder(entry, grid)
  const operation = findOperation(entry.op)
  if (operation?.kind !== 'write') {
    throw new AppError('unknown-operation', `there is no write operation "${entry.op}" here`)
  }
  const [x, y, w, h] = entry.region
  const region = { x, y, w, h }
  if (!grid.geometry.contains(region)) throw invalid(entry, 'its region lies outside the grid')
  const tiles = unpackTiles(entry.tiles)
  let last = -1
  for (const tile of tiles) {
    if (tile <= last) throw invalid(entry, 'its tiles are not in order')
    if (!grid.geometry.touches(tile, region)) {
      throw invalid(entry, `tile ${tile} does not touch its region`)
    }
    last = tile
  }
  return { entry, tiles, action: { op: 'write', operation, region } }
}

function checkOrder(entry: Entry, grid: SliceGrid): CheckedEntry {
  const order = orderOf(entry)
  if (order === undefined) {
    throw new AppError('unknown-operation', `there is no order "${entry.op}" here`)
  }
  const tiles = unpackTiles(entry.tiles)
  const stray = tiles.find((tile) => tile >= grid.geometry.tiles)
  if (stray !== undefined) throw invalid(entry, `there is no tile ${stray}`)
  return { entry, tiles, action: order }
}

export function invalid(entry: Entry, why: string, cause?: unknown): AppError {
  return new AppError('entry-invalid', `entry ${entry.position} (${entry.op}): ${why}`, { cause })
}
