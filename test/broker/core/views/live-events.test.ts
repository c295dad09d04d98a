import fc from 'fast-check'
import t from 'tap'
import { type LiveEvent, LiveEvents } from '../../../../broker/core/views/live-events.ts'
import { check } from '../../../support/property.ts'

const OPTIONS = { start: 's-1', keptMax: 4, keptBytesMax: 10_000 }

function newLive(options: Partial<typeof OPTIONS> = {}) {
  return new LiveEvents({ ...OPTIONS, ...options })
}

t.test('what is kept is told again, from the place that a reader names', async (t) => {
  check(
    t,
    fc.property(fc.nat(12), fc.nat(14), (count, n) => {
      const live = newLive()
      for (let at = 1; at <= count; at++) live.happened('event', JSON.stringify({ at }))
      const found = live.after(`s-1-${n}`)
      if (n > count) return found === 'restarted'
      if (count - n > 4) return found === 'too-old'
      const ids = Array.from({ length: count - n }, (_, k) => `s-1-${n + k + 1}`)
      return typeof found === 'object' && `${found.map(({ id }) => id)}` === `${ids}`
    }),
  )
})

t.test('what no gateway of this start has given is of another start', async (t) => {
  const live = newLive()
  live.happened('event', '{"a":1}')
  for (const id of [
    '',
    '-',
    's-1',
    's-1-',
    's-1--1',
    's-1-1.0',
    's-1-1e0',
    's-2-1',
    '1',
    's-1-２',
  ]) {
    t.equal(live.after(id), 'restarted', id)
  }
  t.same(live.after('s-1-1'), [])
})

t.test('what is kept is bounded in bytes, too', async (t) => {
  const live = newLive({ keptMax: 100, keptBytesMax: 300 })
  for (let n = 0; n < 10; n++) live.happened('event', JSON.stringify({ filler: 'x'.repeat(80) }))
  t.equal(live.after('s-1-7'), 'too-old')
  t.equal(live.after('s-1-8').length, 2)
  t.equal(live.firstId, 's-1-8')
  live.happened('event', JSON.stringify({ filler: 'x'.repeat(400) }))
  t.equal(live.after('s-1-10'), 'too-old', 'one that is larger than all room is not kept')
  t.same(live.after('s-1-11'), [])
})

t.test('each follower is told of its kinds, and how something is now is not kept', async (t) => {
  const live = newLive()
  const told: LiveEvent[] = []
  const end = live.follow(new Set(['nodes', 'task-state']), (event) => told.push(event))
  live.is('nodes', '{"nodes":[]}')
  live.is('moves', '{"open":[]}')
  live.happened('event', '{"code":"a"}')
  live.happened('task-state', '{"id":"t"}', 'user/ann')
  end()
  live.is('nodes', '{"nodes":[1]}')
  t.same(told, [
    { kind: 'nodes', text: '{"type":"nodes","nodes":[]}' },
    {
      kind: 'task-state',
      text: '{"type":"task-state","id":"t"}',
      id: 's-1-2',
      owner: 'user/ann',
    },
  ])
  t.equal(live.lastId, 's-1-2')
})
