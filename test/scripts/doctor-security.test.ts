/** What the doctor says of identities and keys; real gateways over TLS, and files as they are. */

import { chmodSync, readdirSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { certifyNode } from '../../broker/adapters/certificates.ts'
import { makeFleetKeys } from '../../broker/adapters/fleet-keys.ts'
import { keepIdentity, keyToEnrol } from '../../firmware-agent/adapters/identity-files.ts'
import type { GatewayProbe } from '../../scripts/doctor/gateway-finding.ts'
import { probeGateway } from '../../scripts/doctor/gateway-probe.ts'
import { pinOf, seeGatewayKeys, seeIdentity } from '../../scripts/doctor/security-facts.ts'
import {
  type SecurityFacts,
  securityFindings,
  statusFindings,
} from '../../scripts/doctor/security-findings.ts'
import { toBase32 } from '../../shared/core/base32.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { keepLastBackup } from '../../shared/runtime/backup-mark.ts'
import { spkiOf } from '../../shared/runtime/public-keys.ts'
import { gatewayKeys, newAuthority } from '../support/certified.ts'
import { SecuredBench } from '../support/secured-bench.ts'

const n7 = 'n7' as NodeId

async function listening(t: Test, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `mqtts://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('a secured gateway is asked over TLS, and its troubles are told apart', async (t) => {
  const bench = await SecuredBench.start(t)
  const url = `mqtts://127.0.0.1:${bench.broker.port}`
  const identity = await bench.identity(n7)
  const probe = async (asked: object): Promise<GatewayProbe> =>
    (await probeGateway({ url, topics: ['a'], timeoutMs: 2000, ...asked })).probe
  const kind = async (asked: object): Promise<string> => (await probe(asked)).kind
  t.equal(await kind({ identity }), 'reached')
  t.equal(await kind({}), 'reached', 'also by who has no identity yet')
  bench.nodes.clear()
  t.equal(await kind({ identity }), 'not-authorised', 'a key that was revoked')
  const other = await (await SecuredBench.start(t)).identity(n7)
  t.equal(await kind({ identity: other }), 'other-fleet')
  t.equal(await kind({ url: 'mqtts://127.0.0.1:1' }), 'refused')
  t.equal(await kind({ url: 'mqtts://no-such-host.invalid' }), 'name')
  const plain = createServer((socket) => socket.end('HTTP/1.1 400\r\n\r\n'))
  const noTls = { kind: 'not-tls', detail: 'that port speaks no TLS' }
  t.same(await probe({ url: await listening(t, plain) }), noTls)
  const { key, certificate: cert } = await gatewayKeys(await newAuthority())
  const https = createTlsServer({ key, cert, ALPNProtocols: ['http/1.1'] })
  https.on('tlsClientError', () => {})
  const detail = /^that port speaks something else over TLS, HTTP perhaps: /
  t.match(await probe({ url: await listening(t, https) }), { kind: 'not-a-gateway', detail })
  const deaf = createServer((socket) => socket.resume())
  t.equal(await kind({ url: await listening(t, deaf), timeoutMs: 200 }), 'silent')
})

t.test('an identity is seen as it is, and nothing is changed', async (t) => {
  const folder = join(t.testdir(), 'identity')
  t.match(seeIdentity(folder, n7), { facts: { kind: 'none' }, exposed: [] })
  const authority = await newAuthority()
  const pair = keyToEnrol(folder)
  const certificate = await certifyNode(authority, spkiOf(pair.publicKey), n7)
  t.match(seeIdentity(folder, n7), { facts: { kind: 'none' } }, 'one that is not finished')
  keepIdentity(folder, pair, { certificate, ca: authority.certificate })
  const files = readdirSync(folder)
  const pin = toBase32(authority.pin)
  t.match(seeIdentity(folder, n7), { facts: { kind: 'there', pin }, exposed: [] })
  t.equal(pinOf(authority.certificate), pin)
  t.match(seeIdentity(folder, 'n8' as NodeId).facts, { kind: 'broken', why: /this is node n8/ })
  chmodSync(join(folder, 'key.pem'), 0o644)
  t.match(seeIdentity(folder, n7), { exposed: [join(folder, 'key.pem')] })
  t.same(readdirSync(folder), files)
  t.match(seeGatewayKeys(join(folder, 'none')), { facts: { kind: 'none' } })

  const keys = join(t.testdir(), 'security')
  await makeFleetKeys(keys)
  t.equal('backupTs' in seeGatewayKeys(keys).facts, false)
  keepLastBackup(keys, 5)
  t.match(seeGatewayKeys(keys).facts, { kind: 'there', backupTs: 5 })
})

