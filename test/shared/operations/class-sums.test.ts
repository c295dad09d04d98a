/** Sums by class against those of each class alone, over numbers that fill the table of bins again and again. */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { ClassSums } from '../../../shared/operations/class-sums.ts'
import { ExactSums } from '../../../shared/operations/exact-sums.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/operations/class-sums.test.ts`)

const number = new Float64Array(1)
const words = new Int32Array(number.buffer)

t.test('each class has the sums that it has alone', (t) => {
  const random = new Random(seed)
  const used = [0, 1, 7, 254, 255]
  const alone = new Map(used.map((of) => [of, new ExactSums()]))
  const sums = new ClassSums()
  for (let index = 0; index < 40_000; index++) {
    const of = used[random.integer(used.length)]!
    // Any bits that are a finite double: all exponents, subnormals, both signs and zeros.
    do {
      words[0] = random.integer(2 ** 32)
      words[1] = random.integer(2 ** 32)
    } while (!Number.isFinite(number[0]!))
    const times = random.integer(50) === 0 ? 1 + random.integer(4096) : 1
    sums.add(of, words[0]!, words[1]!, times)
    alone.get(of)!.addSame(words, times)
  }
  for (const [of, { sum, squares }] of alone) {
    t.ok(sums.sumOf(of) === sum, `the sum of class ${of}`)
    t.ok(sums.squaresOf(of) === squares, `the squares of class ${of}`)
  }
  t.ok(sums.sumOf(3) === 0n && sums.squaresOf(3) === 0n, 'a class without a number')
  t.end()
})

t.test('more numbers than a bin takes are summed exactly', (t) => {
  number[0] = 1 + 2 ** -52
  const [one, sums] = [new ExactSums(), new ClassSums()]
  one.addSame(words, 1)
  for (let index = 0; index < 100; index++) sums.add(9, words[0]!, words[1]!, 2 ** 17)
  const count = 100n * 2n ** 17n
  t.ok(sums.sumOf(9) === count * one.sum)
  t.ok(sums.squaresOf(9) === count * one.squares)
  t.end()
})
