import t from 'tap'
import { ReadingRates } from '../../../broker/core/reading-rates.ts'

const ONE = { cells: 1, mayWait: false }

t.test('so many are taken at once of a client, and then so many a second', async (t) => {
  const rates = new ReadingRates()
  const taken = (client: string, nowMs: number): number => {
    let count = 0
    while (rates.take(nowMs, { ...ONE, client }) !== undefined) count++
    return count
  }
  t.equal(taken('one', 0), 500)
  t.equal(taken('two', 0), 500, 'each has his own')
  t.equal(taken('one', 1000), 200)
  t.equal(taken('one', 60_000), 500, 'no more is saved up')
})

t.test('all together are bounded, too', async (t) => {
  const rates = new ReadingRates()
  const taken = Array.from({ length: 5000 }, (_, index) =>
    rates.take(0, { ...ONE, client: `client-${index}` }),
  )
  t.equal(taken.filter((waitMs) => waitMs === 0).length, 4000)
  t.equal(taken.filter((waitMs) => waitMs === undefined).length, 1000)
})

t.test('who brings readings of many is bounded as all are', async (t) => {
  const rates = new ReadingRates()
  const bridge = { ...ONE, client: 'bridge', isOfMany: true }
  const taken = Array.from({ length: 5000 }, () => rates.take(0, bridge))
  t.equal(taken.filter((waitMs) => waitMs === 0).length, 4000)
  t.equal(rates.take(0, { ...ONE, client: 'one' }), undefined, 'nothing is left for others')
  t.equal(rates.take(1000, { ...bridge, mayWait: true }), 0)
})

t.test('who may wait is in debt by as much as he waits, up to 5 s', async (t) => {
  const rates = new ReadingRates()
  const waits = Array.from({ length: 2000 }, () =>
    rates.take(0, { client: 'one', cells: 1, mayWait: true }),
  )
  t.same(waits.slice(0, 500), Array(500).fill(0))
  t.equal(waits[500], 5)
  t.equal(waits[1499], 5000)
  t.same(waits.slice(1500), Array(500).fill(undefined))
  t.equal(rates.take(10, { client: 'one', cells: 1, mayWait: false }), undefined)
  t.equal(rates.take(5005, { client: 'one', cells: 1, mayWait: false }), 0)
})

t.test('a message of many cells counts as one for each hundred', async (t) => {
  const rates = new ReadingRates()
  const many = { client: 'one', cells: 1000, mayWait: true }
  for (let count = 0; count < 50; count++) t.equal(rates.take(0, many), 0)
  t.equal(rates.take(0, many), 50)
  t.equal(rates.take(0, { ...many, cells: 101 }), 60)
})
