import fc from 'fast-check'
import t from 'tap'
import { barsOf, summaryOf } from '../../../../broker/dashboard/parts/histogram.ts'
import { check } from '../../../support/property.ts'

const SIZE = { width: 100, height: 50 }

t.test('bars stand side by side within the picture, the highest over all of it', async (t) => {
  check(
    t,
    fc.property(fc.array(fc.nat(1e9), { minLength: 1, maxLength: 200 }), (counts) => {
      const bars = barsOf({ counts, edges: [] }, SIZE)
      const most = Math.max(...counts)
      return bars.every(({ x, y, width, height }, index) => {
        const isInside =
          x >= 0 && x + width <= 100 + 1e-9 && y >= 0 && Math.abs(y + height - 50) < 1e-9
        const isBeside = index === 0 || x >= bars[index - 1]!.x + bars[index - 1]!.width
        const isSeen = counts[index] === 0 ? height === 0 : height >= 1
        return (
          isInside && isBeside && isSeen && (counts[index] !== most || most === 0 || height === 50)
        )
      })
    }),
  )
})

t.test('who cannot see it hears where most are', async (t) => {
  t.equal(
    summaryOf({ edges: [0, 0.5, 1], counts: [3, 1000] }),
    'Histogram of 2 bins; most, 1,000, from 0.5 to 1',
  )
})
