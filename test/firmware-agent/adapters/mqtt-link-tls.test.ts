/** The link of an agent that has an identity, to a gateway's TLS with a real broker behind it. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Aedes } from 'aedes'
import t, { type Test } from 'tap'
import type { Authority } from '../../../broker/adapters/certificates.ts'
import { type TlsKeys, TlsListener } from '../../../broker/adapters/tls-listener.ts'
import type { Identity } from '../../../firmware-agent/adapters/identity-files.ts'
import { MqttLink } from '../../../firmware-agent/adapters/mqtt-client.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../../shared/protocol/enrolment.ts'
import { gatewayKeys, identityFor, newAuthority } from '../../support/certified.ts'

const n1 = 'n1' as NodeId

interface Gateway {
  readonly url: string
  readonly secured: TLSSocket[]
}

async function gatewayOf(
  t: Test,
  authority: Authority,
  shown: string | TlsKeys = GATEWAY_SERVER_NAME,
): Promise<Gateway> {
  const broker = await Aedes.createBroker()
  const keys = typeof shown === 'string' ? await gatewayKeys(authority, shown) : shown
  const secured: TLSSocket[] = []
  const listener = new TlsListener(
    {},
    { keys, protocols: ['mqtt'] },
    {
      secured: (socket) => {
        socket.on('error', () => {})
        secured.push(socket)
        broker.handle(socket)
      },
      refused: () => {},
    },
  )
  const server = createServer({ pauseOnConnect: true }, (socket) => listener.accept(socket))
  server.listen(0, '127.0.0.1')
  t.teardown(() => {
    server.close()
    listener.close()
    for (const socket of secured) socket.destroy()
    broker.close()
  })
  await once(server, 'listening')
  return { url: `mqtts://127.0.0.1:${(server.address() as AddressInfo).port}`, secured }
}

interface Linked {
  readonly link: MqttLink
  /** The next word of the link: `connected`, or why not. */
  next(): Promise<string>
}

function linkTo(t: Test, url: string, identity: Identity): Linked {
  const words: string[] = []
  let wake = (): void => {}
  const say = (word: string): void => {
    words.push(word)
    wake()
  }
  const will = { topic: 'obelisk/v1/node/n1/state', payload: 'offline' }
  const subscriptions = [{ topic: 'obelisk/v1/node/n1/down', qos: 0 }] as const
  const link = new MqttLink(
    {
      url,
      clientId: 'obelisk-node:n1:x',
      identity: () => identity,
      will,
      keepaliveSeconds: 60,
      subscriptions,
    },
    {
      onConnected: () => say('connected'),
      onDisconnected: (reason) => say(reason),
      onMessage: () => {},
    },
  )
  t.teardown(() => link.close())
  return {
    link,
    async next() {
      while (words.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return words.shift()!
    },
  }
}

t.test('an agent shows who it is, and comes back at less cost', async (t) => {
  const authority = await newAuthority()
  const gateway = await gatewayOf(t, authority)
  const { link, next } = linkTo(t, gateway.url, await identityFor(authority, n1))
  for (const isResumed of [false, true, true]) {
    link.connect()
    t.equal(await next(), 'connected')
    const socket = gateway.secured.at(-1)!
    t.ok(socket.authorized)
    t.equal(socket.getPeerX509Certificate()!.subjectAltName, 'URI:urn:obelisk:node:n1')
    t.equal(socket.isSessionReused(), isResumed)
    link.disconnect('once more')
    t.equal(await next(), 'once more')
  }
})

/** A node that poses as the gateway of its own fleet. */
async function shownByNode(authority: Authority): Promise<TlsKeys> {
  const { key, certificate } = await identityFor(authority, 'n2' as NodeId)
  const ca = authority.certificate
  return { key, certificate: `${certificate}${ca}`, ca }
}

t.test('attempts 12 and 13: it takes nobody else for its gateway', async (t) => {
  const [ours, theirs] = [await newAuthority(), await newAuthority()]
  const identity = await identityFor(ours, n1)
  const others = [
    await gatewayOf(t, theirs),
    await gatewayOf(t, ours, 'gw.local'),
    await gatewayOf(t, theirs, 'gw.local'),
    await gatewayOf(t, ours, await shownByNode(ours)),
  ]
  for (const { url, secured } of others) {
    const { link, next } = linkTo(t, url, identity)
    link.connect()
    t.match(await next(), /certificate|altnames|purpose/i)
    const isOurs = [others[1]!.url, others[3]!.url].includes(url)
    t.ok(secured.every(({ authorized }) => !authorized || isOurs))
  }
})

t.test('after a gateway that fails it begins with a whole handshake', async (t) => {
  const authority = await newAuthority()
  const first = await gatewayOf(t, authority)
  const identity = await identityFor(authority, n1)
  const { link, next } = linkTo(t, first.url, identity)
  link.connect()
  t.equal(await next(), 'connected')
  first.secured.at(-1)!.destroy()
  t.type(await next(), 'string')
  link.connect()
  t.equal(await next(), 'connected')
})
