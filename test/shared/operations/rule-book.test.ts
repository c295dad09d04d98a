/** The rule book from outside: what is taken, and what is said of what is not. */
import fc from 'fast-check'
import t from 'tap'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { programOf } from '../../../shared/operations/osl-program.ts'
import {
  argsOfBook,
  bookOfArgs,
  parseRuleBook,
  RULES_MAX,
} from '../../../shared/operations/rule-book.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'

const GRID = {
  geometry: new Geometry({ width: 64, height: 32, tile: 16 }),
  fields: [
    { name: 'temp', type: 'f64' },
    { name: 'hum', type: 'f32' },
  ],
} as const
const LIMITS = { bytesMax: 2 ** 20, depthMax: 16, itemsMax: 10_000 }

const rule = (when: string, more: object = {}) => ({ name: 'hot', when, message: 'hot', ...more })
const problemsOf = (input: unknown) => {
  const parsed = parseRuleBook(input, GRID)
  return parsed.ok ? [] : parsed.problems
}
const problemOf = (when: string) => problemsOf({ rules: [rule(when)] })[0]

t.test('conditions become programs that count, and go to boards as they are', (t) => {
  const over = { x: 16, y: 0, w: 20, h: 32 }
  const input = {
    rules: [rule('temp > 30 and status == scaled'), rule('hum < 0.2', { name: 'dry', over })],
    if_version: 3,
  }
  const parsed = parseRuleBook(input, GRID)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  const { rules, ifVersion } = parsed.value
  t.equal(ifVersion, 3)
  t.match(rules, [{ name: 'hot', when: 'temp > 30 and status == scaled' }, { over }])
  const sent = decodeCbor(encodeCbor(argsOfBook(4, rules)), LIMITS)
  const book = bookOfArgs((sent as { value: Record<string, unknown> }).value, GRID)
  t.equal(book.version, 4)
  t.same(
    book.rules.map((one) => one.over),
    [undefined, over],
  )
  t.same(book.rules[1]!.program.sound.loads, [1])
  t.end()
})

t.test('a problem says in which condition it is, and where there', (t) => {
  t.match(problemOf('tempp > 30'), {
    ...{ path: 'rules[0].when', code: 'osl-unknown-name', line: 1, column: 1, length: 5 },
    hint: 'did you mean "temp"?',
  })
  t.match(problemOf('temp > 30 and\n  humm < 1'), { line: 2, column: 3 })
  t.match(problemOf('temp + 1'), { path: 'rules[0].when', code: 'osl-type' })
  t.match(problemOf(''), { path: 'rules[0].when', code: 'osl-syntax', line: 1 })
  t.match(problemOf('temp >'), { code: 'osl-syntax' })
  t.match(problemOf('temp > $limit'), { code: 'osl-unknown-name', column: 8, length: 6 })
  t.match(problemOf('temp[1,0] > 3'), { code: 'osl-radius' })
  t.end()
})

t.test('a condition cannot end before its end', (t) => {
  t.match(problemOf('temp > 1) where (hum > 1'), { code: 'osl-syntax', column: 9 })
  t.match(problemOf('temp > 1)\ntemp = (3'), { code: 'osl-syntax', column: 9 })
  t.match(problemOf('temp > (1'), { code: 'osl-syntax', column: 8 })
  t.match(problemOf('temp > 1; temp = 3'), { path: 'rules[0].when' })
  t.same(problemsOf({ rules: [rule('temp > 1 # ) is no bracket')] }), [])
  t.end()
})

t.test('every problem of a book is named at once', (t) => {
  const over = { x: 60, y: 0, w: 20, h: 3 }
  t.match(problemsOf({ rules: [rule('x'), rule('temp > 3', { over })] }), [
    { path: 'rules[0].when', code: 'osl-type' },
    { path: 'rules[1].name', code: 'duplicate' },
    { path: 'rules[1].over', code: 'outside-grid' },
  ])
  t.match(problemsOf({ rules: [{ name: 'a/b', when: 'true' }], more: 1 }), [
    { path: 'rules[0].name' },
    { path: 'rules[0].message', code: 'missing' },
    { path: 'more', code: 'unknown-key' },
  ])
  t.match(problemsOf(undefined), [{ path: '' }])
  const many = Array.from({ length: RULES_MAX + 1 }, (_, at) => rule('true', { name: `r${at}` }))
  t.match(problemsOf({ rules: many }), [{ path: 'rules', message: /at most 32 rules/ }])
  let long = 'temp'
  for (let at = 0; at < 50; at++) long = `(${long} % ${at + 0.5})`
  const books = many.slice(1).map((one) => ({ ...one, when: `${long} > 1` }))
  t.match(problemsOf({ rules: books }), [{ path: 'rules', code: 'too-large' }])
  t.end()
})

t.test('whatever text a condition is, it is a program that counts, or problems inside it', (t) => {
  const pieces = ['temp', 'hum', '>', '3', '(', ')', '[', ',', ';', '\n', ' ', 'where', 'and', '#']
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 20 }), (parts) => {
      const when = parts.join('')
      const parsed = parseRuleBook({ rules: [rule(when)] }, GRID)
      if (!parsed.ok) {
        const lines = when.split('\n')
        return parsed.problems.every(({ line = 1, column = 1 }) => {
          return column <= (lines[line - 1] ?? '').length + 1
        })
      }
      const { sound, program } = programOf(parsed.value.rules[0]!.program, GRID.fields.length)
      return sound.kind === 'read' && program.outputs.length === 1
    }),
  )
  t.end()
})

t.test('a board takes no book that was not made here', (t) => {
  const parsed = parseRuleBook({ rules: [rule('temp > 3')] }, GRID)
  const { rules } = (parsed as { value: { rules: Parameters<typeof argsOfBook>[1] } }).value
  const args = argsOfBook(1, rules) as { version: number; rules: Record<string, unknown>[] }
  const [one] = args.rules
  t.throws(() => bookOfArgs({ ...args, version: 'x' }, GRID), /no rule book/)
  const cut = { ...one, code: (one!.code as Uint8Array).subarray(8) }
  t.throws(() => bookOfArgs({ ...args, rules: [cut] }, GRID))
  const outputs = [{ name: 'n', kind: 'any', slot: 0 }]
  t.throws(() => bookOfArgs({ ...args, rules: [{ ...one, outputs }] }, GRID), /counts nothing/)
  const far = { ...one, over: [60, 0, 20, 1] }
  t.throws(() => bookOfArgs({ ...args, rules: [far] }, GRID), /not in the grid/)
  t.end()
})
