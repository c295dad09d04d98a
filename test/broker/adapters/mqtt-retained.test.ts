import t, { type Test } from 'tap'
import { LedgerStore } from '../../../broker/adapters/ledger-store.ts'
import type { BrokerClient } from '../../../broker/adapters/mqtt-delivery.ts'
import { RetainedDelivery, RetainedStore } from '../../../broker/adapters/mqtt-retained.ts'
import type { KeptMessage, RetainedLedger } from '../../../broker/adapters/mqtt-retained-journal.ts'
import { brokerBench, listen } from '../../support/broker-bench.ts'
import { packet, publishPacket, until } from '../../support/raw-mqtt-client.ts'

/** A ledger of LMDB whose flushes are held back until they are let go. */
class SlowLedger implements RetainedLedger {
  readonly writes: string[][] = []
  isFull = false
  refusals = 0
  readonly #store: LedgerStore
  #gate: Promise<void> = Promise.resolve()

  static async open(directory: string): Promise<SlowLedger> {
    return new SlowLedger(await LedgerStore.open(directory, [], (error) => t.fail(error)))
  }

  private constructor(store: LedgerStore) {
    this.#store = store
  }

  /** Until the returned function is called, no write is begun. */
  holdBack(): () => void {
    let letGo = (): void => {}
    this.#gate = new Promise((resolve) => {
      letGo = resolve
    })
    return letGo
  }

  messages(): Iterable<KeptMessage> {
    return this.#store.retained()
  }

  async write(changes: ReadonlyMap<string, KeptMessage | undefined>): Promise<void> {
    await this.#gate
    await this.#store.writeRetained(changes)
    this.writes.push(
      [...changes].map(([topic, message]) => `${topic} ${message?.payload ?? 'cleared'}`),
    )
  }

  hasRoom(): boolean {
    return !this.isFull
  }

  refused(count: number): void {
    this.refusals += count
  }

  kept(): string[] {
    return [...this.messages()].map(({ topic, payload, qos }) => {
      return `${topic} ${Buffer.from(payload)} ${qos}`
    })
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}

async function ledgerOf(t: Test, directory: string): Promise<SlowLedger> {
  const ledger = await SlowLedger.open(directory)
  t.teardown(() => ledger.close())
  return ledger
}

t.test(
  'a PUBACK of a retained message leaves when it is on disk, in the order they came',
  async (t) => {
    const ledger = await ledgerOf(t, t.testdir())
    const { raw, mqtt } = await brokerBench(t, { retainedLedger: ledger })
    const reader = await mqtt()
    const heard = listen(reader)
    await reader.subscribeAsync('#')
    const client = await raw()
    const letGo = ledger.holdBack()
    client.send(
      publishPacket('a', 'one', { qos: 1, id: 1, flags: 1 }),
      publishPacket('a', 'two', { qos: 1, id: 2 }),
      publishPacket('b', 'three', { qos: 2, id: 3, flags: 1 }),
      publishPacket('c', 'four', { qos: 1, id: 4, flags: 1 }),
      publishPacket('c', 'five', { qos: 0 }),
    )
    await client.ping()
    t.same(client.received, [], 'served, but not acknowledged')
    t.same(heard, [])
    t.same(ledger.kept(), [])
    letGo()
    await until(() => client.received.length === 4)
    const acknowledged = (type: number): number[] =>
      client.received.filter((one) => one.type === type).map(({ body }) => body.readUInt16BE(0))
    t.same([acknowledged(4), acknowledged(5)], [[1, 2, 4], [3]])
    await until(() => heard.length === 5)
    t.same(new Set(heard), new Set(['a one', 'a two', 'b three', 'c four', 'c five']))
    t.ok(heard.indexOf('a one') < heard.indexOf('a two'))
    t.same(ledger.kept(), ['a one 1', 'b three 2', 'c four 1'])
    t.ok(ledger.writes.length <= 2, 'they share a flush')
  },
)

t.test('a message that waited for its flush undoes nothing that came meanwhile', async (t) => {
  const ledger = await ledgerOf(t, t.testdir())
  const { raw, broker } = await brokerBench(t, { retainedLedger: ledger })
  const client = await raw()
  const letGo = ledger.holdBack()
  client.send(publishPacket('a', 'on', { qos: 1, id: 1, flags: 1 }))
  await client.ping()
  client.send(publishPacket('a', '', { qos: 1, id: 2, flags: 1 }))
  await client.ping()
  letGo()
  await until(() => client.received.length === 2)
  t.same(ledger.kept(), [], 'what was acknowledged is on disk')
  await broker.close()
  t.same(ledger.writes, [['a on'], ['a cleared']], 'once each')
})

