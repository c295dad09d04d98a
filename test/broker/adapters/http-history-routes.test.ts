import t from 'tap'
import { decodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'
import { serve } from '../../support/recorded-http-port.ts'

const CBOR = { headers: { accept: 'application/cbor' } }
const TWO = 'metrics=behind,cpu_percent'

t.test('history is told as CBOR with packed columns, or as JSON', async (t) => {
  const { recorded, base } = await serve(t)
  const json = await fetch(`${base}/api/history?nodes=pi-1,pi-9&${TWO}&span=24h&points=3`)
  t.match(json.headers.get('content-type'), /^application\/json/)
  t.equal(json.headers.get('vary'), 'accept')
  t.same(await json.json(), {
    ...{ ts: 1_700_000_000_000, step_seconds: 60, points: 3 },
    nodes: [{ id: 'pi-1', cpu_percent: [0.1, null, 3], behind: [7, 8, 9] }],
  })
  t.same(recorded.calls, [
    [
      'history',
      { nodes: ['pi-1', 'pi-9'], metrics: ['cpu_percent', 'behind'], span: '24h', points: 3 },
    ],
  ])
  const cbor = await fetch(`${base}/api/history?nodes=pi-1&${TWO}`, CBOR)
  t.equal(cbor.headers.get('content-type'), 'application/cbor')
  const decoded = decodeCbor(new Uint8Array(await cbor.arrayBuffer()), MESSAGE_LIMITS)
  const { value } = decoded as { value: { nodes: { cpu_percent: Uint8Array }[] } }
  t.match(value, { step_seconds: 60, points: 3, nodes: [{ id: 'pi-1' }] })
  const column = value.nodes[0]!.cpu_percent
  const view = new DataView(column.buffer, column.byteOffset, column.byteLength)
  t.same(
    [0, 4, 8].map((at) => view.getFloat32(at, true)),
    [Math.fround(0.1), Number.NaN, 3],
    'f32, little-endian',
  )
  t.match(recorded.calls[1], ['history', { span: '1h', points: 360 }], 'what is not said')
})

t.test('what history cannot be asked is said, each fault by name', async (t) => {
  const { recorded, base } = await serve(t)
  const refused = async (query: string, said: RegExp, init = CBOR): Promise<void> => {
    const response = await fetch(`${base}/api/history${query}`, init)
    t.equal(response.status, 400, query)
    const { code, detail } = await response.json()
    t.equal(code, 'malformed')
    t.match(detail, said)
  }
  const many = Array.from({ length: 101 }, (_, n) => `n${n}`)
  await refused('', /nodes must be given/)
  await refused(`?nodes=${many}`, /at most 100/)
  await refused('?nodes=a,a', /different/)
  await refused('?nodes=a/b', /ids of nodes/)
  await refused('?nodes=a&span=2h&points=361&metrics=cpu', /metrics must.*|span must.*/)
  await refused('?nodes=a&points=0', /from 1 to 360/)
  await refused('?nodes=a&node=b', /"node"/)
  await refused(`?nodes=${many.slice(0, 12)}`, /24000 numbers.*CBOR/, {
    headers: { accept: '*/*' },
  })
  t.equal((await fetch(`${base}/api/history?nodes=${many.slice(0, 11)}`)).status, 200)
  t.equal((await fetch(`${base}/api/history?nodes=${many.slice(0, 100)}`, CBOR)).status, 200)
  t.equal(recorded.calls.length, 2)
})
