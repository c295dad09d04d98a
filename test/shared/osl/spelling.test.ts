/** A program with glyphs and as it is typed: the same bytes, and the same text there and back. */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import type { Field } from '../../../shared/grid/fields.ts'
import { compile } from '../../../shared/osl/compiler.ts'
import type { OslProblem } from '../../../shared/osl/osl-problems.ts'
import { hashOfProgram } from '../../../shared/osl/program.ts'
import { type Spelling, spell } from '../../../shared/osl/spelling.ts'
import { OSL_FIELDS, ProgramWriter } from '../../support/osl-programs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/shared/osl/spelling.test.ts`)

const NAMES = ['x', 'y', 'sqrt', 'count', 'sum', 'field']
const FIELDS = [...OSL_FIELDS, ...NAMES.map((name) => ({ name, type: 'f64' as const }))]

function spelled(source: string, spelling: Spelling): string {
  const problems: OslProblem[] = []
  const text = spell(source, spelling, problems)
  if (problems.length > 0) throw new Error(problems[0]!.message)
  return text
}

function hashOf(source: string, fields: readonly Field[] = FIELDS): string {
  const result = compile(source, { fields, width: 64 })
  return result.ok ? hashOfProgram(result.compiled.program) : result.problems[0]!.message
}

t.test('glyphs stand for operators, words and functions, and nothing else changes', (t) => {
  for (const [typed, drawn] of [
    [
      '# a * b\r\na = (a * 9 / 5) + 32 where status == scaled  # c <= 3\n\n',
      '# a * b\r\na ← (a × 9 ÷ 5) + 32 where status == scaled  # c <= 3\n\n',
    ],
    ['a = -b % 3 - 2^2', 'a ← −b ◿ 3 − 2^2'],
    [
      'c = if not (b <= 3) and b != 5 or true then 1 else 2',
      'c ← if ¬ (b ≤ 3) ∧ b ≠ 5 ∨ true then 1 else 2',
    ],
    ['show s = hash(x, y); return n = count(missing(a))', '▤ s ← ⌗(⇢, ⇣); return n ← №(∅(a))'],
    ['a = sqrt abs b - max(1, 2)', 'a ← √ ⌵ b − ↥(1, 2)'],
    ['table t = [-1, 2]; a = look(t, 0)', 'table t ← [−1, 2]; a ← ⌷(t, 0)'],
    ['nodata e -9999; e = field.x', 'nodata e −9999; e ← field.x'],
  ] as const) {
    t.equal(spelled(typed, 'glyphs'), drawn)
    t.equal(spelled(drawn, 'ascii'), typed)
    t.equal(hashOf(drawn, OSL_FIELDS), hashOf(typed, OSL_FIELDS), typed)
  }
  t.end()
})

t.test('names of its own and of fields stay words', (t) => {
  for (const [typed, drawn] of [
    ['def f(x, y) = x * y\na = f(b, 2)', 'def f(x, y) ← x × y\na ← f(b, 2)'],
    ['let count = 3\nreturn sum = sum(count)', 'let count ← 3\nreturn sum ← Σ(count)'],
  ] as const) {
    t.equal(spelled(typed, 'glyphs'), drawn)
    t.equal(spelled(drawn, 'ascii'), typed)
  }
  t.equal(spelled('sum = count', 'glyphs'), 'sum ← count')
  t.equal(hashOf('sum ← count'), hashOf('sum = count'))
  t.end()
})

t.test('a glyph that touches a name becomes a word of its own', (t) => {
  t.equal(spelled('a←b∧3∨¬c', 'ascii'), 'a=b and 3 or not c')
  t.equal(spelled('a←√b×√.5+⌊$k', 'ascii'), 'a=sqrt b*sqrt .5+floor $k')
  t.equal(spelled('a←⇢⌗', 'ascii'), 'a=x hash')
  t.end()
})

t.test('what means nothing is told, with its place', (t) => {
  const problems: OslProblem[] = []
  spell('a = 1\na = €', 'glyphs', problems)
  t.match(problems, [{ code: 'osl-character', span: { at: 10, length: 1 } }])
  t.end()
})

t.test('any program is the same in both spellings', (t) => {
  const random = new Random(seed)
  let drawn = 0
  for (let index = 0; index < 2000; index++) {
    const writer = new ProgramWriter(random, { reach: 1 })
    const source = random.integer(2) === 0 ? writer.read() : writer.write()
    const glyphs = spelled(source, 'glyphs')
    if (glyphs !== source) drawn++
    const isSame =
      spelled(glyphs, 'ascii') === spelled(source, 'ascii') &&
      spelled(glyphs, 'glyphs') === glyphs &&
      hashOf(glyphs, OSL_FIELDS) === hashOf(source, OSL_FIELDS)
    if (!isSame) {
      t.fail('the spellings differ', { source, glyphs })
      break
    }
  }
  t.ok(drawn > 1900)
  t.end()
})
