/** Who may read what a gateway and an agent leave that are started by hand. */
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { eventually } from '../support/processes.ts'
import { SecuredGateway } from '../support/secured-gateway.ts'

t.test('what is made by hand is its user alone', async (t) => {
  process.umask(0o022)
  const gateway = await SecuredGateway.start(t)
  const status = readFileSync(`/proc/${gateway.run.pid}/status`, 'utf8')
  t.match(status, /^Umask:\s+0077$/m, 'also of a socket that is bound')
  const names = readdirSync(gateway.data, { recursive: true }) as string[]
  t.ok(names.includes('admin.sock') && names.some((name) => name.endsWith('data.mdb')))
  for (const name of names) {
    t.equal(lstatSync(join(gateway.data, name)).mode & 0o077, 0, name)
  }
  await gateway.done('user', 'ls')
  await eventually('who came through the socket is told', () => {
    const log = readFileSync(join(gateway.data, 'security', 'security.jsonl'), 'utf8')
    return log.includes('"event":"admin-socket"')
  })
})
