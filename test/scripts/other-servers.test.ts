/** What commands say where another server answers than a gateway. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { command } from '../support/secured-gateway.ts'

t.test('another web server is said to be none of ours, and nothing is kept of it', async (t) => {
  const server = createServer((_asked, answer) => answer.end('<p>welcome</p>'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const file = join(t.testdir(), 'map.csv')
  const at = ['--http', `http://127.0.0.1:${(server.address() as AddressInfo).port}`]
  for (const argv of [['node', 'ls'], ['top'], ['grid', 'get', 'value', file]]) {
    const said = { code: 69, stdout: '', stderr: /^error: .*is that address the gateway\?\n$/ }
    t.match(await command([...argv, ...at]), said, argv.join(' '))
  }
  t.notOk(existsSync(file))
})
