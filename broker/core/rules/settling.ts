/**
 * What follows from a step, once all that its event changed is known: from members that go, stop, fall behind, come or
 * catch up, and from tiles that were born or changed hands. It stands here once, whatever event it came from; only what a
 * change concerns is looked at, and what that changes in turn, until nothing does.
 */
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { MemberChange } from '../state/member-changes.ts'
import type { Fleet } from './fleet.ts'
import type { Moves } from './moves.ts'
import type { Readings } from './readings.ts'
import type { Reads } from './reads.ts'
import type { Rebalancer } from './rebalancer.ts'
import type { Recovery } from './recovery.ts'
import type { RuleWatch } from './rule-watch.ts'
import type { Watches } from './watches.ts'
import type { Writes } from './writes.ts'

export interface SettledParts {
  readonly fleet: Fleet
  readonly recovery: Recovery
  readonly writes: Writes
  readonly readings: Readings
  readonly reads: Reads
  readonly watches: Watches
  readonly moves: Moves
  readonly ruleWatch: RuleWatch
  readonly rebalancer: Rebalancer
}

export function settle(context: CoordinatorContext, parts: SettledParts): void {
  const { fleet, recovery, rebalancer, writes, readings, reads, watches, moves, ruleWatch } = parts
  for (const member of recovery.takeAdded()) fleet.silence.expect(member)
  readings.takeCopied()
  writes.goOn()
  for (;;) {
    const ends = context.moves.takeEnds()
    const over = rebalancer.takeOver()
    const changes = context.takeChanges()
    if (ends.length + over.length === 0 && changes === undefined) break
    for (const end of ends) rebalancer.moveEnded(end)
    for (const member of over) fleet.letGo(member)
    if (changes === undefined) continue
    for (const change of changes.members) followMember(change, parts)
    if (changes.members.length > 0) ruleWatch.reconsiderSoon()
    writes.wake(changes)
    readings.wake()
    reads.wake(changes)
    watches.wake()
    moves.retry()
  }
  watches.follow()
  ruleWatch.follow()
  if (context.placement.epoch !== context.identity.epoch) fleet.publishRing()
}

function followMember(
  { member, before }: MemberChange,
  { writes, reads, moves, rebalancer }: SettledParts,
): void {
  const stops = before.isFollowing && !member.isFollowing
  if (stops || before.session !== member.session) reads.withdrawFrom(member)
  if (stops) {
    moves.withdrawFrom(member)
    rebalancer.cameOn(member)
  }
  if (stops || (before.isInSync && !member.isInSync)) writes.reconsider(member)
  if (member.isFollowing) {
    writes.returned(member)
    writes.pump(member)
  }
  if (!before.isInSync && member.isInSync) rebalancer.wake()
}
