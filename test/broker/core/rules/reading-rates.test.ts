/** How many readings are taken, and of whom. */
import fc from 'fast-check'
import t from 'tap'
import { ReadingRates } from '../../../../broker/core/rules/reading-rates.ts'
import { check } from '../../../support/property.ts'

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
    30,
  )
})

t.test('whatever each wishes: as many are taken as there may be, and shared evenly', async (t) => {
  const stepMs = 100
  const steps = 100
  const asks = fc.record({
    // In messages a step, of 400 that there are.
    modest: fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 20 }),
    wishes: fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 5 }),
  })
  const one = (modest: readonly number[], wishes: readonly number[]): void => {
    const rates = new ReadingRates()
    const each = [...modest, ...wishes, 2000]
    const taken = each.map(() => 0)
    for (let step = 0; step < steps; step++) {
      for (const [at, wish] of each.entries()) {
        const message = { ...ONE, by: `user-${at}` }
        for (let count = 0; count < wish; count++) {
          if (rates.take(step * stepMs, message) === undefined) break
          taken[at]! += 1
        }
      }
    }
    const all = taken.reduce((sum, count) => sum + count, 0)
    const passed = (steps - 1) * (stepMs * 4)
    // Each that comes is ahead by no more than his part of a second among those who came before.
    const ahead = each.reduce((sum, _, at) => sum + 4000 / (at + 1), 0)
    if (all < passed || all > passed + ahead) throw new Error(`${all} were taken`)
    for (const [at, wish] of each.entries()) {
      const share = (stepMs * 4) / each.length
      const due = wish <= share ? wish * steps : share * (steps - 1)
      if (taken[at]! < due) throw new Error(`${at} wished ${wish} a step, and has ${taken[at]}`)
    }
  }
  one(Array(20).fill(15), [])
  check(
    t,
    fc.property(asks, ({ modest, wishes }) => one(modest, wishes)),
    30,
  )
})

/** The same by looking at everybody each time, one message after the other. */
class PlainRates {
  readonly #owed = new Map<string, number>()
  #given = 0
  #atMs = 0

  take(nowMs: number, { by, bytes, mayWait }: Parameters<ReadingRates['take']>[1]) {
    this.#given += (nowMs - this.#atMs) * 4
    this.#atMs = nowMs
    while (this.#owed.size > 0 && this.#given >= this.#owed.size) {
      this.#given -= this.#owed.size
      for (const [name, owed] of this.#owed) {
        if (owed === 1) this.#owed.delete(name)
        else this.#owed.set(name, owed - 1)
      }
    }
    if (this.#owed.size === 0) this.#given = 0
    const own = (this.#owed.get(by) ?? 0) + Math.max(1, Math.ceil(bytes / 1024))
    const others = [...this.#owed].filter(([name]) => name !== by)
    const toGive = others.reduce((sum, [, owed]) => sum + Math.min(owed, own), own) - this.#given
    const debtMs = toGive / 4 - 1000
    if (debtMs > (mayWait ? 5000 : 0)) return undefined
    this.#owed.set(by, own)
    return Math.max(0, debtMs)
  }
}

t.test('what is kept as sums is what a look at everybody says', async (t) => {
  const times = fc.record({
    afterMs: fc.integer({ min: 0, max: 400 }),
    by: fc.integer({ min: 0, max: 12 }),
    bytes: fc.oneof(fc.constant(4), fc.integer({ min: 0, max: 400_000 })),
    mayWait: fc.boolean(),
    count: fc.integer({ min: 1, max: 40 }),
  })
  const asks = fc.record({
    // The places of the line come round soon after these.
    before: fc.integer({ min: 0, max: 8000 }),
    list: fc.array(times, { maxLength: 100 }),
  })
  check(
    t,
    fc.property(asks, ({ before, list }) => {
      const [rates, plain] = [new ReadingRates(), new PlainRates()]
      const both = (nowMs: number, message: Parameters<ReadingRates['take']>[1]): void => {
        const [got, wanted] = [rates.take(nowMs, message), plain.take(nowMs, message)]
        if (got !== wanted) throw new Error(`${got} ms at ${nowMs}, and not ${wanted}`)
      }
      const large = { by: 'first', bytes: 1024 * 1000, mayWait: true }
      for (let count = 0; count < 24; count++) both(0, large)
      both(6000, { ...large, bytes: 1024 * before })
      let nowMs = 8000
      for (const { afterMs, by, count, ...rest } of list) {
        nowMs += afterMs
        const message = { ...rest, by: `user-${by}` }
        for (let time = 0; time < count; time++) both(nowMs, message)
      }
    }),
    60,
  )
})

t.test('who is alone for a minute has all of it all the time', async (t) => {
  const rates = new ReadingRates()
  let taken = greedy(rates, 0, 'one')
  for (let ms = 100; ms <= 60_000; ms += 100) taken += greedy(rates, ms, 'one')
  t.equal(taken, 4000 + 240_000)
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
