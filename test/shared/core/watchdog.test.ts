import t from 'tap'
import { Waits } from '../../../shared/core/waits.ts'
import { stallOf, type Wait, Watchdog } from '../../../shared/core/watchdog.ts'

const LIMIT_MS = 10_000

/** Looks whenever it wants to be looked at, as a timer that is never late would. */
function run(
  watchdog: Watchdog,
  { fromMs, untilMs }: { fromMs: number; untilMs: number },
  waits: (nowMs: number) => Wait[],
) {
  const pings: number[] = []
  const changes: (string | undefined)[] = []
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs = watchdog.deadlineMs) {
    const { isPing, change } = watchdog.step(nowMs, waits(nowMs))
    if (isPing) pings.push(nowMs)
    if (change !== undefined) changes.push(change.stalled)
  }
  return { pings, changes }
}

const disk = (sinceMs: number | undefined): Wait => ({
  what: 'the disk',
  sinceMs,
  limitMs: LIMIT_MS,
})

t.test('it pings three times in the time that is allowed', async (t) => {
  const watchdog = new Watchdog({ timeoutMs: 60_000 }, 0)
  const { pings, changes } = run(watchdog, { fromMs: 0, untilMs: 120_000 }, () => [])
  t.same(pings, [0, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000])
  t.same(changes, [])
})

t.test('looking too often makes no more pings', async (t) => {
  const watchdog = new Watchdog({ timeoutMs: 60_000 }, 0)
  let pings = 0
  for (let nowMs = 0; nowMs < 60_000; nowMs += 100) pings += watchdog.step(nowMs, []).isPing ? 1 : 0
  t.equal(pings, 3)
})

t.test('what comes within its limit is no reason to stop', async (t) => {
  const watchdog = new Watchdog({ timeoutMs: 60_000 }, 0)
  const waits = (nowMs: number) => [disk(nowMs - LIMIT_MS)]
  const { pings } = run(watchdog, { fromMs: 0, untilMs: 100_000 }, waits)
  t.equal(pings.length, 6)
})

t.test('a flush that does not come back stops the pings for ever', async (t) => {
  const watchdog = new Watchdog({ timeoutMs: 60_000 }, 0)
  const beganMs = 45_000
  const waits = (nowMs: number) => [disk(nowMs < beganMs ? undefined : beganMs)]
  const { pings, changes } = run(watchdog, { fromMs: 0, untilMs: 600_000 }, waits)
  t.same(pings, [0, 20_000, 40_000], 'the last one came before its limit')
  t.same(changes, ['the disk for 15 s'])
})

t.test('what recovers is pinged for within a second, and said once', async (t) => {
  const watchdog = new Watchdog({ timeoutMs: 60_000 }, 0)
  const waits = (nowMs: number) => [disk(nowMs < 50_500 ? 5000 : undefined)]
  const { pings, changes } = run(watchdog, { fromMs: 0, untilMs: 80_000 }, waits)
  t.same(pings, [0, 51_000, 71_000])
  t.same(changes, ['the disk for 15 s', undefined])
})

t.test('the first of several that is late is named', async (t) => {
  const link = { what: 'the link', sinceMs: 0, limitMs: 1000 }
  t.equal(stallOf(500, [disk(undefined), link]), undefined)
  t.equal(stallOf(20_000, [disk(undefined), link]), 'the link for 20 s')
  t.equal(stallOf(20_000, [disk(0), link]), 'the disk for 20 s')
})

t.test('of what is under way the oldest counts, whatever ends first', async (t) => {
  const waits = new Waits()
  t.equal(waits.oldestMs, undefined)
  const first = waits.begin(10)
  const second = waits.begin(20)
  const third = waits.begin(20)
  t.equal(waits.oldestMs, 10)
  second()
  t.equal(waits.oldestMs, 10)
  first()
  first()
  t.equal(waits.oldestMs, 20)
  third()
  t.equal(waits.oldestMs, undefined)
})
