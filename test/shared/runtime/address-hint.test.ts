/** What is said of a port where something else listens, over real sockets. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { connect, createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { enrol } from '../../../firmware-agent/adapters/enrolment-client.ts'
import { gatewayClient } from '../../../scripts/client/node-carrier.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import type { Token } from '../../../shared/protocol/tokens.ts'
import { httpHint, isOfAddress, linkWords } from '../../../shared/runtime/address-hint.ts'
import { newKeyPair } from '../../../shared/runtime/public-keys.ts'
import { gatewayKeys, newAuthority } from '../../support/certified.ts'

async function listening(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

/** It speaks HTTP over TLS and nothing else. */
async function secureHttp(t: Test): Promise<number> {
  const { key, certificate: cert } = await gatewayKeys(await newAuthority())
  const server = createTlsServer({ key, cert, ALPNProtocols: ['http/1.1'] })
  server.on('tlsClientError', () => {})
  return await listening(t, server)
}

async function failureAt(port: number): Promise<Error> {
  const options = { rejectUnauthorized: false, ALPNProtocols: ['mqtt'] }
  const socket = connect({ host: '127.0.0.1', port, ...options })
  const [error] = (await once(socket, 'error')) as [Error]
  return error
}

const HTTP =
  /^(the gateway cannot be reached: )?that port speaks something else over TLS, HTTP perhaps: a secured gateway has MQTT at port 8883$/

t.test('a port of HTTP is said to be one, without what OpenSSL prints', async (t) => {
  const port = await secureHttp(t)
  const error = await failureAt(port)
  t.match(error.message, /SSL routines/, 'that is what it prints')
  t.match(linkWords(error), HTTP)
  t.notOk(isOfAddress(error), 'and no other place of plain MQTT is named')
  const token = { id: 'a', secret: Buffer.alloc(16), pin: Buffer.alloc(32) } as unknown as Token
  const asked = { host: '127.0.0.1', port, node: 'n1' as NodeId, version: '1.0.0' }
  await t.rejects(enrol(asked, token, newKeyPair()), { message: HTTP })
})

t.test('a port without TLS is said to be one', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400\r\n\r\n'))
  t.equal(linkWords(await failureAt(await listening(t, server))), 'that port speaks no TLS')
})

t.test('whoever asks a port of MQTT for HTTP is told where that is', async (t) => {
  const at = '; that is a port of MQTT: a secured gateway has HTTP at https://gw.local:8025'
  t.equal(httpHint(new URL('https://gw.local:8883')), at)
  t.equal(httpHint(new URL('https://gw.local:8025')), '')
  // Nobody listens at this address of the machine.
  const client = gatewayClient('https://127.0.0.77:8883')
  const detail =
    /^no gateway at .* \(connect ECONNREFUSED .*\); that is a port of MQTT: .*127\.0\.0\.77:8025$/
  await t.rejects(client.text({ path: '/' }), { code: 'unreachable', detail })
})
