/** Who tries to come into a secured gateway with certificates and tokens that are not for that, and what its log says of it. Numbers are those of the design. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { TLSSocket } from 'node:tls'
import t from 'tap'
import { securityEventOf } from '../../broker/security-notices.ts'
import { enrol } from '../../firmware-agent/adapters/enrolment-client.ts'
import { toBase32 } from '../../shared/core/base32.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { Token } from '../../shared/protocol/tokens.ts'
import { nodeClientId } from '../../shared/protocol/topics.ts'
import { type KeyPair, newKeyPair, pemOf, spkiOf } from '../../shared/runtime/public-keys.ts'
import { identityFor, newAuthority } from '../support/certified.ts'
import { dial, type EnrolmentPlace, requestLine, say } from '../support/enrolment-lines.ts'
import { asIfSigned, expired, type Shown, selfSigned } from '../support/odd-certificates.ts'
import { eventually } from '../support/processes.ts'
import { connectPacket } from '../support/raw-mqtt-client.ts'
import { ASKER, SecurityBench } from '../support/security-bench.ts'

const n1 = 'n1' as NodeId
const HOUR_MS = 3_600_000
const CONNECT = connectPacket({ clientId: nodeClientId(n1, 'x') })
/** CONNACK: accepted, and not authorized. */
const [ACCEPTED, NOT_AUTHORIZED] = [
  [0x20, 2, 0, 0],
  [0x20, 2, 0, 5],
]

/** What is answered to a CONNECT until the end, or so many bytes. */
async function answerOf(socket: TLSSocket, count = Number.POSITIVE_INFINITY): Promise<number[]> {
  const answer: number[] = []
  socket.write(CONNECT)
  await new Promise<void>((resolve) => {
    socket.on('close', () => resolve())
    socket.on('data', (chunk: Buffer) => {
      answer.push(...chunk)
      if (answer.length >= count) resolve()
    })
  })
  return answer
}

/** A board that has come in by a token. */
async function board(bench: SecurityBench): Promise<Shown> {
  const pair = newKeyPair()
  const { certificate } = await ask(bench.place, await bench.token(n1), pair)
  return { key: pemOf(pair), cert: certificate }
}

async function ask(
  { port }: EnrolmentPlace,
  token: Token,
  pair: KeyPair,
  node = n1,
): Promise<{ readonly certificate: string }> {
  return await enrol({ host: '127.0.0.1', port, node, version: '0' }, token, pair)
}

t.test(
  'attempts 7, 8, 9, 10 and 11: a certificate that is not of a key we know opens nothing',
  async (t) => {
    const bench = await SecurityBench.start(t)
    const { authority, agents } = bench.keys
    const ours = await board(bench)
    const of = async (by: typeof authority): Promise<Shown> => {
      const { key, certificate: cert } = await identityFor(by, n1)
      return { key, cert }
    }
    const cases: Readonly<Record<string, Shown>> = {
      'of another authority': await of(await newAuthority()),
      'self-signed': await selfSigned('n1'),
      'as if ours, and expired': await asIfSigned(authority, 'n1', true),
      'as if ours': await asIfSigned(authority, 'n1', false),
      // Nobody without the key of the authority has one; the gateway makes none.
      'ours, and expired': await expired(authority, 'n1'),
      'ours, and its key is not registered': await of(authority),
      'ours, for servers': { key: agents.key, cert: agents.certificate },
      'ours, for servers, with its chain': {
        key: agents.key,
        cert: `${agents.certificate}${authority.certificate}`,
      },
    }
    let count = 0
    for (const [name, shown] of Object.entries(cases)) {
      const socket = bench.dial(shown)
      t.same(await answerOf(socket), [], name)
      count += 1
      t.equal(bench.broker.counters().refused['certificate-refused'], count, name)
      t.equal(bench.security.counts['certificate-refused'], count, name)
    }
    const lines = await bench.lines()
    const told = lines.filter((line) =>
      /^certificate-refused nobody certificate-refused 127\.0\.0\.\d+$/.test(line),
    )
    t.equal(told.length, count, 'each is in the log')
    t.same(await answerOf(bench.dial(ours), 4), ACCEPTED, 'and who may comes in')
    t.equal(bench.broker.counters().clientsMaximum, 1)
  },
)

t.test('a node that enrols on another board than before is told of', async (t) => {
  const bench = await SecurityBench.start(t)
  const { port } = bench.place
  const on = async (board: string): Promise<void> => {
    const token = await bench.token(n1, { replaces: true })
    const at = { host: '127.0.0.1', port, node: n1, version: '0', board: board.repeat(64) }
    await enrol(at, token, newKeyPair())
  }
  await on('a')
  await on('a')
  t.notMatch((await bench.lines()).join('\n'), /board-changed/)
  await on('b')
  t.match((await bench.lines()).join('\n'), /^board-changed node\/n1 /m)
})

