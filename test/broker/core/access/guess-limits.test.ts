import fc from 'fast-check'
import t from 'tap'
import {
  type Admission,
  EnrolmentLimits,
  GuessLimits,
  ShutSources,
  type Try,
} from '../../../../broker/core/access/guess-limits.ts'
import { check } from '../../../support/property.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** A try that is wrong. */
function guess(limits: GuessLimits, nowMs: number, name: string, source: string): Admission {
  const admission = limits.begin(nowMs, name, source)
  if (admission.ok) limits.wrong(nowMs, admission)
  return admission
}

/** Tries as soon as it may, so many times; says how long each had to wait. */
function waits(limits: GuessLimits, count: number, names: (n: number) => string): number[] {
  let nowMs = 0
  return Array.from({ length: count }, (_, n) => {
    const startMs = nowMs
    let admission: Admission
    for (;;) {
      admission = guess(limits, nowMs, names(n), 'a')
      if (admission.ok) return nowMs - startMs
      nowMs = admission.untilMs
    }
  })
}

t.test('a user is locked where he was tried: a minute, and twice as long each time', (t) => {
  const limits = new GuessLimits()
  const minutes = waits(limits, 13, () => 'anna').map((ms) => ms / MINUTE)
  t.same(minutes, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60])
  t.ok(limits.begin(0, 'anna', 'b').ok, 'attempt 33: elsewhere he is not')
  t.end()
})

t.test('a source has ten free, and then waits twice as long each time', (t) => {
  const seconds = waits(new GuessLimits(), 23, (n) => `user${n}`).map((ms) => ms / 1000)
  const free = new Array(11).fill(0)
  t.same(seconds, [...free, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900])
  t.end()
})

t.test('a user tried from everywhere is slow, and never locked', (t) => {
  const limits = new GuessLimits()
  const at = (nowMs: number, n: number): Admission => guess(limits, nowMs, 'anna', `source${n}`)
  for (let n = 0; n < 100; n++) t.match(at(n, n), { ok: true, delayMs: 0 })
  for (let n = 100; n < 3000; n++) {
    const admission = at(n, n)
    if (!admission.ok || admission.delayMs !== 1000) t.fail(`${n}`)
  }
  t.match(at(HOUR + 1, 5000), { ok: true, delayMs: 0 }, 'an hour later it is over')
  t.end()
})

t.test('many at a time gain nothing, and one that was right costs nothing', (t) => {
  const limits = new GuessLimits()
  const begun = Array.from({ length: 20 }, () => limits.begin(0, 'anna', 'a'))
  t.equal(begun.filter(({ ok }) => ok).length, 5)
  limits.right(0, begun[0] as Try)
  t.ok(limits.begin(0, 'anna', 'a').ok, 'it was he')
  for (let n = 0; n < 1000; n++) {
    const admission = limits.begin(0, 'bert', 'b')
    if (!admission.ok) return t.fail('locked by right ones')
    limits.right(0, admission)
  }
  t.end()
})

t.test('many users of one source at once are locked by none that was not wrong', (t) => {
  const limits = new GuessLimits()
  const begun = Array.from({ length: 200 }, (_, n) => limits.begin(0, `user${n}`, 'a'))
  t.ok(begun.every(({ ok }) => ok))
  for (const one of begun.slice(0, 10)) limits.wrong(0, one as Try)
  for (const one of begun.slice(10, 100)) limits.right(0, one as Try)
  t.ok(limits.begin(0, 'other', 'a').ok, 'ten are free')
  for (const one of begun.slice(100)) limits.wrong(0, one as Try)
  t.match(limits.begin(0, 'other', 'a'), { ok: false, untilMs: 15 * MINUTE })
  t.end()
})

t.test('who was right is known for a day, and guessed at as others are', (t) => {
  const limits = new GuessLimits()
  limits.right(0, limits.begin(0, 'anna', 'a') as Try)
  for (let n = 0; n < 30; n++) guess(limits, 0, `user${n}`, 'a')
  for (let n = 0; n < 200; n++) guess(limits, 0, 'anna', `source${n}`)
  t.match(limits.begin(0, 'anna', 'a'), { ok: true, isKnown: true, delayMs: 0 })
  for (let n = 0; n < 4; n++) t.ok(guess(limits, 0, 'anna', 'a').ok)
  t.match(limits.begin(0, 'anna', 'a'), { ok: false, untilMs: MINUTE })
  t.match(limits.begin(24 * HOUR, 'anna', 'a'), { ok: true, isKnown: false })
  t.end()
})

t.test('what nobody looked at was no try', (t) => {
  const limits = new GuessLimits()
  for (let n = 0; n < 100; n++) {
    const admission = limits.begin(0, 'anna', 'a')
    if (!admission.ok) return t.fail('locked')
    limits.unjudged(admission)
  }
  t.end()
})

