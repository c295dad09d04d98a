import fc from 'fast-check'
import t from 'tap'
import {
  balanced,
  exactText,
  middleRange,
  numberText,
  opened,
  ticksOf,
  typedRange,
  wholeRange,
} from '../../../../broker/dashboard/grid/scale.ts'
import { check } from '../../../support/property.ts'

t.test('outliers do not make the range', (t) => {
  const values = Float32Array.from({ length: 1001 }, (_, index) => index)
  t.same(middleRange(values), { low: 20, high: 980 })
  const odd = Float32Array.from({ length: 1000 }, (_, index) => (index === 500 ? 1e9 : index % 10))
  t.same(middleRange(odd), { low: 0, high: 9 })
  t.end()
})

t.test('a field that is nearly everywhere the same shows what differs', (t) => {
  const values = new Float32Array(1000)
  values[7] = 5
  t.same(middleRange(values), { low: 0, high: 5 })
  t.equal(middleRange(new Float32Array()), undefined)
  t.equal(wholeRange(new Float32Array()), undefined)
  t.end()
})

t.test('a range of one number is opened around it', (t) => {
  t.same(opened({ low: 0, high: 0 }), { low: -1, high: 1 })
  t.same(opened({ low: 4, high: 4 }), { low: 2, high: 6 })
  t.same(opened({ low: -4, high: -4 }), { low: -6, high: -2 })
  t.same(opened({ low: 1, high: 2 }), { low: 1, high: 2 })
  t.same(balanced({ low: -1, high: 3 }), { low: -3, high: 3 })
  t.end()
})

t.test('a typed range is two numbers, the lower one first', (t) => {
  t.same(typedRange('-1.5', '2e3'), { range: { low: -1.5, high: 2000 } })
  t.same(typedRange('−2', ' 2 '), { range: { low: -2, high: 2 } }, 'as the page itself writes them')
  t.same(typedRange('', '2'), { problem: 'the low end is no number' })
  t.same(typedRange('1', 'x'), { problem: 'the high end is no number' })
  t.same(typedRange('2', '2'), { problem: 'the low end must be below the high end' })
  t.end()
})

t.test('ticks are round, in the range, and not too many', (t) => {
  t.same(ticksOf({ low: 0, high: 100 }, 5), [0, 20, 40, 60, 80, 100])
  t.same(ticksOf({ low: -2, high: 31 }, 5), [0, 10, 20, 30])
  t.same(ticksOf({ low: 0.1, high: 0.5 }, 5), [0.1, 0.2, 0.3, 0.4, 0.5])
  check(
    t,
    fc.property(
      fc.double({ min: -1e12, max: 1e12, noNaN: true }),
      fc.double({ min: 1e-6, max: 1e12, noNaN: true }),
      fc.integer({ min: 2, max: 8 }),
      (low, wide, most) => {
        const high = low + wide
        // Where numbers of 64 bits have no room for what lies between.
        if (wide < Math.abs(low) * 1e-9) return true
        const ticks = ticksOf({ low, high }, most)
        const slack = wide * 1e-6
        const isInside = ticks.every((tick) => tick >= low - slack && tick <= high + slack)
        const isOrdered = ticks.every((tick, index) => index === 0 || tick > ticks[index - 1]!)
        return isInside && isOrdered && ticks.length >= 1 && ticks.length <= most + 1
      },
    ),
  )
  t.end()
})

t.test('numbers are written to be read', (t) => {
  t.equal(numberText(783.75), '783.75')
  t.equal(numberText(-2), '−2')
  t.equal(numberText(0), '0')
  t.equal(numberText(1 / 3), '0.333333')
  t.equal(numberText(12_345_678), '12345678')
  t.equal(numberText(3.4028234663852886e38), '3.40282e+38')
  t.equal(numberText(1234567.8), '1234570')
  t.equal(numberText(-0.00001), '−1e−5')
  t.equal(numberText(Number.NaN), 'missing')
  t.end()
})

t.test('the number of a cell has the digits that it needs', (t) => {
  t.equal(exactText(Math.fround(16.332), 'f32'), '16.332')
  t.equal(exactText(Math.fround(1 / 3), 'f32'), '0.33333334')
  t.equal(exactText(-0.1, 'f64'), '−0.1')
  t.equal(exactText(1 / 3, 'f64'), '0.3333333333333333')
  t.equal(exactText(2 ** 31 - 1, 'i32'), '2147483647')
  check(
    t,
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = exactText(value, 'f32').replaceAll('−', '-')
      return Math.fround(Number(text)) === value
    }),
  )
  t.end()
})
