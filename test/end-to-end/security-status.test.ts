/** What an admin sees at a glance, of gateways that are processes of their own. */

import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { answerOf } from '../../scripts/doctor/collect-facts.ts'
import { type AskedStatus, statusFindings } from '../../scripts/doctor/security-findings.ts'
import { Fleet } from '../support/processes.ts'
import { command, SecuredGateway } from '../support/secured-gateway.ts'

t.test('who may come in, who did not, and whether the log is whole', async (t) => {
  const gateway = await SecuredGateway.start(t)
  const file = join(gateway.fleet.directory, 'password')
  writeFileSync(file, 'correct horse')
  await gateway.done('user', 'add', 'ann', '--role', 'operator', '--password-file', file)
  const token = await gateway.user('bert', 'admin')
  await gateway.user('carl', 'viewer,submitter')
  await gateway.done('user', 'set', 'carl', '--disable')
  await gateway.done('token', 'create', 'n1')
  await gateway.done('token', 'create', 'n2', '--ttl', '1h')
  const [, id] = (await gateway.done('token', 'create', 'n3')).split('-')
  await gateway.done('token', 'revoke', id!)
  const headers = { authorization: `Basic ${Buffer.from('ann:wrong').toString('base64')}` }
  for (let tries = 0; tries < 7; tries++) await gateway.ask('/api/nodes', { headers })

  const { code, stdout, stderr } = await gateway.owner('security', 'status', '--json')
  t.equal(code, 0, stderr)
  const status = JSON.parse(stdout)
  t.match(status, {
    ...{ mode: 'secured', verified: true, openTokens: 2, lockedCount: 1 },
    listeners: {
      mqtt: { host: '127.0.0.1', port: gateway.port },
      http: { host: '127.0.0.1', port: gateway.httpPort },
      admin: join(gateway.data, 'admin.sock'),
    },
    authority: { pin: token.split('-')[3], leaves: [{ of: 'agents' }, { of: 'hosts' }] },
    users: {
      ...{ count: 3, disabled: 1, unused: [], unusedCount: 0 },
      byRole: { viewer: 1, submitter: 1, operator: 1, admin: 1 },
    },
    locked: [{ user: 'ann', source: '127.0.0.1' }],
    refused: [
      { event: 'locked', who: 'user/ann', code: 'user-locked', count: 2 },
      { event: 'login-failed', who: 'user/ann', code: 'wrong-password', count: 5 },
    ],
    log: { isBroken: false, folder: join(gateway.data, 'security') },
  })
  t.notMatch(stdout, /sha256|PRIVATE/)
  const text = await gateway.owner('security', 'status')
  for (const line of [
    /^mode {12}secured$/m,
    /^listens {9}mqtts:\/\/127.0.0.1:\d+ https:\/\/127.0.0.1:\d+$/m,
    /^seen by agents {2}until 9999-12-31, for good: gateway\.obelisk\.internal$/m,
    /^seen by hosts {3}until 20\d\d-\d\d-\d\d, 39\d days: .*localhost/m,
    /^users {11}3 \(1 viewer, 1 submitter, 1 operator, 1 admin, 1 disabled\)$/m,
    /^open tokens {5}2$/m,
    /^backup {10}none yet: obelisk ca backup$/m,
    /^log head {8}\d+:[0-9a-f]{32}, \d+ lines, whole$/m,
    /^locked {10}ann from 127\.0\.0\.1, for \d+ s$/m,
    /^refused {9}20.* {2}login-failed {2}user\/ann {2}127\.0\.0\.1 {2}http {2}wrong-password {2}×5$/m,
  ]) {
    t.match(text.stdout, line)
  }

  const path = '/api/security/status'
  const socket = `unix:${join(gateway.data, 'admin.sock')}`
  const asked = await answerOf<AskedStatus>(socket, path, 10_000)
  t.match(statusFindings(asked!, Date.now()), [{ check: 'certificate', level: 'ok' }])
  t.equal(await answerOf('unix:/none', path, 1000), undefined)

  const environment = { XDG_CONFIG_HOME: join(gateway.fleet.directory, 'home') }
  const tokenFile = join(gateway.fleet.directory, 'token')
  writeFileSync(tokenFile, token)
  await command(['login', gateway.url, '--token-file', tokenFile], environment)
  const elsewhere = await command(['security', 'status'], environment)
  t.match(elsewhere, { code: 0, stdout: /which only the owner of the gateway can verify/ })
  const users = JSON.parse((await command(['user', 'ls', '--json'], environment)).stdout)
  t.match(users[1], { name: 'bert', lastTs: Number, tokens: [{ lastTs: Number }] })
  t.equal(users[0].lastTs, undefined, 'nobody came as ann')
  const listed = await command(['user', 'ls'], environment)
  t.match(listed.stdout, /^bert .* 20\d\d-\d\d-\d\d$/m)
  t.match(listed.stdout, /^ann .* never$/m)

  await gateway.restart()
  t.match(JSON.parse((await command(['user', 'ls', '--json'], environment)).stdout)[1], {
    lastTs: users[1].lastTs,
  })
  appendFileSync(join(gateway.data, 'security', 'security.jsonl'), '{"seq":1}\n')
  const broken = await gateway.owner('security', 'status')
  t.match(broken, { code: 1, stdout: /not what the gateway wrote: obelisk security log --verify/ })
})

t.test('of a gateway that is open that is said', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway()
  const open = await command(['security', 'status', '--http', gateway.http])
  t.match(open, { code: 0, stdout: /^mode {12}open: whoever reaches it may command the fleet$/m })
  t.match(open.stdout, new RegExp(`^listens {9}mqtt://127.0.0.1:${gateway.port} http://`, 'm'))
})
