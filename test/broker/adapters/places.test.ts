import t from 'tap'
import { Places } from '../../../broker/adapters/places.ts'
import { ANYONE, type Principal } from '../../../shared/protocol/access.ts'

const user = (name: string): Principal => ({ kind: 'user', name, roles: ['viewer'], topics: [] })

t.test('one user has half of the places, and all have no more than there are', (t) => {
  const places = new Places(5)
  const leave = [1, 2, 3].map(() => places.take(user('eve')))
  t.notOk(places.hasRoom(user('eve')))
  t.ok(places.hasRoom(user('ann')))
  places.take(user('ann'))
  places.take(user('bob'))
  t.notOk(places.hasRoom(user('zoe')), 'all are taken')
  leave[0]!()
  leave[0]!()
  t.ok(places.hasRoom(user('zoe')), 'one was given back, once')
  t.ok(places.hasRoom(user('eve')))
  places.take(user('zoe'))
  t.notOk(places.hasRoom(user('ann')))
  t.end()
})

t.test('where nobody is asked who he is, everybody has all of them', (t) => {
  const places = new Places(2)
  places.take(ANYONE)
  t.ok(places.hasRoom(ANYONE))
  places.take(ANYONE)
  t.notOk(places.hasRoom(ANYONE))
  t.end()
})
