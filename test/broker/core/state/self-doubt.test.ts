import fc from 'fast-check'
import t from 'tap'
import { type DoubtChange, SelfDoubt } from '../../../../broker/core/state/self-doubt.ts'
import { check } from '../../../support/property.ts'

const OPTIONS = {
  suspectAfterMs: 6000,
  doubtMaxMs: 600_000,
  massSilenceShare: 0.4,
  reconnectMs: 60_000,
}
const PULSE_MS = 250

/** A gateway that runs its pulse as it should, until it is told otherwise. */
class Bench {
  readonly doubt: SelfDoubt
  readonly beats: number[] = []
  nowMs = 0
  isAnswered = true
  #nextMs: number

  constructor(options: Partial<typeof OPTIONS> = {}) {
    this.doubt = new SelfDoubt({ ...OPTIONS, ...options })
    this.doubt.advance(0)
    this.#nextMs = this.#pulse()
  }

  join(count: number): this {
    for (let member = 0; member < count; member++) this.doubt.cameBack(member)
    return this
  }

  wait(ms: number): this {
    const untilMs = this.nowMs + ms
    while (this.#nextMs <= untilMs) {
      this.#moveTo(this.#nextMs)
      this.#nextMs = this.#pulse()
    }
    this.#moveTo(untilMs)
    return this
  }

  /** The process stands still; the first that it knows is an event. */
  freeze(ms: number): this {
    this.#moveTo(this.nowMs + ms)
    if (this.nowMs >= this.#nextMs) this.#nextMs = this.#pulse()
    return this
  }

  get changes(): string[] {
    return this.doubt.takeChanges().map(textOf)
  }

  #moveTo(nowMs: number): void {
    this.nowMs = nowMs
    this.doubt.advance(nowMs)
  }

  #pulse(): number {
    const { nextMs, beat } = this.doubt.pulse()
    if (beat !== undefined) this.beats.push(beat)
    if (beat !== undefined && this.isAnswered) this.doubt.probeReturned(beat)
    return nextMs
  }
}

function textOf(change: DoubtChange): string {
  if (change.kind === 'began') return `${change.reason} began`
  return `${change.reason} ${change.end} after ${change.lastedMs}`
}

t.test('a gateway that is well loses no time', async (t) => {
  const bench = new Bench().join(3).wait(100_000)
  t.equal(bench.doubt.clockMs, 100_000)
  t.same(bench.changes, [])
  t.equal(bench.beats.length, 101, 'a beat a second')
})

t.test('what it stood still does not count, before anything can be judged', async (t) => {
  const bench = new Bench().join(3).wait(1000)
  bench.freeze(60_000)
  t.equal(bench.doubt.clockMs, 1000 + PULSE_MS, 'up to when it should have run')
  t.ok(bench.doubt.isDoubting)
  for (const member of [0, 1]) bench.doubt.heard(member)
  t.same(bench.changes, ['loop-lag began'])
  bench.wait(10_000).doubt.heard(2)
  t.same(bench.changes, ['loop-lag over after 10000'], 'once all are heard')
  bench.wait(1000)
  t.equal(bench.doubt.clockMs, 2000 + PULSE_MS)
})

t.test('who does not come back after a lag is not waited for for ever', async (t) => {
  const bench = new Bench().join(3).wait(1000).freeze(60_000).wait(200_000)
  t.same(bench.changes, ['loop-lag began', 'loop-lag over after 60000'])
  const short = new Bench().join(3).wait(1000).freeze(1250).wait(200_000)
  t.same(short.changes, ['loop-lag began', 'loop-lag over after 3000'], 'three times the lag')
})

t.test('a lag while nobody is here is nobody’s concern, and a small one none at all', async (t) => {
  t.same(new Bench().wait(1000).freeze(60_000).wait(1000).changes, [])
  const bench = new Bench().join(3).wait(1000).freeze(600)
  t.same(bench.changes, [])
  t.equal(bench.doubt.clockMs, 1600)
})

