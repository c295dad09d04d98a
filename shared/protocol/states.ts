/**
 * The states that the wire names (wire.md): a task is accepted, runs, and ends once; a member is alive,
 * suspected, dead or gone for good.
 */

export const TASK_STATES = [
  'accepted',
  'running',
  'completed',
  'failed',
  'expired',
  'cancelled',
] as const

export type TaskState = (typeof TASK_STATES)[number]
export type EndState = Exclude<TaskState, 'accepted' | 'running'>

export function isEnded(state: TaskState): state is EndState {
  return state !== 'accepted' && state !== 'running'
}

export const MEMBER_STATES = ['alive', 'suspect', 'dead', 'left'] as const

export type MemberState = (typeof MEMBER_STATES)[number]
