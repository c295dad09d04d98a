/** What follows from a step: whoever may go on does, and no more of them at a time than others can wait for. */
import t from 'tap'
import type { IdentityRecord } from '../../../../broker/core/ledger-records.ts'
import type { NodeId, TaskId } from '../../../../shared/core/ids.ts'
import { Geometry } from '../../../../shared/grid/geometry.ts'
import {
  ADD,
  BENCH_OPTIONS,
  GatewayBench,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'

/** `SEQUENCED_MAX` of writes.ts. */
const SEQUENCED_MAX = 256
const WIDTH = 20

t.test('items that nobody could take go to a node that is drained no more', async (t) => {
  const bench = new GatewayBench({ replicas: 1 })
  const drain = (isWanted: boolean): void => {
    bench.step({ type: 'drain-requested', node: 'a' as NodeId, isWanted })
  }
  bench.join('a')
  bench.submit({ id: 'all', ...ADD })
  bench.apply('a', bench.entriesTo('a'))
  drain(true)
  bench.submit({ id: 'items', op: 'digest', items: [{ key: 'a', data: 'x' }] })
  t.same(bench.readsTo('a'), [])
  drain(false)
  t.equal(bench.readsTo('a').length, 1, 'though all tiles are written, and none changes hands')
})

t.test('writes that bear their tiles get their places some at a time', async (t) => {
  const geometry = new Geometry({ width: 4 * WIDTH, height: 4 * 2 * WIDTH, tile: 4 })
  const bench = new GatewayBench({ replicas: 1, grid: { ...BENCH_OPTIONS.grid, geometry } })
  const seq = (): number => bench.ledger.get<IdentityRecord>('meta', 'identity')!.seq
  bench.hello('a')
  for (let tile = 0; tile < geometry.tiles; tile++) {
    const region = { x: 4 * (tile % WIDTH), y: 4 * Math.floor(tile / WIDTH), w: 1, h: 1 }
    bench.submit({ id: `w${tile}`, ...ADD, region })
  }
  t.equal(seq(), 0, 'the fleet has not settled')
  const write = bench.ledger.write.bind(bench.ledger)
  const steps: number[] = []
  bench.ledger.write = (records) => {
    const before = seq()
    write(records)
    steps.push(seq() - before)
  }
  bench.wait(bench.options.settleMs)
  t.equal(seq(), geometry.tiles)
  t.equal(Math.max(...steps), SEQUENCED_MAX)
})

t.test(
  'boards that are never here together give their parts of a read, whoever comes first',
  async (t) => {
    for (const order of [
      ['a', 'b'],
      ['b', 'a'],
    ]) {
      const bench = new GatewayBench({ replicas: 1 })
      bench.join('a', 'b')
      bench.submit({ id: 'all', ...ADD })
      for (const [name, entries] of ['a', 'b'].map((one) => [one, bench.entriesTo(one)] as const)) {
        bench.apply(name, entries)
      }
      for (const name of order) bench.close(name)
      bench.submit({ id: 'r', op: 'stat', args: { field: 'value' } })
      for (const name of order) {
        bench.hello(name)
        t.equal(bench.readsTo(name).length, 1, `${name} of ${order}`)
        bench.close(name)
      }
    }
  },
)

for (const how of ['hello', 'gap'] as const) {
  t.test(`who had stopped and has it by a ${how} is no reason to wait any more`, async (t) => {
    const bench = settledPair({ minInSync: 2 })
    bench.submit({ id: 'w', ...ADD, region: TILE_0 })
    const [entry] = bench.entriesTo('a')
    bench.close('b')
    const { position } = bench.node('a')
    bench.say('a', { t: 'stopped', position, code: 'store-full', message: 'no room' })
    t.match(bench.task('w'), { waiting_for: 'store-full' })
    const { chain, seq } = entry!
    if (how === 'hello') bench.hello('a', { position: position + 1, chain, seq })
    else bench.say('a', { t: 'gap', position: position + 1, chain })
    t.match(bench.task('w'), { state: 'running', waiting_for: 'holders-away' })
  })
}

t.test('who stopped is named once no other replica gets on', async (t) => {
  const bench = settledPair()
  const { position } = bench.node('a')
  bench.say('a', { t: 'stopped', position, code: 'store-full', message: 'no room' })
  const reason = (): string | undefined => bench.view.task('w' as TaskId)?.waiting_for
  bench.submit({ id: 'w', ...ADD, region: TILE_0 })
  bench.wait(1)
  t.equal(reason(), undefined)
  bench.close('b')
  t.equal(reason(), 'store-full')
  bench.hello('b')
  t.equal(reason(), undefined)
})
