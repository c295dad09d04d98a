import t from 'tap'
import { SubmissionRates } from '../../../../broker/core/rules/submission-rates.ts'
import type { UserPrincipal } from '../../../../shared/protocol/access.ts'

function user(name: string, tasksPerSecond?: number): UserPrincipal {
  const base = { kind: 'user', name, roles: ['submitter'], topics: [] } as const
  if (tasksPerSecond === undefined) return base
  return { ...base, grant: { ops: '*', regions: '*', fields: '*', tasksPerSecond } }
}

/** How many of so many are taken at this moment. */
function taken(rates: SubmissionRates, nowMs: number, who: UserPrincipal, count: number): number {
  let sum = 0
  for (let n = 0; n < count; n++) if (rates.take(nowMs, who) === 0) sum++
  return sum
}

t.test('a thousand at once, and then two hundred a second', (t) => {
  const rates = new SubmissionRates()
  t.equal(taken(rates, 0, user('a'), 2000), 1000)
  t.equal(taken(rates, 500, user('a'), 2000), 100)
  t.equal(taken(rates, 1500, user('a'), 2000), 200)
  t.equal(taken(rates, 1500, user('b'), 2000), 1000, 'another has his own')
  t.equal(taken(rates, 99_999, user('a'), 2000), 1000)
  t.end()
})

t.test('as a grant says', (t) => {
  const rates = new SubmissionRates()
  t.equal(taken(rates, 0, user('a', 2), 99), 10)
  t.equal(taken(rates, 1000, user('a', 2), 99), 2)
  t.equal(taken(rates, 0, user('b', 0.1), 99), 1)
  t.equal(rates.take(4000, user('b', 0.1)), 6000, 'in ms')
  t.equal(taken(rates, 9000, user('b', 0.1), 99), 0)
  t.equal(taken(rates, 20_000, user('b', 0.1), 99), 1)
  t.end()
})

t.test('users beyond number take no room', (t) => {
  const rates = new SubmissionRates()
  taken(rates, 0, user('a'), 1000)
  for (let n = 0; n < 1023; n++) rates.take(0, user(`u${n}`))
  t.equal(taken(rates, 0, user('a'), 1), 0, 'it is remembered')
  for (let n = 0; n < 1024; n++) rates.take(0, user(`u${n}`))
  t.equal(taken(rates, 0, user('a'), 1), 1)
  t.end()
})
