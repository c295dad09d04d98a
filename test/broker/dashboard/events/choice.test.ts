import t from 'tap'
import type { Happening } from '../../../../broker/dashboard/answers.ts'
import { chosenEvents, codesOf } from '../../../../broker/dashboard/events/choice.ts'

const EVENTS: Happening[] = [
  { ts: 4, level: 'error', code: 'node-dead', message: 'node edge-2 is dead', node: 'edge-2' },
  { ts: 3, level: 'warn', code: 'doubt-began', message: 'many are silent' },
  { ts: 2, level: 'info', code: 'node-joined', message: 'node edge-2 is here' },
  { ts: 1, level: 'info', code: 'node-joined', message: 'node edge-1 is here' },
]
const times = (least: 'info' | 'warn' | 'error', find = '') =>
  chosenEvents(EVENTS, { least, find }).map(({ ts }) => ts)

t.test('events are chosen by level, and by code, node or words', async (t) => {
  t.same(times('info'), [4, 3, 2, 1])
  t.same(times('warn'), [4, 3])
  t.same(times('error'), [4])
  t.same(times('info', ' EDGE-2 '), [4, 2])
  t.same(times('info', 'node-joined'), [2, 1])
  t.same(times('warn', 'node-joined'), [])
})

t.test('codes that have come are offered, the most frequent first', async (t) => {
  t.same(codesOf(EVENTS), [
    ['node-joined', 2],
    ['doubt-began', 1],
    ['node-dead', 1],
  ])
})
