import fc from 'fast-check'
import t from 'tap'
import { formatPointer, parsePointer, valueAt } from '../../../shared/core/json-pointer.ts'
import { check } from '../../support/property.ts'

const at = (document: unknown, pointer: string): unknown => {
  const parsed = parsePointer(pointer)
  return parsed === undefined ? 'no pointer' : valueAt(document, parsed)
}

t.test('the examples of RFC 6901, section 5', (t) => {
  const document = JSON.parse(
    '{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\\\j":5,"k\\"l":6," ":7,"m~n":8}',
  )
  const examples: readonly [string, unknown][] = [
    ['', document],
    ['/foo', ['bar', 'baz']],
    ['/foo/0', 'bar'],
    ['/', 0],
    ['/a~1b', 1],
    ['/c%d', 2],
    ['/e^f', 3],
    ['/g|h', 4],
    ['/i\\j', 5],
    ['/k"l', 6],
    ['/ ', 7],
    ['/m~0n', 8],
  ]
  for (const [pointer, value] of examples) t.same(at(document, pointer), value, pointer)
  t.end()
})

t.test('what is no pointer is none', (t) => {
  for (const text of ['foo', ' /foo', '#/foo', '/~', '/~2', '/a~', '/~~0', '$.foo']) {
    t.equal(parsePointer(text), undefined, text)
  }
  t.end()
})

t.test('places in a list are numbers without a zero before them', (t) => {
  const list = { list: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] }
  t.equal(at(list, '/list/10'), 11)
  for (const place of ['11', '01', '00', '-', '-1', '1.0', '1e0', '+1', ' 1', '', 'length']) {
    t.equal(at(list, `/list/${place}`), undefined, place)
  }
  t.equal(at(list, `/list/${'9'.repeat(40)}`), undefined)
  t.end()
})

t.test('~01 is ~1, and no slash', (t) => {
  t.equal(at({ '~1': 'tilde', '/': 'slash' }, '/~01'), 'tilde')
  t.equal(at({ '~1': 'tilde', '/': 'slash' }, '/~1'), 'slash')
  t.end()
})

t.test('own members alone are found', (t) => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'at']) {
    for (const document of [{}, [], 'text', 1, true, null]) {
      t.equal(at(document, `/${name}`), undefined, `${name} of ${JSON.stringify(document)}`)
      t.equal(at(document, `/${name}/name`), undefined)
    }
  }
  t.equal(
    at(JSON.parse('{"__proto__":{"x":1}}'), '/__proto__/x'),
    1,
    'a member of that name is one',
  )
  t.equal(at('text', '/0'), undefined, 'a text has no parts')
  t.end()
})

t.test('every path of a document leads to what stands there', (t) => {
  check(
    t,
    fc.property(fc.jsonValue({ maxDepth: 4 }), (given) => {
      const document = JSON.parse(JSON.stringify(given))
      for (const [path, value] of pathsOf(document)) {
        const text = formatPointer(path)
        if (JSON.stringify(parsePointer(text)) !== JSON.stringify(path)) return false
        if (at(document, text) !== value) return false
      }
      return true
    }),
    300,
  )
  t.end()
})

function* pathsOf(
  value: unknown,
  path: readonly string[] = [],
): Iterable<[readonly string[], unknown]> {
  yield [path, value]
  if (typeof value !== 'object' || value === null) return
  for (const [key, part] of Object.entries(value)) yield* pathsOf(part, [...path, key])
}
