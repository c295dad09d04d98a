/**
 * The verifier's rules, a case each, from a program that is sound; and each rule left out of it in turn, which the same
 * cases must notice.
 */
import t from 'tap'
import type { Field } from '../../../shared/grid/fields.ts'
import { BY_CLASS_COST, FIRST_COLUMN, GLYPHS, numberOf, STATUS } from '../../../shared/osl/codex.ts'
import { compile } from '../../../shared/osl/compiler.ts'
import {
  encodeMicroglyphs,
  type Microglyph,
  microglyphAt,
  type Program,
} from '../../../shared/osl/program.ts'
import * as shipped from '../../../shared/osl/verifier.ts'
import { loadEdited } from '../../support/mutated-programs.ts'

const FIELDS: readonly Field[] = [
  { name: 'a', type: 'f64' },
  { name: 'b', type: 'u8' },
]
/** That come with the cells. */
const COLUMNS = 1

function programOf(source: string): Program {
  const result = compile(source, { fields: FIELDS, width: 32 })
  if (!result.ok) throw new Error(result.problems[0]!.message)
  return result.compiled.program
}

/** The program with its first microglyph of that glyph changed. */
function changed(program: Program, glyph: string, change: Partial<Microglyph>): Program {
  const all = Array.from({ length: program.code.length / 8 }, (_, at) =>
    microglyphAt(program.code, at),
  )
  const at = all.findIndex((one) => one.glyph === numberOf(glyph))
  all[at] = { ...all[at]!, ...change }
  return { ...program, code: encodeMicroglyphs(all) }
}

function without(program: Program, glyph: string): Program {
  const all = Array.from({ length: program.code.length / 8 }, (_, at) =>
    microglyphAt(program.code, at),
  )
  return { ...program, code: encodeMicroglyphs(all.filter((one) => one.glyph !== numberOf(glyph))) }
}

function joined(...programs: Program[]): Program {
  return {
    ...programs[0]!,
    code: Buffer.concat(programs.map(({ code }) => code)),
    outputs: programs.flatMap(({ outputs }) => outputs),
  }
}

const write = programOf('a = (a + 2) * b where b > 1')
const near = programOf('a = b[-1, 2] + 1')
const read = programOf(
  'return m = mean(a); return n = count(a > 1); return h = histogram(a, 0, 5, 4); return t = top(b, 3)',
)
const byClass = programOf('return m = mean(a) by b where a > 1; return n = count(a > 1) by b')
const plain = programOf('return m = mean(a * 3 + 2)')
const looked = programOf('table s = [1, 2, 3]\na = look(s, b)')
const negativeNan = new Float64Array(new BigUint64Array([0xfff8000000000000n]).buffer)

const SOUND: readonly Program[] = [
  write,
  near,
  read,
  byClass,
  looked,
  programOf('show s = x + y'),
  programOf('status = scaled'),
]

