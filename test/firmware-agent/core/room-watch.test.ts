import t from 'tap'
import { RoomWatch } from '../../../firmware-agent/core/room-watch.ts'
import { Random } from '../../../shared/core/random.ts'
import { AgentBench, chainOf } from '../../support/agent-bench.ts'

const full = { type: 'room-looked', isRoom: false, message: '1 byte is free' } as const
const roomy = { type: 'room-looked', isRoom: true, message: 'there is room' } as const

t.test('a full store is said once, before a write stops it, and again when there is room', (t) => {
  const bench = new AgentBench()
  bench.admit()
  t.same(bench.step(roomy), [])
  t.match(bench.step(full), [
    { type: 'log', level: 'warn', code: 'store-full' },
    { type: 'publish', topic: { kind: 'node-event' }, payload: /"store-full"/ },
  ])
  t.same(bench.step(full), [])
  t.match(bench.step(roomy), [
    { type: 'log', level: 'info', code: 'store-roomy' },
    { type: 'publish', topic: { kind: 'node-event' }, payload: /"store-roomy"/ },
  ])
  t.end()
})

t.test('a stream that stopped for want of room asks for what follows once there is some', (t) => {
  const bench = new AgentBench()
  bench.admit()
  const entries = chainOf(1)
  bench.entries(entries)
  bench.step({ type: 'apply-failed', code: 'store-full', message: 'full' })
  t.equal(bench.sent('stopped').length, 1)
  t.same(bench.step(full), [], 'that was said with the stop')
  t.same(bench.step(roomy), [], 'not at once')
  bench.nowMs += 60_000
  bench.step(roomy)
  t.match(bench.sent('gap'), [{ position: 0 }])
  bench.entries(entries)
  t.equal(bench.of('apply').length, 1, 'it takes entries again')
  t.end()
})

t.test('a stop in each of many sessions, with no room meanwhile, is one stop', (t) => {
  const room = new RoomWatch(new Random(1))
  for (let session = 0; session < 30; session++) {
    room.restarted()
    room.stopped(session)
    t.equal(room.looked(session, false).mayResume, false)
  }
  t.equal(room.looked(30_000, true).mayResume, true)
  t.end()
})

t.test('each stop again makes the wait longer, up to five minutes', (t) => {
  const room = new RoomWatch(new Random(1))
  const waits: number[] = []
  let nowMs = 0
  for (let stop = 0; stop < 30; stop++) {
    room.stopped(nowMs)
    let waitMs = 0
    while (!room.looked(nowMs + waitMs, true).mayResume) waitMs += 1000
    waits.push(waitMs)
    nowMs += waitMs
  }
  t.ok(waits.every((wait) => wait >= 10_000 && wait <= 300_000))
  t.ok(Math.max(...waits) > 100_000)
  t.end()
})
