import t from 'tap'
import { leastSquares } from '../../scripts/bench/least-squares.ts'

t.test('a line without error, and one that is known from a textbook', async (t) => {
  const straight = [0, 1, 2, 3].map((x) => ({ x, y: 7 - 2 * x }))
  t.same(leastSquares(straight), { slope: -2, slopeError: 0 })
  const strayed = [2, 4, 5, 4, 5].map((y, x) => ({ x, y }))
  const { slope, slopeError } = leastSquares(strayed)
  t.ok(Math.abs(slope - 0.6) < 1e-12)
  t.ok(Math.abs(slopeError - Math.sqrt(2.4 / 3 / 10)) < 1e-12)
  t.throws(() => leastSquares(straight.slice(2)))
})
