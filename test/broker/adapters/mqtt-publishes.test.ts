import type { PublishPacket } from 'aedes'
import t from 'tap'
import type { Connection } from '../../../broker/adapters/mqtt-connection.ts'
import type { BrokerClient } from '../../../broker/adapters/mqtt-delivery.ts'
import { Tally } from '../../../broker/adapters/mqtt-figures.ts'
import type { BrokerParts } from '../../../broker/adapters/mqtt-hooks.ts'
import { MQTT_LIMITS } from '../../../broker/adapters/mqtt-options.ts'
import { Publishes } from '../../../broker/adapters/mqtt-publishes.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { ANYONE } from '../../../shared/protocol/access.ts'

const NODE = 'n' as NodeId

/** The hook of one node's client, without Aedes: what it is told is noted. */
function hook() {
  const noted: string[] = []
  const incoming = new Set<number>()
  const client = { id: 'a', clean: true, closed: false, _nextBatch: () => noted.push('more') }
  const gate = { sendPacket: (_type: number, packet: Buffer) => noted.push(packet.toString('hex')) }
  const connection = {
    ...{ gate, principal: ANYONE, node: NODE, isAdmitted: true, isGone: false },
    ...{ shownIdentity: 'nobody', mustWait: () => false },
  } as unknown as Connection
  const parts = {
    ...{ base: 'base', limits: MQTT_LIMITS, dropped: new Tally(), logger: undefined },
    connections: { of: () => connection, isProbe: () => false },
    rights: { ownerOf: () => undefined },
    persistence: {
      hasIncoming: (_client: string, id: number) => incoming.has(id),
      incomingStorePacket: async (_client: object, packet: { messageId: number }) =>
        incoming.add(packet.messageId),
    },
    delivery: {
      publish: ({ topic }: { topic: string }, done: () => void) => {
        noted.push(`to ${topic}`)
        done()
      },
    },
    port: { onNodeMessage: () => noted.push('message'), onReport: () => {} },
  } as unknown as BrokerParts
  const publishes = new Publishes(parts)
  const publish = (topic: string, qos: 0 | 1 | 2, messageId?: number): string[] => {
    const packet = { cmd: 'publish', topic, payload: Buffer.from('x'), qos, retain: false }
    const whole = { ...packet, dup: false, messageId } as unknown as PublishPacket
    publishes.authorize(client as unknown as BrokerClient, whole, (error) => {
      noted.push(error ? 'not for Aedes' : 'for Aedes')
    })
    return noted.splice(0)
  }
  return { client, publish }
}

t.test('what is for the gateway alone, or for nobody, is acknowledged and not passed on', (t) => {
  const { publish } = hook()
  t.same(publish('base/node/n/up', 0), ['message', 'more'])
  t.same(publish('base/node/n/up', 1, 258), ['message', '40020102', 'more'])
  t.same(publish('base/node/n/up', 2, 3), ['message', '50020003', 'more'])
  t.same(publish('base/node/n/up', 2, 3), ['50020003', 'more'], 'once more: it had its effect')
  t.same(publish('base/node/other/up', 1, 4), ['40020004', 'more'])
  t.end()
})

t.test('what is for others is acknowledged first', (t) => {
  const { publish } = hook()
  t.same(publish('base/node/n/event', 0), ['to base/node/n/event', 'more'])
  t.same(publish('base/node/n/event', 1, 7), ['40020007', 'to base/node/n/event', 'more'])
  t.same(publish('base/node/n/event', 2, 8), ['50020008', 'to base/node/n/event', 'more'])
  t.same(publish('base/node/n/event', 2, 8), ['50020008', 'more'], 'once [MQTT-4.3.3-2]')
  t.end()
})

t.test('a will that is for nobody is not published', (t) => {
  const { client, publish } = hook()
  client.closed = true
  t.same(publish('base/node/other/state', 1), ['not for Aedes'])
  t.end()
})
