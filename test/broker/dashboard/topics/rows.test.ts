import t from 'tap'
import {
  isCut,
  previewOf,
  TAIL_KEPT,
  type TopicRow,
  wholeOf,
  withNewest,
} from '../../../../broker/dashboard/topics/rows.ts'

const row = (more: Partial<TopicRow>): TopicRow => ({
  ...{ topic: 'a', bytes: 1, retained: true, kind: 'json' },
  ...more,
})

t.test('a message is shown on one line, and what is cut off can be had', async (t) => {
  t.equal(previewOf(row({ kind: 'empty' })), 'empty')
  t.equal(previewOf(row({ kind: 'cbor' })), 'too large to be shown')
  t.equal(previewOf(row({ kind: 'text', value: 'a\n  b' })), 'a b')
  t.equal(previewOf(row({ value: { a: [1] } })), '{"a":[1]}')
  const long = row({ kind: 'text', value: 'x'.repeat(200) })
  t.equal(previewOf(long).length, 121)
  t.ok(isCut(long))
  t.equal(wholeOf(long).length, 200)
  t.ok(isCut(row({ value: { a: 1 } })))
  t.equal(wholeOf(row({ value: { a: 1 } })), '{\n  "a": 1\n}')
  for (const value of [5, null, 'text', undefined, {}]) t.notOk(isCut(row({ value })))
})

t.test('of what is published the newest are kept', async (t) => {
  let tail: readonly TopicRow[] = []
  for (let ts = 1; ts <= TAIL_KEPT + 5; ts++) tail = withNewest(tail, row({ ts }))
  t.equal(tail.length, TAIL_KEPT)
  t.equal(tail[0]!.ts, TAIL_KEPT + 5)
})
