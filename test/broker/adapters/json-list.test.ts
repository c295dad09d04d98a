import t from 'tap'
import { listText } from '../../../broker/adapters/json-list.ts'
import { inTurns, slicesOf } from '../../../broker/adapters/turns.ts'
import { toJsonText } from '../../../shared/protocol/json-text.ts'

t.test('a list is the same text whatever slices it is made in', async (t) => {
  const rows = [{ id: 'a', bytes: Uint8Array.of(1, 2) }, [Number.NaN, 7n], 'x,]', null, {}]
  for (const count of [0, 1, 2, 3, 5, 6]) {
    const some = rows.slice(0, count)
    for (const each of [1, 2, 5, 9]) {
      t.equal(await inTurns(listText(slicesOf(some, each))), toJsonText(some))
    }
  }
})

t.test('others have their turns between two slices', (t) => {
  const slices = listText(slicesOf(Array.from({ length: 10 }).fill(1), 4))
  t.same([slices.next().done, slices.next().done, slices.next().done], [false, false, true])
  t.end()
})
