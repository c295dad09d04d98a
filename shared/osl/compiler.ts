/**
 * Text to microglyphs: names and kinds are checked, functions written out where they are called, and every statement
 * becomes values of a graph (value-graph.ts), to which the assembler gives registers. A statement that is wrong is told
 * and left out; what it would have named is then unknown to nobody.
 */
import { type Field, held, takes } from '../grid/fields.ts'
import { assemble } from './assembler.ts'
import { type Bank, NEAR_ZERO, REACH_MAX, SOURCE_BYTES_MAX, STATUS } from './codex.ts'
import { FUNCTIONS, REDUCERS, type Reducer } from './functions.ts'
import { callOf, reducerCallOf } from './hints.ts'
import { guess, Names, SILENT } from './names.ts'
import { collecting, OslError, type OslProblem, type Span } from './osl-problems.ts'
import { parse } from './parser.ts'
import type { Program } from './program.ts'
import { Returned } from './returned.ts'
import type { Expression, Named, Statement, Target } from './syntax.ts'
import { ValueGraph } from './value-graph.ts'
import { faultOfBins, faultOfGreatest } from './verifier.ts'
import { pickCondition, power, writtenOut } from './written-out.ts'

/** What a program is written for. */
export interface OslGrid {
  readonly fields: readonly Field[]
  /** Parameters that have a number for each cell. */
  readonly columns?: readonly string[]
  /** LSUs in a row: what `random` knows a cell by. */
  readonly width: number
}

export interface Compiled {
  readonly kind: 'write' | 'read'
  /** With 0 in the places of parameters. */
  readonly program: Program
  /** The places in the pool that belong to each `$name`, in the order in which they came up. */
  readonly parameters: ReadonlyMap<string, readonly number[]>
  readonly tokens: number
}

export type CompileResult = { ok: true; compiled: Compiled } | { ok: false; problems: OslProblem[] }

/** No answer names more of them. */
const OSL_PROBLEMS_MAX = 32
/** Functions that call functions grow fast; nothing of this size has room in a program. */
const EVALUATIONS_MAX = 100_000
/** Levels of nesting, those of functions within functions counted. */
const WRITTEN_OUT_DEPTH_MAX = 512
const WHOLE: Span = { at: 0, length: 1 }

const ARITHMETIC = { '+': 'add', '-': 'sub', '*': 'mul', '/': 'div', '%': 'mod' } as const
const COMPARISON = {
  '<': { name: 'lt', isSwapped: false },
  '<=': { name: 'le', isSwapped: false },
  '>': { name: 'lt', isSwapped: true },
  '>=': { name: 'le', isSwapped: true },
  '==': { name: 'eq', isSwapped: false },
  '!=': { name: 'ne', isSwapped: false },
} as const

export function compile(source: string, grid: OslGrid): CompileResult {
  if (Buffer.byteLength(source) > SOURCE_BYTES_MAX) {
    const message = `the source has more than ${SOURCE_BYTES_MAX} bytes`
    return { ok: false, problems: [new OslError('osl-too-large', message, WHOLE).problem] }
  }
  const problems: OslProblem[] = []
  const { statements, brokenNames, tokens } = parse(source, problems)
  const compiled = new Compiler(grid, brokenNames).run(statements, problems)
  if (compiled === undefined || problems.length > 0) {
    problems.sort((left, right) => left.span.at - right.span.at)
    return { ok: false, problems: problems.slice(0, OSL_PROBLEMS_MAX) }
  }
  return { ok: true, compiled: { ...compiled, tokens } }
}

/** What a function sees: values by the names that it has for them, and the functions above it. */
interface Scope {
  readonly values: ReadonlyMap<string, number>
  readonly above: number
}

class Compiler {
  readonly #grid: OslGrid
  readonly #graph = new ValueGraph()
  readonly #names: Names
  readonly #nodata = new Map<number, number>()
  /** How often a field was stored so far. */
  readonly #stored = new Map<number, number>()
  readonly #returned = new Returned(this.#graph)
  #guard: number | undefined
  #evaluations = 0
  #depth = 0

  constructor(grid: OslGrid, brokenNames: ReadonlySet<string>) {
    this.#grid = grid
    this.#names = new Names(grid.fields, brokenNames)
    for (const [index, { nodata }] of grid.fields.entries()) {
      if (nodata !== undefined) this.#nodata.set(index, nodata)
    }
  }

