/** Packages at a secured gateway: to nodes of its fleet, by their own certificates, and to nobody else. */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { FetchDoor } from '../../../broker/adapters/fetch-door.ts'
import type { Identity } from '../../../firmware-agent/adapters/identity-files.ts'
import { fetchPackage } from '../../../firmware-agent/adapters/package-fetch.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../../shared/protocol/enrolment.ts'
import { encodeFetchLine, FETCH_PROTOCOL } from '../../../shared/protocol/fetch.ts'
import { identityFor, newAuthority } from '../../support/certified.ts'
import { SecuredBench } from '../../support/secured-bench.ts'

const n1 = 'n1' as NodeId

async function bench(t: Test) {
  const directory = t.testdir({})
  const bytes = randomBytes(200_000)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const kept = join(directory, 'package')
  writeFileSync(kept, bytes)
  const asked: string[] = []
  const pathOf = (name: string): string | undefined => {
    asked.push(name)
    return name === sha256 ? kept : undefined
  }
  const failed = (error: unknown): unknown => t.fail(String(error))
  const door = new FetchDoor({ bytesPerSecond: 2 ** 30 }, { pathOf, failed })
  const secured = await SecuredBench.start(t, { fetch: door })
  const path = join(directory, 'fetched')
  const fetchAs = async (identity: Identity): Promise<Buffer> => {
    const url = `mqtts://127.0.0.1:${secured.broker.port}`
    await fetchPackage({ url, identity: () => identity }, { sha256, bytes: bytes.length, path })
    return readFileSync(path)
  }
  const nothingCame = (): void => {
    t.same(asked, [])
    t.notOk(existsSync(path))
  }
  return { secured, door, fetchAs, nothingCame, bytes, sha256 }
}

t.test('a node of the fleet fetches by its certificate', async (t) => {
  const { secured, door, fetchAs, bytes } = await bench(t)
  const came = await fetchAs(await secured.identity(n1))
  t.ok(came.equals(bytes))
  t.equal(door.waiting, 0)
  t.same(secured.refused, {})
})

t.test('a user’s certificate opens no packages', async (t) => {
  const { secured, fetchAs, nothingCame } = await bench(t)
  const identity = await identityFor(secured.authority, 'ada' as NodeId)
  secured.keys.set(identity.sha256, secured.user('ada', ['admin']))
  await t.rejects(fetchAs(identity), { code: 'fetch-broken' })
  nothingCame()
  t.same(secured.refused, { 'certificate-refused': 1 })
})

t.test('nor do those of a node that was revoked, or that nobody knows', async (t) => {
  const { secured, fetchAs, nothingCame } = await bench(t)
  const identity = await secured.identity(n1)
  secured.nodes.delete(identity.sha256)
  await t.rejects(fetchAs(identity), { code: 'fetch-broken' }, 'unknown')
  secured.revoked.set(identity.sha256, n1)
  await t.rejects(fetchAs(identity), { code: 'fetch-broken' }, 'revoked')
  nothingCame()
  t.same(secured.refused, { 'certificate-refused': 2 })
})

t.test('a node of another fleet does not get in, nor takes a package of this one', async (t) => {
  const { secured, fetchAs, nothingCame } = await bench(t)
  const stranger = await identityFor(await newAuthority(), n1)
  await t.rejects(fetchAs(stranger), { code: 'fetch-broken' }, 'it trusts another authority')
  const lured = { ...stranger, ca: secured.authority.certificate }
  await t.rejects(fetchAs(lured), { code: 'fetch-broken' }, 'and is not trusted')
  secured.nodes.set(stranger.sha256, n1)
  await t.rejects(fetchAs(lured), { code: 'fetch-broken' }, 'even if its key is known')
  nothingCame()
  t.equal(secured.refused['certificate-refused'], 2)
})

t.test('without a certificate, or without TLS, nothing is said', async (t) => {
  const { secured, nothingCame, sha256 } = await bench(t)
  const { port } = secured.broker
  const line = encodeFetchLine({ sha256, from: 0 })
  const certain = { servername: GATEWAY_SERVER_NAME, ca: secured.authority.certificate }
  const sockets = [
    connect({ ...{ host: '127.0.0.1', port, ALPNProtocols: [FETCH_PROTOCOL] }, ...certain }),
    connect({ ...{ host: '127.0.0.1', port, ALPNProtocols: ['mqtt'] }, ...certain }),
    connectTcp(port, '127.0.0.1'),
  ]
  const heard = await Promise.all(
    sockets.map(async (socket) => {
      t.teardown(() => socket.destroy())
      socket.on('error', () => {})
      socket.write(line)
      let bytes = ''
      await new Promise<void>((resolve) => {
        socket.on('data', (chunk) => {
          bytes += chunk
        })
        socket.on('close', () => resolve())
      })
      return bytes
    }),
  )
  t.notMatch(heard.join(''), '{"bytes"')
  nothingCame()
})
