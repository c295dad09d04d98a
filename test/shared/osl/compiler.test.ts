/** What the compiler takes, and what it says of what it does not. */
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Field } from '../../../shared/grid/fields.ts'
import { compile } from '../../../shared/osl/compiler.ts'
import { drawProblem, type OslProblem } from '../../../shared/osl/osl-problems.ts'
import { hashOfProgram } from '../../../shared/osl/program.ts'
import { verify } from '../../../shared/osl/verifier.ts'

const FIELDS: readonly Field[] = [
  { name: 'temp', type: 'f64' },
  { name: 'hum', type: 'f32' },
  { name: 'zone', type: 'u8' },
  { name: 'elev', type: 'i32' },
  { name: 'x', type: 'u8' },
  { name: 'let', type: 'u8' },
]
const GOLDEN = new URL('problems.txt', import.meta.url)
const grid = { fields: FIELDS, width: 64 }

function compiled(source: string) {
  const result = compile(source, grid)
  if (!result.ok) throw new Error(result.problems.map((one) => drawProblem(source, one)).join('\n'))
  const sound = verify(result.compiled.program, FIELDS.length)
  if (!sound.ok) throw new Error(sound.message)
  return { ...result.compiled, sound }
}

function problemsOf(source: string): OslProblem[] {
  const result = compile(source, grid)
  return result.ok ? [] : result.problems
}

const hashOf = (source: string): string => hashOfProgram(compiled(source).program)

t.test('glyphs and what is typed give the same bytes', (t) => {
  for (const [typed, drawn] of [
    [
      'temp = temp * 9 / 5 + 32 where status == scaled',
      'temp ← temp × 9 ÷ 5 + 32 where status == scaled',
    ],
    [
      'zone = if not (hum <= 3) and hum != 5 or true then 1 else 2',
      'zone ← if ¬ (hum ≤ 3) ∧ hum ≠ 5 ∨ true then 1 else 2',
    ],
    ['temp = sqrt(abs(temp)) - floor(hum)', 'temp = √⌵temp − ⌊hum'],
    ['temp = max(1, min(temp, 2)) % 3', 'temp = ↥(1, ↧(temp, 2)) ◿ 3'],
    [
      'return a = sum(temp); return b = count(missing(hum)); show c = hash(x, y)',
      'return a = Σ(temp); return b = №(∅(hum)); ▤ c = ⌗(⇢, ⇣)',
    ],
  ] as const) {
    t.equal(hashOf(drawn), hashOf(typed), typed)
  }
  t.end()
})

t.test('lines, comments, brackets and numbers are read as people write them', (t) => {
  const long = 'temp = (temp +\n  1_000 # a thousand\n  + 0x10)\n\n; hum = .5e1'
  t.equal(hashOf(long), hashOf('temp = temp + 1000 + 16; hum = 5'))
  t.equal(hashOf('\ufefftemp = 1\r\nhum = 2\r\n'), hashOf('temp = 1; hum = 2'))
  t.equal(hashOf('temp = -2^2'), hashOf('temp = 0 - 4'))
  t.equal(hashOf('temp = 2 - 3 - 4'), hashOf('temp = -5'))
  t.end()
})

t.test('equal values are one, constants are folded, and what nobody uses is left out', (t) => {
  const shared = compiled(
    'let a = temp * 2 + hum\ntemp = a + (temp * 2 + hum)\nlet unused = sqrt(elev)',
  )
  // field, field, 2, mul, add, add, store.
  t.equal(shared.sound.microglyphs, 7)
  t.strictSame([...compiled('temp = 2 * 3 + 4 / 8').program.pool], [6.5])
  t.strictSame([...compiled('temp = 1 / 0').program.pool], [Number.NaN])
  const { program } = compiled('temp = 1e200^3')
  t.notOk([...program.pool].includes(Number.POSITIVE_INFINITY), 'never to an infinite value')
  t.ok(
    program.pool.every((value) => !Object.is(value, -0)),
    'no −0',
  )
  const unsettled = compiled('temp = sqrt(-1)').program.pool
  t.equal(new DataView(unsettled.buffer).getBigUint64(0, true), 0x7ff8000000000000n, 'one NaN')
  t.end()
})