  run(
    statements: readonly Statement[],
    problems: OslProblem[],
  ): Omit<Compiled, 'tokens'> | undefined {
    const told: OslProblem[] = []
    for (const statement of statements) {
      const before = told.length
      collecting(told, () => this.#statement(statement))
      if (told.length > before && 'name' in statement) this.#names.broken.add(statement.name.name)
    }
    problems.push(...told.filter(({ message }) => message !== SILENT))
    const kind = collecting(problems, () => this.#kindOf(statements, problems.length > 0))
    if (kind === undefined || problems.length > 0) return undefined
    const assembled = collecting(problems, () => assemble(this.#graph))
    if (assembled === undefined) return undefined
    const { code, pool, parameters } = assembled
    return { kind, program: { code, pool, outputs: this.#returned.outputs }, parameters }
  }

  #kindOf(statements: readonly Statement[], hasProblems: boolean): Compiled['kind'] | undefined {
    const isWrite = statements.some(({ kind }) => kind === 'assign')
    const read = statements.find(({ kind }) => kind === 'return' || kind === 'show')
    if (isWrite && read !== undefined) {
      const message = 'a program sets fields or returns values, not both'
      throw new OslError('osl-mixed', message, read)
    }
    if (isWrite || read !== undefined) return isWrite ? 'write' : 'read'
    if (hasProblems) return undefined
    const message = 'the program neither sets a field nor returns a value'
    const hint = 'write "field = …", "return name = mean(…)" or "show name = …"'
    throw new OslError('osl-empty', message, WHOLE, hint)
  }

  #statement(statement: Statement): void {
    this.#depth = 0
    switch (statement.kind) {
      case 'let': {
        this.#names.needNew(statement.name)
        this.#names.lets.set(statement.name.name, this.#value(statement.value, NO_SCOPE))
        break
      }
      case 'def': {
        this.#names.needNew(statement.name)
        this.#names.defs.set(statement.name.name, { statement, order: this.#names.defs.size })
        break
      }
      case 'table': {
        this.#names.needNew(statement.name)
        const { values, name } = statement
        this.#names.tables.set(name.name, { at: this.#graph.table(values), length: values.length })
        break
      }
      case 'nodata':
        this.#declareNodata(statement.field, statement.value, statement)
        break
      case 'where':
        this.#guard = this.#guarded(statement.condition)
        break
      case 'assign':
        this.#assign(statement.field, statement.value, statement.where)
        break
      case 'show': {
        const { name, value, where } = statement
        const slot = this.#returned.add(name, 'show')
        const shown = this.#number(value, NO_SCOPE)
        this.#act('show', shown, this.#guarded(where), { operand: slot })
        break
      }
      case 'return':
        this.#return(statement)
    }
  }

  #declareNodata(target: Target, value: number, span: Span): void {
    const index = this.#names.target(target)
    const field = this.#grid.fields[index]
    if (field === undefined) throw new OslError('osl-type', 'the status is never missing', target)
    if (!takes(field.type, value)) {
      const message = `${field.name} is ${field.type}, which is never ${value}`
      throw new OslError('osl-constant', message, span)
    }
    this.#nodata.set(index, held(field.type, value))
  }

  #guarded(where: Expression | undefined): number | undefined {
    if (where === undefined) return this.#guard
    const condition = this.#condition(where, NO_SCOPE)
    if (this.#guard === undefined) return condition
    return this.#graph.emit('and', [this.#guard, condition])
  }

  #assign(target: Target, value: Expression, where: Expression | undefined): void {
    const index = this.#names.target(target, 'a name of your own needs "let"')
    const result = this.#number(value, NO_SCOPE)
    const guard = this.#guarded(where)
    const nodata = this.#nodata.get(index)
    const stored =
      nodata === undefined
        ? result
        : this.#graph.emit('pick', [
            this.#graph.emit('missing', [result]),
            this.#graph.constant(nodata),
            result,
          ])
    this.#act('store', stored, guard, { operand: index })
    this.#stored.set(index, (this.#stored.get(index) ?? 0) + 1)
  }

