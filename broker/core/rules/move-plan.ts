/**
 * Which tiles should move, from where they are and where the ring would have them. Pure: the same members
 * and placement give the same plan, so that what an operator is shown is what will happen.
 *
 * A tile moves to a node that the ring gives it and that does not hold it yet; the copy that goes for it is
 * one that the ring does not want, of a node that is gone or going first. What has the fewest sound copies
 * comes first.
 */
import type { MoveReason } from '../state/move-table.ts'
import { NO_HOLDER } from '../state/slots.ts'
import type { PlannedMove } from './moves.ts'

/** A member as the plan sees it. */
export interface Holder {
  /** It may go on holding what it has. */
  readonly mayHold: boolean
  /** It is being emptied. */
  readonly isLeaving: boolean
  /** It can give a page to others. */
  readonly isInSync: boolean
}

export interface PlanInput {
  /** By member index. */
  readonly holderAt: (index: number) => Holder
  readonly replicas: number
  /** As of `Placement.slots`: where the tiles are, and where the ring would have them. */
  readonly slots: Uint32Array
  readonly ideal: Uint32Array
  readonly isBorn: (tile: number) => boolean
  /** Tiles that are under way already. */
  readonly isMoving: (tile: number) => boolean
}

interface Ranked extends PlannedMove {
  readonly rank: number
}

/** In the order in which they should be done. */
export function planMoves(input: PlanInput): PlannedMove[] {
  const { slots, replicas } = input
  const found: Ranked[] = []
  for (let tile = 0; tile * replicas < slots.length; tile++) {
    if (!input.isBorn(tile) || input.isMoving(tile)) continue
    const move = planTile(input, tile)
    if (move !== undefined) found.push(move)
  }
  return found.sort((a, b) => a.rank - b.rank || a.tile - b.tile)
}

function planTile(input: PlanInput, tile: number): Ranked | undefined {
  const { holderAt, replicas, slots, ideal } = input
  if (isSettled(input, tile)) return undefined
  const own: number[] = []
  const wanted: number[] = []
  for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
    if (slots[slot] !== NO_HOLDER) own.push(slots[slot]! - 1)
    if (ideal[slot] !== NO_HOLDER) wanted.push(ideal[slot]! - 1)
  }
  const to = wanted.find((member) => !own.includes(member))
  if (to === undefined || own.length === 0) return undefined
  const unwanted = own.filter((member) => !wanted.includes(member))
  const gone = unwanted.find((member) => !holderAt(member).mayHold)
  // With a free place nobody has to go yet; the copy that is not wanted goes with a later move.
  const from = gone ?? (own.length < replicas ? undefined : unwanted[0])
  if (from === undefined && own.length >= replicas) return undefined
  const holders = own.map(holderAt)
  const sound = holders.filter(({ mayHold, isInSync }) => mayHold && isInSync).length
  const reason = from === undefined ? 'repair' : reasonOf(holderAt(from))
  return { tile, to, from, reason, rank: reason === 'balance' ? replicas : sound }
}

/** Whether it lies, slot by slot, where it should: so does almost every tile, and there are very many. */
function isSettled({ replicas, slots, ideal }: PlanInput, tile: number): boolean {
  for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
    if (slots[slot] !== ideal[slot]) return false
  }
  return true
}

function reasonOf({ isLeaving, mayHold }: Holder): MoveReason {
  if (isLeaving) return 'drain'
  return mayHold ? 'balance' : 'repair'
}
