import t from 'tap'
import { ReadingTimes, TIMES_MAX } from '../../../../broker/core/rules/reading-times.ts'

const HOUR_MS = 3_600_000

t.test('what was read before the last of a cell is late, for an hour', async (t) => {
  const times = new ReadingTimes()
  t.ok(times.take(0, 7, 1000))
  t.ok(times.take(0, 7, 1000), 'the same again')
  t.notOk(times.take(HOUR_MS - 1, 7, 999))
  t.ok(times.take(HOUR_MS - 1, 8, 999), 'of another cell')
  t.ok(times.take(HOUR_MS, 7, 999))
  t.notOk(times.take(HOUR_MS, 7, 998))
})

t.test('the times of the latest cells are known', async (t) => {
  const times = new ReadingTimes()
  for (let cell = 0; cell < TIMES_MAX; cell++) times.take(0, cell, 5)
  times.take(0, 0, 6)
  times.take(0, TIMES_MAX, 5)
  t.notOk(times.take(0, 0, 5), 'the one that was told again')
  t.ok(times.take(0, 1, 4), 'the oldest one is forgotten')
  t.notOk(times.take(0, 3, 4))
})
