/**
 * Members that stand otherwise than before, collected while events are applied: whoever is about to change
 * something of how a member stands notes it first, and what follows is decided once, from how it stands at the end. A
 * node that goes and comes back within a step has not changed.
 */
import type { Member } from './membership.ts'

const ASPECTS = ['session', 'isFollowing', 'isInSync', 'stopReason', 'operations'] as const

/** How a member stands to what waits for it. */
export type Standing = Pick<Member, (typeof ASPECTS)[number]>

export interface MemberChange {
  readonly member: Member
  readonly before: Standing
}

export class MemberChanges {
  readonly #before = new Map<Member, Standing>()

  /** To be called before anything of it changes. */
  note(member: Member): void {
    if (!this.#before.has(member)) this.#before.set(member, standingOf(member))
  }

  /** By index. From here on they count as they stand now. */
  take(): MemberChange[] {
    if (this.#before.size === 0) return []
    const changes: MemberChange[] = []
    for (const [member, before] of this.#before) {
      const isOther = ASPECTS.some((aspect) => before[aspect] !== member[aspect])
      if (isOther) changes.push({ member, before })
    }
    this.#before.clear()
    return changes.sort((a, b) => a.member.index - b.member.index)
  }
}

function standingOf(member: Member): Standing {
  const { session, isFollowing, isInSync, stopReason, operations } = member
  return { session, isFollowing, isInSync, stopReason, operations }
}
