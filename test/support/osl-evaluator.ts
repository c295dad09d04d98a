/**
 * What a program does to one cell, straight from the tree of its text: no graph, no registers, no NaN. Missing is
 * null. The interpreter that ships must do the same, bit for bit.
 */
import { type Field, held } from '../../shared/grid/fields.ts'
import { mix } from '../../shared/osl/arithmetic.ts'
import { ELEMENTARY } from '../../shared/osl/elementary.ts'
import { parse } from '../../shared/osl/parser.ts'
import type { Expression, Statement } from '../../shared/osl/syntax.ts'

export type Number_ = number | null
type Truth = boolean | null
type Outcome = Number_ | Truth

/** The cells of a grid, as far as a program sees them: by field name; null lies outside. */
export interface Cells {
  readonly width: number
  readonly height: number
  readonly fields: readonly Field[]
  readonly columns: ReadonlyMap<string, number[]>
}

const isMissing = (value: unknown): value is null => value === null

function known(value: number): Number_ {
  return Number.isNaN(value) ? null : value
}

class CellEvaluator {
  readonly #cells: Cells
  readonly #before: ReadonlyMap<string, number[]>
  readonly #at: number
  readonly #with: Readonly<Record<string, number>>
  readonly #defs = new Map<string, Statement & { kind: 'def' }>()
  readonly #lets = new Map<string, Outcome>()
  readonly #tables = new Map<string, readonly number[]>()
  readonly #nodata = new Map<string, number>()
  guard: Truth = true
  /** Fields of which the cell took a value. */
  readonly taken = new Set<string>()

  constructor(
    cells: Cells,
    before: ReadonlyMap<string, number[]>,
    at: number,
    values: Readonly<Record<string, number>>,
  ) {
    this.#cells = cells
    this.#before = before
    this.#at = at
    this.#with = values
    for (const { name, nodata } of cells.fields) {
      if (nodata !== undefined) this.#nodata.set(name, nodata)
    }
  }

  statement(statement: Statement): void {
    const none = new Map<string, Outcome>()
    switch (statement.kind) {
      case 'let':
        this.#lets.set(statement.name.name, this.value(statement.value, none))
        break
      case 'def':
        this.#defs.set(statement.name.name, statement)
        break
      case 'table':
        this.#tables.set(statement.name.name, statement.values)
        break
      case 'nodata':
        this.#nodata.set(
          statement.field.name,
          held(this.#typeOf(statement.field.name) as never, statement.value),
        )
        break
      case 'where':
        this.guard = and(this.guard, this.value(statement.condition, none) as Truth)
        break
      case 'assign': {
        const { name } = statement.field
        const value = this.value(statement.value, none) as Number_
        if (this.guarded(statement.where) !== true) return
        const nodata = this.#nodata.get(name)
        const result = isMissing(value) && nodata !== undefined ? nodata : value
        if (isMissing(result)) return
        this.taken.add(name)
        this.#cells.columns.get(name)![this.#at] = stored(this.#typeOf(name), result)
      }
    }
  }

  guarded(where: Expression | undefined): Truth {
    if (where === undefined) return this.guard
    return and(this.guard, this.value(where, new Map()) as Truth)
  }