t.test('a repetition at QoS 2 changes nothing that is retained', async (t) => {
  const ledger = await ledgerOf(t, t.testdir())
  const { raw, mqtt } = await brokerBench(t, { retainedLedger: ledger })
  const persistent = { clientId: 'sender', flags: 0 }
  const client = await raw(persistent)
  client.send(publishPacket('a', 'old', { qos: 2, id: 7, flags: 1 }))
  await client.next(5)
  client.end()
  await client.closed
  await (await mqtt()).publishAsync('a', 'new', { qos: 1, retain: true })
  const again = await raw(persistent)
  again.send(publishPacket('a', 'old', { qos: 2, id: 7, flags: 9 }))
  t.same((await again.next(5)).body, Buffer.from([0, 7]))
  const reader = await mqtt()
  const heard = listen(reader)
  await reader.subscribeAsync('a')
  await until(() => heard.length === 1)
  t.same(heard, ['a new R'])
  t.same(ledger.kept(), ['a new 1'])
  again.send(packet(6, 2, Uint8Array.of(0, 7)))
  await again.next(7)
  again.send(publishPacket('a', 'newest', { qos: 2, id: 7, flags: 1 }))
  await again.next(5)
  t.same(ledger.kept(), ['a newest 2'], 'after its PUBREL the id is free for another')
})

t.test('nor does a repetition of what still waits for its flush', async (t) => {
  const ledger = await ledgerOf(t, t.testdir())
  const { raw, mqtt } = await brokerBench(t, { retainedLedger: ledger })
  const reader = await mqtt()
  const heard = listen(reader)
  await reader.subscribeAsync('a')
  const persistent = { clientId: 'sender', flags: 0 }
  const letGo = ledger.holdBack()
  const client = await raw(persistent)
  client.send(publishPacket('a', 'old', { qos: 2, id: 7, flags: 1 }))
  await client.ping()
  client.end()
  await client.closed
  const other = await raw({ clientId: 'other' })
  other.send(publishPacket('a', 'new', { flags: 1 }))
  await other.ping()
  const again = await raw(persistent)
  again.send(publishPacket('a', 'old', { qos: 2, id: 7, flags: 9 }))
  await again.ping()
  letGo()
  t.same((await again.next(5)).body, Buffer.from([0, 7]))
  other.send(publishPacket('a', 'last', {}))
  await until(() => heard.includes('a last'))
  t.same(heard.toSorted(), ['a last', 'a new', 'a old'])
  await until(() => ledger.kept().length > 0)
  t.same(ledger.kept(), ['a new 0'])
})

t.test(
  'what is retained is there again, with what it was sent at, and no more than fits',
  async (t) => {
    const directory = t.testdir()
    const first = await SlowLedger.open(directory)
    const one = await brokerBench(t, { retainedLedger: first })
    const client = await one.mqtt()
    for (const [n, qos] of ([0, 1, 2] as const).entries()) {
      await client.publishAsync(`a/${n}`, `${n}`, { qos, retain: true })
      await client.publishAsync(`b/${n}`, `${n}`, { qos, retain: true })
    }
    await client.publishAsync('b/2', '', { qos: 0, retain: true })
    await client.publishAsync('obelisk/v1/task/submit', '{}', { qos: 1, retain: true })
    await one.broker.close()
    t.same(first.kept(), ['a/0 0 0', 'a/1 1 1', 'a/2 2 2', 'b/0 0 0', 'b/1 1 1'], 'closed: flushed')
    await first.close()

    const second = await ledgerOf(t, directory)
    const two = await brokerBench(t, { retainedLedger: second, retainedMessagesMax: 4 })
    const reader = await two.mqtt()
    const heard: string[] = []
    reader.on('message', (topic, payload, { qos }) => heard.push(`${topic} ${payload} ${qos}`))
    await reader.subscribeAsync('+/+', { qos: 2 })
    await until(() => heard.length === 4)
    t.same(heard.toSorted(), ['a/0 0 0', 'a/1 1 1', 'a/2 2 2', 'b/0 0 0'])
    await until(() => second.refusals === 1)
    t.equal(two.broker.counters().dropped['retained-full'], 1)
    await until(() => second.kept().length === 4)
  },
)

