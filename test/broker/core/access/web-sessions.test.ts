import t from 'tap'
import { WebSessions } from '../../../../broker/core/access/web-sessions.ts'

const HOUR = 3_600_000
const anna = { user: 'anna' }

t.test('a session lives twelve hours, and one without use', (t) => {
  const sessions = new WebSessions()
  sessions.begin(0, 'a', anna)
  sessions.begin(0, 'b', { user: 'bert', token: 'abcdefgh' })
  for (let hour = 0.9; hour < 12; hour += 0.9) t.same(sessions.use(hour * HOUR, 'a'), anna)
  t.equal(sessions.use(12 * HOUR, 'a'), undefined)
  t.equal(sessions.use(HOUR - 1, 'a'), undefined, 'it does not come back')
  t.equal(sessions.use(HOUR, 'b'), undefined)
  t.equal(sessions.size, 0)
  t.end()
})

t.test('those that are over go by themselves', (t) => {
  const sessions = new WebSessions()
  sessions.begin(0, 'a', anna)
  sessions.begin(1, 'b', anna)
  t.same(sessions.endOver(HOUR - 1), [])
  t.same(sessions.endOver(HOUR), ['a'])
  t.same(sessions.endOver(HOUR + 1), ['b'])
  t.end()
})

t.test('the one that was not used for longest makes room', (t) => {
  const sessions = new WebSessions()
  for (let n = 0; n < 256; n++) t.equal(sessions.begin(n, `s${n}`, anna), undefined)
  sessions.use(300, 's0')
  t.equal(sessions.begin(301, 'new', anna), 's1')
  t.same(sessions.use(302, 's0'), anna)
  t.equal(sessions.use(302, 's1'), undefined)
  t.equal(sessions.size, 256)
  t.end()
})

t.test('nobody puts others out by logging in often', (t) => {
  const sessions = new WebSessions()
  sessions.begin(0, 'boss', { user: 'boss' })
  for (let n = 0; n < 1000; n++) sessions.begin(1 + n, `s${n}`, anna)
  t.same(sessions.use(1001, 'boss'), { user: 'boss' })
  t.equal(sessions.size, 256)
  t.end()
})

t.test('all of a user end together, and no other', (t) => {
  const sessions = new WebSessions()
  sessions.begin(0, 'a', anna)
  sessions.begin(0, 'b', { user: 'bert' })
  sessions.begin(0, 'c', anna)
  t.same(sessions.endOf('anna'), ['a', 'c'])
  t.same(sessions.endOf('anna'), [])
  t.same(sessions.use(1, 'b'), { user: 'bert' })
  t.ok(sessions.end('b'))
  t.notOk(sessions.end('b'))
  t.end()
})
