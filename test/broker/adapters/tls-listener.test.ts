import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import type { Authority } from '../../../broker/adapters/certificates.ts'
import {
  type ShutSourcesPort,
  type TlsFace,
  TlsListener,
  type TlsListenerOptions,
} from '../../../broker/adapters/tls-listener.ts'
import type { Identity } from '../../../firmware-agent/adapters/identity-files.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { ENROLMENT_PROTOCOL, GATEWAY_SERVER_NAME } from '../../../shared/protocol/enrolment.ts'
import { gatewayKeys, identityFor, newAuthority } from '../../support/certified.ts'
import { eventually } from '../../support/processes.ts'
import { helloOfTls10, newHello } from '../../support/tls-hello.ts'

const n1 = 'n1' as NodeId

interface Listening {
  readonly port: number
  readonly listener: TlsListener
  readonly authority: Authority
  readonly secured: TLSSocket[]
  readonly refused: string[]
}

async function listen(
  t: Test,
  options: TlsListenerOptions = {},
  more: Partial<TlsFace> = {},
): Promise<Listening> {
  const authority = await newAuthority()
  const keys = await gatewayKeys(authority)
  const secured: TLSSocket[] = []
  const refused: string[] = []
  const face = { keys, protocols: ['mqtt', ENROLMENT_PROTOCOL], ...more }
  const listener = new TlsListener(options, face, {
    secured: (socket) => {
      socket.on('error', () => {})
      secured.push(socket)
      socket.pipe(socket)
    },
    refused: (fault, source) => refused.push(`${fault} ${source}`),
  })
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    listener.accept(socket)
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.close()
    listener.close()
    for (const socket of secured) socket.destroy()
  })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { port, listener, authority, secured, refused }
}

