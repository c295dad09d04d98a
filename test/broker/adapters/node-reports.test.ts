import t from 'tap'
import { NodeReports } from '../../../broker/adapters/node-reports.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import {
  encodeTelemetry,
  TELEMETRY_NUMBERS,
  type Telemetry,
} from '../../../shared/protocol/telemetry.ts'
import { NODE } from '../../support/recorded-http-port.ts'

const node = NODE.id
const numbers = Object.fromEntries(TELEMETRY_NUMBERS.map((name) => [name, 1]))
const TELEMETRY = encodeTelemetry({ node, ...numbers } as unknown as Telemetry)
const BIRTH = Buffer.from('{"id":"pi-1","version":"0.1.0","arch":"arm"}')

t.test('a row has the version, and one that is asked for alone the whole birth', async (t) => {
  const reports = new NodeReports()
  t.same(reports.addTo(NODE, { isAlone: true }), NODE)
  t.match(reports.take({ node, kind: 'node-info', payload: BIRTH }), { arch: 'arm' })
  t.match(reports.take({ node, kind: 'node-telemetry', payload: TELEMETRY }), { cpu_percent: 1 })
  const row = reports.addTo(NODE, { isAlone: false })
  t.match(row, { version: '0.1.0', telemetry: { cpu_percent: 1 }, info: undefined })
  t.match(reports.addTo(NODE, { isAlone: true }), { version: '0.1.0', info: { arch: 'arm' } })
  const other = { ...NODE, id: 'pi-2' as NodeId }
  t.same(reports.addTo(other, { isAlone: true }), other)
  reports.forget(node)
  t.same(reports.addTo(NODE, { isAlone: true }), NODE)
})

t.test('what is no report changes nothing', async (t) => {
  const reports = new NodeReports()
  reports.take({ node, kind: 'node-info', payload: BIRTH })
  const large = JSON.stringify({ version: '9', more: 'x'.repeat(5000) })
  for (const text of ['', '{', '[1]', 'null', '"text"', large]) {
    t.equal(reports.take({ node, kind: 'node-info', payload: Buffer.from(text) }), undefined)
  }
  t.equal(reports.take({ node, kind: 'node-telemetry', payload: BIRTH }), undefined)
  t.match(reports.addTo(NODE, { isAlone: false }), { version: '0.1.0', telemetry: undefined })
  reports.take({ node, kind: 'node-info', payload: Buffer.from('{"version":7}') })
  t.equal(reports.addTo(NODE, { isAlone: false }).version, undefined)
})
