import fc from 'fast-check'
import t from 'tap'
import { commonFilter, filterMatches, isFilter } from '../../../shared/protocol/topic-filters.ts'
import { check } from '../../support/property.ts'

const LEVELS = ['a', 'b', '', '$x']
const levels = fc.array(fc.constantFrom(...LEVELS), { minLength: 1, maxLength: 3 })
const topics = levels.map((list) => list.join('/')).filter((topic) => topic !== '')
const filters = fc
  .tuple(fc.array(fc.constantFrom(...LEVELS, '+'), { maxLength: 3 }), fc.boolean())
  .map(([list, isOpen]) => [...list, ...(isOpen ? ['#'] : [])].join('/'))
  .filter((filter) => filter !== '')

t.test('what two filters have in common is what both match', (t) => {
  const law = fc.property(filters, filters, topics, (one, other, topic) => {
    const both = commonFilter(one, other)
    const isCommon = both !== undefined && filterMatches(both, topic)
    return isCommon === (filterMatches(one, topic) && filterMatches(other, topic))
  })
  check(t, law, 5000)
  t.end()
})

t.test('there is nothing where there is nothing in common', (t) => {
  t.equal(commonFilter('a/+', 'a'), undefined)
  t.equal(commonFilter('#', '$SYS/a'), undefined)
  t.equal(commonFilter('a/b', 'a/c'), undefined)
  t.equal(commonFilter('a/#', 'a'), 'a')
  t.equal(commonFilter('+/b/#', 'a/+'), 'a/b')
  t.end()
})

t.test('a filter has its wildcards where they stand for levels', (t) => {
  for (const text of ['a', '#', '+', 'a/+/b', 'a/#', '/', '+/#']) t.ok(isFilter(text), text)
  for (const text of ['', 'a#', 'a/#/b', '+a', 'a/b+', 'a\0']) t.notOk(isFilter(text), text)
  t.end()
})
