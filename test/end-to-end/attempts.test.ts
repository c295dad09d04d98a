/** What is tried on a gateway that is secured, and on its boards, with the packaged programs. Numbers are those of docs/attempts.md. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, statSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect } from 'node:tls'
import t from 'tap'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { eventually, Fleet, within } from '../support/processes.ts'
import { connectPacket } from '../support/raw-mqtt-client.ts'
import { securedHere } from '../support/secured-fleet.ts'
import { SecuredGateway } from '../support/secured-gateway.ts'
import { helloOfTls10 } from '../support/tls-hello.ts'

const HOST = '127.0.0.1'
const NOBODY = 65_534

/** Says these bytes, and hears what comes until the end. */
async function exchange(port: number, bytes: Uint8Array): Promise<Buffer> {
  const socket = connectTcp({ host: HOST, port })
  const chunks: Buffer[] = []
  socket.on('error', () => {}).on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(bytes)
  await within('its end', once(socket, 'close'))
  return Buffer.concat(chunks)
}

/** Why there was no connection of TLS. */
async function refusalOf(options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: HOST, servername: GATEWAY_SERVER_NAME, ...options })
  return await within(
    'its end',
    new Promise<string>((resolve) => {
      socket.once('secureConnect', () => resolve('connected'))
      socket.once('error', (error: Error & { code?: string }) => resolve(error.code ?? 'closed'))
    }).finally(() => socket.destroy()),
  )
}

t.test('attempts 1, 2, 3 and 4: nothing but TLS 1.3 is heard at either port', async (t) => {
  const gateway = await SecuredGateway.start(t)
  const { port, httpPort } = gateway
  const mqtt = await exchange(port, connectPacket({ clientId: 'x' }))
  const http = await exchange(httpPort, Buffer.from('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'))
  t.ok(mqtt.length === 0 || mqtt[0] === 21, 'an alert of TLS at most')
  t.match(http.toString('latin1'), /^HTTP\/1\.1 400 .*"code":"https-only"/s)
  t.notMatch(http.toString('latin1'), /location:/i, 'not sent on')
  for (const at of [port, httpPort]) {
    const answer = await exchange(at, helloOfTls10())
    t.same([answer[0], answer[5]], [21, 2], 'TLS 1.0: a fatal alert')
    const options = { port: at, ca: gateway.ca, maxVersion: 'TLSv1.2' } as const
    t.equal(await refusalOf(options), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'TLS 1.2')
    t.equal(await refusalOf({ port: at, ca: gateway.ca }), 'connected', 'TLS 1.3')
  }
  const token = await gateway.user('anna', 'viewer')
  const headers = { authorization: `Bearer ${token}` }
  const { body } = await gateway.ask('/metrics', { headers })
  for (const door of ['mqtt', 'http']) {
    t.match(body, new RegExp(`obelisk_${door}_refused_total{reason="handshake-failed"} 3\n`))
  }
})

t.test('attempt 6: a thousand clients at once get in, and no node is suspected', async (t) => {
  const COUNT = 1000
  const { here, secured } = await securedHere(t)
  const token = ['--enroll-token-file', await secured.token('n1')]
  await secured.board('n1', here, HOST, ...token).ready()
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  const { port } = secured
  const options = { host: HOST, port, rejectUnauthorized: false, ALPNProtocols: ['mqtt'] }
  // Again where a handshake took its ten seconds, as clients do: this machine may do much else.
  const enter = async (): Promise<void> => {
    const socket = connect(options)
    sockets.push(socket)
    await once(socket, 'secureConnect').catch(enter)
    // The gateway lets go of who says nothing for long, which may be before all are in.
    socket.on('error', () => {})
  }
  const all = Array.from({ length: COUNT }, enter)
  await within('all of them', Promise.all(all))
  const text = await secured.admin.text({ path: '/metrics' })
  t.comment(/^nodejs_eventloop_lag_p99_seconds .*/m.exec(text)?.[0])
  // Whether the gateway doubts itself is up to this machine: tls-listener.test.ts says that it need not.
  const unwanted = /^obelisk_.*"(handshakes-full|source-shut|node-suspect)".*/m
  t.same(unwanted.exec(text)?.[0], undefined)
  t.same(await secured.states(), { n1: 'alive' })
})

