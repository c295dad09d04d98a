import t from 'tap'
import { WallClock } from '../../../firmware-agent/core/wall-clock.ts'
import { AgentBench, HEARTBEAT_MS, SESSION } from '../../support/agent-bench.ts'

const HOUR_MS = 3_600_000
const YEAR_2026 = Date.UTC(2026, 10, 27)

t.test('before anything is known it is the time of the system', async (t) => {
  const clock = new WallClock(0)
  clock.advance({ monotonicMs: 5, wallMs: YEAR_2026 })
  t.equal(clock.ms, YEAR_2026)
})

t.test('a board that begins in 1970 goes on from the time that was stored', async (t) => {
  const clock = new WallClock(YEAR_2026)
  clock.advance({ monotonicMs: 7000, wallMs: 12_000 })
  t.equal(clock.ms, YEAR_2026)
  clock.advance({ monotonicMs: 7000 + HOUR_MS, wallMs: 12_000 + HOUR_MS })
  t.equal(clock.ms, YEAR_2026 + HOUR_MS, 'it does not stand still')
  clock.advance({ monotonicMs: 7000 + 2 * HOUR_MS, wallMs: YEAR_2026 + 50 * HOUR_MS })
  t.equal(clock.ms, YEAR_2026 + 50 * HOUR_MS, 'until the system knows better')
})

t.test('the gateway is believed, ahead or behind, and its time goes on without it', async (t) => {
  const clock = new WallClock(YEAR_2026)
  clock.advance({ monotonicMs: 1000, wallMs: 0 })
  clock.set(YEAR_2026 + 30 * HOUR_MS)
  t.equal(clock.ms, YEAR_2026 + 30 * HOUR_MS)
  clock.advance({ monotonicMs: 3000, wallMs: YEAR_2026 + 99 * HOUR_MS })
  t.equal(clock.ms, YEAR_2026 + 30 * HOUR_MS + 2000, 'whatever the system says')
  clock.set(YEAR_2026 - HOUR_MS)
  t.equal(clock.ms, YEAR_2026 - HOUR_MS, 'a floor that was wrong does not stay')
})

t.test('it asks to be stored when the stored time is an hour old, and once an hour', async (t) => {
  const clock = new WallClock(0)
  const keeps: number[] = []
  for (let minute = 0; minute <= 300; minute++) {
    const monotonicMs = minute * 60_000
    clock.advance({ monotonicMs, wallMs: YEAR_2026 + monotonicMs })
    if (minute === 90) clock.stamp()
    if (clock.takeKeep()) keeps.push(minute)
  }
  t.same(keeps, [60, 150, 210, 270], 'what was written at 90 put it off')
})

t.test('a time that jumps is stored at once, but not again within the hour', async (t) => {
  const clock = new WallClock(0)
  clock.advance({ monotonicMs: 0, wallMs: 0 })
  t.equal(clock.takeKeep(), false)
  clock.set(YEAR_2026)
  t.equal(clock.takeKeep(), true)
  clock.set(YEAR_2026 + 5 * HOUR_MS)
  t.equal(clock.takeKeep(), false)
  t.equal(clock.deadlineMs, HOUR_MS)
  clock.advance({ monotonicMs: HOUR_MS, wallMs: 0 })
  t.equal(clock.takeKeep(), true)
})

t.test(
  'the agent: `ts` from the floor first, then from the gateway; the offset is the system’s',
  async (t) => {
    const bench = new AgentBench({ timeFloorMs: YEAR_2026 })
    // The bench's system clock stands in 2001.
    bench.admit()
    t.equal(bench.agent.counts.wallMs, YEAR_2026)
    t.equal(bench.agent.counts.clockOffsetMs, null)
    bench.nowMs += 40
    const ts = YEAR_2026 + 7 * HOUR_MS
    bench.receive({ t: 'beat', session: SESSION, beat: 1, ts, confirmed: 0 })
    t.equal(bench.agent.counts.wallMs, ts + 20, 'half of the way there and back')
    t.equal(bench.agent.counts.clockOffsetMs, ts + 20 - (1e12 + 40))
    t.equal(bench.of('keep-time').length, 1, 'it is hours from what is stored')
    bench.step({ type: 'apply-failed', code: 'store-full', message: 'no room' })
    const event = bench.of('publish').find(({ topic }) => topic.kind === 'node-event')
    t.equal(JSON.parse(String(event!.payload)).ts, ts + 20, 'events carry it too')
  },
)

t.test('the agent stores the time on its own once an hour, connected or not', async (t) => {
  const bench = new AgentBench()
  const keeps = bench.wait(5 * HOUR_MS + 1000).filter(({ type }) => type === 'keep-time')
  t.equal(keeps.length, 5)
  bench.agent.stampTime({ monotonicMs: bench.nowMs, wallMs: 1e12 + bench.nowMs })
  t.equal(bench.wait(HOUR_MS - 2000).filter(({ type }) => type === 'keep-time').length, 0)
})

t.test('progress: no gateway, or one that is silent, is no standstill', async (t) => {
  const bench = new AgentBench()
  for (let minute = 0; minute < 600; minute++) {
    bench.wait(60_000)
    if (bench.of('connect').length > 0) bench.disconnect()
    t.equal(bench.agent.overdueSinceMs(bench.nowMs), undefined)
    if (!t.passing()) return
  }
})

t.test('progress: heartbeats that are answered; silence is given up and tried again', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  for (let beat = 1; beat < 100; beat++) {
    bench.wait(HEARTBEAT_MS)
    bench.receive({ t: 'beat', session: SESSION, beat, ts: 1e12, confirmed: 0 })
    t.equal(bench.agent.overdueSinceMs(bench.nowMs), undefined)
  }
  bench.wait(60_000)
  t.equal(bench.of('disconnect').length, 1)
  bench.disconnect()
  t.equal(bench.agent.overdueSinceMs(bench.nowMs), undefined)
})

t.test('standstill: a deadline that nobody meets', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const dueMs = bench.agent.nextDeadlineMs()!
  t.equal(bench.agent.overdueSinceMs(dueMs), undefined)
  t.equal(bench.agent.overdueSinceMs(dueMs + 30_000), dueMs)
})

t.test('standstill: a connection that was given up and does not end', async (t) => {
  const bench = new AgentBench()
  bench.step({ type: 'deadline-reached' })
  bench.wait(5000)
  t.equal(bench.of('disconnect').length, 1)
  const sinceMs = bench.nowMs
  bench.wait(120_000)
  t.equal(bench.agent.overdueSinceMs(bench.nowMs), sinceMs)
  bench.disconnect()
  t.equal(bench.agent.overdueSinceMs(bench.nowMs), undefined)
})