t.test('attempt 15: a ticket from before a revocation opens nothing', async (t) => {
  const bench = await SecurityBench.start(t)
  const shown = await board(bench)
  const first = bench.dial(shown)
  const tickets: Buffer[] = []
  first.on('session', (ticket: Buffer) => tickets.push(ticket))
  t.same(await answerOf(first, 4), ACCEPTED)
  await eventually('a ticket', () => tickets.length > 0)
  const session = tickets.at(-1)!
  const resumed = bench.dial({ ...shown, session })
  t.same(await answerOf(resumed, 4), ACCEPTED)
  t.ok(resumed.isSessionReused(), 'it is worth something')

  const ended = once(resumed, 'close')
  t.ok(await bench.security.revokeNode(n1, ASKER))
  await ended
  for (const more of [{ ...shown, session }, { session }]) {
    const again = bench.dial(more)
    const isReused = once(again, 'secureConnect').then(() => again.isSessionReused())
    t.same(await answerOf(again), NOT_AUTHORIZED)
    t.ok(await isReused)
  }
  t.equal(bench.broker.counters().refused['key-revoked'], 2)
  const lines = await bench.lines()
  t.equal(
    lines.filter((line) => line.startsWith('certificate-refused node/n1 key-revoked')).length,
    2,
  )
})

t.test(
  'attempts 16, 18, 20, 21, 22, 24, 25, 26 and 29: who gets no identity is counted, and in the log',
  async (t) => {
    const bench = await SecurityBench.start(t)
    const said: string[] = []
    const refused = async (
      code: string,
      line: (socket: TLSSocket) => string | Buffer,
      event = 'enroll-refused',
      who = 'node/n1',
    ): Promise<void> => {
      const place = bench.place
      t.match(await say(place, line), { ok: false, code }, code)
      said.push(`${event} ${who} ${code} ${place.from}`)
    }
    const wrong = { ...(await bench.token(n1)), secret: randomBytes(16) }
    await refused('token-unknown', (s) => requestLine(s, wrong, newKeyPair()))
    const unknown = { ...wrong, id: toBase32(randomBytes(5)) }
    await refused('token-unknown', (s) => requestLine(s, unknown, newKeyPair()))
    const expiring = await bench.token(n1, { ttlMs: 1000 })
    bench.pass(2000)
    await refused('token-expired', (s) => requestLine(s, expiring, newKeyPair()))
    const revoked = await bench.token(n1)
    await bench.security.revokeToken(revoked.id, ASKER)
    await refused('token-revoked', (s) => requestLine(s, revoked, newKeyPair()))
    const other = await bench.token('n2' as NodeId)
    await refused('token-other-node', (s) => requestLine(s, other, newKeyPair()))

    const [token, pair] = [await bench.token(n1), newKeyPair()]
    let recorded = ''
    // It is cut off before it is answered, and then replayed by somebody else.
    const cut = await dial(bench.place)
    recorded = requestLine(cut, token, pair)
    cut.destroy()
    await refused('proof-wrong', () => recorded)
    const theirs = { spki: spkiOf(newKeyPair().publicKey) }
    await refused('proof-wrong', (s) => requestLine(s, token, pair, theirs))
    const curve = { spki: spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey) }
    await refused('key-unsuitable', (s) => requestLine(s, token, pair, curve))
    await refused('malformed', () => 'x'.repeat(4096), 'enroll-refused', 'nobody')
    await refused('malformed', () => `${'['.repeat(2000)}\n`, 'enroll-refused', 'nobody')
    const second = await bench.token(n1)
    await ask(bench.place, token, pair)
    await refused('token-used', (s) => requestLine(s, token, newKeyPair()), 'token-used-twice')
    await t.rejects(bench.token(n1), { code: 'node-exists', message: /token create n1 --replace/ })
    await refused('node-exists', (s) => requestLine(s, second, newKeyPair()))
    const lines = await bench.lines()
    t.same(
      lines.filter((line) => /^(enroll-refused|token-used-twice) /.test(line)),
      said,
    )
    const { counts } = bench.security
    t.equal(counts['enroll-refused'], said.length - 1)
    t.equal(counts['token-used-twice'], 1)
    t.equal(counts.enrolled, 1)
  },
)

