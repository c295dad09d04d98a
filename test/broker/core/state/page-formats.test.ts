/** Who may write pages of the second format, and who gets one. */
import t from 'tap'
import { type Member, Membership } from '../../../../broker/core/state/membership.ts'
import { PageFormats } from '../../../../broker/core/state/page-formats.ts'
import type { UpgradeTable } from '../../../../broker/core/state/upgrade-table.ts'
import type { Hello } from '../../../../shared/protocol/messages.ts'
import { ADD, GatewayBench } from '../../../support/gateway-bench.ts'
import { drain } from '../../../support/moving-tile.ts'

const KNOWS: Partial<Hello> = { pages: 2 }
const WHOLE = { x: 0, y: 0, w: 16, h: 8 }

t.test('it is said to those alone who know it, and not while an upgrade is open', (t) => {
  const member = (knowsPacked: boolean): Member => ({ knowsPacked }) as Member
  for (const isOpen of [false, true]) {
    const formats = new PageFormats(new Membership(), { isOpen } as UpgradeTable)
    t.same(formats.allowed(member(false)), {})
    t.same(formats.allowed(member(true)), isOpen ? {} : { pages: 2 })
    t.same(formats.ofCopy(member(true), member(false)), {})
    t.same(formats.ofCopy(member(false), member(true)), {})
  }
  t.end()
})

/** What this node is told of formats with its next beat. */
function told(bench: GatewayBench, name: string): number | undefined {
  bench.say(name, { t: 'heartbeat', beat: 1 })
  const [beat] = bench.sent('beat', bench.node(name).connection)
  return beat!.pages
}

t.test('the second format is allowed once every member knows it, and never said to others', (t) => {
  const bench = new GatewayBench()
  bench.hello('a', KNOWS)
  t.equal(bench.sent('welcome')[0]!.pages, 2)
  bench.hello('b')
  t.equal(bench.sent('welcome')[0]!.pages, undefined)
  t.same([told(bench, 'a'), told(bench, 'b')], [undefined, undefined], 'allowed no more')
  bench.hello('b', KNOWS)
  t.equal(bench.sent('welcome')[0]!.pages, 2)
  t.same([told(bench, 'a'), told(bench, 'b')], [2, 2])
  bench.hello('b', { pages: 1 })
  t.equal(told(bench, 'a'), undefined, 'one that went back by hand')
  t.end()
})

t.test('one that is away counts as what it was; a dead one is asked when it comes', (t) => {
  const bench = new GatewayBench({ massSilenceShare: 1 })
  bench.hello('a', KNOWS)
  bench.hello('b')
  bench.close('b')
  t.equal(told(bench, 'a'), undefined, 'away')
  bench.live(bench.options.deadAfterMs + 1000, ['a'])
  t.equal(told(bench, 'a'), 2, 'dead')
  bench.hello('b', { storeId: 'empty', ledgerId: null })
  t.equal(told(bench, 'a'), undefined, 'here again')
  t.end()
})

t.test('after a start nothing is allowed before all were heard', (t) => {
  const bench = new GatewayBench()
  for (const name of ['a', 'b']) bench.hello(name, KNOWS)
  bench.start()
  bench.hello('a', KNOWS)
  t.equal(bench.sent('welcome')[0]!.pages, undefined)
  bench.hello('b', KNOWS)
  t.same([told(bench, 'a'), told(bench, 'b')], [2, 2])
  t.end()
})

t.test('nothing is allowed while an upgrade is open: a node may go back by itself', (t) => {
  const program = (version: string): Partial<Hello> => ({
    ...KNOWS,
    upgrade: { version, architecture: 'armhf' },
  })
  const bench = new GatewayBench({ massSilenceShare: 1 })
  for (const name of ['a', 'b']) bench.hello(name, program('0.1.0'))
  t.equal(told(bench, 'a'), 2)
  const wish = {
    version: '0.2.0',
    packages: { armhf: { sha256: 'a1'.repeat(32), bytes: 1000 } },
    wave: { nodes: 1 },
    pauseMs: 0,
    mayBeAway: false,
    again: false,
  }
  bench.step({ type: 'upgrade-demanded', demand: { start: wish } })
  t.equal(told(bench, 'a'), undefined)
  bench.hello('b', program('0.1.0'))
  t.equal(bench.sent('welcome')[0]!.pages, undefined)
  bench.step({ type: 'upgrade-demanded', demand: 'stop' })
  t.equal(told(bench, 'a'), 2, 'none installs')
  t.end()
})

for (const { source, target, pages } of [
  { source: 2, target: 2, pages: 2 },
  { source: 2, target: 1, pages: undefined },
  { source: 1, target: 2, pages: undefined },
]) {
  t.test(`a page from one that knows ${source} to one that knows ${target}`, (t) => {
    const bench = new GatewayBench()
    for (const name of ['a', 'b']) bench.hello(name, { pages: source })
    bench.wait(bench.options.settleMs)
    bench.submit({ id: 'first', ...ADD, region: WHOLE })
    for (const name of ['a', 'b']) bench.apply(name, bench.entriesTo(name))
    bench.hello('c', { pages: target })
    bench.wait(bench.options.settleMs)
    drain(bench, 'a')
    bench.wait(bench.options.settleMs)
    const copies = bench.sent('copy')
    t.ok(copies.length > 0)
    t.ok(copies.every((copy) => copy.pages === pages))
    t.end()
  })
}
