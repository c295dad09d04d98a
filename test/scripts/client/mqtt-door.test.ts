import { getEventListeners, once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Aedes } from 'aedes'
import t, { type Test } from 'tap'
import { MqttDoor } from '../../../scripts/client/mqtt-door.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'

const BASE = 'obelisk/v1'
const TASK = { id: 'a', op: 'stat' }

/** A broker whose tasks end at once, unless somebody holds them. */
async function gateway(t: Test) {
  const broker = await Aedes.createBroker()
  const sockets = new Set<Socket>()
  const seen: string[] = []
  const held: (() => void)[] = []
  const control = { holds: false }
  broker.subscribe(
    `${BASE}/task/submit`,
    (packet, done) => {
      const decoded = decodeCbor(packet.payload as Buffer, MESSAGE_LIMITS)
      const { id } = decoded.ok ? (decoded.value as { id: string }) : { id: 'none' }
      seen.push(id)
      const payload = Buffer.from(encodeCbor({ id, state: 'completed', n: seen.length }))
      const topic = `${BASE}/task/${id}/result`
      const end = (): void =>
        broker.publish(
          { cmd: 'publish', topic, payload, qos: 1, retain: true, dup: false },
          () => {},
        )
      if (control.holds) held.push(end)
      else end()
      done()
    },
    () => {},
  )
  const server = createServer((socket) => {
    sockets.add(socket)
    broker.handle(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    broker.close()
  })
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { broker, url, sockets, seen, held, control }
}

t.test('a signal holds nothing of the tasks that have ended', async (t) => {
  const { url } = await gateway(t)
  const door = await MqttDoor.open(url, {})
  t.teardown(() => door.close())
  const { signal } = new AbortController()
  for (const id of ['a', 'b']) t.match(await door.run({ ...TASK, id }, { signal }), { id })
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('two who run the same task at a time are both told how it ended', async (t) => {
  const { url, seen, held, control } = await gateway(t)
  const door = await MqttDoor.open(url, {})
  t.teardown(() => door.close())
  control.holds = true
  const both = [door.run(TASK, {}), door.run(TASK, {})]
  while (held.length === 0) await new Promise(setImmediate)
  control.holds = false
  held[0]!()
  t.match(await Promise.all(both), [{ id: 'a' }, { id: 'a' }])
  t.same(seen, ['a', 'a'])
})

t.test('a door that is closed while it connects again leaves no connection', async (t) => {
  const { broker, url, sockets } = await gateway(t)
  const door = await MqttDoor.open(url, {})
  const asked = new Promise<() => void>((resolve) => {
    broker.authorizeSubscribe = (_client, subscription, done) =>
      resolve(() => done(null, subscription))
  })
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  const subscribed = await asked
  await door.close()
  const [again] = [...sockets]
  const closed = once(again!, 'close')
  subscribed()
  await closed
  t.ok(again!.destroyed)
})
