/** Writes that boards have no room for: what is refused, and what waits. */
import t from 'tap'
import { ADD, GatewayBench, GET } from '../../../support/gateway-bench.ts'

t.test(
  'a write that the boards can never have room for is refused, with the figures',
  async (t) => {
    const bench = new GatewayBench()
    // Of the 8 tiles, of 168 bytes each, 5 go into one slice.
    for (const name of ['a', 'b']) bench.hello(name, { sliceBytesMax: 1000 })
    bench.wait(bench.options.settleMs)
    const refused = (message: RegExp) => ({ ok: false, refusal: { code: 'store-full', message } })
    const all = { ...ADD, region: { x: 0, y: 0, w: 16, h: 8 } }
    t.match(bench.submit(all), refused(/^node [ab] would hold 8 new tiles of 168 bytes, 0\.0 MiB/))
    t.ok(bench.submit({ ...GET, region: all.region }).ok, 'a read takes none')
    t.ok(bench.submit({ ...ADD, region: { x: 0, y: 0, w: 16, h: 4 } }).ok)
    const rest = { ...ADD, region: { x: 0, y: 4, w: 16, h: 4 } }
    t.match(bench.submit(rest), refused(/^with 4 new tiles the fleet would hold .* in 2 copies/))
    t.match(bench.submit(all), refused(/^with 4 new tiles/), 'only what is new takes room')
    bench.hello('c')
    bench.wait(bench.options.settleMs)
    t.ok(bench.submit(rest).ok, 'a node that has not said its bound may have the room')
  },
)

t.test('a write waits for a node that is away, where the others have no room for it', async (t) => {
  const bench = new GatewayBench({ replicas: 1 })
  // Of the 8 tiles, of 168 bytes each, 5 go into one slice.
  for (const name of ['a', 'b']) bench.hello(name, { sliceBytesMax: 1000 })
  bench.wait(bench.options.settleMs)
  bench.close('a')
  t.ok(bench.submit({ ...ADD, region: { x: 0, y: 0, w: 16, h: 8 } }).ok)
})
