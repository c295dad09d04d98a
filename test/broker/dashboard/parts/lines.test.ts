import fc from 'fast-check'
import t from 'tap'
import { pathOf, scaleOf, wordsOf } from '../../../../broker/dashboard/parts/lines.ts'
import { check } from '../../../support/property.ts'

const SIZE = { width: 10, height: 10 }
const SCALE = { low: 0, high: 100 }

t.test('a gap is no line, and a value alone is a dot', async (t) => {
  t.equal(pathOf([0, 50, 100], SCALE, SIZE), 'M0,10L5,5L10,0')
  t.equal(pathOf([0, null, 100], SCALE, SIZE), 'M0,10h0M10,0h0')
  t.equal(pathOf([null, 50, 50], SCALE, SIZE), 'M5,5L10,5')
  t.equal(pathOf([null, null], SCALE, SIZE), '')
  t.equal(pathOf([], SCALE, SIZE), '')
  t.equal(pathOf([-5, 500], SCALE, SIZE), 'M0,10L10,0', 'what is beyond stays at the edge')
})

t.test('the scale holds all values and what it spans in any case, in round numbers', async (t) => {
  t.same(scaleOf([3, null, 41], SCALE), SCALE)
  t.same(scaleOf([3, 137], SCALE), { low: 0, high: 200 })
  t.same(scaleOf([], { low: 20, high: 60 }), { low: 20, high: 60 })
  check(
    t,
    fc.property(fc.array(fc.integer({ min: -1e7, max: 1e7 })), (tenths) => {
      const values = tenths.map((value) => value / 10)
      const { low, high } = scaleOf(values, { low: 0, high: 10 })
      return low <= 0 && high >= 10 && values.every((value) => low <= value && value <= high)
    }),
  )
})

t.test('who cannot see it hears how it is and was', async (t) => {
  t.equal(wordsOf('CPU', [3, null, 41.26], '%'), 'CPU: now 41.3 %, from 3 % to 41.3 %')
  t.equal(wordsOf('behind', [null], 'entries'), 'behind: nothing is known')
})
