import t from 'tap'
import { LatestMap } from '../../../shared/core/latest-map.ts'

t.test('a map of the latest keeps so many, and those that were set last', (t) => {
  const map = new LatestMap<string, number>(2)
  map.set('a', 1).set('b', 2).set('a', 3).set('c', 4)
  t.same(
    [...map],
    [
      ['a', 3],
      ['c', 4],
    ],
  )
  map.delete('a')
  map.set('d', 5)
  t.same([...map.keys()], ['c', 'd'], 'what was taken out leaves room')
  t.end()
})
