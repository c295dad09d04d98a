import t from 'tap'
import { MovePace } from '../../../../broker/core/rules/move-pace.ts'

const OPTIONS = { moveBytesPerSecond: 1000, movesMax: 32 }

/** One move ends each `everyMs`, `count` times. */
function run(
  pace: MovePace,
  fromMs: number,
  { everyMs, count }: { everyMs: number; count: number },
) {
  let nowMs = fromMs
  pace.began(nowMs)
  for (let ended = 0; ended < count; ended++) {
    nowMs += everyMs
    pace.ended(nowMs)
    pace.began(nowMs)
  }
  return nowMs
}

t.test('before anything was measured it is bytes or round trips, whichever takes longer', (t) => {
  const pace = new MovePace(OPTIONS)
  t.equal(pace.secondsFor({ tiles: 0, bytes: 0 }), 0)
  t.equal(pace.secondsFor({ tiles: 3, bytes: 9000 }), 9)
  t.equal(pace.secondsFor({ tiles: 3200, bytes: 1000 }), 6)
  t.end()
})

t.test('after a tenth it tells what the whole takes, whatever bounds it', (t) => {
  for (const everyMs of [1, 7, 250, 3000]) {
    const pace = new MovePace(OPTIONS)
    const tiles = 2574
    run(pace, 5000, { everyMs, count: Math.floor(tiles / 10) })
    const left = tiles - Math.floor(tiles / 10)
    const told = pace.secondsFor({ tiles: left, bytes: 1 })
    const takes = (left * everyMs) / 1000
    t.ok(told >= takes / 1.5 && told <= takes * 1.5 + 1, `${told} s of ${takes} s`)
  }
  t.end()
})

t.test('the rate is what ended in the last half minute', (t) => {
  const pace = new MovePace(OPTIONS)
  t.equal(pace.rateAt(0), 0)
  const endMs = run(pace, 0, { everyMs: 100, count: 100 })
  t.equal(pace.rateAt(endMs), 10)
  t.equal(pace.rateAt(endMs + 10_000), 5)
  t.equal(pace.rateAt(endMs + 60_000), 0)
  t.end()
})

t.test('it follows the last half minute', (t) => {
  const pace = new MovePace(OPTIONS)
  const fastMs = run(pace, 0, { everyMs: 10, count: 1000 })
  t.equal(pace.secondsFor({ tiles: 1000, bytes: 1 }), 10)
  run(pace, fastMs, { everyMs: 100, count: 1000 })
  const told = pace.secondsFor({ tiles: 1000, bytes: 1 })
  t.ok(told >= 95 && told <= 105, `${told} s`)
  t.end()
})

t.test('a break begins anew, and what was measured stands until there is better', (t) => {
  const pace = new MovePace(OPTIONS)
  const endMs = run(pace, 0, { everyMs: 10, count: 100 })
  const laterMs = endMs + 600_000
  run(pace, laterMs, { everyMs: 1000, count: 5 })
  t.equal(pace.secondsFor({ tiles: 100, bytes: 1 }), 1)
  run(pace, laterMs + 5000, { everyMs: 1000, count: 20 })
  t.equal(pace.secondsFor({ tiles: 10, bytes: 1 }), 10)
  t.end()
})

t.test('it stands still when nothing has ended for half a minute', (t) => {
  const pace = new MovePace(OPTIONS)
  t.notOk(pace.standsStill(1e6), 'nothing was begun')
  const endMs = run(pace, 1e6, { everyMs: 10, count: 2 })
  t.notOk(pace.standsStill(endMs + 30_000))
  t.ok(pace.standsStill(endMs + 30_001))
  t.end()
})
