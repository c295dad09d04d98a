import { EventEmitter } from 'node:events'
import t from 'tap'
import type { Logger } from '../../../shared/runtime/logger.ts'
import { Shutdown } from '../../../shared/runtime/shutdown.ts'

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

function prepare(deadlineMs = 60_000) {
  const exits: number[] = []
  const signals = new EventEmitter()
  const shutdown = new Shutdown({ deadlineMs }, (code) => exits.push(code), silent)
  const stopListening = shutdown.listen(signals)
  return { exits, signals, shutdown, stopListening }
}

t.test('the last opened is closed first, one after the other', async (t) => {
  const { exits, signals, shutdown } = prepare()
  const order: string[] = []
  shutdown.add('store', () => {
    order.push('store')
  })
  shutdown.add('server', async () => {
    order.push('server begins')
    await new Promise(setImmediate)
    order.push('server ended')
  })
  signals.emit('SIGTERM')
  t.equal(shutdown.isClosing, true)
  t.equal(await shutdown.ended, 0)
  t.same(order, ['server begins', 'server ended', 'store'])
  t.same(exits, [0])
})

t.test('a closer that fails does not stop the others, and shows in the exit code', async (t) => {
  const { exits, shutdown } = prepare()
  let isClosed = false
  shutdown.add('store', () => {
    isClosed = true
  })
  shutdown.add('server', async () => {
    throw new Error('stuck')
  })
  await shutdown.begin('test')
  t.equal(isClosed, true)
  t.same(exits, [1])
})

t.test('the deadline ends what does not close', async (t) => {
  const { exits, shutdown } = prepare(10)
  shutdown.add('server', () => new Promise(() => {}))
  void shutdown.begin('test')
  t.equal(await shutdown.ended, 1)
  t.same(exits, [1])
})

t.test('a second signal ends at once', async (t) => {
  const { exits, signals, shutdown } = prepare()
  let release = (): void => {}
  shutdown.add('server', () => new Promise<void>((resolve) => (release = resolve)))
  signals.emit('SIGTERM')
  signals.emit('SIGINT')
  t.equal(await shutdown.ended, 130)
  release()
  await new Promise(setImmediate)
  t.same(exits, [130], 'exit is called once')
})

t.test('an end from inside keeps its exit code', async (t) => {
  const { exits, shutdown } = prepare()
  await Promise.all([shutdown.begin('commit failed', 70), shutdown.begin('again', 1)])
  t.same(exits, [70])
})

t.test('signals can be let go', async (t) => {
  const { signals, stopListening } = prepare()
  stopListening()
  t.same([signals.listenerCount('SIGTERM'), signals.listenerCount('SIGINT')], [0, 0])
})
