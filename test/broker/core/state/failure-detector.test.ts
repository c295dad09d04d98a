import fc from 'fast-check'
import t from 'tap'
import {
  ArrivalHistory,
  livenessOf,
  phi,
  suspectAfter,
  untilNextVerdictMs,
} from '../../../../broker/core/state/failure-detector.ts'
import { check } from '../../../support/property.ts'

const OPTIONS = { heartbeatMs: 2000, suspectAfterMs: 60_000, deadAfterMs: 120_000 }

function historyOf(intervals: readonly number[]): ArrivalHistory {
  const history = new ArrivalHistory()
  let nowMs = 1000
  history.beat(nowMs)
  for (const intervalMs of intervals) {
    nowMs += intervalMs
    history.beat(nowMs)
  }
  return history
}

/** As agents send them, and as a good network delivers them. */
const steady = fc.array(fc.double({ min: 1800, max: 2200, noNaN: true }), {
  minLength: 8,
  maxLength: 200,
})
const any = fc.array(fc.double({ min: 0, max: 30_000, noNaN: true }), {
  minLength: 8,
  maxLength: 200,
})

t.test('one missed beat accuses nobody, however steady the others came', async (t) => {
  check(
    t,
    fc.property(steady, (intervals) => {
      const afterMs = suspectAfter(historyOf(intervals), OPTIONS)
      return afterMs > 2 * 2200 && afterMs < 3 * 2200
    }),
  )
})

t.test(
  'nobody is waited for longer than was configured, nor less than for two beats',
  async (t) => {
    check(
      t,
      fc.property(any, fc.integer({ min: 4001, max: 60_000 }), (intervals, suspectAfterMs) => {
        const afterMs = suspectAfter(historyOf(intervals), { ...OPTIONS, suspectAfterMs })
        return afterMs <= suspectAfterMs && afterMs > 2 * OPTIONS.heartbeatMs
      }),
    )
  },
)

t.test('who has not shown how regular it is gets all the time there is', async (t) => {
  t.equal(suspectAfter(historyOf([]), OPTIONS), OPTIONS.suspectAfterMs)
  t.equal(suspectAfter(historyOf(Array(7).fill(2000)), OPTIONS), OPTIONS.suspectAfterMs)
  t.equal(phi(60_000, historyOf(Array(7).fill(2000)), OPTIONS), undefined)
  t.equal(suspectAfter(historyOf(Array(8).fill(2000)), OPTIONS), 5000)
})

t.test('who is heard at odd times is waited for longer', async (t) => {
  const around = (spreadMs: number): number[] =>
    Array.from({ length: 64 }, (_, index) => 2000 + (index % 2 === 0 ? spreadMs : -spreadMs))
  const waits = [0, 600, 1200, 1800].map((spreadMs) =>
    suspectAfter(historyOf(around(spreadMs)), OPTIONS),
  )
  t.same(
    waits.map((ms) => Math.round(ms / 100)),
    [50, 51, 83, 114],
  )
})

t.test('the last intervals count, and old ones are forgotten', async (t) => {
  const history = historyOf([...Array(20).fill(9000), ...Array(600).fill(2000)])
  t.ok(Math.abs(history.meanMs - 2000) < 10)
  t.equal(suspectAfter(history, OPTIONS), 2.5 * Math.max(2000, history.meanMs))
})

t.test('what was interrupted is no interval', async (t) => {
  const history = historyOf(Array(10).fill(2000))
  history.interrupt()
  history.beat(1_000_000)
  t.equal(history.meanMs, 2000)
  history.beat(1_002_000)
  t.equal(history.meanMs, 2000)
  t.equal(history.deviationMs, 0)
})

t.test('mean and deviation are those of a plain computation', async (t) => {
  const few = fc.array(fc.double({ min: 0, max: 9000, noNaN: true }), {
    minLength: 8,
    maxLength: 64,
  })
  check(
    t,
    fc.property(few, (intervals) => {
      const history = historyOf(intervals)
      const mean = intervals.reduce((sum, one) => sum + one, 0) / intervals.length
      const squares = intervals.reduce((sum, one) => sum + (one - mean) ** 2, 0)
      const deviation = Math.sqrt(squares / intervals.length)
      return (
        Math.abs(history.meanMs - mean) < 1e-3 && Math.abs(history.deviationMs - deviation) < 1e-2
      )
    }),
  )
})

t.test('phi never falls while the silence goes on, and is finite', async (t) => {
  check(
    t,
    fc.property(
      any,
      fc.array(fc.double({ min: 0, max: 1e7, noNaN: true })),
      (intervals, silences) => {
        const history = historyOf(intervals)
        const phis = silences.sort((a, b) => a - b).map((ms) => phi(ms, history, OPTIONS)!)
        return phis.every(
          (one, index) => one >= 0 && Number.isFinite(one) && one >= (phis[index - 1] ?? 0),
        )
      },
    ),
  )
})

t.test('phi is 8 where the member is suspected, unless that is bounded', async (t) => {
  const history = historyOf(Array.from({ length: 64 }, (_, index) => 500 + (index % 2) * 3000))
  const afterMs = suspectAfter(history, OPTIONS)
  t.ok(afterMs > 5000 && afterMs < 60_000)
  t.ok(Math.abs(phi(afterMs, history, OPTIONS)! - 8) < 0.001)
  t.ok(Math.abs(phi(history.meanMs, history, OPTIONS)! - Math.log10(2)) < 1e-9, 'one in two')
})

t.test('verdicts follow the silence, and say when they change', async (t) => {
  const silences = [-5, 0, 4999, 5000, 29_999, 30_000, 90_000]
  t.same(
    silences.map((ms) => livenessOf(ms, 5000, 30_000)),
    ['alive', 'alive', 'alive', 'suspect', 'suspect', 'dead', 'dead'],
  )
  t.same(
    silences.map((ms) => untilNextVerdictMs(ms, 5000, 30_000)),
    [5005, 5000, 1, 25_000, 1, undefined, undefined],
  )
})
