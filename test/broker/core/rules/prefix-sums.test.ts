/** Sums up to any place. */
import fc from 'fast-check'
import t from 'tap'
import { PrefixSums } from '../../../../broker/core/rules/prefix-sums.ts'
import { check } from '../../../support/property.ts'

t.test('up to each place there is what was added at all before it and at it', async (t) => {
  const change = fc.record({
    place: fc.integer({ min: 0, max: 36 }),
    amount: fc.integer({ min: -9, max: 9 }),
  })
  check(
    t,
    fc.property(fc.array(change, { maxLength: 50 }), (changes) => {
      const sums = new PrefixSums(37)
      for (const { place, amount } of changes) sums.add(place, amount)
      for (let last = 0; last < 37; last++) {
        const before = changes.filter(({ place }) => place <= last)
        const wanted = before.reduce((sum, { amount }) => sum + amount, 0)
        if (sums.upTo(last) !== wanted) throw new Error(`${sums.upTo(last)} up to ${last}`)
      }
    }),
  )
})
