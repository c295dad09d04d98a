/** How a task stands, in words. */
import { isEnded } from '../../../shared/protocol/states.ts'
import type { TaskRow } from '../answers.ts'
import type { Condition } from '../parts/condition.ts'

const WAITS: ReadonlyMap<string, string> = new Map([
  ['holders-away', 'waits for nodes that are away'],
  ['settling', 'waits until the fleet has settled'],
  ['earlier-write', 'waits for an earlier write'],
  ['neighbours', 'waits for neighbours to be read'],
  ['sealing', 'is sealed'],
  ['store-full', 'waits: a store is full'],
  ['disk-full', 'waits: a disk is full'],
])

export function conditionOf({ state, waiting_for: waits, effect }: TaskRow): Condition {
  if (waits !== undefined && !isEnded(state)) {
    return { word: WAITS.get(waits) ?? `waits: ${waits}`, shape: 'half', mood: 'mild' }
  }
  switch (state) {
    case 'completed':
      return { word: state, shape: 'disc', mood: 'good' }
    case 'failed':
      return { word: state, shape: 'cross', mood: 'bad' }
    case 'expired': {
      const word = effect === 'pending' ? 'expired, still at work' : state
      return { word, shape: 'cross', mood: 'mild' }
    }
    case 'cancelled':
      return { word: state, shape: 'ring', mood: 'none' }
    default:
      return { word: state, shape: 'arrow', mood: 'none' }
  }
}

export type Filter = 'all' | 'open' | 'failed'
export const FILTERS: readonly Filter[] = ['all', 'open', 'failed']

export function isShown({ state }: TaskRow, filter: Filter): boolean {
  if (filter === 'open') return !isEnded(state)
  return filter === 'all' || state === 'failed' || state === 'expired'
}
