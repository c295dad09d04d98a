/**
 * What an operator is told before missing tiles are given up (lost-copies.ts). Of a tile whose last copy was lost it is
 * known that it was written. One that nobody showed in a recovery may have been: the copy that a ledger was
 * restored from says so of those that it knew, and of the others nobody can tell. Nodes of the copy that a
 * restore did not wait for may have them, and give them if they come before that (recovery.ts).
 */
import type { NodeId } from '../../../shared/core/ids.ts'
import type { DetectorView } from '../../../shared/protocol/views.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'

/** Of a view. */
const LISTED_MAX = 100

export type MissingView = Pick<
  DetectorView,
  | 'tiles_missing'
  | 'tiles_missing_written'
  | 'tiles_missing_mark'
  | 'nodes_absent'
  | 'nodes_absent_more'
>

/**
 * Stays as long as no more tiles come to be missing: whoever gives up those that he was shown names it, so that he gives
 * up no others. Fewer are no matter. Another start, and another ledger, have other ones.
 */
export function missingMarkOf({ placement, identity }: CoordinatorContext): string {
  return `${identity.ledgerId.slice(0, 8)}-${identity.term}-${placement.tally.losses}`
}

export function missingViewOf(context: CoordinatorContext): MissingView {
  const { placement, identity, members } = context
  const { missing, missingWritten } = placement.tally
  if (missing === 0) return {}
  const { absentNodes = [] } = identity
  const absent = listed(absentNodes.filter((node) => members.find(node as NodeId) === undefined))
  return {
    tiles_missing: missing,
    tiles_missing_written: missingWritten,
    tiles_missing_mark: missingMarkOf(context),
    ...(absent.names.length === 0 ? {} : { nodes_absent: absent.names }),
    ...(absent.more === 0 ? {} : { nodes_absent_more: absent.more }),
  }
}

/** These have come, or what they may have is given up: all of them, if nothing else is said. */
export function forgetAbsent(
  context: CoordinatorContext,
  isForgotten: (node: string) => boolean = () => true,
): void {
  const { absentNodes = [], ...identity } = context.identity
  const left = absentNodes.filter((node) => !isForgotten(node))
  if (left.length === absentNodes.length) return
  context.identity = identity
  context.changeIdentity(left.length === 0 ? {} : { absentNodes: left })
}

/** Names for a view, the first of them, and how many more there are. */
export function listed(nodes: readonly string[]): { names: string[]; more: number } {
  const names = [...nodes].sort().slice(0, LISTED_MAX)
  return { names, more: nodes.length - names.length }
}
