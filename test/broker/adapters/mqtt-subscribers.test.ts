import fc from 'fast-check'
import t from 'tap'
import { filterOfShared, isShared } from '../../../broker/adapters/mqtt-share-groups.ts'
import { type Qos, Subscribers } from '../../../broker/adapters/mqtt-subscribers.ts'
import { FilterTrie } from '../../../shared/protocol/filter-trie.ts'
import { filterMatches } from '../../../shared/protocol/topic-filters.ts'
import { check } from '../../support/property.ts'

const level = fc.constantFrom('a', 'b', '', '$x', '__proto__')
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
const filter = fc
  .tuple(
    fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }),
    fc.constantFrom('', '#', 'a'),
  )
  .map(([levels, last]) =>
    (last === '' && levels.length > 0 ? levels : [...levels, last]).join('/'),
  )
  .filter((filter) => filter !== '')
const anyFilter = fc
  .tuple(fc.constantFrom('', '', '$share/g/', '$share/h/'), filter)
  .map(([share, filter]) => share + filter)
const subscriber = fc.constantFrom('one', 'two', 'three')
const change = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constant('set'), subscriber, anyFilter, fc.constantFrom<Qos>(0, 1, 2)),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant('delete'), subscriber, anyFilter, fc.constant<Qos>(0)),
  },
  fc.tuple(fc.constant('clear'), subscriber, filter, fc.constant<Qos>(0)),
)

t.test('each who subscribed is found once, with the highest QoS of its filters', (t) => {
  const changes = fc.array(change, { maxLength: 40 })
  const topics = fc.array(topic, { maxLength: 10 })
  check(
    t,
    fc.property(changes, topics, (changes, topics) => {
      const subscribers = new Subscribers<string>()
      const model = new Map<string, [string, string, Qos]>()
      for (const [what, who, filter, qos] of changes) {
        if (what === 'set') {
          subscribers.set(who, filter, qos)
          model.set(`${who} ${filter}`, [who, filter, qos])
        } else if (what === 'delete') {
          subscribers.delete(who, filter)
          model.delete(`${who} ${filter}`)
        } else {
          subscribers.clear(who)
          for (const [key, [other]] of model) if (other === who) model.delete(key)
        }
      }
      t.equal(subscribers.count, model.size)
      for (const topic of topics) {
        const expected: Record<string, Qos> = {}
        for (const [who, filter, qos] of model.values()) {
          if (filterMatches(filter, topic) && qos >= (expected[who] ?? 0)) expected[who] = qos
        }
        t.same(Object.fromEntries(subscribers.matching(topic)), expected, topic)
        const groups = new Map<string, number>()
        for (const [, name] of model.values()) {
          if (!isShared(name) || !filterMatches(filterOfShared(name)!, topic)) continue
          groups.set(name, (groups.get(name) ?? 0) + 1)
        }
        const found = subscribers
          .groupsFor(topic)
          .map(({ name, size }) => [name.trim(), size] as const)
        t.equal(found.length, groups.size)
        t.same(Object.fromEntries(found), Object.fromEntries(groups), topic)
      }
    }),
    200,
  )
  t.end()
})

t.test('what was taken out leaves nothing behind', (t) => {
  check(
    t,
    fc.property(fc.array(filter, { maxLength: 20 }), topic, (filters, topic) => {
      const trie = new FilterTrie<string>()
      for (const one of filters) trie.set(one, one)
      for (const one of filters) trie.delete(one)
      t.same(trie.matching(topic), [])
      for (const one of filters) t.equal(trie.get(one), undefined)
    }),
  )
  t.end()
})
