import fc from 'fast-check'
import t from 'tap'
import { formatRoute, parseRoute } from '../../../broker/dashboard/route.ts'
import { check } from '../../support/property.ts'

t.test('an address says the view, what is open in it, and how it is looked at', async (t) => {
  t.same(parseRoute(''), { view: '', query: {} })
  t.same(parseRoute('#fleet'), { view: 'fleet', query: {} })
  t.same(parseRoute('#fleet/edge-1?troubles=1&find=a%20b'), {
    view: 'fleet',
    item: 'edge-1',
    query: { troubles: '1', find: 'a b' },
  })
  t.same(parseRoute('#tasks/'), { view: 'tasks', query: {} })
  t.same(parseRoute('#tasks/%E0%A4%A'), { view: 'tasks', item: '%E0%A4%A', query: {} })
})

t.test('what is written is read again', async (t) => {
  const text = fc.string({ minLength: 1, unit: 'grapheme' })
  const query = fc.dictionary(text, text)
  check(
    t,
    fc.property(fc.constantFrom('fleet', 'tasks'), fc.option(text), query, (view, item, query) => {
      const named = item === null ? {} : { item: `${item}` }
      const route = { view, ...named, query: { ...query } }
      return JSON.stringify(parseRoute(formatRoute(route))) === JSON.stringify(route)
    }),
  )
  t.equal(formatRoute({ view: 'fleet', query: { find: '' } }), '#fleet', 'nothing is left out')
})