  #typeOf(name: string): string {
    if (name === 'status') return 'status'
    return this.#cells.fields.find((field) => field.name === name)!.type
  }

  #field(columns: ReadonlyMap<string, number[]>, name: string, at: number): Number_ {
    const value = columns.get(name)![at]!
    return value === this.#nodata.get(name) ? null : value
  }

  value(expression: Expression, scope: ReadonlyMap<string, Outcome>): Outcome {
    const number = (of: Expression): Number_ => this.value(of, scope) as Number_
    const truth = (of: Expression): Truth => this.value(of, scope) as Truth
    switch (expression.kind) {
      case 'number':
        return expression.value
      case 'truth':
        return expression.isTrue
      case 'parameter':
        return this.#with[expression.name]!
      case 'name':
        return this.#named(expression.name, expression.isField, scope)
      case 'neighbour': {
        const { width, height } = this.#cells
        const x = (this.#at % width) + expression.dx
        const y = Math.floor(this.#at / width) + expression.dy
        if (x < 0 || y < 0 || x >= width || y >= height) return null
        return this.#field(this.#before, expression.name, y * width + x)
      }
      case 'negate':
        return arithmetic('-', 0, number(expression.of))
      case 'not': {
        const of = truth(expression.of)
        return isMissing(of) ? null : !of
      }
      case 'power':
        return power(number(expression.base), expression.exponent)
      case 'sum': {
        let sum = number(expression.first)
        for (const { operator, operand } of expression.rest)
          sum = arithmetic(operator, sum, number(operand))
        return sum
      }
      case 'and':
        return expression.operands.map(truth).reduce(and)
      case 'or':
        return expression.operands.map(truth).reduce(or)
      case 'compare':
        return compare(expression.operator, number(expression.left), number(expression.right))
      case 'if': {
        const asked = truth(expression.condition)
        return isMissing(asked) ? null : this.value(asked ? expression.yes : expression.no, scope)
      }
      case 'call':
        return this.#call(expression.name, expression.args, scope)
    }
  }

  #named(name: string, isField: boolean, scope: ReadonlyMap<string, Outcome>): Outcome {
    if (!isField) {
      for (const names of [scope, this.#lets]) if (names.has(name)) return names.get(name)!
      if (name === 'x') return this.#at % this.#cells.width
      if (name === 'y') return Math.floor(this.#at / this.#cells.width)
      if (name === 'idle' || name === 'scaled') return name === 'idle' ? 0 : 1
    }
    return this.#field(this.#cells.columns, name, this.#at)
  }

  #call(name: string, args: readonly Expression[], scope: ReadonlyMap<string, Outcome>): Outcome {
    const def = this.#defs.get(name)
    if (def !== undefined) {
      const inner = new Map(
        def.parameters.map((parameter, at) => [parameter.name, this.value(args[at]!, scope)]),
      )
      return this.value(def.value, inner)
    }
    if (name === 'look') {
      const place = this.value(args[1]!, scope) as Number_
      const table = this.#tables.get((args[0] as { name: string }).name)!
      return isMissing(place) ? null : (table[Math.floor(place)] ?? null)
    }
    const values = args.map((arg) => this.value(arg, scope))
    if (name === 'pick') return isMissing(values[0]) ? null : values[values[0] ? 1 : 2]!
    const [a, b, c] = values as [number, number, number]
    if (name === 'missing') return isMissing(a)
    if (name === 'coalesce') return isMissing(a) ? b : a
    if (values.some(isMissing)) return null
    const elementary = ELEMENTARY.get(name) as ((a: number, b: number) => number) | undefined
    if (elementary !== undefined) return known(elementary(a, b))
    switch (name) {
      case 'min':
        return Math.min(a, b)
      case 'max':
        return Math.max(a, b)
      case 'abs':
        return Math.abs(a)
      case 'sqrt':
        return known(Math.sqrt(a))
      case 'floor':
        return Math.floor(a)
      case 'hash':
        return mix(a, b)
      case 'clamp':
        return Math.min(Math.max(a, b), c)
      case 'round':
        return Math.floor(a + 0.5)
      case 'ceil':
        return Math.ceil(a)
      case 'sign':
        return a > 0 ? 1 : a < 0 ? -1 : 0
      case 'random':
        return mix(a, this.#at) * 2 ** -32
    }
    throw new Error(`no function ${name}`)
  }
}

function and(left: Truth, right: Truth): Truth {
  if (left === false || right === false) return false
  return isMissing(left) || isMissing(right) ? null : true
}

function or(left: Truth, right: Truth): Truth {
  if (left === true || right === true) return true
  return isMissing(left) || isMissing(right) ? null : false
}

function arithmetic(operator: string, left: Number_, right: Number_): Number_ {
  if (isMissing(left) || isMissing(right)) return null
  switch (operator) {
    case '+':
      return known(left + right)
    case '-':
      return known(left - right)
    case '*':
      return known(left * right)
    case '/':
      return right === 0 ? null : known(left / right)
  }
  if (right === 0) return null
  const rest = left % right
  return known(rest !== 0 && rest < 0 !== right < 0 ? rest + right : rest)
}

function power(base: Number_, exponent: number): Number_ {
  let [result, square] = [undefined as Number_ | undefined, base]
  for (let rest = exponent; rest > 0; rest >>= 1) {
    if (rest & 1) result = result === undefined ? square : arithmetic('*', result, square)
    if (rest > 1) square = arithmetic('*', square, square)
  }
  return result!
}

function compare(operator: string, left: Number_, right: Number_): Truth {
  if (isMissing(left) || isMissing(right)) return null
  switch (operator) {
    case '<':
      return left < right
    case '<=':
      return left <= right
    case '>':
      return left > right
    case '>=':
      return left >= right
    case '==':
      return left === right
  }
  return left !== right
}

function stored(type: string, value: number): number {
  const within = (low: number, high: number, of: number): number =>
    Math.min(high, Math.max(low, of))
  switch (type) {
    case 'status':
      return within(0, 1, Math.floor(value + 0.5)) + 0
    case 'u8':
      return within(0, 255, Math.floor(value + 0.5)) + 0
    case 'i32':
      return within(-2147483648, 2147483647, Math.floor(value + 0.5)) + 0
    case 'f32':
      return Math.fround(within(-3.4028234663852886e38, 3.4028234663852886e38, value)) + 0
  }
  return within(-Number.MAX_VALUE, Number.MAX_VALUE, value) + 0
}

/** Acts on every cell of a region; `cells` change. How many took a value is returned, by field. */
export function actOnCells(
  source: string,
  cells: Cells,
  region: { x: number; y: number; w: number; h: number },
  values: Readonly<Record<string, number>> = {},
): Record<string, number> {
  const { statements } = parse(source, [])
  const set = statements.flatMap((one) => (one.kind === 'assign' ? [one.field.name] : []))
  const written = Object.fromEntries(set.map((name) => [name, 0]))
  const before = new Map([...cells.columns].map(([name, column]) => [name, column.slice()]))
  for (let y = region.y; y < region.y + region.h; y++) {
    for (let x = region.x; x < region.x + region.w; x++) {
      const evaluator = new CellEvaluator(cells, before, y * cells.width + x, values)
      for (const statement of statements) evaluator.statement(statement)
      for (const name of evaluator.taken) written[name]! += 1
    }
  }
  return written
}

export interface CellOutcome {
  readonly id: number
  readonly value: Outcome
  /** Its class, of an output by class; null where it has none or is guarded off. */
  readonly of: Number_
}

/** What counts of each cell for each output: a number or a truth, null where it is missing or guarded off. */
export function outcomesOf(
  source: string,
  cells: Cells,
  region: { x: number; y: number; w: number; h: number },
  values: Readonly<Record<string, number>> = {},
): Map<string, CellOutcome[]> {
  const { statements } = parse(source, [])
  const outcomes = new Map<string, CellOutcome[]>()
  for (let y = region.y; y < region.y + region.h; y++) {
    for (let x = region.x; x < region.x + region.w; x++) {
      const id = y * cells.width + x
      const evaluator = new CellEvaluator(cells, cells.columns, id, values)
      for (const statement of statements) {
        evaluator.statement(statement)
        if (statement.kind !== 'return' && statement.kind !== 'show') continue
        const of = statement.kind === 'show' ? statement.value : statement.args[0]!
        const isIn = evaluator.guarded(statement.where) === true
        const outcomeOf = (expression: Expression | undefined): Outcome =>
          isIn && expression !== undefined ? evaluator.value(expression, new Map()) : null
        const by = statement.kind === 'return' && statement.by
        const classOf = by ? ({ ...by, kind: 'name' } as const) : undefined
        const known = outcomes.get(statement.name.name) ?? []
        outcomes.set(statement.name.name, known)
        known.push({ id, value: outcomeOf(of), of: outcomeOf(classOf) as Number_ })
      }
    }
  }
  return outcomes
}
