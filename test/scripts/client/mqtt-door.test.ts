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

t.test('what a callback throws is the end of its task alone', async (t) => {
  const { broker, url, seen, sockets, held, control } = await gateway(t)
  const door = await MqttDoor.open(url, {})
  t.teardown(() => door.close())
  const fail = (): never => {
    throw new Error('mine')
  }
  await t.rejects(door.run(TASK, { onAccepted: fail }), { message: 'mine' })
  t.match(await door.run(TASK, {}), { id: 'a' })
  control.holds = true
  await t.rejects(door.run({ ...TASK, id: 'held' }, { onAccepted: fail }), { message: 'mine' })
  const watched = door.run(
    { ...TASK, id: 'watched' },
    {
      onAccepted: () => {
        const payload = JSON.stringify({ shards: { done: 1, total: 2 } })
        const topic = `${BASE}/task/watched/state`
        broker.publish(
          { cmd: 'publish', topic, payload, qos: 1, retain: true, dup: false },
          () => {},
        )
      },
      onProgress: fail,
    },
  )
  await t.rejects(watched, { message: 'mine' })
  const before = held.length
  const stays = door.run({ ...TASK, id: 'stays' }, {})
  const givesUp = door.run({ ...TASK, id: 'gives-up' }, { onAway: fail })
  const over = t.rejects(givesUp, { message: 'mine' })
  while (held.length < before + 2) await new Promise(setImmediate)
  control.holds = false
  broker.authenticate = (_client, _user, _password, done) => {
    broker.authenticate = (_client, _user, _password, done) => done(null, true)
    // As one that is away: it says nothing.
    for (const socket of sockets) socket.destroy()
    void done
  }
  for (const socket of sockets) socket.destroy()
  await over
  t.match(await stays, { id: 'stays' }, 'the others are sent again')
  t.equal(seen.filter((id) => id === 'gives-up').length, 1)
})

t.test('what is not of a gateway ends what waits for it, and nothing else', async (t) => {
  const { broker, url, held, control } = await gateway(t)
  const door = await MqttDoor.open(url, {})
  t.teardown(() => door.close())
  control.holds = true
  const say = async (below: string, payload: string): Promise<void> => {
    const topic = `${BASE}/${below}`
    const packet = { cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false } as const
    await new Promise<void>((resolve) => broker.publish(packet, () => resolve()))
  }
  const foreign = { code: 'not-a-gateway', message: /is not what a gateway says/ }
  const begun = async (id: string): Promise<{ readonly run: Promise<unknown> }> => {
    return await new Promise((resolve) => {
      const onAccepted = (): void => resolve({ run })
      const run = door.run({ ...TASK, id }, { onAccepted, onProgress: () => {} })
    })
  }
  const subscribed = async (below: string): Promise<void> => {
    for (let topics: string[] = []; !topics.includes(`${BASE}/${below}`); ) {
      const [subscriptions] = await once(broker, 'subscribe')
      topics = (subscriptions as { topic: string }[]).map(({ topic }) => topic)
    }
  }
  const stays = await begun('stays')
  for (const payload of ['hello', 'null', '[1]', '{"shards":2}']) {
    const { run } = await begun('short')
    await Promise.all([t.rejects(run, foreign, payload), say('task/short/state', payload)])
    const isAsked = subscribed('gateway/ring')
    const ring = t.rejects(door.ring(), foreign, payload)
    await isAsked
    await Promise.all([ring, say('gateway/ring', payload)])
    await say('task/rejected', payload)
  }
  const { signal } = new AbortController()
  const watched = door.watch({ signal })
  const isWatched = subscribed('task/+/state')
  const first = watched.next()
  await isWatched
  await say('task/old/state', '')
  await say('gateway/event', '{"code":"fine"}')
  t.match(await first, { value: { value: { type: 'event', code: 'fine' } } }, 'one that is cleared')
  await Promise.all([t.rejects(watched.next(), foreign), say('gateway/event', 'hello')])
  for (const end of held) end()
  t.match(await stays.run, { id: 'stays' })
})

t.test('many tasks at once are no leak of listeners', async (t) => {
  const { url } = await gateway(t)
  const door = await MqttDoor.open(url, {})
  t.teardown(() => door.close())
  const warnings: string[] = []
  const hear = ({ message }: Error): void => void warnings.push(message)
  process.on('warning', hear)
  t.teardown(() => process.off('warning', hear))
  const ids = Array.from({ length: 30 }, (_, at) => `task-${at}`)
  const ends = await Promise.all(ids.map((id) => door.run({ ...TASK, id }, {})))
  t.strictSame(
    ends.map(({ id }) => id),
    ids,
  )
  await new Promise(setImmediate)
  t.strictSame(warnings, [])
})
