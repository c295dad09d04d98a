/** Boards and others at the door of a gateway: real TLS, the real store, the client that ships. */
import { createHash, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import {
  type Authority,
  certifyNode,
  certifyServer,
} from '../../../broker/adapters/certificates.ts'
import {
  EnrolmentDoor,
  type EnrolmentDoorOptions,
} from '../../../broker/adapters/enrolment-door.ts'
import { IdentityStore } from '../../../broker/adapters/identity-store.ts'
import { Identities } from '../../../broker/identities.ts'
import { enrol } from '../../../firmware-agent/adapters/enrolment-client.ts'
import type { Enrolled } from '../../../firmware-agent/adapters/identity-files.ts'
import { toBase32 } from '../../../shared/core/base32.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import {
  ENROLMENT_PROTOCOL,
  type EnrolmentAnswer,
  GATEWAY_SERVER_NAME,
} from '../../../shared/protocol/enrolment.ts'
import type { Token } from '../../../shared/protocol/tokens.ts'
import {
  fingerprintText,
  type KeyPair,
  newKeyPair,
  pemOf,
  spkiOf,
} from '../../../shared/runtime/public-keys.ts'
import { newAuthority } from '../../support/certified.ts'
import { dial, requestLine, say as sayTo } from '../../support/enrolment-lines.ts'
import { forgedAuthority } from '../../support/odd-certificates.ts'
import { eventually } from '../../support/processes.ts'
import { shortDirectory } from '../../support/short-directory.ts'

const n1 = 'n1' as NodeId

interface Fleet {
  readonly port: number
  readonly identities: Identities
  readonly authority: Authority
  readonly pin: Uint8Array
  readonly refusals: string[]
  /** Once somebody was let as far as to the registry. */
  readonly isAsked: Promise<void>
  readonly door: EnrolmentDoor
  token(node: NodeId | null, more?: { ttlMs?: number; replaces?: boolean }): Promise<Token>
}

/** Listens as a gateway does; `shown` is the certificate of the authority that it sends along. */
async function listen(
  t: Test,
  authority: Authority,
  shown: string,
  onSocket: (socket: TLSSocket) => void,
): Promise<number> {
  const pair = newKeyPair()
  const leaf = await certifyServer(authority, pair.publicKey, { names: [GATEWAY_SERVER_NAME] })
  const server = createServer(
    {
      key: pemOf(pair),
      cert: `${leaf}${shown}`,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['mqtt', ENROLMENT_PROTOCOL],
    },
    onSocket,
  ).listen(0, '127.0.0.1')
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  t.teardown(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function fleet(
  t: Test,
  options: EnrolmentDoorOptions = {},
  hold = async (): Promise<void> => {},
): Promise<Fleet> {
  const directory = shortDirectory()
  const store = await IdentityStore.open(directory, (error) => {
    throw error
  })
  t.teardown(async () => {
    await store.close()
    rmSync(directory, { recursive: true, force: true })
  })
  const authority = await newAuthority()
  const identities = new Identities({}, store)
  const refusals: string[] = []
  let asked = (): void => {}
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve
  })
  const door = new EnrolmentDoor(options, {
    async enrol({ spki, version: _version, ...applicant }) {
      asked()
      await hold()
      const judgement = await identities.enrol(Date.now(), { ...applicant, isNameKnown: false })
      if (!judgement.ok) return judgement
      const certificate = await certifyNode(authority, spki, applicant.node)
      return { ok: true, certificate, ca: authority.certificate, ts: Date.now() }
    },
    refused: (code) => refusals.push(code),
    failed: (error) => t.fail(String(error)),
  })
  const port = await listen(t, authority, authority.certificate, (socket) => {
    door.take(socket, '127.0.0.1')
  })
  return {
    ...{ port, identities, authority, refusals, isAsked, door, pin: authority.pin },
    async token(node, { ttlMs = 60_000, replaces = false } = {}) {
      const [id, secret] = [toBase32(randomBytes(5)), randomBytes(16)]
      const sha256 = createHash('sha256').update(secret).digest()
      const nowTs = Date.now()
      const times = { untilTs: nowTs + ttlMs, createdTs: nowTs }
      await identities.addToken(nowTs, id, { node, replaces, sha256, by: 'test', ...times })
      return { kind: 'node', id, secret, pin: authority.pin }
    },
  }
}

