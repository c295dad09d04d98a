import fc from 'fast-check'
import t from 'tap'
import { TimeFloor } from '../../../../broker/core/access/time-floor.ts'
import { check } from '../../../support/property.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const NOW = Date.UTC(2027, 0, 1)

t.test('it goes with the clock, and stays where that goes back', (t) => {
  const floor = new TimeFloor(NOW, { monotonicMs: 5, wallMs: NOW })
  t.equal(floor.move({ monotonicMs: 5 + DAY_MS, wallMs: NOW + DAY_MS }), NOW + DAY_MS)
  const back = { monotonicMs: 5 + DAY_MS + 2000, wallMs: NOW - DAY_MS }
  t.equal(floor.move(back), NOW + DAY_MS + 1000, 'at half the pace')
  t.equal(floor.isAhead(back), true)
  const again = new TimeFloor(NOW + DAY_MS, { monotonicMs: 0, wallMs: NOW })
  t.equal(again.move({ monotonicMs: 0, wallMs: NOW }), NOW + DAY_MS, 'after a start, too')
  t.equal(again.isAhead({ monotonicMs: 0, wallMs: NOW + DAY_MS - HOUR_MS }), false)
  t.end()
})

t.test('a clock in the future holds it there no longer than it was wrong', (t) => {
  const floor = new TimeFloor(undefined, { monotonicMs: 0, wallMs: NOW })
  const wrong = { monotonicMs: 60_000, wallMs: Date.UTC(2091, 0, 1) }
  t.equal(floor.move(wrong), NOW + 24 * 60_000)
  let monotonicMs = 60_000
  while (floor.move({ monotonicMs, wallMs: NOW + monotonicMs }) > NOW + monotonicMs) {
    t.equal(floor.isAhead({ monotonicMs, wallMs: NOW + monotonicMs }), false)
    monotonicMs += 60_000
  }
  t.ok(monotonicMs < HOUR_MS, 'it is right again within the hour')
  t.end()
})

t.test('after a month off it is there within two days', (t) => {
  const floor = new TimeFloor(NOW, { monotonicMs: 0, wallMs: NOW + 30 * DAY_MS })
  const wallMs = NOW + 32 * DAY_MS
  t.equal(floor.move({ monotonicMs: 2 * DAY_MS, wallMs }), wallMs)
  t.end()
})

t.test('it never goes back, whatever clocks do', (t) => {
  const steps = fc.array(fc.record({ passedMs: fc.nat(DAY_MS), offMs: fc.integer() }))
  const property = fc.property(steps, (taken) => {
    const floor = new TimeFloor(undefined, { monotonicMs: 0, wallMs: NOW })
    let [monotonicMs, before] = [0, NOW]
    return taken.every(({ passedMs, offMs }) => {
      monotonicMs += passedMs
      const at = floor.move({ monotonicMs, wallMs: NOW + monotonicMs + offMs })
      const isSound = at >= before && at <= before + passedMs * 24 + 1
      before = at
      return isSound
    })
  })
  check(t, property, 300)
  t.end()
})