/** What is wrong, the program, and what of the verifier says so: left out, the case must be noticed. */
const CASES: readonly (readonly [
  what: string,
  program: Program,
  rule: { from: string; to: string },
])[] = [
  ['no microglyphs', { ...write, code: new Uint8Array(0) }, { from: 'count === 0 || ', to: '' }],
  [
    'half a microglyph',
    { ...write, code: write.code.subarray(1) },
    { from: ' || !Number.isInteger(count)', to: '' },
  ],
  [
    'too many microglyphs',
    joined(write, { ...write, code: Buffer.concat(Array.from({ length: 80 }, () => write.code)) }),
    { from: 'count > MICROGLYPHS_MAX', to: 'false' },
  ],
  [
    'too many constants',
    { ...write, pool: new Float64Array(256) },
    { from: 'pool.length > POOL_MAX', to: 'false' },
  ],
  [
    'an infinite constant',
    { ...write, pool: write.pool.map(() => Number.POSITIVE_INFINITY) },
    { from: 'low !== NAN_LOW || high !== NAN_HIGH', to: 'false' },
  ],
  [
    'another NaN',
    { ...write, pool: new Float64Array([negativeNan[0]!, 1, 2]) },
    { from: 'low !== NAN_LOW || high !== NAN_HIGH', to: 'value === value' },
  ],
  [
    '−0',
    { ...write, pool: write.pool.map(() => -0) },
    { from: 'low === 0 && high === NEGATIVE_ZERO_HIGH', to: 'false' },
  ],
  ['glyph 0', changed(write, 'mul', { glyph: 0 }), { from: ' || SHAPES[shape + 5] === 0', to: '' }],
  [
    'the glyph of an operation',
    changed(write, 'mul', { glyph: 37 }),
    { from: ' || SHAPES[shape + 5] === 0', to: '' },
  ],
  [
    'a glyph that is none',
    changed(write, 'mul', { glyph: GLYPHS.at(-1)!.number + 1 }),
    { from: 'glyph > LAST || ', to: '' },
  ],
  [
    'a number that was not set',
    changed(write, 'mul', { a: 29 }),
    {
      from: 'return register < NUMBER_REGISTERS && ((this.#numbers >>> register) & 1) === 1',
      to: 'return register < NUMBER_REGISTERS',
    },
  ],
  [
    'a condition that was not set',
    changed(write, 'store', { b: 77 }),
    { from: ' && ((this.#conditions >>> index) & 1) === 1', to: '' },
  ],
  [
    'a condition in place of a number',
    changed(write, 'mul', { a: 64 }),
    { from: 'register < NUMBER_REGISTERS && ', to: '' },
  ],
  [
    'a byte that means nothing',
    changed(write, 'mul', { c: 0 }),
    { from: 'register !== NONE && !hasOwnByte(operandKind, slot)', to: 'false' },
  ],
  [
    'an operand that means nothing',
    changed(write, 'mul', { operand: 1 }),
    { from: "operand === 0 ? undefined : 'an operand that means nothing'", to: 'undefined' },
  ],
  [
    'a result where there is none',
    changed(write, 'store', { result: 0 }),
    { from: "register === NONE ? undefined : 'it has no result'", to: 'undefined' },
  ],
  [
    'no register for a number',
    changed(write, 'mul', { result: 32 }),
    { from: 'register >= NUMBER_REGISTERS', to: 'false' },
  ],
  [
    'no register for a condition',
    changed(write, 'lt', { result: 80 }),
    { from: 'index < 0 || index >= CONDITION_REGISTERS) return', to: 'false) return' },
  ],
  [
    'a field that is none',
    changed(write, 'field', { operand: 2 }),
    { from: 'operand >= this.#fields && !this.#isOther(operand, glyph)', to: 'false' },
  ],
  [
    'a column that is none',
    changed(write, 'field', { operand: FIRST_COLUMN + COLUMNS }),
    { from: 'operand < FIRST_COLUMN + this.#columns', to: 'true' },
  ],
  [
    'a store to a column',
    changed(write, 'store', { operand: FIRST_COLUMN }),
    { from: 'glyph !== STORE && ', to: '' },
  ],
  [
    'the neighbour of a field that is none',
    changed(near, 'near', { operand: STATUS }),
    { from: 'field >= this.#fields', to: 'false' },
  ],
  [
    'a neighbour too far away',
    changed(near, 'near', { a: 133 }),
    { from: 'reach > REACH_MAX', to: 'false' },
  ],
  [
    'a neighbour after a store',
    joined(write, near),
    { from: 'this.#stores.size > 0) return', to: 'false) return' },
  ],
  [
    'a constant beyond the pool',
    changed(write, 'const', { operand: 9 }),
    { from: 'operand < this.#pool.length ?', to: 'true ?' },
  ],
  [
    'a table beyond the pool',
    changed(looked, 'look', { b: 4 }),
    { from: ' && operand + length <= this.#pool.length', to: '' },
  ],
  ['an empty table', changed(looked, 'look', { b: 0 }), { from: 'length > 0 && ', to: '' }],
  [
    'an output that is none',
    changed(read, 'top', { operand: 4 }),
    { from: 'this.#outputs[slot]?.slot !== slot', to: 'false' },
  ],
  [
    'an output twice',
    joined(read, { ...read, outputs: [] }),
    { from: 'this.#givers.has(slot)', to: 'false' },
  ],
  [
    'an output that nobody gives',
    without(read, 'top'),
    { from: 'this.#givers.get(slot) !== numberOf(glyph)', to: 'false' },
  ],
  [
    'a histogram upside down',
    { ...read, pool: read.pool.map((value) => (value === 5 ? 0 : value)) },
    { from: '!(low < high)', to: 'false' },
  ],
  [
    'half a bin',
    { ...read, pool: read.pool.map((value) => (value === 4 ? 1.5 : value)) },
    { from: '!isWithin(bins, BINS_MAX)', to: 'false' },
  ],
  [
    'a histogram wider than any number',
    {
      ...read,
      pool: read.pool.map((value) =>
        value === 5 ? Number.MAX_VALUE : value === 0 ? -Number.MAX_VALUE : value,
      ),
    },
    { from: 'Number.isFinite(high - low) ?', to: 'true ?' },
  ],
  [
    'too long a list',
    { ...read, pool: read.pool.map((value) => (value === 3 ? 65 : value)) },
    { from: 'isWithin(k, GREATEST_MAX) ?', to: 'true ?' },
  ],
  [
    'a class that was not set',
    changed(byClass, 'sum', { c: 29 }),
    {
      from: 'return register < NUMBER_REGISTERS && ((this.#numbers >>> register) & 1) === 1',
      to: 'return register < NUMBER_REGISTERS',
    },
  ],
  [
    'a class that is a condition',
    changed(byClass, 'count', { c: 64 }),
    { from: ' || takes === NUMBER_OR_NONE', to: '' },
  ],
  [
    'a class of bins',
    changed(read, 'histogram', { c: 200 }),
    { from: '!(low < high)', to: 'false' },
  ],
  [
    'a column by class',
    changed(programOf('show s = a'), 'show', { c: 0 }),
    { from: 'register !== NONE && !hasOwnByte(operandKind, slot)', to: 'false' },
  ],
  [
    'stores and outputs',
    joined({ ...write, pool: plain.pool }, plain),
    { from: 'isWrite === this.#givers.size > 0', to: 'false' },
  ],
  ['neither', without(write, 'store'), { from: 'isWrite === this.#givers.size > 0', to: 'false' }],
  [
    'too dear',
    joined(write, ...Array.from({ length: 90 }, () => programOf('a = a % b % a'))),
    { from: 'this.#cost > COST_MAX', to: 'false' },
  ],
  [
    'too many outputs',
    {
      ...read,
      outputs: Array.from({ length: 17 }, (_, at) => ({ ...read.outputs[0]!, name: `m${at}` })),
    },
    { from: 'outputs.length > OUTPUTS_MAX', to: 'false' },
  ],
  [
    'an output without a name',
    { ...read, outputs: read.outputs.map((one) => ({ ...one, name: `${one.name}-` })) },
    { from: '!OUTPUT_NAME.test(name) || ', to: '' },
  ],
  [
    'two of a name',
    { ...read, outputs: read.outputs.map((one) => ({ ...one, name: 'm' })) },
    { from: 'outputs.findIndex((other) => other.name === name) < index', to: 'false' },
  ],
  [
    'an output of no kind',
    { ...read, outputs: read.outputs.map((one) => ({ ...one, kind: 'toString' as never })) },
    { from: "kind !== 'show' && !REDUCERS.has(kind)", to: 'false' },
  ],
  [
    'an output of another kind',
    { ...read, outputs: read.outputs.map((one) => ({ ...one, kind: 'max' as const })) },
    { from: 'this.#givers.get(slot) !== numberOf(glyph)', to: 'false' },
  ],
  [
    'an output of an output that has another',
    {
      ...read,
      outputs: [
        { ...read.outputs[0]!, slot: 1 },
        { ...read.outputs[1]!, slot: 0 },
      ],
    },
    { from: '(outputs[slot]?.slot !== slot', to: '(false' },
  ],
]