const ask = async (
  { port }: { readonly port: number },
  token: Token,
  pair: KeyPair,
  node = n1,
): Promise<Enrolled> => {
  return await enrol({ host: '127.0.0.1', port, node, version: '0.1.0' }, token, pair)
}

/** One line on a connection of one’s own. */
async function say(
  { port, authority }: Pick<Fleet, 'port' | 'authority'>,
  line: (socket: TLSSocket) => string | Buffer,
): Promise<EnrolmentAnswer | undefined> {
  return await sayTo({ port, ca: authority.certificate }, line)
}

t.test('a board with a token gets an identity of its own', async (t) => {
  const gateway = await fleet(t)
  const pair = newKeyPair()
  const { certificate, ca } = await ask(gateway, await gateway.token(n1), pair)
  const given = new X509Certificate(certificate)
  t.ok(given.publicKey.equals(pair.publicKey))
  t.equal(ca, gateway.authority.certificate)
  const key = fingerprintText(spkiOf(pair.publicKey))
  t.equal(gateway.identities.ownerOf(key), n1)
  t.same(gateway.refusals, [])
})

t.test(
  'attempts 22 and 23: an answer that was lost comes again for the same key, and for no other',
  async (t) => {
    const gateway = await fleet(t)
    const token = await gateway.token(n1)
    const pair = newKeyPair()
    await say(gateway, (socket) => {
      const line = requestLine(socket, token, pair)
      setImmediate(() => socket.destroy())
      return line
    }).catch(() => {})
    await ask(gateway, token, pair)
    await ask(gateway, token, pair)
    await t.rejects(ask(gateway, token, newKeyPair()), { code: 'token-used', exitCode: 78 })
  },
)

t.test(
  'attempts 16, 18, 20, 21 and 29: whoever is not to get in does not, and hears why',
  async (t) => {
    const gateway = await fleet(t)
    const token = await gateway.token(n1)
    const wrong = { ...token, secret: randomBytes(16) }
    await t.rejects(ask(gateway, wrong, newKeyPair()), { code: 'token-unknown', exitCode: 78 })
    const expired = await gateway.token(n1, { ttlMs: -1 })
    await t.rejects(ask(gateway, expired, newKeyPair()), { code: 'token-expired' })
    const revoked = await gateway.token(n1)
    await gateway.identities.revokeToken(Date.now(), revoked.id)
    await t.rejects(ask(gateway, revoked, newKeyPair()), { code: 'token-revoked' })
    await t.rejects(ask(gateway, token, newKeyPair(), 'n2' as NodeId), { code: 'token-other-node' })
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const other = await say(gateway, (socket) =>
      requestLine(socket, token, newKeyPair(), { spki: spkiOf(curve.publicKey) }),
    )
    t.match(other, { code: 'key-unsuitable' })

    const pair = newKeyPair()
    await ask(gateway, token, pair)
    const second = await gateway.token(n1)
    await t.rejects(ask(gateway, second, newKeyPair()), { code: 'node-exists' })
    await ask(gateway, await gateway.token(n1, { replaces: true }), newKeyPair())
    await gateway.identities.revoke(Date.now(), n1)
    await t.rejects(ask(gateway, token, pair), { code: 'token-revoked' })
    await t.rejects(ask(gateway, await gateway.token(n1), pair), { code: 'key-revoked' })
    t.same(gateway.refusals, [
      ...['token-unknown', 'token-expired', 'token-revoked', 'token-other-node', 'key-unsuitable'],
      ...['node-exists', 'token-revoked', 'key-revoked'],
    ])
  },
)

t.test(
  'attempts 24 and 25: a proof holds on its own connection, for its own key and name',
  async (t) => {
    const gateway = await fleet(t)
    const token = await gateway.token(n1)
    const pair = newKeyPair()
    let recorded = ''
    await say(
      { ...gateway, port: await listen(t, gateway.authority, '', (s) => s.end('\n')) },
      (s) => {
        recorded = requestLine(s, token, pair)
        return recorded
      },
    )
    t.match(await say(gateway, () => recorded), { code: 'proof-wrong' }, 'replayed')
    const theirs = { spki: spkiOf(newKeyPair().publicKey) }
    const stolen = await say(gateway, (socket) => requestLine(socket, token, pair, theirs))
    t.match(stolen, { code: 'proof-wrong' }, 'the key of somebody else')
    const any = await gateway.token(null)
    const renamed = await say(gateway, (socket) =>
      requestLine(socket, any, pair, { node: 'n2' as NodeId }),
    )
    t.match(renamed, { code: 'proof-wrong' }, 'another name than was signed')
  },
)

