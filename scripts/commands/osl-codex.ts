/** The glyphs of programs as a table: how each is typed, what it takes, what it does. */

import { OPERATIONS_SHOWN } from '../../shared/operations/catalog.ts'
import { GLYPHS, OPERATION_GLYPHS } from '../../shared/osl/codex.ts'
import type { Column } from './streams.ts'

export interface CodexRow {
  readonly number: number
  readonly sign: string
  readonly name: string
  /** In a program; empty where nobody types it. */
  readonly typed: string
  /** Units a cell; nothing of an operation. */
  readonly cost?: number
  readonly does: string
}

const WORDS = new Map<string, readonly [typed: string, does: string]>(
  Object.entries({
    field: ['temp', "the cell's number in a field, or its status"],
    near: [
      'temp[1, 0]',
      'the number of a neighbour, as it was before the program; missing outside the grid',
    ],
    const: ['30, $limit', 'a number that stands in the program, or comes with the task'],
    x: ['x', "the cell's column"],
    y: ['y', "the cell's row"],
    hash: ['hash(a, b)', '32 mixed bits of two numbers'],
    add: ['a + b', 'the sum'],
    sub: ['a - b', 'the difference'],
    mul: ['a * b', 'the product'],
    div: ['a / b', 'the quotient; missing where the divisor is 0'],
    mod: ['a % b', 'the remainder, with the sign of the divisor'],
    abs: ['abs(v)', 'the size, without its sign'],
    sqrt: ['sqrt(v)', 'the root; missing of what is below 0'],
    floor: ['floor(v)', 'the next whole number below'],
    min: ['min(a, b)', 'the lesser of two; as a reducer of one value, the least of all cells'],
    max: ['max(a, b)', 'the greater of two; as a reducer of one value, the greatest of all cells'],
    eq: ['a == b', 'whether both are equal'],
    ne: ['a != b', 'whether they differ'],
    lt: ['a < b', 'whether a is less; a > b is the same, turned round'],
    le: ['a <= b', 'whether a is no more; a >= b is the same, turned round'],
    and: ['a and b', 'whether both are true'],
    or: ['a or b', 'whether one is true'],
    not: ['not a', 'whether it is false'],
    pick: ['if c then a else b', 'one of two values, by a condition'],
    missing: ['missing(v)', 'whether there is no value'],
    look: ['look(table, place)', 'a number of a table; missing outside it'],
    store: ['temp = v', 'sets a field of the cell; what is missing keeps it'],
    show: ['show name = v', 'returns the values of all cells'],
    count: ['count(c)', 'how many cells are true; any(c) and all(c), too'],
    sum: ['sum(v)', 'the sum of all cells; mean(v) and var(v), too'],
    span: ['min(v), argmin(v)', 'the least and the greatest of all cells, and where'],
    histogram: ['histogram(v, 0, 9, 3)', 'how many cells are in each of some bins'],
    top: ['top(v, 5)', 'the greatest cells, and where'],
    exp: ['exp(v)', 'e to the power of it'],
    log: ['log(v)', 'the natural logarithm; missing of what is not above 0'],
    exp2: ['exp2(v)', '2 to the power of it'],
    log2: ['log2(v)', 'the logarithm to base 2; missing of what is not above 0'],
    pow: ['pow(a, b)', 'a to the power of b; missing where a is below 0 and b not whole'],
    tanh: ['tanh(v)', 'the hyperbolic tangent, from -1 to 1'],
    sin: ['sin(v)', 'the sine of an angle in radians; missing beyond 2^30'],
    cos: ['cos(v)', 'the cosine of an angle in radians; missing beyond 2^30'],
    tan: ['tan(v)', 'the tangent of an angle in radians; missing beyond 2^30'],
    asin: ['asin(v)', 'the angle whose sine it is; missing beyond -1 to 1'],
    acos: ['acos(v)', 'the angle whose cosine it is; missing beyond -1 to 1'],
    atan: ['atan(v)', 'the angle whose tangent it is'],
    atan2: ['atan2(b, a)', 'the angle of the point a, b; missing for 0, 0'],
  }),
)

export function codexRows(): CodexRow[] {
  const ofPrograms = GLYPHS.map(({ number, sign, name, cost }): CodexRow => {
    const [typed, does] = WORDS.get(name)!
    return { number, sign, name, typed, cost, does }
  })
  const ofOperations = OPERATION_GLYPHS.map(({ number, sign, name }): CodexRow => {
    const { does } = OPERATIONS_SHOWN.find(({ op }) => op === name)!
    return { number, sign, name, typed: '', does: `operation: ${does}` }
  })
  return [...ofPrograms, ...ofOperations]
}

export const COLUMNS_OF_CODEX: readonly Column<CodexRow>[] = [
  { title: '#', text: ({ number }) => String(number), isNumber: true },
  { title: 'GLYPH', text: ({ sign }) => sign },
  { title: 'NAME', text: ({ name }) => name },
  { title: 'TYPED', text: ({ typed }) => typed },
  { title: 'COST', text: ({ cost }) => (cost === undefined ? '' : String(cost)), isNumber: true },
  { title: 'WHAT IT DOES', text: ({ does }) => does },
]
