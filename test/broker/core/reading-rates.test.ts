/** How many readings are taken, and of whom. */
import fc from 'fast-check'
import t from 'tap'
import { ReadingRates } from '../../../broker/core/reading-rates.ts'
import { check } from '../../support/property.ts'

const ONE = { bytes: 4, mayWait: false }

/** As many as are taken of somebody who wants no end of them. */
function greedy(rates: ReadingRates, nowMs: number, by: string, mayWait = false): number {
  let count = 0
  while (rates.take(nowMs, { ...ONE, by, mayWait }) !== undefined) count++
  return count
}

t.test('who is alone has all: so many at once, and then so many a second', async (t) => {
  const rates = new ReadingRates()
  t.equal(greedy(rates, 0, 'one'), 4000)
  t.equal(greedy(rates, 500, 'one'), 2000)
  t.equal(greedy(rates, 1500, 'one'), 4000)
  t.equal(greedy(rates, 60_000, 'one'), 4000, 'no more is saved up')
})

t.test('whoever wants no more than his share has all of it beside those who do', async (t) => {
  const rates = new ReadingRates()
  const waits = new Set<number | undefined>()
  for (let ms = 0; ms < 10_000; ms += 10) {
    for (const by of ['a', 'b', 'c']) greedy(rates, ms, by, true)
    // 800 a second, where a fourth of all is 1,000.
    for (let count = 0; count < 8; count++) waits.add(rates.take(ms, { ...ONE, by: 'modest' }))
  }
  t.strictSame([...waits], [0])
})

t.test('those who want no end of it get the same, and what others leave', async (t) => {
  const asks = fc.record({
    users: fc.integer({ min: 1, max: 8 }),
    leaves: fc.integer({ min: 0, max: 8 }),
    stepMs: fc.integer({ min: 20, max: 200 }),
  })
  check(
    t,
    fc.property(asks, ({ users, leaves, stepMs }) => {
      const rates = new ReadingRates()
      const counts = Array.from({ length: users }, () => 0)
      let left = 0
      for (let ms = 0; ms <= 4000; ms += stepMs) {
        for (let at = 0; at < leaves; at++) {
          if (rates.take(ms, { ...ONE, by: `modest-${at}` }) !== undefined) left++
        }
        for (let at = 0; at < users; at++) counts[at]! += greedy(rates, ms, `user-${at}`)
      }
      const all = counts.reduce((sum, count) => sum + count, left)
      // Whoever comes first does not know how many will share: at the end each is ahead by the nth part of a second.
      const ahead = Array.from({ length: users + leaves }, (_, at) => 4000 / (at + 1))
      const most = ahead.reduce((sum, one) => sum + one, 16_000)
      if (all > most || all < 15_000) throw new Error(`${all} were taken`)
      if (Math.max(...counts) - Math.min(...counts) > 4000) throw new Error(`${counts}`)
    }),
  )
})

t.test('who may wait is in debt by as much as he waits, up to 5 s', async (t) => {
  const rates = new ReadingRates()
  const message = { by: 'one', bytes: 1024, mayWait: true }
  const waits = Array.from({ length: 25_000 }, () => rates.take(0, message))
  t.strictSame(new Set(waits.slice(0, 4000)), new Set([0]))
  t.equal(waits[4000], 0.25)
  t.equal(waits[23_999], 5000)
  t.strictSame(new Set(waits.slice(24_000)), new Set([undefined]))
  t.equal(rates.take(10, { ...ONE, by: 'one' }), undefined)
  t.equal(rates.take(10, { ...ONE, by: 'another' }), 0, 'nobody else is')
  t.equal(rates.take(5010, { ...ONE, by: 'one' }), 0)
})

t.test('of a large message each KiB counts', async (t) => {
  const rates = new ReadingRates()
  const large = { by: 'one', bytes: 65_536, mayWait: true }
  const waits = Array.from({ length: 62 }, () => rates.take(0, large))
  t.strictSame(new Set(waits), new Set([0]))
  t.equal(rates.take(0, large), 8)
  t.equal(rates.take(0, { ...large, bytes: 1025 }), 8.5)
})
