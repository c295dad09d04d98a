/** What of a member has changed is told once, from how it stood before to how it stands now. */
import t from 'tap'
import { MemberChanges } from '../../../../broker/core/state/member-changes.ts'
import { Membership } from '../../../../broker/core/state/membership.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'

function joined(): { members: Membership; member: ReturnType<Membership['add']> } {
  const members = new Membership()
  const member = members.add('a' as NodeId, { joinedTs: 0, storeId: 'store' })
  members.open(member, 'connection', 'process', 1)
  members.takeChanges()
  return { members, member }
}

t.test('a member that goes has followed before', async (t) => {
  const { members, member } = joined()
  members.close(member)
  const [change] = members.takeChanges()
  t.equal(change?.member, member)
  t.ok(change?.before.isFollowing)
  t.notOk(member.isFollowing)
  t.same(members.takeChanges(), [], 'it is told once')
})

t.test('whoever is silent for a moment of a step has not changed', async (t) => {
  const { members, member } = joined()
  member.state = 'suspect'
  member.state = 'alive'
  t.same(members.takeChanges(), [])
})

t.test('those that have changed come by their index', async (t) => {
  const members = new Membership()
  const changes = new MemberChanges()
  const all = ['a', 'b', 'c'].map((id) => members.add(id as NodeId, { joinedTs: 0, storeId: id }))
  for (const member of [...all].reverse()) changes.note(member)
  for (const member of all.slice(1)) members.open(member, member.id, 'process', 1)
  t.same(
    changes.take().map(({ member }) => member.id),
    ['b', 'c'],
  )
})

t.test('another connection is a change, though the member follows before and after', async (t) => {
  const { members, member } = joined()
  members.open(member, 'other', 'process', 1)
  const [change] = members.takeChanges()
  t.ok(change?.before.isFollowing && member.isFollowing)
  t.not(change?.before.session, member.session)
})

t.test('members are counted by their state, and not once they are forgotten', async (t) => {
  const { members, member } = joined()
  t.match(members.stateCounts, { alive: 1, suspect: 0 })
  members.close(member)
  t.match(members.stateCounts, { alive: 0, suspect: 1 })
  member.state = 'dead'
  members.forget(member)
  member.state = 'left'
  t.match(members.stateCounts, { alive: 0, suspect: 0, dead: 0, left: 0 })
})
