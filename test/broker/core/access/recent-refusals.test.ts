import t from 'tap'
import { RecentRefusals } from '../../../../broker/core/access/recent-refusals.ts'

const failed = (source: string) =>
  ({ event: 'login-failed', who: 'user/anna', source, via: 'mqtt', code: 'x' }) as const

t.test('the newest first, the same as one, and only so many', (t) => {
  const refusals = new RecentRefusals()
  refusals.take(1, failed('a'))
  refusals.take(2, { event: 'login', who: 'user/anna', via: 'mqtt' })
  refusals.take(3, failed('b'))
  refusals.take(4, failed('a'))
  t.same(refusals.view(), [
    { ...failed('a'), ts: 4, count: 2 },
    { ...failed('b'), ts: 3, count: 1 },
  ])
  for (let n = 0; n < 1000; n++) refusals.take(n, failed(`s${n}`))
  t.equal(refusals.view().length, 20)
  t.match(refusals.view()[0], { source: 's999' })
  t.end()
})
