import t from 'tap'
import { count } from '../../../shared/core/count.ts'

t.test('one is one, and nothing is many', (t) => {
  t.same(
    [0, 1, 2].map((number) => count(number, 'node')),
    ['0 nodes', '1 node', '2 nodes'],
  )
  t.end()
})
