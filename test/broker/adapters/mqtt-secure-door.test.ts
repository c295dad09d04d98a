/** The broker of a secured gateway, and who tries to come in: real TLS, the link of an agent, the broker that ships. */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { EnrolmentDoor } from '../../../broker/adapters/enrolment-door.ts'
import { MqttBroker } from '../../../broker/adapters/mqtt-broker.ts'
import { MqttLink } from '../../../firmware-agent/adapters/mqtt-client.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { ENROLMENT_PROTOCOL, GATEWAY_SERVER_NAME } from '../../../shared/protocol/enrolment.ts'
import { buildTopic, nodeClientId } from '../../../shared/protocol/topics.ts'
import {
  gatewayKeys,
  identityFor,
  type NewAuthority,
  type NewIdentity,
  newAuthority,
} from '../../support/certified.ts'
import { eventually } from '../../support/processes.ts'
import { connectPacket, publishPacket, subscribePacket } from '../../support/raw-mqtt-client.ts'
import { SecuredGateway } from '../../support/secured-bench.ts'

const BASE = 'obelisk/v1'
const n1 = 'n1' as NodeId
const n2 = 'n2' as NodeId

class Secured {
  readonly authority: NewAuthority
  readonly broker: MqttBroker
  readonly gateway: SecuredGateway
  readonly owners: Map<string, NodeId>
  readonly former: Map<string, NodeId>
  readonly used: string[]
  /** The key whose record cannot be read. */
  readonly damaged: { sha256: string }
  readonly #t: Test

  static async start(t: Test): Promise<Secured> {
    const authority = await newAuthority()
    const owners = new Map<string, NodeId>()
    const former = new Map<string, NodeId>()
    const used: string[] = []
    const gateway = new SecuredGateway()
    const damaged = { sha256: '' }
    const enrolment = new EnrolmentDoor(
      {},
      {
        enrol: async () => ({ ok: false, code: 'token-unknown' }),
        refused: () => {},
        failed: (error) => t.fail(String(error)),
      },
    )
    const secure = {
      enrolment,
      keys: await gatewayKeys(authority),
      probe: 'none',
      ownerOf: (sha256: string) => {
        if (sha256 === damaged.sha256) throw new Error('the store is damaged')
        return owners.get(sha256)
      },
      formerOwnerOf: (sha256: string) => former.get(sha256),
      keyUsed: (node: NodeId, sha256: string) => used.push(`${node} ${sha256}`),
    }
    const broker = await MqttBroker.start({ port: 0, topicBase: BASE, secure }, gateway)
    t.teardown(() => broker.close())
    return new Secured(t, { authority, broker, gateway, owners, former, used, damaged })
  }

  private constructor(
    t: Test,
    parts: Pick<
      Secured,
      'authority' | 'broker' | 'gateway' | 'owners' | 'former' | 'used' | 'damaged'
    >,
  ) {
    this.#t = t
    this.authority = parts.authority
    this.broker = parts.broker
    this.gateway = parts.gateway
    this.owners = parts.owners
    this.former = parts.former
    this.used = parts.used
    this.damaged = parts.damaged
  }

  async node(node: NodeId): Promise<NewIdentity> {
    const identity = await identityFor(this.authority, node)
    this.owners.set(identity.sha256, node)
    return identity
  }

  dial(more: ConnectionOptions = {}): TLSSocket {
    const socket = connect({
      ...{ host: '127.0.0.1', port: this.broker.port, servername: GATEWAY_SERVER_NAME },
      ...{ ca: this.authority.certificate, ...more },
    })
    socket.on('error', () => {})
    this.#t.teardown(() => socket.destroy())
    return socket
  }

  /** Says these bytes as a node, and hears all that comes until the end, or so many bytes. */
  async say(
    { key, certificate }: NewIdentity,
    bytes: Uint8Array,
    count = Number.POSITIVE_INFINITY,
  ): Promise<{ readonly socket: TLSSocket; readonly answer: number[] }> {
    const socket = this.dial({ key, cert: certificate })
    socket.write(bytes)
    return { socket, answer: await hear(socket, count) }
  }

  get refused(): Readonly<Record<string, number>> {
    return this.broker.counters().refused
  }
}

