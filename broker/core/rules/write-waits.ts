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
 * The member is waited for no more. If it had not stopped, whoever was named is waited for still, so what was told of him
 * is true; and mostly the first of the others gets on.
 */
export function tellFewer(context: CoordinatorContext, write: OpenWrite, member: Member): void {
  if (write.awaitedCount > 0 && member.stopReason === undefined) {
    if (write.task.waitingFor !== undefined || getsOn(context, write)) return
  }
  tellWait(context, write)
}

function getsOn({ members }: CoordinatorContext, write: OpenWrite): boolean {
  return write.findAwaited((index) => members.at(index).isFollowing) !== undefined
}

function reasonOf(context: CoordinatorContext, write: OpenWrite): WaitReason | undefined {
  // With nobody awaited, a copy was lost, and is made anew.
  if (write.awaitedCount === 0 || getsOn(context, write)) return undefined
  for (const index of write.awaitedMembers) {
    const { stopReason } = context.members.at(index)
    if (stopReason !== undefined) return stopReason.code
  }
  return 'holders-away'
}
