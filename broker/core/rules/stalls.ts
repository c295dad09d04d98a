/**
 * Copies that should leave a node and never can as the fleet is: of a node that is to be emptied, or is dead.
 * Pure, so that it can be asked before anything is decided.
 *
 * A copy leaves a node by being made anew on one that stays and has none of that tile. Where fewer stay than a
 * tile has copies that must leave, some of them cannot. And nothing is copied without an in-sync holder.
 */
import { count } from '../../../shared/core/count.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import type { Stall, StallReason } from '../../../shared/protocol/views.ts'
import { NO_HOLDER } from '../state/slots.ts'

/** A member as it counts here. */
export interface Stayer {
  readonly id: NodeId
  /** It goes on holding what it has. */
  readonly stays: boolean
  /** It can give a page to others. */
  readonly isInSync: boolean
}

export interface StallInput {
  /** By member index; without those that were never, or are no more. */
  readonly members: readonly Stayer[]
  /** How many more are to join. */
  readonly joining: number
  readonly replicas: number
  /** As of `Placement.slots`. */
  readonly slots: Uint32Array
  readonly isBorn: (tile: number) => boolean
}

/** In the order of the members; at most one of each reason for each. */
export function findStalls(input: StallInput): Stall[] {
  const { members, replicas, slots } = input
  const staying = members.filter(({ stays }) => stays).length + input.joining
  const counts: Readonly<Record<StallReason, Uint32Array>> = {
    'too-few-nodes': new Uint32Array(members.length),
    'no-source': new Uint32Array(members.length),
  }
  const leavers: number[] = []
  for (let tile = 0; tile * replicas < slots.length; tile++) {
    leavers.length = 0
    let kept = 0
    let isGivable = false
    for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
      if (slots[slot] === NO_HOLDER) continue
      const holder = slots[slot]! - 1
      const { stays, isInSync } = members[holder]!
      if (stays) kept += 1
      else leavers.push(holder)
      isGivable ||= isInSync
    }
    if (leavers.length === 0 || !input.isBorn(tile)) continue
    const isCrowded = leavers.length > staying - kept
    if (!isCrowded && isGivable) continue
    const count = counts[isCrowded ? 'too-few-nodes' : 'no-source']
    for (const holder of leavers) count[holder]! += 1
  }
  return members.flatMap(({ id: node }, index) =>
    REASONS.flatMap((reason) => {
      const tiles = counts[reason][index]!
      if (tiles === 0) return []
      const why = reason === 'no-source' ? NO_SOURCE : tooFew(replicas, staying)
      const message = `${count(tiles, 'tile')} of node ${node} cannot leave it: ${why}`
      return [{ node, reason, tiles, message }]
    }),
  )
}

const REASONS = ['too-few-nodes', 'no-source'] as const

const NO_SOURCE = 'none of their holders is here and up to date'

function tooFew(replicas: number, staying: number): string {
  const need = `${replicas} ${replicas === 1 ? 'replica needs' : 'replicas need'}`
  const left = staying === 0 ? 'none is' : staying === 1 ? '1 is' : `${staying} are`
  return `${need} ${count(replicas, 'other node')}, and ${left} left`
}
