/** How far a node is emptied, and why moves wait. */
import type { MovesView } from '../../../shared/protocol/views.ts'
import type { NodeRow } from '../answers.ts'
import { asWords } from '../format.ts'

export interface DrainProgress {
  readonly moved: number
  readonly total: number
  /** Tiles a second, of all that move. */
  readonly rate?: number
  /** Why it does not get on, if it does not. */
  readonly stalledFor?: string
  readonly etaSeconds?: number
}

/** Of a node that is being emptied. */
export function progressOf(row: NodeRow): DrainProgress | undefined {
  const { draining, state, drain_tiles: total = 0, tiles_written: left } = row
  if (!draining || state === 'left') return undefined
  const { rate, eta_seconds: etaSeconds, waits_for: stalledFor } = row
  return {
    moved: Math.max(0, total - left),
    total: Math.max(total, left),
    ...(rate !== undefined && { rate }),
    ...(stalledFor !== undefined && { stalledFor: asWords(stalledFor) }),
    ...(etaSeconds !== undefined && { etaSeconds }),
  }
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['paced', 'one after the other'],
  ['doubting', 'the gateway doubts its view of the fleet'],
  ['unsettled', 'the fleet has just changed'],
])

/** `804 wait: target full`. */
export function waitingWords({ waiting }: Pick<MovesView, 'waiting'>): string[] {
  return Object.entries(waiting).map(([reason, count]) => {
    return `${count} wait: ${REASONS.get(reason) ?? asWords(reason)}`
  })
}
