import fc from 'fast-check'
import t from 'tap'
import { FailureDetector } from '../../../../broker/core/state/failure-detector.ts'
import { check } from '../../../support/property.ts'

const OPTIONS = { heartbeatMs: 2000, suspectAfterMs: 60_000, deadAfterMs: 120_000 }

/** One of several members: the others are there, and were not heard. */
const MEMBER = 3
const FIRST_MS = 1000

/** With the member's heartbeats at these intervals. */
function detectorOf(intervals: readonly number[], options = OPTIONS): FailureDetector {
  const detector = new FailureDetector(options)
  let nowMs = FIRST_MS
  beat(detector, nowMs)
  for (const intervalMs of intervals) {
    nowMs += intervalMs
    beat(detector, nowMs)
  }
  return detector
}

function beat(detector: FailureDetector, nowMs: number): void {
  detector.heard(MEMBER, nowMs, nowMs)
  detector.beat(MEMBER, nowMs)
}

function suspectAfter(intervals: readonly number[], options = OPTIONS): number {
  return detectorOf(intervals, options).suspectAfterMs(MEMBER)
}

function phiAfter(silentMs: number, detector: FailureDetector): number | undefined {
  return detector.phi(MEMBER, detector.sinceMs(MEMBER) + silentMs)
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
      const afterMs = suspectAfter(intervals)
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
        const afterMs = suspectAfter(intervals, { ...OPTIONS, suspectAfterMs })
        return afterMs <= suspectAfterMs && afterMs > 2 * OPTIONS.heartbeatMs
      }),
    )
  },
)

t.test('who has not shown how regular it is gets all the time there is', async (t) => {
  t.equal(suspectAfter([]), OPTIONS.suspectAfterMs)
  t.equal(suspectAfter(Array(7).fill(2000)), OPTIONS.suspectAfterMs)
  t.equal(phiAfter(60_000, detectorOf(Array(7).fill(2000))), undefined)
  t.equal(suspectAfter(Array(8).fill(2000)), 5000)
})

t.test('who is heard at odd times is waited for longer', async (t) => {
  const around = (spreadMs: number): number[] =>
    Array.from({ length: 64 }, (_, index) => 2000 + (index % 2 === 0 ? spreadMs : -spreadMs))
  const waits = [0, 600, 1200, 1800].map((spreadMs) => suspectAfter(around(spreadMs)))
  t.same(
    waits.map((ms) => Math.round(ms / 100)),
    [50, 51, 83, 114],
  )
})

t.test('the last intervals count, and old ones are forgotten', async (t) => {
  const afterMs = suspectAfter([...Array(20).fill(9000), ...Array(600).fill(2000)])
  t.ok(Math.abs(afterMs - 2.5 * 2000) < 25)
})

t.test('what was interrupted is no interval', async (t) => {
  const detector = detectorOf(Array(10).fill(2000))
  const before = phiAfter(2300, detector)
  detector.interrupt(MEMBER)
  for (const nowMs of [1_000_000, 1_002_000]) beat(detector, nowMs)
  t.equal(phiAfter(2300, detector), before)
  t.equal(detector.suspectAfterMs(MEMBER), 5000)
})

t.test('mean and deviation are those of a plain computation', async (t) => {
  const few = fc.array(fc.double({ min: 0, max: 9000, noNaN: true }), {
    minLength: 8,
    maxLength: 64,
  })
  check(
    t,
    fc.property(few, (intervals) => {
      const mean = intervals.reduce((sum, one) => sum + one, 0) / intervals.length
      const squares = intervals.reduce((sum, one) => sum + (one - mean) ** 2, 0)
      const deviation = Math.max(200, Math.sqrt(squares / intervals.length))
      const plain = Math.max(2.5 * Math.max(2000, mean), mean + 5.2261 * deviation)
      return Math.abs(suspectAfter(intervals) - Math.min(60_000, plain)) < 0.1
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
        const detector = detectorOf(intervals)
        const phis = silences.sort((a, b) => a - b).map((ms) => phiAfter(ms, detector)!)
        return phis.every(
          (one, index) => one >= 0 && Number.isFinite(one) && one >= (phis[index - 1] ?? 0),
        )
      },
    ),
  )
})

t.test('phi is 8 where the member is suspected, unless that is bounded', async (t) => {
  const intervals = Array.from({ length: 64 }, (_, index) => 500 + (index % 2) * 3000)
  const detector = detectorOf(intervals)
  const afterMs = detector.suspectAfterMs(MEMBER)
  t.ok(afterMs > 5000 && afterMs < 60_000)
  t.ok(Math.abs(phiAfter(afterMs, detector)! - 8) < 0.001)
})

t.test('one look finds those whose silence has come to something, some at a time', async (t) => {
  const detector = new FailureDetector(OPTIONS)
  t.same(detector.due(1e9, 10), [])
  t.equal(detector.nextVerdictMs, Number.POSITIVE_INFINITY, 'of nobody')
  for (const member of [5, 0, 70, 2]) detector.heard(member, 0, 1000 * member)
  t.equal(detector.nextVerdictMs, OPTIONS.suspectAfterMs)
  t.same(detector.due(OPTIONS.suspectAfterMs + 5000, 10), [0, 2, 5])
  t.same(detector.due(OPTIONS.suspectAfterMs + 5000, 2), [0, 2])
  detector.judgeAt(0, Number.POSITIVE_INFINITY)
  t.equal(detector.nextVerdictMs, OPTIONS.suspectAfterMs + 2000)
  t.equal(detector.heardMs(1), undefined)
  t.equal(detector.heardMs(70), 0)
})
