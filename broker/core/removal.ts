/**
 * Whether the gateway can do without a member. Who lives is not forgotten, nor who has a copy that nobody else
 * could give: a holder that is away may never come back, so only one that is in sync counts.
 */
import type { CoordinatorContext } from './coordinator-context.ts'
import type { Member } from './membership.ts'

export interface RemovalProblem {
  readonly reason: 'node-alive' | 'node-holds-tiles'
  readonly message: string
}

/** How many born tiles of a member have no other holder that is in sync. */
export function soleTilesOf({ placement, members }: CoordinatorContext, member: Member): number {
  const sole = placement.bornTilesOf(member.index).filter((tile) =>
    placement.holdersOf(tile).every((index) => {
      return index === member.index || !members.at(index).isInSync
    }),
  )
  return sole.length
}

/** Why a member may not be forgotten. */
export function removalProblem(
  context: CoordinatorContext,
  member: Member,
): RemovalProblem | undefined {
  const { id, state } = member
  if (state === 'alive') {
    const message = `node ${id} is alive: drain it first, or end its agent for good`
    return { reason: 'node-alive', message }
  }
  if (state === 'suspect') {
    const message = `node ${id} is suspect and may come back: it can be forgotten once it is dead`
    return { reason: 'node-alive', message }
  }
  const sole = soleTilesOf(context, member)
  if (sole === 0) return undefined
  const tiles = sole === 1 ? '1 tile' : `${sole} tiles`
  const message = `node ${id} has ${tiles} of which no other copy is here and up to date: they would be lost`
  return { reason: 'node-holds-tiles', message }
}