async function hear(socket: TLSSocket, count: number): Promise<number[]> {
  const answer: number[] = []
  await new Promise<void>((resolve) => {
    socket.on('close', () => resolve())
    socket.on('data', (chunk: Buffer) => {
      answer.push(...chunk)
      if (answer.length >= count) resolve()
    })
  })
  return answer
}

const CONNACK = 4
const idOf = (node: NodeId): string => nodeClientId(node, 'x')
const down = (node: NodeId): string => buildTopic(BASE, { kind: 'node-down', node })
const up = (node: NodeId): string => buildTopic(BASE, { kind: 'node-up', node })

t.test('a node whose key is registered comes in, and speaks for itself', async (t) => {
  const secured = await Secured.start(t)
  const identity = await secured.node(n1)
  const heard: string[] = []
  let connected = (): void => {}
  const isConnected = new Promise<void>((resolve) => {
    connected = resolve
  })
  const link = new MqttLink(
    {
      ...{
        url: `mqtts://127.0.0.1:${secured.broker.port}`,
        clientId: idOf(n1),
        identity: () => identity,
      },
      will: { topic: buildTopic(BASE, { kind: 'node-state', node: n1 }), payload: 'offline' },
      ...{ keepaliveSeconds: 60, subscriptions: [{ topic: down(n1), qos: 0 }] },
    },
    {
      onConnected: () => connected(),
      onDisconnected: (reason) => heard.push(reason),
      onMessage: (topic, payload) => heard.push(`${topic} ${Buffer.from(payload)}`),
    },
  )
  t.teardown(() => link.close())
  link.connect()
  await isConnected
  t.same(secured.used, [`n1 ${identity.sha256}`])
  link.publish({ topic: up(n1), payload: 'hello', qos: 0, retain: false })
  await eventually('it is heard', () => secured.gateway.nodeMessages.includes('n1 hello'))
  t.ok(secured.broker.sendToNode(idOf(n1), Buffer.from('work')))
  await eventually('it hears', () => heard.includes(`${down(n1)} work`))

  secured.owners.clear()
  secured.broker.endConnectionsOf(n1)
  await eventually('it is out', () => heard.length === 2)
  await eventually('and is said to be', () => secured.gateway.closed.includes(idOf(n1)))
  link.connect()
  await eventually('and stays out', () => heard.length === 3)
  t.equal(secured.refused['certificate-refused'], 1)
})

t.test('attempts 1, 7, 10 and 31: nobody else comes in', async (t) => {
  const secured = await Secured.start(t)
  const closed = async (socket: TLSSocket): Promise<number[]> => await hear(socket, 1)
  const connecting = connectPacket({ clientId: idOf(n1) })

  const plain = connectTcp({ host: '127.0.0.1', port: secured.broker.port })
  plain.on('error', () => {})
  plain.resume().write(connecting)
  await once(plain, 'close')
  const nobody = secured.dial()
  nobody.write(connecting)
  t.same(await closed(nobody), [], 'without a certificate')
  const unknown = await identityFor(secured.authority, n1)
  t.same((await secured.say(unknown, connecting)).answer, [], 'not registered')
  const foreign = await identityFor(await newAuthority(), n1)
  secured.owners.set(foreign.sha256, n1)
  t.same((await secured.say(foreign, connecting)).answer, [], 'of another authority')
  t.match(secured.refused, {
    ...{ 'handshake-failed': 1, 'no-identity': 1, 'certificate-refused': 2 },
  })
  t.same(secured.used, [])
  t.equal(secured.broker.counters().clientsMaximum, 0)
})

t.test('attempts 34 and 36: a node takes no other id, and pushes nobody off', async (t) => {
  const secured = await Secured.start(t)
  const [one, two] = [await secured.node(n1), await secured.node(n2)]
  const first = await secured.say(one, connectPacket({ clientId: idOf(n1) }), CONNACK)
  t.same(first.answer, [0x20, 2, 0, 0])
  const rejected = [0x20, 2, 0, 2]
  for (const clientId of [idOf(n1), 'user', 'obelisk-node:n2', 'obelisk-node:n2:x:y', '']) {
    const { answer } = await secured.say(two, connectPacket({ clientId }))
    t.same(answer, rejected, clientId)
  }
  const kept = await secured.say(two, connectPacket({ clientId: idOf(n2), flags: 0 }))
  t.same(kept.answer, rejected, 'nor a session')
  t.notOk(first.socket.destroyed)
  t.equal(secured.refused['client-id-not-own'], 6)
  t.equal((await secured.say(two, connectPacket({ clientId: idOf(n2) }), CONNACK)).answer[3], 0)
})