t.test(
  'attempts 61 and 62: a board says nothing in the clear, and shows its key to nobody',
  async (t) => {
    const { here, secured } = await securedHere(t)
    const token = ['--enroll-token-file', await secured.token('n1')]
    const board = await secured.board('n1', here, HOST, ...token).ready()
    await board.run.end('SIGTERM')
    const open = await new Fleet(t).gateway()
    const agent = (url: string) =>
      here('agent', '--id', 'n1', '--url', url, '--data', board.directory)
    const plain = agent(open.url)
    t.match(await within('its end', plain.exited), { code: 78 })
    t.match(plain.stderr, /over mqtts:\/\/ alone/)
    const nodes = await fetch(`${open.http}/api/nodes`)
    t.same(await nodes.json(), [], 'who listens there has heard of nobody')

    const key = join(board.directory, 'identity', 'key.pem')
    t.equal(statSync(key).mode & 0o777, 0o600)
    chmodSync(key, 0o644)
    const exposed = agent(`mqtts://${HOST}:${secured.port}`)
    t.match(await within('its end', exposed.exited), { code: 78 })
    t.match(exposed.stderr, /key\.pem/)
    chmodSync(key, 0o600)

    await secured.gateway.end('SIGTERM')
    const authority = join(secured.data, 'security', 'ca.key')
    for (const path of ['.', 'ca.key', 'agents.key', 'hosts.key', 'probe.key', 'security.jsonl']) {
      t.equal(statSync(join(secured.data, 'security', path)).mode & 0o077, 0, path)
    }
    chmodSync(authority, 0o644)
    const gateway = here('gateway', '--data', secured.data, '--port', '0', '--http-port', '0')
    t.match(await within('its end', gateway.exited), { code: 78 })
    t.match(gateway.stderr, /ca\.key/)
  },
)

t.test(
  'attempt 63: the socket of the owner is nobody else’s',
  { skip: process.getuid?.() === 0 ? false : 'only root can be another user' },
  async (t) => {
    const gateway = await SecuredGateway.start(t)
    const path = join(gateway.data, 'admin.sock')
    t.equal(statSync(path).mode & 0o777, 0o600)
    // So that nothing but the socket itself is in his way.
    for (const folder of [gateway.data, gateway.fleet.directory]) chmodSync(folder, 0o711)
    const asking = `
      require('node:net').connect(${JSON.stringify(path)})
        .on('connect', () => console.log('connected') || process.exit())
        .on('error', ({ code }) => console.log(code))`
    const as = (uid: number): string => {
      const options = { uid, gid: uid, encoding: 'utf8', cwd: '/', env: {} } as const
      return spawnSync(process.execPath, ['--eval', asking], options).stdout.trim()
    }
    t.equal(as(0), 'connected')
    t.equal(as(NOBODY), 'EACCES')
  },
)

t.test('attempt 66: of a card that was copied one board is in, and it is told', async (t) => {
  const { fleet, here, secured } = await securedHere(t)
  const token = ['--enroll-token-file', await secured.token('n1')]
  const first = await secured.board('n1', here, HOST, ...token).ready()
  const argv = ['agent', '--id', 'n1', '--url', `mqtts://${HOST}:${secured.port}`]
  const early = here(...argv, '--data', join(fleet.directory, 'early'), ...token)
  t.match(await within('the end of the one', early.exited), { code: 78 })
  t.match(early.stderr, /another key has used the token/)

  await first.run.end('SIGTERM')
  const copy = join(fleet.directory, 'copy')
  cpSync(first.directory, copy, { recursive: true })
  await first.restart()
  const late = here(...argv, '--data', copy)
  t.match(await within('the end of the other', late.exited), { code: 77 })
  t.match(late.stderr, /another device is connected as node n1/)
  t.same(await secured.states(), { n1: 'alive' })
  t.notOk(first.run.hasExited)
  t.equal((await secured.keysOf('n1')).length, 1)
  await eventually('both are counted', async () => {
    const text = await secured.admin.text({ path: '/metrics' })
    return ['token-used-twice', 'identity-twice'].every((event) =>
      text.includes(`obelisk_security_events_total{event="${event}"} 1\n`),
    )
  })
  await secured.gateway.end('SIGTERM')
  const events = await secured.events(t)
  for (const event of ['token-used-twice', 'identity-twice']) {
    t.ok(events.includes(`${event} node/n1`), event)
  }
})