t.test('somebody’s own right password does not lift what others are locked for', (t) => {
  const limits = new GuessLimits()
  for (let n = 0; n < 9; n++) guess(limits, 0, `user${n}`, 'a')
  const own = limits.begin(0, 'me', 'a') as Try
  guess(limits, 0, 'user9', 'a')
  guess(limits, 0, 'user10', 'a')
  limits.right(0, own)
  t.match(limits.begin(0, 'user11', 'a'), { ok: false, untilMs: 2000 })
  t.match(limits.begin(0, 'me', 'a'), { ok: true, isKnown: true }, 'nor do others lock him')
  t.match(limits.begin(0, 'me', 'b'), { isKnown: false }, 'as he is known there')
  t.end()
})

t.test('what is long ago is forgotten', (t) => {
  const limits = new GuessLimits()
  for (let n = 0; n < 5; n++) limits.begin(0, 'anna', 'a')
  t.notOk(limits.begin(MINUTE - 1, 'anna', 'a').ok)
  for (let n = 0; n < 4; n++) t.ok(limits.begin(3 * HOUR, 'anna', 'a').ok)
  t.end()
})

t.test(
  'attempt 17: names and sources beyond number take no room, and the latest are known',
  (t) => {
    const limits = new GuessLimits({ remembered: 8 })
    for (let n = 0; n < 5; n++) limits.begin(0, 'anna', 'a')
    for (let n = 0; n < 7; n++) limits.begin(0, `user${n}`, `source${n}`)
    t.notOk(limits.begin(0, 'anna', 'a').ok, 'it is used, so it stays')
    for (let n = 0; n < 8; n++) limits.begin(0, `user${n}`, `source${n}`)
    t.ok(limits.begin(0, 'anna', 'a').ok, 'eight others came since')
    t.end()
  },
)

t.test('who waits as he is told is looked at, and who does not is not', (t) => {
  const law = fc.property(
    fc.array(fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 3 }), fc.nat({ max: 5 * MINUTE }))),
    (list) => {
      const limits = new GuessLimits()
      let nowMs = 0
      for (const [name, source, waitMs] of list) {
        nowMs += waitMs
        const admission = guess(limits, nowMs, `user${name}`, `${source}`)
        if (admission.ok) continue
        if (admission.untilMs <= nowMs || admission.untilMs > nowMs + HOUR) return false
        if (limits.begin(admission.untilMs - 1, `user${name}`, `${source}`).ok) return false
      }
      return true
    },
  )
  check(t, law, 500)
  t.end()
})

t.test('attempt 17: a source that fails ten times has to wait for its minute to end', (t) => {
  const limits = new EnrolmentLimits()
  const begun = (nowMs: number, source: string, count: number): number => {
    let sum = 0
    for (let n = 0; n < count; n++) if (limits.begin(nowMs, source)) sum++
    return sum
  }
  t.equal(begun(0, 'a', 10_000), 10)
  t.equal(begun(MINUTE - 1, 'a', 10), 0)
  t.equal(begun(MINUTE - 1, 'b', 1), 1)
  t.equal(begun(MINUTE, 'a', 99), 10)
  t.end()
})

t.test('boards whose tokens are good come in fifty a second, from one source too', (t) => {
  const limits = new EnrolmentLimits()
  let count = 0
  for (let nowMs = 0; nowMs < 10_000; nowMs += 10) {
    if (!limits.begin(nowMs, 'a')) continue
    limits.right('a')
    count++
  }
  t.ok(count >= 500 && count <= 550, `${count}`)
  t.end()
})

t.test('a source is shut at once, for twice as long each time, and asking costs no place', (t) => {
  const sources = new ShutSources({ remembered: 2 })
  t.notOk(sources.isShut(0, 'a'))
  const minutes: number[] = []
  let nowMs = 0
  for (let times = 0; times < 8; times++) {
    sources.shut(nowMs, 'a')
    const startMs = nowMs
    while (sources.isShut(nowMs, 'a')) nowMs += MINUTE
    minutes.push((nowMs - startMs) / MINUTE)
  }
  t.same(minutes, [1, 2, 4, 8, 16, 32, 60, 60])
  sources.shut(nowMs, 'b')
  for (let n = 0; n < 10; n++) sources.isShut(nowMs, `source${n}`)
  t.ok(sources.isShut(nowMs, 'b'))
  sources.shut(nowMs + 3 * HOUR, 'b')
  t.notOk(sources.isShut(nowMs + 3 * HOUR + MINUTE, 'b'), 'what is long ago is forgotten')
  t.end()
})
