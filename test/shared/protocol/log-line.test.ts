import t from 'tap'
import { logLineText } from '../../../shared/protocol/log-line.ts'

const when = (ts: number): string => `[${ts}]`

t.test('a line says when, how bad and what, and then what else there is', async (t) => {
  const line = { level: 40, time: 12, name: 'agent', msg: 'slow', node: 'edge-1', ms: 7 }
  t.equal(logLineText(line, when), '[12] warn  slow node="edge-1" ms=7')
  t.equal(logLineText({ level: 30, time: 12, msg: 'up' }, when), '[12] info  up')
})

t.test('anything may stand in a line that a board wrote', async (t) => {
  t.equal(logLineText({}, when), '       undefined')
  t.equal(logLineText({ level: 'x', time: 'y', msg: { a: 1 } }, when), '       {"a":1}')
  t.equal(logLineText({ level: 35, time: 9e15, msg: '' }, when), '       ')
  t.equal(logLineText({ level: 50, time: -1, msg: null }, when), '[-1] error null')
})
