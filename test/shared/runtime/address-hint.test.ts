/** What is said of a port where something else listens, over real sockets. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import {
  type ConnectionOptions,
  connect,
  createServer as createTlsServer,
  type TlsOptions,
} from 'node:tls'
import t, { type Test } from 'tap'
import type { Authority } from '../../../broker/adapters/certificates.ts'
import { enrol } from '../../../firmware-agent/adapters/enrolment-client.ts'
import { gatewayClient } from '../../../scripts/client/node-carrier.ts'
import { pinnedAuthority } from '../../../scripts/commands/pinned-authority.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../../shared/protocol/enrolment.ts'
import type { Token } from '../../../shared/protocol/tokens.ts'
import {
  addressHint,
  httpHint,
  isOfAddress,
  isOfTrust,
  linkWords,
} from '../../../shared/runtime/address-hint.ts'
import { newKeyPair } from '../../../shared/runtime/public-keys.ts'
import { gatewayKeys, newAuthority } from '../../support/certified.ts'

async function listening(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

async function tlsPort(t: Test, options: TlsOptions, authority?: Authority): Promise<number> {
  const { key, certificate: cert } = await gatewayKeys(authority ?? (await newAuthority()))
  const server = createTlsServer({ key, cert, ...options }, (socket) =>
    socket.on('error', () => {}),
  )
  server.on('tlsClientError', () => {})
  return await listening(t, server)
}

/** It does not speak TLS. */
async function plainPort(t: Test, says: string): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}).end(says))
  return await listening(t, server)
}

async function failureAt(port: number, more: ConnectionOptions = {}): Promise<Error> {
  const options = { rejectUnauthorized: false, ALPNProtocols: ['mqtt'], ...more }
  const socket = connect({ host: '127.0.0.1', port, ...options })
  socket.resume()
  const [error] = (await once(socket, 'error')) as [Error]
  return error
}

const HTTP_ANSWER = 'HTTP/1.1 400\r\n\r\n'
const HTTP =
  /^(the gateway cannot be reached: )?that port speaks something else over TLS, HTTP perhaps: a secured gateway has MQTT at port 8883$/

t.test('a port of HTTP is said to be one, without what OpenSSL prints', async (t) => {
  const port = await tlsPort(t, { ALPNProtocols: ['http/1.1'] })
  const error = await failureAt(port)
  t.match(error.message, /SSL routines/, 'that is what it prints')
  t.match(linkWords(error), HTTP)
  t.notOk(isOfAddress(error), 'and no other place of plain MQTT is named')
  const token = { id: 'a', secret: Buffer.alloc(16), pin: Buffer.alloc(32) } as unknown as Token
  const asked = { host: '127.0.0.1', port, node: 'n1' as NodeId, version: '1.0.0' }
  await t.rejects(enrol(asked, token, newKeyPair()), { message: HTTP })
})

t.test('a port without TLS is said to be one', async (t) => {
  t.equal(linkWords(await failureAt(await plainPort(t, HTTP_ANSWER))), 'that port speaks no TLS')
})

t.test('why TLS does not come about is said in words', async (t) => {
  const authority = await newAuthority()
  const port = await tlsPort(t, {}, authority)
  const ca = authority.certificate
  const stranger = { ca: (await newAuthority()).certificate, servername: GATEWAY_SERVER_NAME }
  for (const [at, more, isTrust, words] of [
    [await tlsPort(t, { maxVersion: 'TLSv1.2' }), { minVersion: 'TLSv1.3' }, false, /no TLS 1\.3$/],
    [
      await tlsPort(t, { requestCert: true, ca }),
      {},
      false,
      /not take the certificate of this machine/,
    ],
    [port, { rejectUnauthorized: true, ...stranger }, true, /^its certificate is of an authority/],
    [port, { rejectUnauthorized: true, ca, servername: 'a.b' }, true, /^its .* of another name$/],
    [await plainPort(t, ''), {}, false, /^it closed the connection$/],
  ] as const) {
    const error = await failureAt(at, more)
    t.match(linkWords(error), words, error.message)
    t.equal(isOfTrust(error), isTrust, error.message)
  }
})

t.test('a command that asks over HTTPS shows no code of OpenSSL', async (t) => {
  for (const [port, code, words] of [
    [await plainPort(t, HTTP_ANSWER), 'unreachable', /\(that port speaks no TLS\)$/],
    [
      await tlsPort(t, {}),
      'gateway-not-pinned',
      /\(its certificate is of an authority that is not/,
    ],
  ] as const) {
    const client = gatewayClient(`https://127.0.0.1:${port}`)
    await t.rejects(client.text({ path: '/' }), { code, detail: words })
  }
})

t.test('whoever asks another port for MQTT is told of each where a gateway may be', async (t) => {
  const open = 'one that is not secured is at mqtt://gw:1883, for its own machine alone'
  const secured = 'one that is secured is at mqtts://gw:8883 alone: obelisk login'
  for (const [url, ...others] of [
    ['mqtt://gw:8025', open, secured],
    ['mqtts://gw:8025', open, secured],
    ['mqtt://gw', secured],
    ['mqtt://gw:1883', secured],
    ['mqtts://gw', open],
    ['mqtts://gw:8883', open],
  ] as const) {
    t.equal(addressHint(url, 'user'), `is it started? ${others.join('; ')}`, url)
  }
})

t.test('whoever asks a port of MQTT for HTTP is told where that is', async (t) => {
  const at = '; that is a port of MQTT: a secured gateway has HTTP at https://gw.local:8025'
  const gone = Object.assign(new Error('gone'), { code: 'ECONNRESET' })
  t.equal(httpHint(new URL('https://gw.local:8883'), gone), at)
  t.equal(httpHint(new URL('https://gw.local:8025'), gone), '')
  t.equal(
    httpHint(new URL('http://127.0.0.1:1883'), gone),
    '; that is a port of MQTT: a gateway that is not secured has HTTP at http://127.0.0.1:8025',
  )
  // Nobody listens at this address of the machine.
  const client = gatewayClient('https://127.0.0.77:8883')
  const detail =
    /^no gateway at .* \(connect ECONNREFUSED .*\); that is a port of MQTT: .*127\.0\.0\.77:8025$/
  await t.rejects(client.text({ path: '/' }), { code: 'unreachable', detail })
  // By what answers, whatever the port.
  const port = await tlsPort(t, { ALPNProtocols: ['mqtt'] })
  const origin = `https://127.0.0.1:${port}`
  const said = `${origin} (that port speaks something else over TLS); MQTT perhaps: a secured gateway has HTTP at https://127.0.0.1:8025`
  const other = gatewayClient(origin)
  await t.rejects(other.text({ path: '/' }), {
    code: 'unreachable',
    detail: `no gateway at ${said}`,
  })
  const asking = pinnedAuthority(new URL(origin), Buffer.alloc(32))
  await t.rejects(asking, { message: `no secured gateway at ${said}` })
})
