import t from 'tap'
import { SYSTEM_CLOCK } from '../../../shared/runtime/clock.ts'

t.test('a timer comes once its time is over, and not if it was taken back', async (t) => {
  const beforeMs = SYSTEM_CLOCK.monotonicMs
  const called: string[] = []
  SYSTEM_CLOCK.after(0, () => called.push('taken back'))()
  const tooLong = SYSTEM_CLOCK.after(1e12, () => called.push('in thirty years'))
  await new Promise<void>((resolve) => {
    SYSTEM_CLOCK.after(2.5, resolve)
  })
  t.same(called, [])
  t.ok(SYSTEM_CLOCK.monotonicMs - beforeMs >= 2)
  tooLong()
})

t.test('a turn lets what waits go first', async (t) => {
  const order: string[] = []
  setImmediate(() => order.push('waited'))
  await SYSTEM_CLOCK.turn()
  order.push('turned')
  t.same(order, ['waited', 'turned'])
})
