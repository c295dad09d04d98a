/** A secured gateway's own parts, as main.ts opens them. */
import { X509Certificate } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeFleetKeys, readKeyFiles } from '../../broker/adapters/fleet-keys.ts'
import type { GatewayConfig } from '../../broker/config.ts'
import { openSecured, type Secured } from '../../broker/secured.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { Running } from '../../shared/runtime/program.ts'
import { eventually } from '../support/processes.ts'
import { shortDirectory } from '../support/short-directory.ts'

const DAY_MS = 24 * 3_600_000
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** From a start to an orderly end. */
async function run(
  t: Test,
  data: string,
  use: (secured: Secured) => Promise<void>,
  identityChanged: (identity: string, token?: string) => void = () => {},
): Promise<void> {
  const closings: (() => unknown)[] = []
  const shutdown = { add: (_name: string, close: () => unknown) => closings.unshift(close) }
  const context = { log: SILENT, shutdown, fatal: (error: unknown) => t.fail(String(error)) }
  const secured = await openSecured(
    { data, tlsNames: [] } as unknown as GatewayConfig,
    context as unknown as Pick<Running, 'log' | 'fatal' | 'shutdown'>,
    {
      isNameKnown: () => false,
      hasLeft: () => false,
      revoked: async () => {},
      sessionEnded: () => {},
      keysOut: () => {},
      sendKey: () => {},
      channelOf: () => undefined,
      identityChanged,
    },
  )
  await use(secured)
  for (const close of closings) await close()
}

const ann = { ...{ who: 'user/ann', via: 'http' as const }, assertMay: () => {} }

t.test('what changes nothing is no line of the security log', async (t) => {
  const data = shortDirectory()
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  await makeFleetKeys(join(data, 'security'))
  await run(t, data, async ({ security }) => {
    const wish = { node: 'n1' as NodeId, replaces: false, ttlMs: DAY_MS }
    const { view } = await security.createToken(wish, ann)
    for (let count = 0; count < 3; count++) t.ok(await security.revokeToken(view.id, ann))
    t.notOk(await security.revokeToken('aaaaaaaa', ann))
    for (let count = 0; count < 3; count++) t.ok(await security.revokeNode('n1' as NodeId, ann))
    t.notOk(await security.revokeNode('n2' as NodeId, ann))
  })
  const lines = readFileSync(join(data, 'security', 'security.jsonl'), 'utf8')
    .trim()
    .split('\n')
  t.same(
    lines.map((line) => JSON.parse(line).event),
    ['log-begun', 'secured', 'token-created', 'token-revoked', 'node-revoked'],
  )
})

t.test('a clock that was in the future leaves nothing behind', async (t) => {
  const data = shortDirectory()
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  await makeFleetKeys(join(data, 'security'))
  const real = Date.now
  t.teardown(() => {
    Date.now = real
  })
  const look = async ({ hosts, security }: Secured): Promise<void> => {
    await hosts.look()
    await security.keepTime()
  }
  await run(t, data, look)
  Date.now = () => Date.UTC(2091, 0, 1)
  const short = { node: 'n2' as NodeId, replaces: false, ttlMs: DAY_MS }
  await run(t, data, async (secured) => {
    await look(secured)
    await secured.security.createToken(short, ann)
    t.equal((await secured.security.status()).openTokens, 1)
  })
  Date.now = real
  await run(t, data, async ({ hosts, security }) => {
    const { validFrom, validTo } = new X509Certificate(hosts.keys.certificate)
    t.ok(Date.parse(validFrom) < Date.now() && Date.now() < Date.parse(validTo), validFrom)
    t.equal((await security.status()).openTokens, 0, 'a token of then is over')
    const wish = { node: 'n1' as NodeId, replaces: false, ttlMs: DAY_MS }
    const { view } = await security.createToken(wish, ann)
    t.ok(view.untilTs < Date.now() + 2 * DAY_MS, new Date(view.untilTs).toISOString())
  })
})

t.test('the key that signs results is there from the start on, as a backup needs it', async (t) => {
  const data = shortDirectory()
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  const folder = join(data, 'security')
  await makeFleetKeys(folder)
  const path = join(folder, 'seal.key')
  const made = readFileSync(path, 'utf8')
  await run(t, data, async () => {
    t.equal(readFileSync(path, 'utf8'), made)
  })
  rmSync(path)
  await run(t, data, async () => {
    t.ok(readKeyFiles(folder).some(({ name }) => name === 'seal.key'))
  })
})

t.test('what is open by a token ends with it, by itself', async (t) => {
  const data = shortDirectory()
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  await makeFleetKeys(join(data, 'security'))
  const ended: string[] = []
  const use = async ({ security }: Secured): Promise<void> => {
    await security.users.add('bob', { roles: ['viewer'] }, ann)
    const { id, token } = await security.users.addToken('bob', { label: '', ttlMs: 300 }, ann)
    const shown = { authorization: `Bearer ${token}`, key: undefined, cookie: undefined }
    const who = await security.access.identify({ ...shown, remote: '::1' }, () => false)
    t.match(who, { ok: true, who: { name: 'bob', token: id } })
    ended.length = 0
    await eventually('it is told', () => ended.length > 0)
    t.same(ended, [`user/bob ${id}`])
  }
  await run(t, data, use, (identity, token) => ended.push(`${identity} ${token}`))
})