t.test('a short suspicion makes a short patience with itself', async (t) => {
  const bench = new Bench({ suspectAfterMs: 400 }).join(2).wait(1000).freeze(200)
  t.same(bench.changes, ['loop-lag began'])
})

t.test('while its own beats are late, its clock stands still', async (t) => {
  const bench = new Bench().wait(10_000)
  bench.isAnswered = false
  bench.wait(30_000)
  t.same(bench.changes, ['probe-late began'])
  const { clockMs } = bench.doubt
  t.ok(clockMs <= 12_500, `${clockMs}`)
  const last = bench.beats.at(-1)!
  t.equal(bench.beats.filter((beat) => beat === last).length, 30, 'it is sent again and again')
  bench.doubt.probeReturned(last)
  t.same(bench.changes, [], 'one that comes that late ends nothing')
  bench.isAnswered = true
  bench.wait(1000)
  t.match(bench.changes, [/^probe-late over/], 'one that comes in time does')
})

t.test('a probe that was never there is not missed', async (t) => {
  const bench = new Bench()
  bench.doubt.probeReturned(7)
  t.same(bench.changes, [])
  const alone = new SelfDoubt(OPTIONS)
  alone.advance(0)
  alone.pulse()
  alone.advance(PULSE_MS)
  for (let nowMs = PULSE_MS; nowMs < 60_000; nowMs += PULSE_MS) {
    alone.advance(nowMs)
    alone.pulse()
  }
  t.notOk(alone.isDoubting)
})

t.test(
  'a probe that connects slowly after the start is no reason, one that is slow later is',
  (t) => {
    const doubt = new SelfDoubt(OPTIONS)
    const pulseUntil = (fromMs: number, untilMs: number): number => {
      let last = 0
      for (let nowMs = fromMs; nowMs <= untilMs; nowMs += PULSE_MS) {
        doubt.advance(nowMs)
        last = doubt.pulse().beat ?? last
      }
      return last
    }
    doubt.probeReturned(pulseUntil(0, 5000))
    t.same(doubt.takeChanges().map(textOf), [])
    doubt.probeReturned(pulseUntil(5250, 8000))
    t.same(doubt.takeChanges().map(textOf), ['probe-late began'], 'it is known now')
    t.end()
  },
)

t.test('two, and more than the share, who go quiet together are a mass', async (t) => {
  for (const [members, quiet, isMass] of [
    [1, 1, false],
    [2, 1, false],
    [2, 2, true],
    [3, 1, false],
    [3, 2, true],
    [5, 2, false],
    [5, 3, true],
    [1000, 400, false],
    [1000, 401, true],
  ] as const) {
    const bench = new Bench().join(members)
    for (let member = 0; member < quiet; member++) bench.doubt.wentQuiet(member)
    t.equal(bench.doubt.isDoubting, isMass, `${quiet} of ${members}`)
  }
})

t.test('who goes quiet one after the other is none', async (t) => {
  const bench = new Bench().join(4)
  for (let member = 0; member < 4; member++) {
    bench.doubt.wentQuiet(member)
    bench.wait(OPTIONS.suspectAfterMs + 1)
  }
  t.same(bench.changes, [])
})

t.test('a mass silence ends when all are back, or enough for long enough', async (t) => {
  const bench = new Bench().join(4)
  for (const member of [0, 1, 2]) bench.doubt.wentQuiet(member)
  bench.wait(1000)
  for (const member of [0, 1, 2]) bench.doubt.cameBack(member)
  t.same(bench.changes, ['mass-silence began', 'mass-silence over after 1000'])
  for (const member of [0, 1, 2]) bench.doubt.wentQuiet(member)
  bench.wait(100_000)
  for (const member of [0, 1]) bench.doubt.cameBack(member)
  t.same(bench.changes, ['mass-silence began'], 'the last one may sleep yet')
  bench.wait(OPTIONS.reconnectMs)
  t.same(bench.changes, ['mass-silence over after 160000'])
})