t.test('attempts 38 and 40: a node hears what is for it, and says what is its own', async (t) => {
  const secured = await Secured.start(t)
  const { socket } = await secured.say(
    await secured.node(n1),
    connectPacket({ clientId: idOf(n1) }),
    CONNACK,
  )
  const filters = [
    '#',
    '+/#',
    `${BASE}/node/+/down`,
    down(n2),
    `${BASE}/task/#`,
    '$SYS/#',
    down(n1),
  ]
  socket.write(subscribePacket(filters))
  const answer = await hear(socket, 4 + filters.length)
  t.same(answer.slice(4), [...new Array(6).fill(0x80), 0])
  t.equal(secured.refused['filter-not-own'], 6)
  for (const topic of [up(n2), `${BASE}/task/submit`, 'home/lamp', down(n2)]) {
    socket.write(publishPacket(topic, 'x'))
  }
  socket.write(publishPacket(up(n1), 'last'))
  await eventually('the last is heard', () => secured.gateway.nodeMessages.length > 0)
  t.same(secured.gateway.nodeMessages, ['n1 last'])
  t.same(secured.gateway.submissions, [])
  t.equal(secured.broker.counters().dropped['topic-not-allowed'], 4)
})

t.test('boards that ask for an identity are led to where there are some', async (t) => {
  const secured = await Secured.start(t)
  const socket = secured.dial({ ALPNProtocols: [ENROLMENT_PROTOCOL] })
  socket.write('{"v":1}\n')
  const answer = Buffer.from(await hear(socket, Number.POSITIVE_INFINITY)).toString()
  t.match(JSON.parse(answer), { error: { code: 'malformed' } })
  t.equal(secured.broker.counters().clientsMaximum, 0)
})

t.test(
  'whose key it is may be beyond telling: then nobody comes in, and the others do',
  async (t) => {
    const secured = await Secured.start(t)
    const [one, two] = [await secured.node(n1), await secured.node(n2)]
    secured.damaged.sha256 = one.sha256
    t.same((await secured.say(one, connectPacket({ clientId: idOf(n1) }))).answer, [])
    t.equal((await secured.say(two, connectPacket({ clientId: idOf(n2) }), CONNACK)).answer[3], 0)
  },
)

t.test(
  'whose key was taken out is told so, whatever else he says, and gets no further',
  async (t) => {
    const secured = await Secured.start(t)
    const [one, two] = [await secured.node(n1), await secured.node(n2)]
    const live = await secured.say(two, connectPacket({ clientId: idOf(n2) }), CONNACK)
    secured.owners.delete(one.sha256)
    secured.former.set(one.sha256, n1)
    const notAuthorized = [0x20, 2, 0, 5]
    const user = { username: 'ann', password: 'ann' }
    for (const connecting of [
      { clientId: idOf(n1) },
      { clientId: idOf(n2) },
      { clientId: 'x', ...user },
    ]) {
      const { answer } = await secured.say(one, connectPacket(connecting))
      t.same(answer, notAuthorized, connecting.clientId)
    }
    const both = [connectPacket({ clientId: idOf(n1) }), publishPacket(up(n1), 'x')]
    t.same((await secured.say(one, Buffer.concat(both))).answer, notAuthorized)
    t.notOk(live.socket.destroyed)
    t.same(secured.gateway.nodeMessages, [])
    t.equal(secured.refused['key-revoked'], 4)
    t.equal(secured.gateway.told('certificate-refused', 'node/n1', 'key-revoked'), 4)
    const foreign = await identityFor(await newAuthority(), n1)
    secured.former.set(foreign.sha256, n1)
    t.same((await secured.say(foreign, connectPacket({ clientId: idOf(n1) }))).answer, [])
  },
)