t.test('parameters have places of their own, wherever they stand', (t) => {
  const { parameters, program } = compiled(
    'return h = histogram(temp, $low, 3, 4); return n = count(temp > $low and hum > $high)',
  )
  t.strictSame([...parameters.keys()].sort(), ['high', 'low'])
  t.equal(parameters.get('low')!.length, 2)
  t.equal(program.pool.length, 5)
  t.strictSame([...compiled('temp = 1; let unused = $k').parameters], [['k', []]])
  t.end()
})

t.test('a field may have the name of a word', (t) => {
  t.not(hashOf('temp = field.x'), hashOf('temp = x'))
  t.strictSame(compiled('field.let = 3; field.x = field.let').sound.stores, [4, 5])
  t.match(problemsOf('let = 3')[0], { code: 'osl-syntax' })
  t.end()
})

t.test('a function sees those above it, and only its own names', (t) => {
  t.equal(hashOf('def f(x, y) = x - y\ntemp = f(hum, 2)'), hashOf('temp = hum - 2'))
  t.equal(
    hashOf('def f(a) = a + 1\ndef g(a) = f(f(a))\ntemp = g(hum)'),
    hashOf('temp = hum + 1 + 1'),
  )
  t.match(problemsOf('def f(a) = f(a) + 1\ntemp = f(1)')[0], {
    code: 'osl-unknown-function',
    message: /a function sees only those above it/,
  })
  t.end()
})