  #act(name: string, value: number, guard: number | undefined, more: { operand: number }): void {
    this.#graph.act(name, guard === undefined ? [value] : [value, guard], more)
  }

  #return(statement: Statement & { kind: 'return' }): void {
    const { name, reducer: named, args, where, by } = statement
    const reducer = REDUCERS.get(named.name)
    if (reducer === undefined) {
      const known = [...REDUCERS.keys()]
      const message = `what is returned must be one of ${known.join(' ')}`
      throw new OslError('osl-syntax', message, named, guess(named.name, known))
    }
    const takes = 1 + reducer.constants.length
    if (args.length !== takes)
      throw arityError(named, takes, args.length, `write "${reducerCallOf(named.name)}"`)
    const value = this.#of(reducer.takes, args[0]!, NO_SCOPE)
    const constants = args.slice(1).map((arg, index) => {
      const constant = this.#number(arg, NO_SCOPE)
      if (this.#graph.placeOf(constant) !== undefined) return constant
      throw new OslError('osl-constant', `${reducer.constants[index]} must be a constant`, arg)
    })
    const fault = this.#faultOfConstants(reducer, constants)
    if (fault !== undefined) throw new OslError('osl-constant', fault, named)
    this.#returned.reduce(name, reducer, {
      ...{ value, constants, guard: this.#guarded(where) },
      by: by && this.#classOf(by, { ...named, isByClass: reducer.isByClass }),
    })
  }

  /** What is wrong with those that are known here; parameters are looked at when they are bound. */
  #faultOfConstants({ kind }: Reducer, constants: readonly number[]): string | undefined {
    const [first, high, bins] = constants.map((value) => this.#graph.constantOf(value))
    if (kind === 'top') return first === undefined ? undefined : faultOfGreatest(first)
    if (kind !== 'histogram' || [first, high, bins].includes(undefined)) return undefined
    return faultOfBins(first, high, bins)
  }

  /** The number of a cell's class. */
  #classOf(by: Target, reducer: Named & { isByClass: boolean }): number {
    if (!reducer.isByClass) {
      throw new OslError('osl-syntax', `${reducer.name} is not had by class`, by)
    }
    const index = this.#names.target(by)
    const type = index === STATUS ? 'u8' : this.#grid.fields[index]!.type
    if (type === 'u8') return this.#load(index)
    const message = `classes are of a field of type u8, and "${by.name}" is ${type}`
    throw new OslError('osl-type', message, by)
  }

  #number(expression: Expression, scope: Scope): number {
    return this.#of('N', expression, scope)
  }

  #condition(expression: Expression, scope: Scope): number {
    return this.#of('T', expression, scope)
  }

  #of(bank: Bank, expression: Expression, scope: Scope): number {
    const value = this.#value(expression, scope)
    if (this.#graph.bankOf(value) === bank) return value
    if (bank === 'N') {
      const hint = 'write "if … then 1 else 0"'
      throw new OslError('osl-type', 'a number must stand here, not a condition', expression, hint)
    }
    const hint = 'compare it, as in "x > 0"'
    throw new OslError('osl-type', 'a condition must stand here, not a number', expression, hint)
  }

  #value(expression: Expression, scope: Scope): number {
    const isLarge = ++this.#evaluations > EVALUATIONS_MAX
    if (isLarge || this.#depth === WRITTEN_OUT_DEPTH_MAX) {
      const what = isLarge ? 'large' : 'deep'
      const message = `the program is too ${what} once its functions are written out`
      throw new OslError(isLarge ? 'osl-too-large' : 'osl-too-deep', message, expression)
    }
    this.#depth++
    const value = this.#valueOf(expression, scope)
    this.#depth--
    return value
  }

  #valueOf(expression: Expression, scope: Scope): number {
    const graph = this.#graph
    switch (expression.kind) {
      case 'number':
        return graph.constant(expression.value)
      case 'parameter':
        return graph.parameter(expression.name, this.#grid.columns)
      case 'truth': {
        const zero = graph.constant(0)
        return graph.emit(expression.isTrue ? 'eq' : 'ne', [zero, zero])
      }
      case 'name':
        return this.#named(expression, scope)
      case 'neighbour':
        return this.#neighbour(expression)
      case 'negate':
        return graph.emit('sub', [graph.constant(0), this.#number(expression.of, scope)])
      case 'not':
        return graph.emit('not', [this.#condition(expression.of, scope)])
      case 'power':
        return power(this.#graph, this.#number(expression.base, scope), expression.exponent)
      case 'sum':
        return expression.rest.reduce(
          (sum, { operator, operand }) =>
            graph.emit(ARITHMETIC[operator], [sum, this.#number(operand, scope)]),
          this.#number(expression.first, scope),
        )
      case 'and':
      case 'or':
        return expression.operands
          .map((operand) => this.#condition(operand, scope))
          .reduce((left, right) => graph.emit(expression.kind, [left, right]))
      case 'compare': {
        const { name, isSwapped } = COMPARISON[expression.operator]
        const sides = [expression.left, expression.right].map((side) => this.#number(side, scope))
        return graph.emit(name, isSwapped ? sides.reverse() : sides)
      }
      case 'if':
        return this.#pick(expression.condition, expression.yes, expression.no, scope)
      case 'call':
        return this.#call(expression, scope)
    }
  }

  #named(expression: Expression & { kind: 'name' }, scope: Scope): number {
    const { name, isField } = expression
    const index = this.#names.fieldIndex(name)
    if (isField) return this.#load(this.#names.target(expression))
    const own = scope.values.get(name) ?? this.#names.lets.get(name)
    if (own !== undefined) return own
    if (name === 'x') return this.#graph.emit('x', [])
    if (name === 'y') return this.#graph.emit('y', [])
    if (name === 'idle') return this.#graph.constant(0)
    if (name === 'scaled') return this.#graph.constant(1)
    if (name === 'status') return this.#load(STATUS)
    if (index >= 0) return this.#load(index)
    throw this.#names.unknown(expression, [...scope.values.keys()])
  }

  /** A field as it stands at this statement; what stands for no data is missing. */
  #load(index: number): number {
    const state = this.#stored.get(index) ?? 0
    return this.#withoutNodata(index, this.#graph.emit('field', [], { operand: index }, state))
  }

  #withoutNodata(index: number, raw: number): number {
    const nodata = this.#nodata.get(index)
    if (nodata === undefined) return raw
    const graph = this.#graph
    const isNone = graph.emit('eq', [raw, graph.constant(nodata)])
    return graph.emit('pick', [isNone, graph.constant(Number.NaN), raw])
  }

  #neighbour(expression: Expression & { kind: 'neighbour' }): number {
    const { name, dx, dy } = expression
    const index = this.#names.target({ ...expression, isField: true })
    if (this.#stored.has(index)) {
      const hint = 'neighbours are read as they were before the write'
      const message = `"${name}" was set above`
      throw new OslError('osl-neighbour-after-write', message, expression, hint)
    }
    const isNear = [dx, dy].every(
      (distance) => Number.isInteger(distance) && Math.abs(distance) <= REACH_MAX,
    )
    if (!isNear) {
      const message = `a neighbour is at most ${REACH_MAX} whole columns and rows away`
      throw new OslError('osl-radius', message, expression)
    }
    const distance = { a: dx + NEAR_ZERO, b: dy + NEAR_ZERO }
    const raw = this.#graph.emit('near', [], { operand: index, ...distance })
    return this.#withoutNodata(index, raw)
  }

  #pick(condition: Expression, yes: Expression, no: Expression, scope: Scope): number {
    const graph = this.#graph
    const asked = this.#condition(condition, scope)
    const left = this.#value(yes, scope)
    const bank = graph.bankOf(left)!
    const right = this.#of(bank, no, scope)
    if (bank === 'N') return graph.emit('pick', [asked, left, right])
    return pickCondition(graph, asked, left, right)
  }

  #call(expression: Expression & { kind: 'call' }, scope: Scope): number {
    const { name, args } = expression
    const def = this.#names.defs.get(name)
    if (def !== undefined && def.order < scope.above) {
      const { parameters, value } = def.statement
      if (args.length !== parameters.length) {
        throw arityError(expression, parameters.length, args.length)
      }
      const values = args.map((arg) => this.#value(arg, scope))
      const inner = new Map(parameters.map((parameter, at) => [parameter.name, values[at]!]))
      return this.#value(value, { values: inner, above: def.order })
    }
    const takes = FUNCTIONS.get(name)
    if (takes === undefined) throw this.#names.unknownFunction(expression)
    if (takes !== args.length) {
      const isReducer = REDUCERS.has(name) && args.length === 1
      const hint = isReducer
        ? `${name} of one value stands after "return … ="`
        : `write "${callOf(name)}"`
      throw arityError(expression, takes, args.length, hint)
    }
    if (name === 'look') return this.#look(args[0]!, args[1]!, scope)
    if (name === 'pick') return this.#pick(args[0]!, args[1]!, args[2]!, scope)
    return writtenOut(
      this.#graph,
      name,
      args.map((arg) => this.#number(arg, scope)),
      this.#grid.width,
    )
  }

  #look(table: Expression, place: Expression, scope: Scope): number {
    const known = table.kind === 'name' ? this.#names.tables.get(table.name) : undefined
    if (known === undefined) {
      if (table.kind === 'name') this.#names.failIfBroken(table.name, table)
      const hint = 'write "table name = [1, 2, 3]" above'
      throw new OslError('osl-unknown-name', 'the first value of look is a table', table, hint)
    }
    const at = this.#number(place, scope)
    return this.#graph.emit('look', [at], { operand: known.at, b: known.length })
  }
}

const NO_SCOPE: Scope = { values: new Map(), above: Number.POSITIVE_INFINITY }

function arityError(called: Named, takes: number, given: number, hint?: string): OslError {
  const values = takes === 1 ? '1 value' : `${takes} values`
  const span = { at: called.at, length: called.name.length }
  return new OslError('osl-arity', `${called.name} takes ${values}, not ${given}`, span, hint)
}
