import fc from 'fast-check'
import t from 'tap'
import {
  ExactSums,
  isPackedInteger,
  nearest,
  packInteger,
  unpackInteger,
} from '../../../shared/operations/exact-sums.ts'
import { check } from '../../support/property.ts'

function sumsOf(values: readonly number[]): ExactSums {
  const sums = new ExactSums()
  sums.add(new Int32Array(Float64Array.from(values).buffer), values.length)
  return sums
}

t.test('the double next to a fraction is the one that division gives', (t) => {
  const whole = fc.maxSafeInteger()
  check(
    t,
    fc.property(whole, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (top, bottom) => {
      return Object.is(nearest(BigInt(top), BigInt(bottom), 0) + 0, top / bottom + 0)
    }),
    2000,
  )
  check(
    t,
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      return nearest(sumsOf([value]).sum, 1n, -1074) === value
    }),
    2000,
  )
  t.equal(nearest(1n, 2n, -1074), 0, 'a tie goes to the even one')
  t.equal(nearest(3n, 2n, -1074), 2 ** -1073)
  t.equal(nearest((1n << 54n) + 1n, 1n, 0), 2 ** 54)
  t.equal(nearest((1n << 54n) - 1n, 1n, 970), Number.POSITIVE_INFINITY)
  t.equal(nearest(-((1n << 53n) - 1n), 1n, 971), -Number.MAX_VALUE)
  t.end()
})

t.test('more numbers than a bin takes are summed exactly', (t) => {
  const COUNT = 300_000
  const value = 1 + 2 ** -52
  const sums = new ExactSums()
  const words = new Int32Array(new Float64Array(COUNT).fill(value).buffer)
  sums.add(words, COUNT)
  const { sum } = sumsOf([value])
  t.ok(sums.sum === BigInt(COUNT) * sum)
  t.ok(sums.squares === BigInt(COUNT) * sum * sum)
  t.end()
})

t.test('integers travel as bytes', (t) => {
  check(
    t,
    fc.property(fc.bigInt({ min: -(2n ** 99n), max: 2n ** 99n }), fc.nat(4000), (one, shift) => {
      const value = one << BigInt(shift)
      const bytes = packInteger(value)
      return isPackedInteger(bytes) && unpackInteger(bytes) === value && bytes.length <= 17
    }),
  )
  for (const bytes of [undefined, 5, [], new Uint8Array(2), Uint8Array.of(0, 255, 255, 1)]) {
    t.notOk(isPackedInteger(bytes))
  }
  t.notOk(isPackedInteger(new Uint8Array(5000)))
  t.end()
})
