/** The room for cells that wait: never more than there is, and always some for whoever comes. */
import fc from 'fast-check'
import t from 'tap'
import { PENDING_MAX, ReadingShares } from '../../../../broker/core/rules/reading-shares.ts'
import { check } from '../../../support/property.ts'

t.test('one alone has three quarters', async (t) => {
  const shares = new ReadingShares()
  while (shares.hasRoom('a', 1)) shares.add('a')
  t.equal(shares.size, (PENDING_MAX * 3) / 4)
  t.ok(shares.hasRoom('a', 0), 'nothing more is always taken')
  t.notOk(shares.hasRoom('b', PENDING_MAX / 4))
  t.ok(shares.hasRoom('b', (PENDING_MAX * 3) / 16))
  shares.remove('a')
  t.ok(shares.hasRoom('a', 1))
})

t.test('whoever comes finds room, however much others took before', async (t) => {
  const users = ['a', 'b', 'c', 'd']
  const ask = fc.record({ by: fc.constantFrom(...users), more: fc.integer({ min: 1, max: 1000 }) })
  check(
    t,
    fc.property(fc.array(ask, { minLength: 100, maxLength: 300 }), (asks) => {
      const shares = new ReadingShares()
      for (let at = 0; at < 40_000; at++) shares.add('a')
      for (const { by, more } of asks) {
        if (!shares.hasRoom(by, more)) continue
        for (let at = 0; at < more; at++) shares.add(by)
      }
      if (shares.size > PENDING_MAX) throw new Error(`${shares.size} wait`)
      if (!shares.hasRoom('newcomer', 100)) throw new Error(`none is left beside ${shares.size}`)
    }),
  )
})
