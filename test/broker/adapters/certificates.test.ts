import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import {
  type Authority,
  certifyNode,
  certifyServer,
} from '../../../broker/adapters/certificates.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../../shared/protocol/enrolment.ts'
import { type KeyPair, newKeyPair, pemOf, spkiOf } from '../../../shared/runtime/public-keys.ts'
import { newAuthority } from '../../support/certified.ts'

const NODE = 'n7' as NodeId

interface Shown {
  readonly pair: KeyPair
  readonly certificate: string
}

async function node(authority: Authority): Promise<Shown> {
  const pair = newKeyPair()
  return { pair, certificate: await certifyNode(authority, spkiOf(pair.publicKey), NODE) }
}

async function gateway(authority: Authority): Promise<Shown> {
  const pair = newKeyPair()
  const names = { names: [GATEWAY_SERVER_NAME] }
  return { pair, certificate: await certifyServer(authority, pair.publicKey, names) }
}

/** How the two ends see each other: `undefined` means that all is well. */
async function meet(
  t: Test,
  server: Shown,
  client: Shown,
  authority: Authority,
): Promise<{ server: string | undefined; client: string | undefined }> {
  const ca = authority.certificate
  const options = { ca, minVersion: 'TLSv1.3' } as const
  const listener = createServer({
    ...options,
    key: pemOf(server.pair),
    cert: server.certificate,
    requestCert: true,
    rejectUnauthorized: false,
  }).listen(0, '127.0.0.1')
  t.teardown(() => listener.close())
  await once(listener, 'listening')
  const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>
  const socket = connect({
    ...options,
    ...{ key: pemOf(client.pair), cert: client.certificate, servername: GATEWAY_SERVER_NAME },
    ...{ host: '127.0.0.1', port: (listener.address() as AddressInfo).port },
    rejectUnauthorized: false,
  })
  const [[other]] = await Promise.all([accepted, once(socket, 'secureConnect')])
  const codeOf = ({ authorized, authorizationError }: TLSSocket): string | undefined =>
    authorized ? undefined : String(authorizationError)
  const seen = { server: codeOf(socket), client: codeOf(other) }
  other.destroy()
  socket.destroy()
  return seen
}

t.test('a gateway and a node of one fleet take each other', async (t) => {
  const authority = await newAuthority()
  const [server, client] = [await gateway(authority), await node(authority)]
  t.same(await meet(t, server, client, authority), { server: undefined, client: undefined })
})

t.test('attempts 7 and 13: those of another fleet do not', async (t) => {
  const [ours, theirs] = [await newAuthority(), await newAuthority()]
  const seen = await meet(t, await gateway(theirs), await node(theirs), ours)
  t.match(seen, { server: /\w/, client: /\w/ })
})

t.test('attempts 11 and 12: a certificate serves for what it was made for alone', async (t) => {
  const authority = await newAuthority()
  const [server, client] = [await gateway(authority), await node(authority)]
  t.same(await meet(t, client, server, authority), {
    server: 'INVALID_PURPOSE',
    client: 'INVALID_PURPOSE',
  })
})

t.test('no clock of a board can miss what it checks and shows', async (t) => {
  const authority = await newAuthority()
  const made = [authority, await gateway(authority), await node(authority)]
  for (const { certificate } of made) {
    const { validFrom, validTo } = new X509Certificate(certificate)
    t.same([validFrom, validTo], ['Jan  1 00:00:00 1970 GMT', 'Dec 31 23:59:59 9999 GMT'])
  }
})

t.test('what browsers see has bounds, and all names and addresses of the box', async (t) => {
  const authority = await newAuthority()
  const { publicKey } = newKeyPair()
  const names = ['gw', 'gw.local', 'localhost', '192.168.1.5', '::1', 'fd00::12']
  const validity = { fromTs: Date.UTC(2026, 10, 29), toTs: Date.UTC(2027, 11, 31) }
  const made = new X509Certificate(await certifyServer(authority, publicKey, { names, validity }))
  t.same([made.validFrom, made.validTo], ['Nov 29 00:00:00 2026 GMT', 'Dec 31 00:00:00 2027 GMT'])
  for (const name of ['gw', 'gw.local', 'localhost']) t.ok(made.checkHost(name), name)
  for (const name of ['192.168.1.5', '::1', 'fd00::12']) t.ok(made.checkIP(name), name)
  t.notOk(made.checkHost('other'))
  t.notOk(made.checkIP('192.168.1.6'))
})

t.test('a node’s certificate names it, and two are never the same', async (t) => {
  const authority = await newAuthority()
  const { publicKey } = newKeyPair()
  const name = `${'n'.repeat(62)}_-` as NodeId
  const pems = await Promise.all([1, 2].map(() => certifyNode(authority, spkiOf(publicKey), name)))
  const [one, two] = pems.map((text) => new X509Certificate(text)) as [
    X509Certificate,
    X509Certificate,
  ]
  t.equal(one.subject, `CN=${name}`)
  t.equal(one.subjectAltName, `URI:urn:obelisk:node:${name}`)
  t.notOk(one.ca)
  t.not(one.serialNumber, two.serialNumber)
  t.match(one.serialNumber, /^[4-7][0-9A-F]{31}$/)
})
