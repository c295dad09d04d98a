import t from 'tap'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { EventReader } from '../../support/event-stream.ts'
import { eventually } from '../../support/processes.ts'
import { serve } from '../../support/recorded-http-port.ts'

t.test('retained topics are told decoded, whatever they are written in', async (t) => {
  const { recorded, base } = await serve(t)
  const result = 'obelisk/v1/task/t1/result'
  recorded.retained = [
    { topic: 'a', payload: Buffer.from('{"on":true}') },
    { topic: 'b', payload: Buffer.from('21.5 °C') },
    { topic: result, payload: encodeCbor({ sum: Number.NaN, packed: Uint8Array.of(1, 255) }) },
    { topic: 'c', payload: Buffer.from([0xff, 0xfe]) },
    { topic: 'd', payload: Buffer.alloc(0) },
    { topic: 'e', payload: Buffer.alloc(64 * 1024 + 1, 'x') },
  ]
  const answer = await fetch(`${base}/api/topics?filter=obelisk/v1/%23&limit=7&after=a/b`)
  t.same(await answer.json(), [
    { topic: 'a', bytes: 11, retained: true, kind: 'json', value: { on: true } },
    { topic: 'b', bytes: 8, retained: true, kind: 'text', value: '21.5 °C' },
    {
      ...{ topic: result, bytes: recorded.retained[2]!.payload.length, retained: true },
      ...{ kind: 'cbor', value: { sum: null, packed: 'Af8=' } },
    },
    { topic: 'c', bytes: 2, retained: true, kind: 'bytes', value: '//4=' },
    { topic: 'd', bytes: 0, retained: true, kind: 'empty', value: null },
    { topic: 'e', bytes: 65_537, retained: true },
  ])
  t.same(recorded.calls, [['topics', { filter: 'obelisk/v1/#', limit: 7, after: 'a/b' }]])
})

t.test('a page of large payloads shows some, and measures all', async (t) => {
  const { recorded, base } = await serve(t)
  const payload = Buffer.alloc(60_000, 'x')
  recorded.retained = Array.from({ length: 40 }, (_, n) => ({ topic: `t${n}`, payload }))
  const rows = await (await fetch(`${base}/api/topics`)).json()
  t.equal(rows.length, 40)
  t.equal(rows.filter((row: object) => 'value' in row).length, 17, 'a mebibyte of them')
})

t.test('lists within lists, which nobody could walk through, are shown as text', async (t) => {
  const { recorded, base } = await serve(t)
  const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const tail = await fetch(`${base}/api/topics/live`, { signal: abort.signal })
  const reader = new EventReader(tail.body!)
  await reader.next()
  for (const [levels, kind] of [
    [32, 'json'],
    [33, 'text'],
    [30_000, 'text'],
  ] as const) {
    const message = { topic: 'a', payload: Buffer.from(deep(levels)) }
    recorded.retained = [message]
    t.match(await (await fetch(`${base}/api/topics`)).json(), [{ kind }], `${levels}`)
    for (const listener of recorded.tails) listener({ ...message, retain: false })
    t.match(await reader.next(), { data: { kind } }, `${levels}, as it comes`)
  }
})

t.test('what is no filter, and too much, is said', async (t) => {
  const { base } = await serve(t)
  for (const query of [
    'filter=a%23',
    'filter=',
    'limit=501',
    'limit=0',
    'page=2',
    `after=${'x'.repeat(1025)}`,
  ]) {
    const { status } = await fetch(`${base}/api/topics?${query}`)
    t.equal(status, 400, query)
  }
  for (const query of ['filter=a/%23/b', 'after=a']) {
    t.equal((await fetch(`${base}/api/topics/live?${query}`)).status, 400, query)
  }
})

t.test('twenty messages a second are told, and how many were left out', async (t) => {
  const { recorded, base } = await serve(t)
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const response = await fetch(`${base}/api/topics/live?filter=home/%2B`, { signal: abort.signal })
  const reader = new EventReader(response.body!)
  t.match(await reader.next(), { name: 'opened', data: { filter: 'home/+' } })
  const [listener] = recorded.tails
  const tell = (n: number): void => {
    listener!({ topic: 'home/door', payload: Buffer.from(`{"n":${n}}`), retain: n % 2 === 0 })
  }
  for (let n = 0; n < 50; n++) tell(n)
  for (let n = 0; n < 20; n++) {
    const { name, id, data } = await reader.next()
    t.match(
      { name, id, data },
      { name: 'message', data: { topic: 'home/door', bytes: Number, kind: 'json', value: { n } } },
    )
    t.equal(data.retained, n % 2 === 0)
  }
  t.match(await reader.next(), { name: 'left-out', data: { events: 30 } })
  tell(50)
  t.match(await reader.next(), { data: { value: { n: 50 } } })
  abort.abort()
  await eventually('it is forgotten', () => recorded.tails.size === 0)
})

t.test('a message that many follow is decoded once', async (t) => {
  const { recorded, base } = await serve(t)
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const readers = []
  for (let n = 0; n < 3; n++) {
    const response = await fetch(`${base}/api/topics/live`, { signal: abort.signal })
    const reader = new EventReader(response.body!)
    await reader.next('opened')
    readers.push(reader)
  }
  let looks = 0
  const message = {
    ...{ topic: 'home/door', retain: false },
    get payload() {
      looks += 1
      return Buffer.from('{"n":1}')
    },
  }
  const [first, ...others] = recorded.tails
  first!(message)
  const looksOfOne = looks
  for (const listener of others) listener(message)
  t.equal(looks, looksOfOne)
  for (const reader of readers) t.match(await reader.next(), { data: { value: { n: 1 } } })
})
