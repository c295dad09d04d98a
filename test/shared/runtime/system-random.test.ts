import t from 'tap'
import { randomId } from '../../../shared/core/ids.ts'
import { SystemRandom } from '../../../shared/runtime/system-random.ts'

const PROCESSES = 250_000

t.test('no two of many processes give the same name', (t) => {
  // Seeds of 32 bits would give some seven pairs here.
  const names = new Set<string>()
  for (let index = 0; index < PROCESSES; index++) names.add(randomId(new SystemRandom()))
  t.equal(names.size, PROCESSES)
  t.end()
})

t.test('numbers of the system lie where those of a seed do', (t) => {
  const random = new SystemRandom()
  const drawn = Array.from({ length: 10_000 }, () => random.unit())
  t.ok(drawn.every((value) => value >= 0 && value < 1))
  t.ok(Math.min(...drawn) < 0.01 && Math.max(...drawn) > 0.99)
  t.ok(new Set(Array.from({ length: 1000 }, () => random.integer(32))).size === 32)
  t.end()
})
