/** The example for Python, by paho-mqtt 2: the other tests have what Debian has. */
import { join } from 'node:path'
import t from 'tap'
import { CHECKOUT } from '../../scripts/package/checkout.ts'
import { Fleet, within } from '../support/processes.ts'
import { PYTHON } from './programs.ts'

t.setTimeout(300_000)

t.test('the example for Python runs with paho-mqtt 2, which warns of nothing', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway()
  await fleet.agents(['edge-1', 'edge-2'], gateway.url)
  const path = join(CHECKOUT, 'docs/examples/obelisk.py')
  const run = fleet.command(PYTHON, ['-W', 'error', path, '127.0.0.1', `${gateway.port}`])
  const { code } = await within('its end', run.exited)
  t.equal(code, 0, run.stderr)
  t.match(run.stdout, '[[5, 6], [9, 10]]')
})
