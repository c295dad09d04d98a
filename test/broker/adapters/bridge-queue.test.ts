import fc from 'fast-check'
import t from 'tap'
import { type BridgeMessage, BridgeQueue } from '../../../broker/adapters/bridge-queue.ts'

const message = (topic: string, payload: string, retain = false): BridgeMessage => ({
  ...{ topic, payload: Buffer.from(payload), qos: 1, retain },
})

function all(queue: BridgeQueue): string[] {
  const found: string[] = []
  for (let one = queue.next(); one !== undefined; one = queue.next()) {
    found.push(`${one.topic}=${Buffer.from(one.payload)}`)
  }
  return found
}

t.test('of what is retained the last waits, of all else everything, in order', async (t) => {
  const queue = new BridgeQueue({ messagesMax: 10, bytesMax: 10_000 })
  for (const [topic, payload, retain] of [
    ['state', '1', true],
    ['event', '1', false],
    ['event', '2', false],
    ['state', '2', true],
    ['event', '3', false],
  ] as const) {
    queue.add(message(topic, payload, retain))
  }
  t.same(all(queue), ['event=1', 'event=2', 'state=2', 'event=3'])
  t.equal(queue.bytes, 0)
})

t.test('whatever comes, its bounds hold, and the oldest goes', async (t) => {
  const bounds = { messagesMax: 5, bytesMax: 1500 }
  const sizes = fc.array(fc.tuple(fc.nat(1600), fc.boolean(), fc.nat(3)), { maxLength: 40 })
  fc.assert(
    fc.property(sizes, (messages) => {
      const queue = new BridgeQueue(bounds)
      for (const [bytes, retain, topic] of messages) {
        queue.add(message(`${topic}`, 'x'.repeat(bytes), retain))
        if (queue.size > bounds.messagesMax || queue.bytes > bounds.bytesMax)
          throw new Error('full')
      }
      all(queue)
      if (queue.bytes !== 0 || queue.size !== 0) throw new Error('something is left')
    }),
  )
  const queue = new BridgeQueue(bounds)
  for (let n = 0; n < 7; n++) queue.add(message('event', `${n}`))
  t.same(
    all(queue),
    [2, 3, 4, 5, 6].map((n) => `event=${n}`),
  )
  t.equal(queue.dropped, 2)
})
