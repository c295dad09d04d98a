import fc from 'fast-check'
import t from 'tap'
import {
  type CountedEvent,
  SAMPLE_BOUNDS,
  SecuritySamples,
} from '../../../broker/adapters/security-samples.ts'
import type { SecurityEvent, ToldEvent } from '../../../shared/protocol/security-events.ts'
import { check } from '../../support/property.ts'

function refusal(who: string, event: ToldEvent = 'request-refused'): SecurityEvent<ToldEvent> {
  return { event, who, source: '10.0.0.1', via: 'http' }
}

t.test('the first is told at once, and what follows with its count', (t) => {
  const samples = new SecuritySamples()
  t.equal(samples.nextMs, undefined)
  t.match(samples.take(0, refusal('user/a')), [{ count: 1 }])
  t.same(samples.take(1, refusal('user/a')), [])
  t.match(samples.take(2, refusal('user/b')), [{ count: 1 }], 'somebody else is something else')
  t.match(samples.take(3, refusal('user/a', 'login')), [{ count: 1 }], 'so is another event')
  t.same(samples.take(4, { ...refusal('user/a'), code: 'forbidden' }), [])
  t.equal(samples.nextMs, 10_000)
  t.same(samples.due(9999), [])
  t.match(samples.due(10_000), [{ event: { code: 'forbidden' }, count: 2 }])
  t.same(samples.take(10_003, refusal('user/a')), [], 'it is repeated still')
  t.match(samples.due(20_000), [{ count: 1 }])
  t.same(samples.due(30_000), [])
  t.equal(samples.nextMs, undefined, 'nothing is kept')
  t.match(samples.take(30_001, refusal('user/a')), [{ count: 1 }])
  t.end()
})

t.test('more than 50 lines a second of an event become one, which says of which', (t) => {
  const samples = new SecuritySamples()
  let told = 0
  for (let number = 0; number < 500; number++) {
    told += samples.take(number, refusal(`user/u${number}`)).length
  }
  t.equal(told, 50)
  t.match(samples.take(501, refusal('user/x', 'login')), [{ event: { event: 'login' } }])
  t.same(samples.due(10_049), [])
  t.match(samples.due(10_050), [
    { event: { event: 'log-suppressed', code: 'request-refused' }, count: 450 },
  ])
  t.match(samples.take(11_000, refusal('user/y')), [{ count: 1 }], 'the next second has its own')
  t.end()
})

t.test('a stranger from one source has one line, whatever names he says', (t) => {
  const samples = new SecuritySamples()
  const lines: CountedEvent[] = []
  for (let nowMs = 0; nowMs < 60_000; nowMs += 6) {
    lines.push(...samples.take(nowMs, refusal(`node/x${nowMs}`, 'enroll-refused')))
    if (nowMs !== 30_000) continue
    for (const event of ['token-used-twice', 'identity-twice', 'login', 'locked'] as const) {
      t.match(samples.take(nowMs, refusal('user/a', event)), [{ event: { event }, count: 1 }])
    }
  }
  lines.push(...samples.flush())
  t.ok(lines.length <= 8, `${lines.length} lines of 10,000 refusals in a minute`)
  t.equal(
    lines.reduce((sum, { count }) => sum + count, 0),
    10_000,
  )
  const elsewhere = { ...refusal('node/x', 'enroll-refused'), source: '10.0.0.2' }
  t.match(samples.take(60_000, elsewhere), [{ count: 1 }], 'another source has its own')
  t.end()
})

t.test('many sources with one event hide no other', (t) => {
  const samples = new SecuritySamples()
  for (let number = 0; number < 5000; number++) {
    samples.take(0, {
      ...refusal('node/x', 'enroll-refused'),
      source: `10.0.${number >> 8}.${number & 255}`,
    })
  }
  t.match(samples.take(0, refusal('node/n7', 'token-used-twice')), [{ count: 1 }])
  t.match(samples.take(0, refusal('user/a', 'login')), [{ count: 1 }])
  t.end()
})

t.test('a flood of an event fills no files, and hides no other event', (t) => {
  const samples = new SecuritySamples()
  const hourMs = 3_600_000
  let lines = 0
  let alarms = 0
  for (let number = 0; number < 8 * 36_000; number++) {
    const nowMs = number * 100 + 50
    for (const who of ['a', 'b', 'c']) {
      lines += samples.take(nowMs, refusal(`user/${who}${number}`)).length
    }
    if (nowMs % hourMs !== 600_050) continue
    alarms += samples.take(nowMs, refusal('nobody', 'token-used-twice')).length
  }
  t.ok(lines < 8 * (3600 + 360) + alarms, `${lines} lines in eight hours of 30 a second`)
  t.equal(alarms, 8)
  t.end()
})

t.test('whatever comes, each event is counted in one line, and little is remembered', (t) => {
  const bounds = { intervalMs: 100, keysMax: 8, perSecondMax: 5, perHourMax: 40 }
  const steps = fc.array(
    fc.record({
      waitMs: fc.nat(60),
      who: fc.nat(20),
      event: fc.constantFrom('login', 'request-refused', 'locked'),
    }),
    { maxLength: 300 },
  )
  const property = fc.property(steps, (taken) => {
    const samples = new SecuritySamples(bounds)
    const lines: CountedEvent[] = []
    let nowMs = 0
    for (const { waitMs, who, event } of taken) {
      nowMs += waitMs
      lines.push(...samples.take(nowMs, refusal(`user/${who}`, event as ToldEvent)))
      const { nextMs } = samples
      if (nextMs === undefined || nextMs < nowMs || nextMs > nowMs + 100) throw new Error('late')
    }
    lines.push(...samples.flush())
    const count = lines.reduce((sum, line) => sum + line.count, 0)
    return count === taken.length && samples.nextMs === undefined
  })
  check(t, property, 300)
  t.ok(SAMPLE_BOUNDS.keysMax < 5000)
  t.end()
})
