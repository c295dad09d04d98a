import t from 'tap'
import { AgentBench, GRID, HEARTBEAT_MS, readOf, SESSION } from '../../support/agent-bench.ts'

const WELCOME = {
  ...({ t: 'welcome', version: 1, session: SESSION, ledgerId: 'ledger', grid: GRID } as const),
  ...{ heartbeatMs: HEARTBEAT_MS, confirmed: 0 },
}

t.test('it connects at once, and says who it is and where its store stands', async (t) => {
  const bench = new AgentBench()
  bench.step({ type: 'deadline-reached' })
  t.match(bench.effects, [{ type: 'connect' }])
  bench.step({ type: 'connected' })
  t.match(bench.sent('hello'), [
    { node: 'a', storeId: 'store-a', boot: 1, process: 'process-a', position: 0, weight: 2 },
  ])
  t.equal(bench.agent.isAdmitted, false)
})

t.test('welcome: it adopts the ledger first, is seen, acknowledges, beats, is ready', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  t.same(
    bench.effects.map(({ type }) => type),
    [
      'adopt',
      'publish',
      'publish',
      'send',
      'report-link',
      'report-ready',
      'look-for-room',
      'send',
    ].concat(['publish-telemetry']),
  )
  t.match(bench.of('adopt'), [{ ledgerId: 'ledger', grid: GRID }])
  t.match(bench.of('publish'), [
    { topic: { kind: 'node-state' }, payload: 'online', qos: 1, retain: true },
    { topic: { kind: 'node-info' }, qos: 1, retain: true },
  ])
  const birth = JSON.parse(String(bench.of('publish')[1]!.payload))
  t.match(birth, { id: 'a', incarnation: 1, version: '1', ops: ['add', 'get'] })
  t.match(bench.sent('applied'), [{ session: SESSION, position: 0, results: [] }])
  t.match(bench.sent('heartbeat'), [{ session: SESSION, beat: 1 }])
})

t.test('a second welcome, and one nobody asked for, are nothing', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  const welcome = {
    t: 'welcome',
    version: 1,
    session: 99,
    ledgerId: 'ledger',
    grid: GRID,
    heartbeatMs: 1,
    confirmed: 0,
  } as const
  bench.receive(welcome)
  t.same(bench.effects, [])
  bench.disconnect()
  bench.receive(welcome)
  t.equal(bench.agent.isAdmitted, false)
})

t.test('a store of a ledger is not adopted again, and ready is said once', async (t) => {
  const bench = new AgentBench({ ledgerId: 'ledger', grid: GRID })
  bench.admit()
  t.same(bench.of('adopt'), [])
  t.equal(bench.of('report-ready').length, 1)
  bench.disconnect()
  bench.wait(3000)
  bench.admit({ session: 43 })
  t.same(bench.of('report-ready'), [])
  t.match(bench.of('log'), [{ code: 'reconnected' }])
})

t.test('it waits longer and longer between attempts, and anew after a success', async (t) => {
  const bench = new AgentBench()
  bench.connect()
  const waits: number[] = []
  for (let attempt = 0; attempt < 100; attempt++) {
    bench.disconnect()
    waits.push(Math.round(bench.agent.nextDeadlineMs()! - bench.nowMs))
    bench.wait(waits.at(-1)! + 1)
    t.match(bench.effects, [{ type: 'connect' }])
  }
  t.ok(waits.every((wait, at) => wait >= 1000 && wait <= 3 * (waits[at - 1] ?? 1000) + 2))
  t.ok(Math.max(...waits) > 20_000 && Math.max(...waits) <= 60_000)
  bench.step({ type: 'connected' })
  bench.admit()
  bench.disconnect()
  t.ok(bench.agent.nextDeadlineMs()! - bench.nowMs <= 3000)
})

t.test('an attempt, and the wait for the welcome, are given up in time', async (t) => {
  const bench = new AgentBench()
  bench.step({ type: 'deadline-reached' })
  bench.wait(4999)
  t.same(bench.effects, [])
  bench.wait(1)
  t.match(bench.effects, [{ type: 'disconnect' }])
  t.ok(bench.agent.nextDeadlineMs()! > 60_000, 'now only the end of it is waited for')
  bench.disconnect()
  bench.wait(3000)
  bench.step({ type: 'connected' })
  bench.wait(5000)
  t.match(bench.effects, [{ type: 'disconnect', reason: /is it another broker/ }])
})

t.test('it beats with jitter, and gives up a gateway that is silent for five beats', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  bench.wait(HEARTBEAT_MS * 5 - 1)
  const beats = bench.sent('heartbeat').length
  t.ok(beats === 4 || beats === 5, `${beats} beats`)
  t.same(bench.of('disconnect'), [])
  bench.wait(1)
  t.equal(bench.of('disconnect').length, 1)
})

t.test('whatever it hears in this session keeps it', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  bench.wait(9000)
  const beat = { t: 'beat', session: SESSION, beat: 1, ts: 1e12, confirmed: 0 } as const
  bench.receive({ ...beat, session: 7 })
  bench.receive(beat)
  bench.wait(9999)
  t.same(bench.of('disconnect'), [])
  bench.wait(1)
  t.equal(bench.of('disconnect').length, 1)
})

t.test('the answer to the last beat tells round trip and clock', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  bench.nowMs += 40
  bench.receive({ t: 'beat', session: SESSION, beat: 1, ts: 1e12 + 5020, confirmed: 0 })
  t.match(bench.agent.counts, { roundTripMs: 40, clockOffsetMs: 5000 })
  bench.nowMs += 100
  bench.receive({ t: 'beat', session: SESSION, beat: 9, ts: 0, confirmed: 0 })
  t.match(bench.agent.counts, { roundTripMs: 40 })
})

