import t from 'tap'
import { Member } from '../../../../broker/core/state/membership.ts'
import { isFinal, packageFor, verdictOn } from '../../../../broker/core/state/upgrade-table.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'

const PACKAGE = { sha256: 'a1'.repeat(32), bytes: 545_000 }
const OFFER = { version: '0.2.0', packages: { armhf: PACKAGE } }

function member(program: Member['program']): Member {
  const made = new Member('a' as NodeId, 0, { joinedTs: 0, storeId: 'store' })
  made.program = program
  return made
}

t.test('what is clear of a node is said before anything is fetched', async (t) => {
  const old = member({ version: '0.1.0', architecture: 'armhf' })
  t.same(packageFor(OFFER, old), PACKAGE)
  t.equal(verdictOn(old, OFFER, undefined), undefined)
  t.same(verdictOn(old, OFFER, [PACKAGE.sha256])?.code, 'failed-before')
  t.same(verdictOn(member(undefined), OFFER, undefined)?.code, 'by-hand')
  const newer = member({ version: '0.3.0', architecture: 'armhf' })
  t.same(verdictOn(newer, OFFER, undefined)?.code, 'package-older')
  t.equal(verdictOn(newer, { ...OFFER, downgradeFrom: '0.3.0' }, undefined), undefined)
  const outlived = { ...OFFER, downgradeFrom: '0.2.9' }
  t.same(verdictOn(newer, outlived, undefined)?.code, 'package-older')
  t.same(verdictOn(member({ version: '0.2.0', architecture: 'x' }), OFFER, []), { state: 'done' })
})

t.test('a name of the object prototype is no architecture', async (t) => {
  const odd = member({ version: '0.1.0', architecture: 'constructor' })
  t.equal(packageFor(OFFER, odd), undefined)
  t.same(verdictOn(odd, OFFER, undefined)?.code, 'no-package')
})

t.test('what has ended is final', async (t) => {
  for (const state of ['done', 'went-back', 'lost', 'skipped'] as const) t.ok(isFinal(state))
  for (const state of ['waiting', 'fetching', 'fetched', 'installing'] as const) {
    t.notOk(isFinal(state))
  }
})