function client(t: Test, { port, authority }: Listening, more: ConnectionOptions = {}): TLSSocket {
  const socket = connect({
    ...{ host: '127.0.0.1', port, ca: authority.certificate, servername: GATEWAY_SERVER_NAME },
    ...more,
  })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

/** An error before it is no surprise here. */
async function closed(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
}

async function echo(socket: TLSSocket): Promise<string> {
  socket.write('hello')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString()
}

function raw(t: Test, { port }: Listening): Socket {
  const socket = connectTcp({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

t.test('clients are let through, with or without a certificate of ours', async (t) => {
  const listening = await listen(t)
  const plain = client(t, listening)
  t.equal(await echo(plain), 'hello')
  t.equal(plain.getProtocol(), 'TLSv1.3')
  t.notOk(listening.secured[0]!.authorized)
  t.equal(listening.secured[0]!.getPeerX509Certificate(), undefined)

  const { key, certificate: cert } = await identityFor(listening.authority, n1)
  const node = client(t, listening, { key, cert, ALPNProtocols: ['mqtt'] })
  t.equal(await echo(node), 'hello')
  t.ok(listening.secured[1]!.authorized)
  t.equal(listening.secured[1]!.getPeerX509Certificate()!.toString(), cert)

  const foreign = await identityFor(await newAuthority(), n1)
  const other = client(t, listening, { key: foreign.key, cert: foreign.certificate })
  t.equal(await echo(other), 'hello')
  t.notOk(listening.secured[2]!.authorized)
  t.ok(listening.secured[2]!.getPeerX509Certificate(), 'it showed one, which is to be judged')

  const board = client(t, listening, { ALPNProtocols: [ENROLMENT_PROTOCOL] })
  t.equal(await echo(board), 'hello')
  t.equal(listening.secured[3]!.alpnProtocol, ENROLMENT_PROTOCOL)
  t.equal(listening.listener.unfinished, 0)
  t.same(listening.refused, [])
})

t.test(
  'attempts 1, 2, 3 and 4: what is no TLS 1.3 ends, is counted, and leaves nothing',
  async (t) => {
    const listening = await listen(t)
    const old = client(t, listening, { maxVersion: 'TLSv1.2' })
    await closed(old)
    const unknown = client(t, listening, { ALPNProtocols: ['h2'] })
    await closed(unknown)
    const hello = await newHello()
    const broken = Buffer.from(hello)
    broken[5] = 0xff
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from([0x10, 12, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60]),
      helloOfTls10(),
      Buffer.from([22, 3, 1, 0xff, 0xff]),
      Buffer.from([22, 3, 1, 0, 0]),
      // One byte of the message in a record of its own: it would take a turn, and its time later.
      Buffer.concat([Buffer.from([22, 3, 1, 0, 1]), hello.subarray(5)]),
      Buffer.concat([Buffer.from([22, 3, 1, 0, 4, 1, 0, 1, 0]), hello.subarray(9)]),
      broken,
      Buffer.concat([hello, Buffer.from('and no more of it')]),
    ]) {
      const socket = raw(t, listening)
      socket.resume().write(bytes)
      await closed(socket)
    }
    t.same(listening.refused, new Array(11).fill('handshake-failed 127.0.0.1'))
    t.equal(listening.listener.unfinished, 0)
    t.same(listening.secured, [])
  },
)

t.test('a first message in pieces is one', async (t) => {
  const listening = await listen(t)
  const hello = await newHello()
  const socket = raw(t, listening)
  for (const byte of hello) {
    await new Promise<void>((written) => {
      socket.write(Uint8Array.of(byte), () => written())
    })
  }
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.equal(answer[0], 22, 'the server’s own')
})

t.test('who is silent at any point is let go, and holds up nobody', async (t) => {
  const listening = await listen(t, { timeoutMs: 500 })
  const hello = await newHello()
  const silent = [0, 1, 5, hello.length - 1, hello.length].flatMap((bytes) =>
    Array.from({ length: 10 }, () => {
      const socket = raw(t, listening)
      socket.resume().write(hello.subarray(0, bytes))
      return { left: closed(socket) }
    }),
  )
  t.equal(await echo(client(t, listening)), 'hello')
  await Promise.all(silent.map(({ left }) => left))
  t.same([...new Set(listening.refused)], ['handshake-timeout 127.0.0.1'])
  t.equal(listening.refused.length, silent.length)
  t.equal(listening.listener.unfinished, 0)
})

t.test('attempt 5: two thousand that begin nothing, or stop half way', async (t) => {
  const [COUNT, AT_ONCE, MAX] = [2000, 200, 1000]
  const listening = await listen(t, { timeoutMs: 5000, unfinishedPerSourceMax: MAX })
  const { listener, refused } = listening
  const hello = await newHello()
  const halves = [5, 100, hello.length - 1, hello.length]
  const silent: Promise<void>[] = []
  let most = 0
  while (silent.length < COUNT) {
    for (let index = 0; index < AT_ONCE; index++) {
      const socket = raw(t, listening).resume()
      silent.push(closed(socket))
      socket.write(hello.subarray(0, index % 2 === 0 ? 0 : halves[(index >> 1) % halves.length]))
    }
    // More than the system holds for a listener, and each try again takes it seconds.
    await eventually('all have come', () => {
      most = Math.max(most, listener.unfinished)
      return listener.unfinished + refused.length >= silent.length
    })
    t.equal(await echo(client(t, listening)), 'hello')
  }
  await Promise.all(silent)
  t.ok(most <= MAX, `at most ${most}`)
  t.equal(listener.unfinished, 0)
  t.equal(refused.length, COUNT, 'each is counted')
  t.ok(refused.includes('handshakes-full 127.0.0.1'), 'some had to make room')
})

t.test('who speaks without TLS is told so, and keeps no place for long', async (t) => {
  const toPlain = (bytes: Uint8Array): string | undefined =>
    bytes[0] === 71 ? 'only TLS\n' : undefined
  const listening = await listen(t, { timeoutMs: 300 }, { toPlain })
  const { listener, refused } = listening
  const told = raw(t, listening)
  told.write('GET / HTTP/1.1\r\n')
  const [answer] = (await once(told, 'data')) as [Buffer]
  t.equal(answer.toString(), 'only TLS\n')
  t.same(refused, ['handshake-failed 127.0.0.1'])
  told.end()
  await closed(told)
  const stays = connectTcp({ host: '127.0.0.1', port: listening.port, allowHalfOpen: true })
  t.teardown(() => stays.destroy())
  stays.on('error', () => {}).write('GET / HTTP/1.1\r\n')
  stays.resume()
  await eventually('its time is over', async () => listener.unfinished === 0)
  const other = raw(t, listening)
  other.write('none of it')
  await closed(other)
  t.equal(refused.at(-1), 'handshake-failed 127.0.0.1', 'and who is not understood is let go')
})

t.test('one that leaves on its way leaves nothing', async (t) => {
  const listening = await listen(t)
  const hello = await newHello()
  for (const bytes of [0, 3, hello.length]) {
    const socket = raw(t, listening)
    await once(socket, 'connect')
    socket.end(hello.subarray(0, bytes))
    socket.resume()
    await closed(socket)
    const reset = raw(t, listening)
    await once(reset, 'connect')
    reset.write(hello.subarray(0, bytes), () => reset.resetAndDestroy())
    await closed(reset)
  }
  await eventually('all have left', () => listening.listener.unfinished === 0)
  t.equal(await echo(client(t, listening)), 'hello')
})

t.test('those that do not finish are bounded, and the oldest of them make room', async (t) => {
  const one = await listen(t, { unfinishedPerSourceMax: 5 })
  const waiting = []
  for (let count = 1; count <= 5; count++) {
    waiting.push(raw(t, one))
    await eventually('the next is there', () => one.listener.unfinished === count)
  }
  const gone = closed(waiting[0]!.resume())
  t.equal(await echo(client(t, one)), 'hello')
  await gone
  t.same(one.refused, ['handshakes-full 127.0.0.1'])
  t.ok(waiting.slice(1).every(({ destroyed }) => !destroyed))

  const all = await listen(t, { unfinishedMax: 3 })
  const oldest = raw(t, all)
  for (let count = 1; count <= 3; count++) {
    if (count > 1) raw(t, all)
    await eventually('the next is there', () => all.listener.unfinished === count)
  }
  const left = closed(oldest.resume())
  t.equal(await echo(client(t, all)), 'hello', 'the oldest makes room')
  await left
  t.same(all.refused, ['handshakes-full 127.0.0.1'])
})

t.test('where all have been answered, the one that was answered first makes room', async (t) => {
  for (const options of [{ unfinishedPerSourceMax: 2 }, { unfinishedMax: 2 }]) {
    const listening = await listen(t, options)
    const hello = await newHello()
    const answered = []
    for (const _ of [1, 2]) {
      const socket = raw(t, listening)
      socket.write(hello)
      await once(socket, 'data')
      answered.push(socket)
    }
    const left = closed(answered[0]!.resume())
    t.equal(await echo(client(t, listening)), 'hello')
    await left
    t.same(listening.refused, ['handshakes-full 127.0.0.1'])
    t.equal(listening.listener.unfinished, 1)
  }
})

/** As the gateway has it, but for time. */
function shutSources(): ShutSourcesPort & { readonly names: Set<string> } {
  const names = new Set<string>()
  return { names, isShut: (source) => names.has(source), shut: (source) => names.add(source) }
}

/** More than fits into a handshake that anybody needs. */
async function longChain({ key, certificate }: Identity): Promise<ConnectionOptions> {
  const { certificate: other } = await newAuthority()
  return { key, cert: [certificate, ...new Array<string>(20).fill(other)].join('') }
}

/** What a client says is broken at the end of all that comes at once, but for its first message. */
async function spoilingRelay(t: Test, { port }: Listening): Promise<number> {
  const server = createServer((near) => {
    const far = connectTcp({ host: '127.0.0.1', port })
    for (const socket of [near, far]) socket.on('error', () => socket.destroy())
    far.pipe(near)
    let isFirst = true
    near.on('data', (chunk: Buffer) => {
      if (!isFirst) chunk[chunk.length - 1]! ^= 1
      isFirst = false
      far.write(chunk)
    })
    near.once('close', () => far.destroy())
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

t.test('a source whose certificates are dear to look at is shut out', async (t) => {
  const foreign = await longChain(await identityFor(await newAuthority(), n1))
  for (const isBroken of [false, true]) {
    const shut = shutSources()
    const listening = await listen(t, { shut })
    const port = isBroken ? await spoilingRelay(t, listening) : listening.port
    await closed(client(t, listening, { ...foreign, port }).resume())
    t.same(listening.refused, ['handshake-dear 127.0.0.1'])
    t.same([...shut.names], ['127.0.0.1'])

    await closed(client(t, listening))
    t.same(listening.refused.slice(1), ['source-shut 127.0.0.1'])
    shut.names.clear()
    t.equal(await echo(client(t, listening)), 'hello')
    t.equal(listening.secured.length, 1)
  }
})

t.test('what comes with the end of a handshake costs nobody his place', async (t) => {
  const shut = shutSources()
  const listening = await listen(t, { shut })
  const much = Buffer.alloc(100_000)
  const node = await longChain(await identityFor(listening.authority, n1))
  for (const options of [{}, node]) {
    const socket = client(t, listening, options)
    let received = 0
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    socket.write(much)
    await eventually('all is there', () => received === much.length)
  }
  t.same([listening.refused, [...shut.names]], [[], []])

  const hello = await newHello()
  const nonsense = raw(t, listening)
  nonsense.resume().write(hello)
  await once(nonsense, 'data')
  nonsense.write(Buffer.concat([Buffer.from([23, 3, 3, 0x40, 0]), Buffer.alloc(0x4000, 1)]))
  await closed(nonsense)
  t.same([listening.refused, [...shut.names]], [['handshake-failed 127.0.0.1'], []])
})

t.test('attempt 6: many that come at once all get in, one in a turn of the loop', async (t) => {
  const listening = await listen(t)
  const COUNT = 200
  const held: Socket[] = []
  const server = createServer({ pauseOnConnect: true }, (socket) => held.push(socket))
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sockets = Array.from({ length: COUNT }, () => client(t, { ...listening, port }))
  const answers = Promise.all(sockets.map(echo))
  await eventually('all have come', () => held.length === COUNT)
  let turns = 0
  let turn = setImmediate(function next() {
    turns += 1
    turn = setImmediate(next)
  })
  t.teardown(() => clearImmediate(turn))
  for (const socket of held) listening.listener.accept(socket)
  t.same([...new Set(await answers)], ['hello'])
  t.equal(listening.secured.length, COUNT)
  t.equal(listening.listener.unfinished, 0)
  // So that no other work waits for more than one.
  t.ok(turns >= COUNT, `${turns} turns`)
})

t.test('each name has its own certificate, and that of others can be made anew', async (t) => {
  const authority = await newAuthority()
  const [agents, hosts, renewed] = await Promise.all(
    [GATEWAY_SERVER_NAME, 'gw.local', 'gw.example'].map((name) => gatewayKeys(authority, name)),
  )
  const secured: TLSSocket[] = []
  const face = { keys: hosts!, named: { [GATEWAY_SERVER_NAME]: agents! }, protocols: ['mqtt'] }
  const listener = new TlsListener({}, face, {
    secured: (socket) => {
      socket.on('error', () => {})
      secured.push(socket)
      socket.pipe(socket)
    },
    refused: () => {},
  })
  const server = createServer({ pauseOnConnect: true }, (socket) => listener.accept(socket))
  server.listen(0, '127.0.0.1')
  t.teardown(() => {
    server.close()
    for (const socket of secured) socket.destroy()
  })
  await once(server, 'listening')
  const identity = await identityFor(authority, n1)
  const seen = async (servername: string): Promise<TLSSocket> => {
    const { port } = server.address() as AddressInfo
    const own = { key: identity.key, cert: identity.certificate, ca: authority.certificate }
    const socket = connect({
      ...{ host: '127.0.0.1', port, servername, ALPNProtocols: ['mqtt'], ...own },
    })
    t.teardown(() => socket.destroy())
    await once(socket, 'secureConnect')
    t.equal(socket.alpnProtocol, 'mqtt')
    return socket
  }
  await seen(GATEWAY_SERVER_NAME)
  const before = await seen('gw.local')
  await t.rejects(seen('gw.example'), /altnames/)
  listener.renew(renewed!)
  t.equal(await echo(before), 'hello', 'who is in stays in')
  await seen(GATEWAY_SERVER_NAME)
  await seen('gw.example')
  await t.rejects(seen('gw.local'), /altnames/)
  t.ok(secured.every(({ authorized }) => authorized))
})

/** The tag of a member of a session of OpenSSL (SSL_SESSION_ASN1), which is left out where it is 0. */
const MAX_EARLY_DATA = 0xaf

/** The tags of what such a session has, which is one sequence of DER. */
function membersOf(session: Buffer): number[] {
  const tags: number[] = []
  const lengthAt = (at: number): { readonly head: number; readonly body: number } => {
    const first = session[at + 1]!
    if (first < 0x80) return { head: 2, body: first }
    const bytes = first & 0x7f
    return { head: 2 + bytes, body: session.readUIntBE(at + 2, bytes) }
  }
  for (let at = lengthAt(0).head; at < session.length; ) {
    tags.push(session[at]!)
    const { head, body } = lengthAt(at)
    at += head + body
  }
  return tags
}

t.test(
  'attempt 14: nothing is changed once it is agreed, and nothing said before it is',
  async (t) => {
    const listening = await listen(t)
    const { key, certificate: cert } = await identityFor(listening.authority, n1)
    const socket = client(t, listening, { key, cert })
    const session = once(socket, 'session') as Promise<[Buffer]>
    t.equal(await echo(socket), 'hello')
    const before = listening.secured[0]!.getPeerX509Certificate()!.fingerprint256
    const asking = new Promise<Error | null>((resolve) => socket.renegotiate({}, resolve))
    t.match(
      await asking,
      { library: 'SSL routines' },
      'TLS 1.3 has no renegotiation [RFC 8446 §1.2]',
    )
    t.equal(listening.secured[0]!.getPeerX509Certificate()!.fingerprint256, before)

    // A client may say something early where a ticket says how much [RFC 8446 §4.2.10].
    const [ticket] = await session
    t.notOk(membersOf(ticket).includes(MAX_EARLY_DATA))
    const early = Buffer.concat([ticket.subarray(4), Buffer.of(MAX_EARLY_DATA, 4, 2, 2, 0x40, 0)])
    const length = Buffer.of(0x30, 0x82, early.length >> 8, early.length & 0xff)
    t.ok(membersOf(Buffer.concat([length, early])).includes(MAX_EARLY_DATA), 'it would be seen')
  },
)