t.test('what grows beyond measure is refused soon', (t) => {
  const doubling = ['def f0(a) = a + temp']
  for (let n = 1; n < 30; n++) doubling.push(`def f${n}(a) = f${n - 1}(f${n - 1}(a))`)
  const deep = ['def d0(a) = a + temp']
  for (let n = 1; n < 900; n++) deep.push(`def d${n}(a)=d${n - 1}(a)`)
  for (const [source, code] of [
    [[...doubling, 'temp = f29(1)'].join('\n'), /osl-too-(large|deep)/],
    [[...deep, 'temp = d899(1)'].join('\n'), /osl-too-(large|deep)/],
    [`temp = ${'('.repeat(10_000)}1`, /osl-too-deep/],
    [`temp = ${'-'.repeat(10_000)}1`, /osl-too-deep/],
    [`temp = ${'not '.repeat(3000)}1`, /osl-too-deep/],
    [`temp = ${'1+'.repeat(8000)}1`, undefined],
    [`temp = ${'temp*x+'.repeat(2000)}1`, /osl-too-large/],
    [`temp = ${Array.from({ length: 300 }, (_, n) => `hum*${n}.5`).join('+')}`, /osl-too-large/],
    [`${'#'.repeat(16 * 1024)}\n`, /osl-too-large/],
    ['return m = mean(temp) by zone; return v = var(temp) by zone', undefined],
    [Array.from({ length: 17 }, (_, n) => `return r${n} = sum(temp)`).join(';'), /osl-too-large/],
    [
      `temp = ${Array.from({ length: 40 }, (_, n) => `(temp + ${n}) * (`).join('')}1${')'.repeat(40)}`,
      /osl-too-many-values|osl-too-deep/,
    ],
  ] as const) {
    const [problem] = problemsOf(source)
    if (code === undefined) t.equal(problem, undefined, source.slice(0, 40))
    else t.match(problem?.code, code, source.slice(0, 40))
  }
  t.end()
})

t.test('neighbours are read before anything is stored', (t) => {
  const { sound } = compiled('temp = temp[-1, 0] + temp[1, 0]\nhum = temp\nzone = zone[0, 1]')
  t.equal(sound.reach, 1)
  t.strictSame(sound.nears, [0, 2])
  t.equal(problemsOf('temp = 1; hum = temp[0, 1]')[0]?.code, 'osl-neighbour-after-write')
  t.equal(problemsOf('temp = hum[5, 0]')[0]?.code, 'osl-radius')
  t.equal(problemsOf('temp = hum[0.5, 0]')[0]?.code, 'osl-radius')
  t.end()
})

/** `UPDATE=1` writes it anew: read the diff. As a terminal shows them; each statement's first, in their order. */
t.test('problems say what is wrong, where, and what may have been meant', (t) => {
  const drawn = (source: string): string =>
    problemsOf(source)
      .map((problem) => `${problem.code} ${drawProblem(source, problem)}`)
      .join('\n')
  const found = Buffer.from(
    [
      ...['temp = tempp + 1', 'temp = temp + (hum > 3)', 'temp = 1 where hum', 'tmep = 1'],
      ...[
        'temp = sqr(3)',
        'temp = sqrt(1, 2)',
        'temp = min(hum)',
        'temp = mean(hum)',
        'temp = min',
      ],
      ...['return m = mean(temp) by hum', 'return h = top(temp, 3) by zone'],
      ...['return m = mean(temp) by zon', 'return m = mean(temp) by', 'show m = temp by zone'],
      ...['return m = men(temp)', 'return h = histogram(temp, 0, 10)', 'return t = top(temp, hum)'],
      ...[
        'return m = mean(temp); temp = 1',
        '',
        '# nothing',
        'let a = 3',
        'let temp = 3',
        'let x = 3',
      ],
      ...[
        'temp = 3 4',
        'temp = (3 + 4',
        'temp = 3)',
        'temp == 3',
        'temp = 1 where hum = 3',
        'temp =',
      ],
      ...[
        'temp = a < b < c',
        'temp = 1__0',
        'temp = 0x',
        'temp = 1e999',
        'temp = 3px',
        'temp = hum^1.5',
      ],
      ...[
        'temp = @',
        'temp = \ud800',
        'temp = $',
        'temp = "hot"',
        'if hum then temp',
        'temp = if hum > 1 then 2',
      ],
      ...[
        'nodata zone -1',
        'nodata status 0',
        'temp = look(hum, 1)',
        'table t = [1]; temp = t',
        'temp = hum[1]',
      ],
      ...[
        'return a = sum(temp); return a = sum(hum)',
        'def f(a, a) = a',
        'def f(a) = a; temp = f()',
      ],
      ...[
        'let broken = tempp * 2\ntemp = broken + 1\nhum = broken',
        'let broken = (\ntemp = broken',
      ],
      ...['temp += 1', 'for i in x', 'var a = 3', 'print temp', 'show temp', 'return mean(temp)'],
      ...['return m = temp', 'zone = 1 if hum > 3 else 2', 'temp = 1,5', 'temp = hum ** 2'],
      ...['return c = count(*)', 'temp = look([1, 2], 0)', 'temp = hum > 3 ? 1 : 2', 'temp = !x'],
      ...['temp = ln(hum)', 'temp = log10(hum)', 'temp = nope(1)', 'temp = null', 'a = 3'],
      ...['temp = hum && zone', 'temp := 3', 'return h = histogram(temp, 5, 1, 3)', 'temp = b'],
      ...[
        `temp = ${'temp + '.repeat(40)}tmp${' + temp'.repeat(40)}`,
        `${'temp = 1; '.repeat(20)}hum`,
      ],
      ...['temp = 1; temp = €; hum = 2; zone = nope', '   temp = 😀 + tempp', 'where temp > 3'],
    ]
      .map(drawn)
      .join('\n\n'),
  ).toString()
  if (process.env.UPDATE !== undefined) writeFileSync(GOLDEN, `${found}\n`)
  t.equal(`${found}\n`, readFileSync(GOLDEN, 'utf8'))
  const many = Array.from({ length: 100 }, () => 'temp = nope').join('\n')
  t.equal(problemsOf(many).length, 32)
  t.end()
})
