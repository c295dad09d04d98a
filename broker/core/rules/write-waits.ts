/**
 * What is told of a sequenced write while it waits for its replicas: why none of them gets on, if none does. Nobody who
 * is in sync is named; a replica that stopped by itself says why.
 */
import { isEnded } from '../../../shared/protocol/states.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { OpenWrite } from '../state/open-write.ts'
import type { WaitReason } from '../state/task-ledger.ts'

export function tellWait(context: CoordinatorContext, write: OpenWrite): void {
  const { task } = write
  if (isEnded(task.state) || task.sealing !== undefined) return
  context.taskWaits(task, reasonOf(context, write))
}

/**
 * The member is waited for no more. If it had not stopped, whoever did is waited for still, so what was told of him is
 * true.
 */
export function tellFewer(context: CoordinatorContext, write: OpenWrite, member: Member): void {
  if (write.awaitedCount > 0 && member.stopReason === undefined) {
    if (write.task.waitingFor !== undefined) return
    const isHere = (index: number): boolean => context.members.at(index).state === 'alive'
    if (write.findAwaited(isHere) !== undefined) return
  }
  tellWait(context, write)
}

function reasonOf({ members }: CoordinatorContext, write: OpenWrite): WaitReason | undefined {
  // A copy was lost, and is made anew.
  if (write.awaitedCount === 0) return undefined
  const awaited = write.awaitedMembers.map((index) => members.at(index))
  const stopped = awaited.find(({ stopReason }) => stopReason !== undefined)
  if (stopped !== undefined) return stopped.stopReason!.code
  return awaited.every(({ state }) => state !== 'alive') ? 'holders-away' : undefined
}