t.test('telemetry goes on its own interval', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  let samples = 0
  for (let at = 0; at < 100; at++) {
    bench.receive({ t: 'beat', session: SESSION, beat: 0, ts: 0, confirmed: 0 })
    samples += bench.wait(1000).filter(({ type }) => type === 'publish-telemetry').length
  }
  t.ok(samples >= 9 && samples <= 11, `${samples} in 100 s`)
})

t.test('refused: it comes again later, but not when another has its id', async (t) => {
  const bench = new AgentBench()
  bench.connect()
  bench.receive({ t: 'refused', code: 'ledger-mismatch', message: 'other' })
  t.match(bench.effects, [{ type: 'log', level: 'error', code: 'ledger-mismatch' }])
  bench.disconnect()
  bench.wait(3000)
  t.match(bench.effects, [{ type: 'connect' }])
  bench.step({ type: 'connected' })
  bench.receive({ t: 'refused', code: 'id-taken', message: 'other' })
  t.match(bench.effects, [
    { type: 'log', code: 'id-taken' },
    { type: 'disconnect' },
    { type: 'exit', code: 77 },
  ])
  bench.disconnect()
  t.same(bench.wait(1e6), [])
})

t.test('a node that has left ends with a code of its own: it is not to come back', async (t) => {
  const bench = new AgentBench()
  bench.connect()
  bench.receive({ t: 'refused', code: 'node-left', message: 'drained' })
  t.match(bench.of('exit'), [{ code: 79, reason: 'drained' }])
})

t.test('the state of the link is told when it changes, and only then', async (t) => {
  const bench = new AgentBench()
  bench.connect()
  bench.disconnect()
  t.same(bench.of('report-link'), [], 'it was not joined')
  bench.wait(5000)
  bench.admit()
  t.match(bench.of('report-link'), [{ standing: 'joined' }])
  bench.disconnect()
  t.match(bench.of('report-link'), [{ standing: 'waiting' }])
})

t.test('who is revoked says so, asks rarely, and comes in as soon as he may', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  bench.disconnect()
  const refuse = (reason = 'not authorized', isRevoked = true): number => {
    const fromMs = bench.nowMs
    bench.step({ type: 'disconnected', reason, isRevoked })
    const effects = [...bench.effects]
    do {
      bench.nowMs = bench.agent.nextDeadlineMs()!
      bench.step({ type: 'deadline-reached' })
    } while (bench.of('connect').length === 0)
    bench.effects = effects
    return bench.nowMs - fromMs
  }
  bench.wait(10_000)
  t.ok(refuse() >= 60_000)
  t.match(bench.of('report-link'), [{ standing: 'revoked' }])
  t.match(bench.of('log'), [{ level: 'error', code: 'revoked' }])
  const waits = Array.from({ length: 30 }, () => refuse())
  t.same(bench.of('report-link'), [])
  t.match(bench.of('log'), [{ level: 'debug' }], 'told once')
  t.ok(Math.max(...waits) <= 3_600_000)
  t.ok(waits.reduce((a, b) => a + b) / waits.length > 15 * 60_000)
  t.ok(refuse('no route', false) >= 60_000, 'a gateway that is not there changes nothing')
  t.same(bench.of('report-link'), [])
  bench.step({ type: 'connected' })
  bench.receive({ ...WELCOME })
  t.match(bench.of('report-link'), [{ standing: 'joined' }])
  bench.step({ type: 'disconnected', reason: 'cut' })
  t.match(bench.of('report-link'), [{ standing: 'waiting' }])
  t.ok(bench.agent.nextDeadlineMs()! - bench.nowMs < 60_000)
})

t.test('stop: answers to disk, offline, disconnect, exit; and then nothing more', async (t) => {
  const bench = new AgentBench()
  bench.admit()
  bench.receive(readOf('r'))
  bench.finish(readOf('r'))
  bench.step({ type: 'stop-requested' })
  t.match(bench.effects, [
    { type: 'store-answers', answers: [{ task: 'r' }] },
    { type: 'publish', topic: { kind: 'node-state' }, payload: 'offline', retain: true },
    { type: 'disconnect' },
    { type: 'exit', code: 0 },
  ])
  t.same(bench.step({ type: 'stop-requested' }), [])
  t.same(bench.disconnect(), [])
  t.same(bench.wait(1e6), [])
})

t.test('a connection that comes to be after the stop is not spoken on', async (t) => {
  const bench = new AgentBench()
  bench.step({ type: 'deadline-reached' })
  bench.step({ type: 'stop-requested' })
  t.match(bench.effects, [{ type: 'disconnect' }, { type: 'exit', code: 0 }])
  t.same(bench.step({ type: 'connected' }), [])
  t.equal(bench.agent.nextDeadlineMs(), undefined)
})

t.test('why there is no gateway is said aloud once, and again after a session', async (t) => {
  const bench = new AgentBench()
  const attempt = (reason: string): string => {
    bench.wait(120_000)
    bench.step({ type: 'disconnected', reason })
    const [{ code, level, message } = {}] = bench.of('log')
    return `${level} ${code}: ${message}`
  }
  bench.step({ type: 'deadline-reached' })
  const said = ['refused', 'refused', 'no such name', 'no such name', 'refused'].map(attempt)
  t.same(said, [
    'warn not-connected: no gateway yet: refused',
    'debug not-connected: no gateway yet: refused',
    'warn not-connected: no gateway yet: no such name',
    'debug not-connected: no gateway yet: no such name',
    'warn not-connected: no gateway yet: refused',
  ])
  bench.wait(120_000)
  bench.admit()
  t.equal(attempt('cut'), 'warn disconnected: cut')
  t.match(attempt('refused'), /^warn/)
  t.match(attempt('refused'), /^debug/)
})
