/**
 * Room on the boards for tiles that a write is the first to put something in. Born tiles are on disk already, and may
 * move. A node that has not said its bound has room for all. What one node would hold is known once nobody is awaited.
 */
import { count } from '../../../shared/core/count.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import type { TaskBody } from '../../../shared/protocol/task.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import { tilesOf } from '../state/task-extent.ts'

const UNBOUND = Number.POSITIVE_INFINITY

/** Why there can never be any for all that a write is over: as a task it would wait until its deadline. */
export function wantOfRoom(context: CoordinatorContext, body: TaskBody): string | undefined {
  const { members, placement, options } = context
  const { unborn } = placement.divide(tilesOf(body, options.grid))
  if (unborn.length === 0) return undefined
  const tileBytes = tileBytesOf(context)
  for (const [index, born] of isSpreadKnown(context) ? placement.countsOf(unborn) : []) {
    const { id, sliceBytesMax = UNBOUND } = members.at(index)
    if (born * tileBytes <= sliceBytesMax) continue
    return `node ${id} would hold ${count(born, 'new tile')} of ${tileBytes} bytes, ${inMiB(born * tileBytes)}, and its slice may have ${inMiB(sliceBytesMax)} (--slice-bytes-max)`
  }
  const { holders, copies, roomBytes } = roomOf(context)
  const bytes = (placement.bornCount + unborn.length) * copies * tileBytes
  if (bytes <= roomBytes) return undefined
  return `with ${count(unborn.length, 'new tile')} the fleet would hold ${inMiB(bytes)} in ${copies === 1 ? '1 copy' : `${copies} copies`}, and its ${count(holders.length, 'slice')} may have ${inMiB(roomBytes)} (--slice-bytes-max)`
}

/** Those of some unborn tiles, in their order, that all find room now, beside what is born. */
export function tilesWithRoom(context: CoordinatorContext, unborn: readonly number[]): Set<number> {
  const { placement } = context
  const tileBytes = tileBytesOf(context)
  const { copies, roomBytes } = roomOf(context)
  const left = isSpreadKnown(context) ? placesLeft(context, tileBytes) : new Map<number, number>()
  const found = new Set<number>()
  for (const tile of unborn) {
    if ((placement.bornCount + found.size + 1) * copies * tileBytes > roomBytes) break
    const holders = placement.holdersOf(tile).filter((index) => left.has(index))
    if (holders.some((index) => left.get(index)! < 1)) continue
    found.add(tile)
    for (const index of holders) left.set(index, left.get(index)! - 1)
  }
  return found
}

/** By member: so many tiles more its slice has room for. */
function placesLeft(
  { members, placement }: CoordinatorContext,
  tileBytes: number,
): Map<number, number> {
  const held = placement.tally.written
  return new Map(
    members.all.map(({ index, sliceBytesMax = UNBOUND }) => [
      index,
      Math.floor(sliceBytesMax / tileBytes) - (held.get(index) ?? 0),
    ]),
  )
}

function roomOf({ members, placement }: CoordinatorContext): {
  readonly holders: readonly Member[]
  readonly copies: number
  readonly roomBytes: number
} {
  const holders = members.all.filter(({ leaving, isClosed }) => leaving !== 'left' && !isClosed)
  const copies = Math.min(placement.replicas, holders.length)
  const roomBytes = holders.reduce((sum, { sliceBytesMax = UNBOUND }) => sum + sliceBytesMax, 0)
  return { holders, copies, roomBytes }
}

function tileBytesOf({ options }: CoordinatorContext): number {
  const { geometry, fields } = options.grid
  return createLayout(fields, geometry.tile ** 2).bytes
}

function isSpreadKnown(context: CoordinatorContext): boolean {
  return context.isSettled() && context.isComplete
}

function inMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