t.test('the link of an agent knows that it was revoked, and nothing else for it', async (t) => {
  const secured = await Secured.start(t)
  const identity = await secured.node(n1)
  const ended: [reason: string, isRevoked: boolean][] = []
  const link = new MqttLink(
    {
      ...{
        url: `mqtts://127.0.0.1:${secured.broker.port}`,
        clientId: idOf(n1),
        identity: () => identity,
      },
      will: { topic: buildTopic(BASE, { kind: 'node-state', node: n1 }), payload: 'offline' },
      ...{ keepaliveSeconds: 60, subscriptions: [{ topic: down(n1), qos: 0 }] },
    },
    {
      onConnected: () => secured.broker.endConnectionsOf(n1),
      onDisconnected: (...end) => ended.push(end),
      onMessage: () => {},
    },
  )
  t.teardown(() => link.close())
  link.connect()
  await eventually('it is cut off', () => ended.length === 1)
  secured.owners.clear()
  link.connect()
  await eventually('nobody knows it', () => ended.length === 2)
  secured.former.set(identity.sha256, n1)
  link.connect()
  await eventually('it is revoked', () => ended.length === 3)
  t.same(
    ended.map(([, isRevoked]) => isRevoked),
    [false, false, true],
  )
})

t.test('a connection is that of a key: by it it ends, and proves what is made on it', async (t) => {
  const secured = await Secured.start(t)
  const [old, fresh, other] = [
    await secured.node(n1),
    await secured.node(n1),
    await secured.node(n2),
  ]
  const ids = ['obelisk-node:n1:old', 'obelisk-node:n1:fresh', idOf(n2)] as const
  const [first, second, third] = await Promise.all(
    [old, fresh, other].map((identity, index) =>
      secured.say(identity, connectPacket({ clientId: ids[index]! }), CONNACK),
    ),
  )
  const channels = ids.map((id) => secured.broker.channelOf(id, 'EXPORTER-test', 32))
  t.match(channels, [{ key: old.sha256 }, { key: fresh.sha256 }, { key: other.sha256 }])
  for (const [index, one] of [first, second, third].entries()) {
    const exported = one!.socket.exportKeyingMaterial(32, 'EXPORTER-test', Buffer.alloc(0))
    t.ok(exported.equals(channels[index]!.exported), ids[index]!)
  }
  t.equal(secured.broker.channelOf('nobody', 'EXPORTER-test', 32), undefined)
  secured.broker.endKeys('node/n1', [old.sha256, other.sha256])
  await once(first!.socket, 'close')
  await eventually('it is said', () => secured.gateway.closed.length > 0)
  t.same(secured.gateway.closed, [ids[0]], 'no other')
  t.notOk(second!.socket.destroyed || third!.socket.destroyed)
  t.equal(secured.broker.channelOf(ids[0], 'EXPORTER-test', 32), undefined)
})

t.test('attempt 15: a ticket of before a revocation opens nothing', async (t) => {
  const secured = await Secured.start(t)
  const { sha256, ...identity } = await secured.node(n1)
  const { key, certificate: cert } = identity
  const first = secured.dial({ key, cert, ALPNProtocols: ['mqtt'] })
  const ticket = once(first, 'session') as Promise<[Buffer]>
  first.write(connectPacket({ clientId: idOf(n1) }))
  t.same(await hear(first, CONNACK), [0x20, 2, 0, 0])
  const [session] = await ticket
  const again = async (): Promise<number[]> => {
    const socket = secured.dial({ key, cert, session, ALPNProtocols: ['mqtt'] })
    socket.write(connectPacket({ clientId: idOf(n1) }))
    socket.once('secureConnect', () => t.ok(socket.isSessionReused()))
    const answer = await hear(socket, CONNACK)
    socket.destroy()
    return answer
  }
  t.same(await again(), [0x20, 2, 0, 0], 'until then it does')
  secured.owners.delete(sha256)
  secured.broker.endConnectionsOf(n1)
  t.same(await again(), [])
  t.equal(secured.refused['certificate-refused'], 1)
  secured.former.set(sha256, n1)
  t.same(await again(), [0x20, 2, 0, 5])
  t.equal(secured.gateway.told('certificate-refused', 'node/n1', 'key-revoked'), 1)
})
