/**
 * What an answer to a part of a read is worth, and what a trouble says of the part: a node that was asked while it held
 * all tiles may lack one since, and is sound for the rest; a part that every holder of a tile had trouble with is
 * answered by nobody.
 */
import type { Wire } from '../../../shared/operations/operation.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import { lsusIn } from '../state/task-extent.ts'
import type { AskedRound } from './read-messages.ts'
import type { ReadPart } from './read-plan.ts'

/** What keeps a partial result from being that of a part: other code may have made it, or none of ours. */
export function faultOf(
  { options: { grid } }: CoordinatorContext,
  { operation, args, asker }: AskedRound,
  part: ReadPart,
  value: Wire,
): string | undefined {
  if (operation.kind === 'items') return operation.faultOf(value, part.items!.keys, args)
  const tiles = part.tiles!
  const region = asker.body.region!
  const lsus = lsusIn(asker.body, tiles, grid)
  return operation.faultOf(value, { args, tiles, region, lsus }, grid)
}

/** Without what came of a ghost that is not to be relied on: it is no trouble of the task. */
export function soundOf(
  { options: { grid } }: CoordinatorContext,
  { operation, args, asker }: AskedRound,
  { tiles }: ReadPart,
  value: Wire,
): Wire {
  if (operation.kind === 'items' || operation.withSoundGhost === undefined) return value
  const region = asker.body.region!
  const lsus = lsusIn(asker.body, tiles!, grid)
  return operation.withSoundGhost(value, { args, tiles: tiles!, region, lsus }, grid)
}

/** Since the part was planned, one of its tiles was born on other nodes. */
export function lacksBornTile(
  { placement }: CoordinatorContext,
  { tiles }: ReadPart,
  { index }: Member,
): boolean {
  if (tiles === undefined) return false
  return tiles.some((tile) => placement.isBorn(tile) && !placement.holdersOf(tile).includes(index))
}

/** Whoever could answer it has failed to. */
export function isHopeless(
  { placement, members }: CoordinatorContext,
  { tiles, failed }: ReadPart,
): boolean {
  if (tiles === undefined) return members.all.every(({ index }) => failed.has(index))
  const { born } = placement.divide(tiles)
  // An unborn one is nowhere, and is zeros on any node.
  return (born.length > 0 ? born : tiles).some((tile) => {
    const holders = placement.holdersOf(tile)
    return holders.length > 0 && holders.every((index) => failed.has(index))
  })
}