t.test('attempts 27 and 28: a gateway that is not the token’s hears nothing', async (t) => {
  const gateway = await fleet(t)
  const token = await gateway.token(n1)
  const theirs = await newAuthority()
  let heard = 0
  const listening = (socket: TLSSocket): void => {
    socket.on('error', () => {})
    socket.on('data', ({ length }) => {
      heard += length
    })
  }
  const other = await listen(t, theirs, theirs.certificate, listening)
  const refused = { code: 'gateway-not-pinned', exitCode: 78 }
  await t.rejects(ask({ port: other }, token, newKeyPair()), refused, 'an authority of its own')
  const ours = gateway.authority.certificate
  const posing = await listen(t, theirs, ours, listening)
  await t.rejects(ask({ port: posing }, token, newKeyPair()), refused, 'our certificate, its leaf')
  t.equal(heard, 0)
  await ask(gateway, token, newKeyPair())
})

t.test(
  'an address where nobody is, or somebody else, is no reason to give the token up',
  async (t) => {
    const gateway = await fleet(t)
    const token = await gateway.token(n1)
    const unreachable = { code: 'gateway-unreachable', exitCode: 69 }
    await t.rejects(ask({ port: 1 }, token, newKeyPair()), unreachable)
    const silent = await listen(t, gateway.authority, gateway.authority.certificate, (socket) => {
      socket.on('error', () => {})
      socket.on('data', () => socket.destroy())
    })
    await t.rejects(ask({ port: silent }, token, newKeyPair()), unreachable)
    const wordy = await listen(t, gateway.authority, gateway.authority.certificate, (socket) => {
      socket.on('error', () => {})
      socket.write(Buffer.alloc(100_000, 'x'))
    })
    await t.rejects(ask({ port: wordy }, token, newKeyPair()), unreachable)
  },
)

t.test('attempt 26: what is no line gets one answer, and a long one no more room', async (t) => {
  const gateway = await fleet(t)
  const lines: (string | Buffer)[] = [
    ...['\n', '{}\n', '{"v":1}\n', `${'['.repeat(1000)}\n`, 'GET / HTTP/1.1\r\n\r\n'],
    ...[`${'x'.repeat(4096)}\n`, 'y'.repeat(100_000), Buffer.from([0x10, 0xff, 0x0a])],
    ...[`{"v":1,"token":"${'a'.repeat(4000)}"}\n`, `${'{"v":'.repeat(400)}1${'}'.repeat(400)}\n`],
  ]
  for (const line of lines) {
    t.match(await say(gateway, () => line), { ok: false, code: 'malformed' })
  }
  t.equal(gateway.refusals.length, lines.length)
})

t.test('attempt 26: a key of another form is none, whatever the token', async (t) => {
  const gateway = await fleet(t)
  const token = await gateway.token(n1)
  const pair = newKeyPair()
  const spki = Buffer.from(spkiOf(pair.publicKey))
  const parity = Uint8Array.of(2 + (spki[90]! & 1))
  const hex = (text: string): Buffer => Buffer.from(text, 'hex')
  const compressed = hex('3039301306072a8648ce3d020106082a8648ce3d030107032200')
  const forms: Readonly<Record<string, Uint8Array>> = {
    'P-384': spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey),
    RSA: spkiOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey),
    Ed25519: spkiOf(generateKeyPairSync('ed25519').publicKey),
    'its own point, compressed': Buffer.concat([compressed, parity, spki.subarray(27, 59)]),
    'the point at infinity': hex('3019301306072a8648ce3d020106082a8648ce3d03010703020000'),
    'a byte more': Buffer.concat([spki, Buffer.of(0)]),
    'nothing at all': Buffer.alloc(0),
  }
  for (const [name, form] of Object.entries(forms)) {
    const answer = await say(gateway, (s) => requestLine(s, token, pair, { spki: form }))
    t.match(answer, { ok: false, code: 'key-unsuitable' }, name)
  }
  t.same(gateway.refusals, new Array(Object.keys(forms).length).fill('key-unsuitable'))
  t.ok((await ask(gateway, token, pair)).certificate, 'and it is still good for a right one')
})

