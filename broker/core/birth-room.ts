/** Room on the boards for tiles that a write is the first to put something in. */
import { createLayout } from '../../shared/grid/page-layout.ts'
import type { TaskBody } from '../../shared/protocol/task.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import { tilesOf } from './task-extent.ts'

/**
 * Why the boards can never have room for the tiles that a write is the first to put something in: as a task it would
 * wait until its deadline. Born tiles are on disk already, and may move. A node that has not said its bound has room
 * for all. What one node would hold is known once nobody is awaited.
 */
export function wantOfRoom(context: CoordinatorContext, body: TaskBody): string | undefined {
  const { members, placement, options } = context
  const { geometry, fields } = options.grid
  const { unborn } = placement.divide(tilesOf(body, options.grid))
  if (unborn.length === 0) return undefined
  const tileBytes = createLayout(fields, geometry.tile ** 2).bytes
  const isComplete = context.isSettled() && context.isComplete
  const counts = new Map<number, number>()
  for (const tile of isComplete ? unborn : []) {
    for (const index of placement.holdersOf(tile)) counts.set(index, (counts.get(index) ?? 0) + 1)
  }
  for (const [index, count] of counts) {
    const { id, sliceBytesMax = Number.POSITIVE_INFINITY } = members.at(index)
    if (count * tileBytes <= sliceBytesMax) continue
    return `node ${id} would hold ${count} new tiles of ${tileBytes} bytes, ${inMiB(count * tileBytes)}, and its slice may have ${inMiB(sliceBytesMax)} (--slice-bytes-max)`
  }
  const holders = members.all.filter(({ leaving, isClosed }) => leaving !== 'left' && !isClosed)
  const copies = Math.min(placement.replicas, holders.length)
  const bytes = (placement.bornCount + unborn.length) * copies * tileBytes
  const room = holders.reduce(
    (sum, { sliceBytesMax = Number.POSITIVE_INFINITY }) => sum + sliceBytesMax,
    0,
  )
  if (bytes <= room) return undefined
  return `with ${unborn.length} new tiles the fleet would hold ${inMiB(bytes)} in ${copies} copies, and its ${holders.length} slices may have ${inMiB(room)} (--slice-bytes-max)`
}

function inMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
