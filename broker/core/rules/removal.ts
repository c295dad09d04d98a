/**
 * Whether the gateway can do without a member. Who lives is not forgotten, nor who has a copy that nobody else
 * could give: a holder that is away may never come back, so only one that is in sync counts.
 */
import { count } from '../../../shared/core/count.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'

export interface RemovalProblem {
  readonly reason: 'node-alive' | 'node-holds-tiles'
  readonly message: string
}

/** By member index: how many born tiles have no other holder that is in sync. */
export function soleTiles({
  placement,
  members,
  options,
}: CoordinatorContext): Map<number, number> {
  const counts = new Map<number, number>()
  for (let tile = 0; tile < options.grid.geometry.tiles; tile++) {
    if (!placement.isBorn(tile)) continue
    const holders = placement.holdersOf(tile)
    const inSync = holders.filter((index) => members.at(index).isInSync)
    if (inSync.length > 1) continue
    for (const index of inSync.length === 1 ? inSync : holders) {
      counts.set(index, (counts.get(index) ?? 0) + 1)
    }
  }
  return counts
}

/** Why a member may not be forgotten. */
export function removalProblem(
  context: CoordinatorContext,
  member: Member,
): RemovalProblem | undefined {
  const { id, index, state } = member
  if (state === 'alive') {
    const message = `node ${id} is alive: drain it first, or end its agent for good`
    return { reason: 'node-alive', message }
  }
  if (state === 'suspect') {
    const message = `node ${id} is suspect and may come back: it can be forgotten once it is dead`
    return { reason: 'node-alive', message }
  }
  const sole = soleTiles(context).get(index) ?? 0
  if (sole === 0) return undefined
  const message = `node ${id} has ${count(sole, 'tile')} of which no other copy is here and up to date: they would be lost; once it is here again, obelisk node drain ${id} brings them elsewhere`
  return { reason: 'node-holds-tiles', message }
}
