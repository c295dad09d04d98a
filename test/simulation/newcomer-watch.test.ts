/** Whom a restored ledger need not have waited for, as the checkers of the simulation see it. */
import t from 'tap'
import type { Up } from '../../shared/protocol/messages.ts'
import { NewcomerWatch } from '../support/newcomer-watch.ts'
import type { SimulatedNode } from '../support/simulated-node.ts'

const WAIT_MS = 3500
const node = { id: 'node-1' } as SimulatedNode

function watching() {
  const open = new Set(['node-1-1', 'node-1-2'])
  const watch = new NewcomerWatch({ isOpenAtGateway: (id) => open.has(id) })
  watch.gatewayStarted(1000)
  const say = (connection: string, message: object): void =>
    watch.received(connection, { storeId: 'card', position: 7, ...message } as Up)
  const isLate = (nowMs = 5000): boolean =>
    watch.late([node], { nowMs, waitMs: WAIT_MS }).includes(node)
  return { open, watch, say, isLate }
}

t.test('who never comes is late once an agent cannot sleep any longer', async (t) => {
  const { isLate } = watching()
  t.notOk(isLate(1000 + WAIT_MS / 2))
  t.ok(isLate(1000 + WAIT_MS))
})

t.test('who is showing what it holds is not late, until its connection ends', async (t) => {
  const { open, say, isLate } = watching()
  say('node-1-1', { t: 'hello' })
  say('node-1-1', { t: 'held', next: 5 })
  t.notOk(isLate())
  open.delete('node-1-1')
  t.ok(isLate())
})

t.test('who has shown all is not late, also where it has gone since', async (t) => {
  const { open, watch, say, isLate } = watching()
  say('node-1-1', { t: 'hello' })
  say('node-1-1', { t: 'held', next: null })
  open.delete('node-1-1')
  t.notOk(isLate())
  say('node-1-2', { t: 'hello' })
  open.clear()
  t.notOk(isLate(), 'it says so again')
  say('node-1-2', { t: 'hello', position: 8 })
  t.ok(isLate(), 'it has gone on, and has not shown that')
  say('node-1-2', { t: 'hello' })
  say('node-1-2', { t: 'held', next: null })
  watch.gatewayStarted(1000)
  t.ok(isLate(), 'that was another process of the gateway')
})

t.test('what was shown of another state, or on another connection, is not all', async (t) => {
  const { open, say, isLate } = watching()
  say('node-1-1', { t: 'hello' })
  say('node-1-1', { t: 'held', next: null, position: 6 })
  say('node-1-2', { t: 'held', next: null })
  open.clear()
  t.ok(isLate())
})