t.test(
  'what does not fit takes the place of nothing, and what it replaces is not true any more',
  async (t) => {
    const ledger = await ledgerOf(t, t.testdir())
    const { broker, mqtt } = await brokerBench(t, {
      retainedLedger: ledger,
      retainedMessagesMax: 10,
      retainedBytesMax: 1000,
    })
    const client = await mqtt()
    const publish = (topic: string, payload: string) =>
      client.publishAsync(topic, payload, { qos: 1, retain: true })
    await publish('a', 'open')
    await publish('b', 'x'.repeat(500))
    await publish('a', 'y'.repeat(500))
    t.same(ledger.kept(), [`b ${'x'.repeat(500)} 1`], 'no old state of a')
    t.equal(broker.counters().dropped['retained-full'], 1)
    await publish('a', 'shut')
    await publish('a', 'shut')
    t.equal(ledger.writes.length, 4, 'the same again is not written again')
    ledger.isFull = true
    await publish('a', 'open')
    await publish('c', 'new')
    t.same(ledger.kept(), [`b ${'x'.repeat(500)} 1`], 'a disk that is nearly full takes no more')
    t.equal(broker.counters().dropped['retained-full'], 3)
    await until(() => ledger.refusals > 0)
  },
)

t.test('a topic that changes often is written seldom', async (t) => {
  const ledger = await ledgerOf(t, t.testdir())
  const { broker, raw } = await brokerBench(t, { retainedLedger: ledger })
  const client = await raw()
  for (let n = 0; n < 1000; n++) client.send(publishPacket('a', `${n}`, { flags: 1 }))
  await client.ping()
  await until(() => ledger.kept()[0] === 'a 999 0')
  t.ok(ledger.writes.length < 100, `${ledger.writes.length} writes`)
  await broker.close()
})

t.test('what changes while retained messages are sent comes once, and they end', async (t) => {
  const { mqtt } = await brokerBench(t)
  const publisher = await mqtt()
  const publish = (topic: string, payload: string) =>
    publisher.publishAsync(topic, payload, { qos: 1, retain: true })
  const topics = Array.from({ length: 200 }, (_, n) => `a/${n}`)
  await Promise.all(topics.map((topic) => publish(topic, 'old')))
  const reader = await mqtt()
  const heard = listen(reader)
  const changes: Promise<unknown>[] = []
  reader.on('message', (topic, _payload, { retain }) => {
    if (retain && topic !== 'b' && changes.length < 2000)
      changes.push(publish(topic, `${changes.length}`))
  })
  await reader.subscribeAsync('#', { qos: 1 })
  await until(() => changes.length >= topics.length)
  await Promise.all(changes)
  await publish('b', 'last')
  await until(() => heard.includes('b last'))
  t.same(
    heard.filter((line) => line.endsWith(' R')).toSorted(),
    topics.map((topic) => `${topic} old R`).toSorted(),
  )
  t.equal(new Set(heard).size, heard.length, 'nothing twice')
  t.equal(heard.length, 2 * topics.length + 1)
  heard.length = 0
  await reader.subscribeAsync('b', { qos: 1 })
  await until(() => heard.length > 0)
  t.equal(heard[0], 'b last R', 'a later subscription gets what was new to the first')
})

t.test('what a subscriber may not have is not even handed on', async (t) => {
  const store = new RetainedStore({ foreignMessagesMax: 10, foreignBytesMax: 1000 })
  for (const topic of ['a/mine', 'a/other']) {
    store.store({ topic, payload: Buffer.from('x'), qos: 1, isForeign: true })
  }
  const source = {
    owns: () => true,
    match: () => ['b/mine', 'b/other'].map((topic) => ({ topic, payload: Buffer.from('x') })),
    topics: () => [],
  }
  const handedOn: string[] = []
  const client = {
    closed: false,
    deliverQoS({ topic }: { topic: string }, done: () => void) {
      handedOn.push(topic)
      done()
    },
  }
  const mayReceive = ({ topic }: { topic: string }): boolean => topic.endsWith('mine')
  const delivery = new RetainedDelivery(
    client as unknown as BrokerClient,
    store,
    source,
    undefined,
    mayReceive,
  )
  delivery.add([{ topic: '#', qos: 1 }])
  await until(() => handedOn.length >= 2)
  await new Promise(setImmediate)
  t.same(handedOn, ['a/mine', 'b/mine'])
})
