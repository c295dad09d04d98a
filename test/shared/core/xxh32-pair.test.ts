import fc from 'fast-check'
import t from 'tap'
import { digest, digestWords, equalBytes, xxh32, xxh32Pair } from '../../../shared/core/hash.ts'

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

t.test('a digest of words is that of their bytes, at any place and length', (t) => {
  const property = fc.property(
    fc.int32Array({ maxLength: 100, size: 'max' }),
    fc.nat(100),
    fc.nat(8),
    (words, start, at) => {
      const from = Math.min(start, words.length)
      const into = new Uint32Array(at + 2)
      digestWords(words, { from, to: words.length }, into, at)
      const bytes = (of: Int32Array | Uint32Array): Uint8Array => new Uint8Array(of.slice().buffer)
      return equalBytes(bytes(into.subarray(at)), digest(bytes(words.subarray(from))))
    },
  )
  fc.assert(property, { seed, numRuns: 2000 })
  t.pass('2000 runs')
  t.end()
})
