/** A round of a read by itself, and members for it, each connected. */

import type { TilePlan } from '../../broker/core/rules/planner.ts'
import { ReadRound } from '../../broker/core/rules/read-round.ts'
import { Member } from '../../broker/core/state/membership.ts'
import type { NodeId } from '../../shared/core/ids.ts'

export const PART_PREFIX = '0-0123456789abcdef-'

/** Their sessions are counted from 2³² on. */
export function memberAt(index: number): Member {
  const id = `node-${index}` as NodeId
  const member = new Member(id, index, { joinedTs: 0, storeId: `store-${index}` })
  member.session = { number: 2 ** 32 + index, connection: `to-${index}`, process: 'one' }
  return member
}

/** `shares` are how many tiles each of these members is asked for; the tiles are counted from 0 on. */
export function planOf(shares: readonly (readonly [member: number, tiles: number])[]): TilePlan {
  const offsets = new Uint32Array(shares.length + 1)
  shares.forEach(([, tiles], at) => {
    offsets[at + 1] = offsets[at]! + tiles
  })
  return {
    members: Uint32Array.from(shares, ([member]) => member),
    offsets,
    tiles: Uint32Array.from({ length: offsets.at(-1)! }, (_, tile) => tile),
    unplaced: new Uint32Array(0),
  }
}

export function roundOf(
  plan: TilePlan,
  over: { unborn?: Uint8Array | boolean; memberAt?: (index: number) => Member } = {},
): ReadRound {
  const region: [number, number, number, number] = [0, 0, 9, 9]
  const asked = { op: 'stat', args: { field: 0 }, region }
  return new ReadRound({
    ...{ plan, unborn: false, memberAt, ...over },
    forAll: { task: 'all', part: PART_PREFIX, attempt: 1, leaseMs: 1000, ...asked },
  })
}