const WELL: SecurityFacts = {
  folder: '/var/lib/obelisk-agent/identity',
  identity: { kind: 'there', pin: 'abc', sinceMs: Date.UTC(2026, 10, 27) },
  exposed: [],
  isOpenBeyondLoopback: false,
  isUrlSecure: true,
  token: undefined,
  listens: undefined,
  ...{ socket: undefined, leftOver: undefined, status: undefined },
}

t.test('each trouble is told, with what mends it', (t) => {
  const said = (changes: Partial<SecurityFacts>, role: 'agent' | 'gateway' = 'agent') =>
    securityFindings({ role, id: 'n7', security: { ...WELL, ...changes } })
  const none = { kind: 'none' } as const
  t.match(said({}), [{ level: 'ok', message: /n7 in .*since 2026-11-27; pin abc/ }])
  t.match(said({ identity: none }), [{ level: 'fail', fix: /token create n7/ }])
  t.match(said({ identity: none, token: '/t' }), [{ level: 'warn', fix: /journalctl/ }])
  t.match(said({ identity: none, isUrlSecure: false, token: '/t' }), [{ level: 'fail' }])
  t.same(said({ identity: none, isUrlSecure: false }), [], 'an open gateway of this machine')
  t.match(said({ token: '/t' }), [{ level: 'ok' }, { check: 'token', level: 'warn' }])
  t.match(said({ exposed: ['/k'] })[0], { level: 'fail', fix: 'sudo chmod 600 /k' })
  t.match(said({ leftOver: '/d/security.new' }, 'gateway')[0], { level: 'warn', fix: /rm -r \/d/ })
  t.match(said({ isOpenBeyondLoopback: true })[0], { check: 'url', level: 'fail', fix: /mqtts/ })
  t.match(said({ identity: { kind: 'broken', why: 'why' } }), [{ level: 'fail', message: 'why' }])
  const listens = '0.0.0.0 port 8883'
  t.match(said({ listens, socket: '/s' }, 'gateway'), [
    {
      level: 'ok',
      message: "secured, pin abc; it listens on 0.0.0.0 port 8883; owner's socket /s",
    },
    { check: 'backup', level: 'warn', fix: 'sudo obelisk ca backup <file>' },
  ])
  const backupTs = Date.UTC(2026, 10, 28)
  t.match(said({ identity: { kind: 'there', pin: 'abc', sinceMs: 0, backupTs } }, 'gateway')[1], {
    level: 'ok',
    message: /2026-11-28/,
  })
  t.match(said({ identity: none, listens }, 'gateway'), [{ level: 'ok', message: /not secured/ }])
  t.end()
})

t.test('what a gateway says of itself is judged', (t) => {
  const now = Date.UTC(2026, 10, 28)
  const DAY = 86_400_000
  const leaf = { of: 'hosts', names: ['gw'], fromTs: 0, untilTs: now + DAY } as const
  const authority = { pin: 'abc', subject: '', fromTs: 0, untilTs: 0, leaves: [leaf] }
  const users = { count: 1, byRole: {}, disabled: 0, unused: [] as string[], unusedCount: 0 }
  const log = { folder: '/f', head: { seq: 1, hash: 'a' }, isBroken: false }
  const well = { authority, users, log, refused: [] }
  const certificate = { check: 'certificate', level: 'ok', message: /ends 2026-11-29/ }
  t.match(statusFindings(well, now), [certificate])
  t.equal(statusFindings(well, now).length, 1)
  t.match(statusFindings(well, now + 2 * DAY), [
    { level: 'fail', message: /over since 2026-11-29/ },
  ])
  const since = { ...authority, backupTs: 5, changedTs: 6 }
  t.match(statusFindings({ ...well, authority: since }, now)[1], { check: 'backup', level: 'warn' })
  t.equal(statusFindings({ ...well, authority: { ...since, changedTs: 5 } }, now).length, 1)
  const unused = { ...users, unused: ['ann', 'bert'], unusedCount: 3 }
  const behind = { ts: 0, event: 'clock-behind', who: 'gateway', via: 'gateway', count: 1 }
  const ill = { ...well, users: unused, refused: [behind], log: { ...log, isBroken: true } }
  t.match(statusFindings(ill, now), [
    certificate,
    {
      check: 'users',
      level: 'warn',
      message: 'nobody has come as ann, bert and 1 more for 90 days',
    },
    { check: 'security log', level: 'fail', fix: 'df -h /f' },
    { check: 'clock', level: 'warn' },
  ])
  const status = { ...ill, authority: { ...authority, leaves: [] } }
  const security = { ...WELL, listens: undefined, socket: '/s', status }
  const levels = securityFindings({ role: 'gateway', id: undefined, security })
  t.same(
    levels.map(({ check }) => check),
    ['security', 'backup', 'users', 'security log', 'clock'],
  )
  t.end()
})
