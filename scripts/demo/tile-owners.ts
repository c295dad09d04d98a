import type { RingView } from '../../shared/protocol/views.ts'
import type { Owners } from './rain-map.ts'

/** Whom the gateway asks about each tile: the first alive of its holders, as an index into `ids`. */
export function ownersOf(ring: RingView, ids: readonly string[]): Owners {
  const { members, holders = [] } = ring
  const alive = members.map(({ id, state }) => (state === 'alive' ? ids.indexOf(id) : -1))
  return holders.map((tile) => {
    const first = tile.find((member) => alive[member]! >= 0)
    return first === undefined ? undefined : alive[first]
  })
}

/** Tiles that show each node, in the order of the nodes. */
export function countOwned(owners: Owners, nodes: number): number[] {
  const counts = new Array<number>(nodes).fill(0)
  for (const owner of owners) if (owner !== undefined) counts[owner]! += 1
  return counts
}

/** The same, with nobody in place of one node. */
export function without(owners: Owners, node: number): Owners {
  return owners.map((owner) => (owner === node ? undefined : owner))
}

/** Who took over the tiles that `node` had: the others with how many, most first. */
export function heirsOf(
  before: Owners,
  after: Owners,
  node: number,
): { heir: number; tiles: number }[] {
  const counts = new Map<number, number>()
  before.forEach((owner, tile) => {
    const heir = after[tile]
    if (owner !== node || heir === undefined) return
    counts.set(heir, (counts.get(heir) ?? 0) + 1)
  })
  return [...counts]
    .map(([heir, tiles]) => ({ heir, tiles }))
    .sort((a, b) => b.tiles - a.tiles || a.heir - b.heir)
}