t.test('attempt 26: who ends no line is let go, counted, and takes nobody’s place', async (t) => {
  const gateway = await fleet(t, { places: 1, timeoutMs: 1500 })
  const token = await gateway.token(n1)
  const silent = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const socket = await dial({ port: gateway.port, ca: gateway.authority.certificate })
      if (index % 2 === 0) socket.write('{')
      return { closed: once(socket.resume(), 'close') }
    }),
  )
  await ask(gateway, token, newKeyPair())
  await Promise.all(silent.map(({ closed }) => closed))
  await eventually('each was counted', () => gateway.refusals.length === silent.length)
  t.same([...new Set(gateway.refusals)], ['malformed'])
})

t.test('those that wait are bounded: the oldest makes room', async (t) => {
  const gateway = await fleet(t, { waitingMax: 2 })
  const silent = []
  for (const _ of [1, 2, 3]) {
    const socket = await dial({ port: gateway.port, ca: gateway.authority.certificate })
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    const closed = new Promise((resolve) => socket.resume().once('close', resolve))
    silent.push({ socket, closed })
  }
  await silent[0]!.closed
  t.notOk(silent[2]!.socket.destroyed)
  t.same(gateway.refusals, ['busy'])
})

t.test('more than are worked on at a time hear that it is busy', async (t) => {
  let go = (): void => {}
  const held = new Promise<void>((resolve) => {
    go = resolve
  })
  const gateway = await fleet(t, { places: 1 }, () => held)
  const first = ask(gateway, await gateway.token(n1), newKeyPair())
  const second = await gateway.token('n2' as NodeId)
  await gateway.isAsked
  await t.rejects(ask(gateway, second, newKeyPair(), 'n2' as NodeId), {
    code: 'busy',
    exitCode: 69,
  })
  go()
  t.ok((await first).certificate)
  t.ok((await ask(gateway, second, newKeyPair(), 'n2' as NodeId)).certificate)
})

t.test('a token for any node takes no name that another token is for', async (t) => {
  const gateway = await fleet(t)
  const [any, named] = [await gateway.token(null), await gateway.token(n1)]
  await t.rejects(ask(gateway, any, newKeyPair()), { code: 'node-exists' })
  await ask(gateway, named, newKeyPair())
  await ask(gateway, any, newKeyPair(), 'n2' as NodeId)
})

t.test('a certificate of the pinned key that somebody else signed is not kept', async (t) => {
  const gateway = await fleet(t)
  const token = await gateway.token(n1)
  const forged = await forgedAuthority(gateway.authority)
  // In the middle of the first connection alone; the second one reaches the gateway.
  let count = 0
  const inTheMiddle = await listen(t, gateway.authority, forged, (socket) => {
    socket.on('error', () => {})
  })
  const relay = createTcpServer((socket) => {
    count += 1
    const other = connectTcp({ port: count === 1 ? inTheMiddle : gateway.port, host: '127.0.0.1' })
    for (const one of [socket, other]) one.on('error', () => {})
    socket.pipe(other).pipe(socket)
  }).listen(0, '127.0.0.1')
  t.teardown(() => relay.close())
  await once(relay, 'listening')
  const { port } = relay.address() as AddressInfo
  await t.rejects(ask({ port }, token, newKeyPair()), { code: 'gateway-not-pinned' })
  t.equal(count, 1)
})

t.test('who does not take its answer counts, and makes room too', async (t) => {
  const gateway = await fleet(t, { waitingMax: 2 })
  for (let count = 1; count <= 3; count++) {
    const socket = await dial({ port: gateway.port, ca: gateway.authority.certificate })
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    socket.pause()
    socket.write('\n')
    await eventually('it is answered', () => gateway.refusals.length === count)
    t.equal(gateway.door.waiting, Math.min(count, 2))
  }
  t.same(gateway.refusals, new Array(3).fill('malformed'), 'once each')
})