t.test('a doubt is bounded, and does not come back for the same silence', async (t) => {
  const bench = new Bench().join(4)
  for (const member of [0, 1, 2]) bench.doubt.wentQuiet(member)
  bench.wait(OPTIONS.doubtMaxMs + 50_000)
  t.same(bench.changes, ['mass-silence began', 'mass-silence bound after 600000'])
  t.equal(bench.doubt.clockMs, 50_000)
  for (const member of [0, 1, 2]) bench.doubt.cameBack(member)
  for (const member of [0, 1]) bench.doubt.wentQuiet(member)
  t.same(bench.changes, ['mass-silence began'], 'but for another')
})

t.test('a broker that stays slow is blamed no longer than the bound', async (t) => {
  const bench = new Bench({ doubtMaxMs: 10_000 }).wait(5000)
  bench.isAnswered = false
  bench.wait(60_000)
  t.same(bench.changes, ['probe-late began', 'probe-late bound after 10000'])
  bench.isAnswered = true
  bench.doubt.probeReturned(bench.beats.at(-1)!)
  bench.wait(3000)
  bench.isAnswered = false
  bench.wait(5000)
  t.same(bench.changes, ['probe-late began'], 'it was well in between')
})

t.test('an operator ends all doubts, until their reasons were away', async (t) => {
  const bench = new Bench().join(4).wait(2000)
  bench.isAnswered = false
  for (const member of [0, 1, 2]) bench.doubt.wentQuiet(member)
  bench.wait(5000)
  t.same(bench.changes, ['mass-silence began', 'probe-late began'])
  bench.doubt.trust()
  t.match(bench.changes, [/^mass-silence overruled/, /^probe-late overruled/])
  const { clockMs } = bench.doubt
  bench.wait(100_000)
  t.same(bench.changes, [])
  t.equal(bench.doubt.clockMs, clockMs + 100_000)
})

t.test('the clock never runs backwards, nor in doubt, nor faster than time', async (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
    fc.record({ kind: fc.constant('freeze' as const), ms: fc.integer({ min: 0, max: 90_000 }) }),
    fc.record({ kind: fc.constant('quiet' as const), ms: fc.integer({ min: 0, max: 5 }) }),
    fc.record({ kind: fc.constant('back' as const), ms: fc.integer({ min: 0, max: 5 }) }),
    fc.record({ kind: fc.constant('answers' as const), ms: fc.integer({ min: 0, max: 1 }) }),
    fc.record({ kind: fc.constant('trust' as const), ms: fc.constant(0) }),
  )
  const runs = fc.array(step, { maxLength: 60 })
  check(
    t,
    fc.property(runs, (steps) => {
      const bench = new Bench({ doubtMaxMs: 30_000 }).join(6)
      for (const { kind, ms } of steps) {
        const [nowMs, clockMs] = [bench.nowMs, bench.doubt.clockMs]
        const wasDoubting = bench.doubt.isDoubting
        if (kind === 'wait') bench.wait(ms)
        else if (kind === 'freeze') bench.freeze(ms)
        else if (kind === 'quiet') bench.doubt.wentQuiet(ms)
        else if (kind === 'back') {
          bench.doubt.cameBack(ms)
          bench.doubt.heard(ms)
        } else if (kind === 'answers') bench.isAnswered = ms === 1
        else bench.doubt.trust()
        const ranMs = bench.doubt.clockMs - clockMs
        const wentMs = bench.nowMs - nowMs
        if (ranMs < 0 || ranMs > wentMs) return false
        if (kind === 'freeze' && wasDoubting && ranMs > 0) return false
        if (kind === 'freeze' && ranMs > 750) return false
      }
      return true
    }),
    300,
  )
})