t.test('what the compiler makes is sound, and each thing that is wrong is named', (t) => {
  for (const program of SOUND)
    t.match(shipped.verify(program, FIELDS.length, COLUMNS), { ok: true })
  for (const [what, program] of CASES) {
    const verdict = shipped.verify(program, FIELDS.length, COLUMNS)
    t.notOk(verdict.ok, what)
  }
  t.end()
})

t.test('a verifier that lacks a rule is noticed', async (t) => {
  for (const [what, program, { from, to }] of CASES) {
    const file = 'shared/osl/verifier.ts'
    const { verify } = (await loadEdited(file, [{ file, from, to }])) as typeof shipped
    const verdict = shipped.verify(program, FIELDS.length, COLUMNS)
    let other: unknown
    try {
      other = verify(program, FIELDS.length, COLUMNS)
    } catch (error) {
      // What it let through broke it: that is noticed as well.
      other = error
    }
    t.notSame(other, verdict, what)
  }
})

t.test('what is known of a sound program', (t) => {
  t.match(shipped.verify(write, 2), {
    kind: 'write',
    reach: 0,
    loads: [0, 1],
    stores: [0],
    isAlike: true,
  })
  t.match(shipped.verify(near, 2), { reach: 2, nears: [1], isAlike: false })
  t.match(shipped.verify(read, 2), { kind: 'read', loads: [0, 1], stores: [] })
  const [alone, classed] = ['return m = mean(a)', 'return m = mean(a) by b'].map((source) => {
    return shipped.verify(programOf(source), 2) as shipped.Sound
  })
  t.equal(classed!.cost - alone!.cost, 2 + BY_CLASS_COST, 'the class is loaded, and looked at')
  t.strictSame(classed!.loads, [0, 1])
  const once = shipped.verify(programOf('a = 1'), 2)
  t.match(once, { constants: 1, cost: 4, microglyphs: 2 }, 'constants cost once a run')
  t.end()
})
