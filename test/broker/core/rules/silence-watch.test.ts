/** Stories of a fleet that falls silent, and of a gateway that asks first whether it is itself. */
import t from 'tap'
import type { GatewayEffect } from '../../../../broker/core/effects.ts'
import {
  ADD,
  EMPTY_STORE,
  GatewayBench,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

const NAMES = ['a', 'b', 'c', 'd']
const BEAT_MS = 2000
const HOUR_MS = 3_600_000

/** Time passes while these beat as they should. */
function live(bench: GatewayBench, ms: number, names: readonly string[] = NAMES): string[] {
  const codes: string[] = []
  for (let leftMs = ms; leftMs > 0; leftMs -= BEAT_MS) {
    bench.wait(Math.min(leftMs, BEAT_MS))
    codes.push(...codesOf(bench))
    for (const name of names) bench.beat(name)
    codes.push(...codesOf(bench))
  }
  return codes
}

function codesOf(bench: GatewayBench): string[] {
  return bench.effects.flatMap((effect) => (effect.type === 'notice' ? [effect.notice.code] : []))
}

function isNotice(effect: GatewayEffect, code: string): boolean {
  return effect.type === 'notice' && effect.notice.code === code
}

function fleetOf(names: readonly string[], options = {}): GatewayBench {
  const bench = new GatewayBench({ reconnectMs: 65_000, ...options })
  bench.join(...names)
  live(bench, 60_000, names)
  return bench
}

function statesOf(bench: GatewayBench): string[] {
  return bench.view.nodes().map(({ state }) => state)
}

function nodeOf(bench: GatewayBench, name: string) {
  return bench.view.nodes().find(({ id }) => id === name)!
}

t.test('a steady node that falls silent is suspected sooner than a new one', async (t) => {
  const bench = fleetOf(NAMES)
  const rest = NAMES.slice(1)
  t.notOk(live(bench, 4000, rest).includes('node-suspect'), 'not on one missed beat')
  t.ok(nodeOf(bench, 'a').phi! > 8)
  bench.wait(999)
  t.same(codesOf(bench), [])
  bench.wait(1)
  t.same(bench.notices('node-suspect'), [{ node: 'a', reason: 'it fell silent' }])
  for (const name of rest) bench.beat(name)
  const codes = live(bench, 26_000, rest)
  t.same(codes, ['node-dead', 'stream-closed'], 'it held nothing')
})

t.test('any word of a suspect refutes the suspicion', async (t) => {
  const bench = fleetOf(NAMES)
  live(bench, 6000, NAMES.slice(1))
  t.equal(nodeOf(bench, 'a').state, 'suspect')
  bench.apply('a', [])
  t.same(bench.notices('node-alive'), [{ node: 'a' }])
})

t.test('a heartbeat is no step, unless something follows from it', async (t) => {
  const bench = fleetOf(NAMES)
  bench.nowMs += 10 * BEAT_MS
  bench.beat('a')
  t.ok(bench.notices('doubt-began').length === 1, 'the gateway stood still')
  for (const name of NAMES) bench.beat(name)
  bench.nowMs = bench.nextDeadlineMs()! + 1
  const due = bench.nextDeadlineMs()
  t.equal(bench.beat('a').length, 1, 'only its answer')
  t.equal(bench.nextDeadlineMs(), due, 'what is due waits for its own event')
})

t.test(
  'many that fall silent together are judged some at a time, and others come between',
  async (t) => {
    const names = Array.from({ length: 60 }, (_, index) => `n${index}`)
    const bench = fleetOf(names)
    bench.wait(1000)
    for (const name of names.slice(20)) bench.beat(name)
    const suspects: number[] = []
    for (let ms = 0; ms < 4500; ms++) {
      const count = bench.wait(1).filter((effect) => isNotice(effect, 'node-suspect')).length
      if (count > 0) suspects.push(count)
    }
    t.equal(
      suspects.reduce((sum, count) => sum + count, 0),
      20,
    )
    t.ok(suspects.length > 1, `in steps of ${suspects.join(', ')}`)
    t.ok(Math.max(...suspects) <= 16)
  },
)

t.test('a gateway that stood still for a minute kills nobody', async (t) => {
  for (const names of [['a'], ['a', 'b'], NAMES]) {
    const bench = fleetOf(names)
    bench.nowMs += 60_000
    bench.step({ type: 'deadline-reached' })
    t.same(bench.notices('doubt-began'), [{ reason: 'loop-lag' }])
    const codes = codesOf(bench)
    // The agents gave it up long ago: all connections turn out to be closed, and some sleep yet.
    for (const name of names) codes.push(...codesOf({ effects: bench.close(name) } as never))
    bench.wait(59_000)
    codes.push(...codesOf(bench))
    t.same(
      statesOf(bench),
      names.map(() => 'suspect'),
    )
    for (const name of names) codes.push(...codesOf({ effects: bench.hello(name) } as never))
    t.same(bench.view.detector(), { doubts: [] })
    codes.push(...live(bench, 120_000, names))
    t.notOk(codes.includes('node-dead'), `${names.length} nodes`)
    t.same(
      statesOf(bench),
      names.map(() => 'alive'),
    )
  }
})

t.test('a gateway that stood still asks its sockets first: a queued beat is in time', async (t) => {
  const bench = fleetOf(NAMES)
  bench.nowMs += 60_000
  for (const name of NAMES) bench.beat(name)
  t.same(bench.notices('node-suspect'), [])
  t.same(bench.view.detector(), { doubts: [] }, 'and all is well again at once')
  t.notOk(live(bench, 60_000).includes('node-suspect'))
})

t.test('who does not come back after that dies in the end', async (t) => {
  const bench = fleetOf(NAMES)
  bench.nowMs += 60_000
  for (const name of NAMES) bench.close(name)
  for (const name of NAMES.slice(1)) bench.hello(name)
  live(bench, 60_000, NAMES.slice(1))
  t.equal(nodeOf(bench, 'a').state, 'suspect', 'it may sleep for a minute')
  live(bench, 40_000, NAMES.slice(1))
  t.equal(nodeOf(bench, 'a').state, 'dead')
})

t.test('half of the fleet silent at once kills nobody before the bound', async (t) => {
  const bench = fleetOf(NAMES)
  const rest = ['c', 'd']
  const codes = live(bench, 590_000, rest)
  t.same(
    codes.filter((code) => code !== 'node-suspect'),
    ['doubt-began'],
  )
  t.match(bench.view.detector(), { doubts: [{ reason: 'mass-silence' }] })
  t.equal(bench.view.counts().doubts, 1)
  t.ok(live(bench, 60_000, rest).filter((code) => code === 'node-dead').length === 2)
})

t.test('an operator who knows that half of the fleet is gone says so', async (t) => {
  const bench = fleetOf(NAMES)
  live(bench, 60_000, ['c', 'd'])
  bench.step({ type: 'trust-demanded' })
  t.match(bench.notices('doubt-ended'), [{ reason: 'mass-silence', end: 'overruled' }])
  t.same(bench.view.detector(), { doubts: [] })
  t.same(
    live(bench, 30_000, ['c', 'd']).filter((code) => code === 'node-dead'),
    ['node-dead', 'node-dead'],
  )
})

t.test('while the gateway’s own beats are late, nobody is suspected for silence', async (t) => {
  const bench = fleetOf(NAMES)
  bench.isProbeAnswered = false
  bench.wait(300_000)
  t.same(codesOf(bench), ['doubt-began'])
  t.same(
    statesOf(bench),
    NAMES.map(() => 'alive'),
  )
  bench.close('a')
  t.equal(bench.notices('node-suspect').length, 1, 'but a closed connection is one')
})

t.test('after a start nobody is blamed before agents had the time to come back', async (t) => {
  const bench = settledPair({ reconnectMs: 65_000 })
  bench.start()
  bench.wait(65_000 + bench.options.deadAfterMs - 1)
  t.same(statesOf(bench), ['suspect', 'suspect'])
  bench.wait(1)
  t.same(statesOf(bench), ['dead', 'dead'])
})

t.test('who was dead, or is new to a grid with writes, is on probation', async (t) => {
  const bench = settledPair()
  const names = ['a', 'b']
  t.ok(nodeOf(bench, 'a').may_take_tiles, 'not while the fleet was set up')
  bench.close('a')
  live(bench, 20_000, ['b'])
  bench.hello('a')
  t.ok(nodeOf(bench, 'a').may_take_tiles, 'nor after a short absence')
  live(bench, 20_000, names)
  bench.close('a')
  live(bench, 40_000, ['b'])
  t.same(statesOf(bench), ['dead', 'alive'])
  bench.hello('a')
  bench.hello('c')
  const everybody = [...names, 'c']
  t.same(statesOf(bench), ['alive', 'alive', 'alive'])
  t.same(
    bench.view.nodes().map((node) => node.may_take_tiles),
    [false, true, false],
  )
  live(bench, bench.options.probationMs, everybody)
  t.same(
    bench.view.nodes().map((node) => node.may_take_tiles),
    [true, true, true],
  )
  bench.hello('b', EMPTY_STORE)
  t.notOk(nodeOf(bench, 'b').may_take_tiles, 'an empty store begins anew')
})

t.test('a flapping node is quarantined until it is stable, and works on', async (t) => {
  const bench = fleetOf(NAMES)
  const flap = (): void => {
    bench.close('a')
    live(bench, 10_000, NAMES.slice(1))
    bench.hello('a')
    live(bench, 10_000)
  }
  for (let count = 0; count < 5; count++) flap()
  t.notOk(nodeOf(bench, 'a').quarantined)
  bench.close('a')
  t.match(bench.notices('node-quarantined'), [{ node: 'a' }])
  bench.hello('a')
  t.match(nodeOf(bench, 'a'), { state: 'alive', quarantined: true, may_take_tiles: false })
  live(bench, 300_000)
  bench.close('a')
  t.same(bench.notices('node-quarantined'), [], 'once is enough')
  bench.hello('a')
  t.notOk(live(bench, 598_000).includes('node-released'))
  t.ok(live(bench, 4000).includes('node-released'))
  t.match(nodeOf(bench, 'a'), { quarantined: false, may_take_tiles: true })
})

t.test('six suspicions in more than an hour are none', async (t) => {
  const bench = fleetOf(NAMES)
  for (let count = 0; count < 8; count++) {
    bench.close('a')
    t.same(bench.notices('node-quarantined'), [])
    bench.hello('a')
    live(bench, HOUR_MS / 5 + 1)
  }
})

t.test('a switch that fails again and again quarantines nobody', async (t) => {
  const bench = fleetOf(NAMES)
  for (let count = 0; count < 10; count++) {
    for (const name of NAMES) {
      bench.close(name)
      t.same(bench.notices('node-quarantined'), [])
    }
    for (const name of NAMES) bench.hello(name)
    live(bench, 60_000)
  }
  t.ok(bench.view.nodes().every((node) => node.quarantined === false))
})

t.test(
  'an older copy of a card takes no session over, and is told of when it may go on',
  async (t) => {
    const bench = settledPair()
    bench.close('a')
    bench.hello('a', { boot: 9 })
    bench.wait(bench.options.suspectAfterMs)
    bench.hello('a', { boot: 4, process: 'copy' })
    t.match(bench.sent('refused'), [{ code: 'boot-behind' }])
    t.equal(bench.sent('welcome').length, 0)
    bench.close('a')
    bench.hello('a', { boot: 4, process: 'copy' })
    t.equal(bench.sent('welcome').length, 1, 'it holds all that was acknowledged')
    t.match(bench.notices('boot-behind'), [{ node: 'a', boot: 4 }])
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    bench.apply('a', bench.entriesTo('a'))
    bench.close('a')
    bench.hello('a', { boot: 10, process: 'first', position: 1, seq: 1 })
    t.equal(bench.sent('wipe').length, 1, 'the card itself is behind now')
  },
)
