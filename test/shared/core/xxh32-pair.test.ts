import fc from 'fast-check'
import t from 'tap'
import { xxh32, xxh32Pair } from '../../../shared/core/hash.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/core/xxh32-pair.test.ts`)

t.test('a pair is xxh32 under each seed, at any length and alignment', (t) => {
  const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 })
  const property = fc.property(
    fc.uint8Array({ maxLength: 400, size: 'max' }),
    fc.nat(8),
    seeds,
    seeds,
    (given, offset, left, right) => {
      const bytes = given.subarray(Math.min(offset, given.length))
      const [one, other] = xxh32Pair(bytes, left, right)
      return one === xxh32(bytes, left) && other === xxh32(bytes, right)
    },
  )
  fc.assert(property, { seed, numRuns: 2000 })
  t.pass('2000 runs')
  t.end()
})