t.test('attempt 26: a line without an end takes no longer than any other', async (t) => {
  const bench = await SecurityBench.start(t, { timeoutMs: 1000 })
  const endless = bench.place
  const socket = await dial(endless)
  socket.write('{"v":1')
  await once(socket.resume(), 'close')
  const lines = await bench.lines()
  t.ok(lines.includes(`enroll-refused nobody malformed ${endless.from}`))
  t.equal(bench.security.counts['enroll-refused'], 1)
})

t.test(
  'attempt 19: a token that is over does not begin again where the clock is set back',
  async (t) => {
    const bench = await SecurityBench.start(t)
    const begunMs = bench.time.wallMs
    const token = await bench.token(n1, { ttlMs: HOUR_MS })
    bench.pass(2 * HOUR_MS)
    await t.rejects(ask(bench.place, token, newKeyPair()), { code: 'token-expired' })
    for (const wallMs of [begunMs, begunMs - 365 * 24 * HOUR_MS, 0]) {
      bench.time.wallMs = wallMs
      await t.rejects(ask(bench.place, token, newKeyPair()), { code: 'token-expired' })
    }
    bench.time.wallMs = begunMs + 2 * HOUR_MS
    await bench.security.createToken({ node: n1, replaces: false, ttlMs: 1000 }, ASKER)
    const lines = await bench.lines()
    t.ok(lines.some((line) => line.startsWith('enroll-refused node/n1 token-expired')))
    t.ok(lines.includes('clock-behind gateway'))
  },
)

t.test('attempt 1: what is said in the clear is counted, and heard by nobody', async (t) => {
  const bench = await SecurityBench.start(t)
  const socket = connectTcp({ host: '127.0.0.1', port: bench.broker.port })
  socket.on('error', () => {})
  socket.resume().write(CONNECT)
  await once(socket, 'close')
  t.equal(bench.broker.counters().refused['handshake-failed'], 1)
  t.equal(bench.broker.counters().clientsMaximum, 0)
})

t.test('attempt 66: two boards by one key are told of, with where both are', async (t) => {
  const bench = await SecurityBench.start(t)
  const shown = await board(bench)
  const [first, second] = [bench.place.from, bench.place.from]
  const id = (nonce: string): string => nodeClientId(n1, nonce)
  const connected = async (localAddress: string, nonce: string): Promise<void> => {
    const socket = bench.dial({ ...shown, localAddress })
    socket.write(connectPacket({ clientId: id(nonce) }))
    await once(socket, 'data')
  }
  t.same(bench.broker.sourcesOf(n1), {})
  await connected(first, 'a')
  t.same(bench.broker.sourcesOf(n1), { source: first })
  bench.broker.admit(id('a'), n1)
  await connected(second, 'b')
  t.same(bench.broker.sourcesOf(n1), { source: second, other: first })
  t.same(bench.broker.sourcesOf('n2' as NodeId), {})

  const sourcesOf = (node: NodeId): ReturnType<typeof bench.broker.sourcesOf> =>
    bench.broker.sourcesOf(node)
  for (const reason of ['id-taken', 'boot-behind', 'store-cloned']) {
    const notice = { code: 'node-refused', fields: { node: 'n1', reason } }
    const told = { event: 'identity-twice', who: 'node/n1', via: 'mqtt', code: reason } as const
    t.same(securityEventOf(notice, sourcesOf), { ...told, source: second, other: first })
  }
  const behind = { code: 'boot-behind', fields: { node: 'n1', boot: 1 } }
  t.match(securityEventOf(behind, sourcesOf), { event: 'identity-twice', code: 'boot-behind' })
  const defined = { program: 'heat', version: 3, by: 'user/ann' }
  t.same(securityEventOf({ code: 'program-switched', fields: defined }, sourcesOf), {
    ...{ event: 'program-switched', who: 'user/ann', what: 'program/heat' },
    ...{ code: 'version-3', via: 'http' },
  })
  const begun = { ...defined, beside: 2 }
  for (const code of ['ghost-begun', 'ghost-ended'] as const) {
    t.match(securityEventOf({ code, fields: begun }, sourcesOf), {
      ...{ event: code, who: 'user/ann', what: 'program/heat', code: 'version-3' },
    })
  }
  const { by: _by, ...byItself } = begun
  t.equal(securityEventOf({ code: 'ghost-ended', fields: byItself }, sourcesOf), undefined)
  const set = { context: 'winter', version: 2, by: 'admin' }
  t.match(securityEventOf({ code: 'context-set', fields: set }, sourcesOf), {
    ...{ who: 'admin', what: 'context/winter', via: 'socket' },
  })
  for (const code of ['node-refused', 'node-joined', 'task-rejected']) {
    t.equal(
      securityEventOf({ code, fields: { node: 'n1', reason: 'fleet-full' } }, sourcesOf),
      undefined,
    )
  }
})
