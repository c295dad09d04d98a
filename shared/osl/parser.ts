/**
 * Tokens to statements, by recursive descent. A statement that is wrong is told and left out; the next is read as if
 * nothing had been. The grammar stands in docs/osl.md.
 */
import { REDUCERS } from './functions.ts'
import { STATEMENT_HINTS } from './hints.ts'
import { type Tokens, tokenize } from './lexer.ts'
import { collecting, OslError, type OslProblem, type Span } from './osl-problems.ts'
import {
  type Arithmetic,
  type Comparison,
  DEPTH_MAX,
  type Expression,
  type Named,
  type Statement,
  type Target,
} from './syntax.ts'

export interface Parsed {
  readonly statements: readonly Statement[]
  /** What statements that were left out would have named: nobody is told that it is unknown. */
  readonly brokenNames: ReadonlySet<string>
  readonly tokens: number
}

/** What is wrong goes into `problems`. */
export function parse(source: string, problems: OslProblem[]): Parsed {
  const tokens = tokenize(source, problems)
  const parser = new Parser(tokens)
  const statements = parser.run(problems)
  return { statements, brokenNames: parser.brokenNames, tokens: tokens.kinds.length - 1 }
}

const WORD = 'that is a word of the language'

/** For what stands behind a whole statement. */
const END_HINTS: ReadonlyMap<string, string> = new Map([
  [',', 'a line or ";" ends a statement, and a number has a point'],
  ['if', 'write "= if … then … else …", or "= … where …"'],
])

const EXPONENT_MIN = 2
const EXPONENT_MAX = 16

/** Functions of one value that a glyph stands for: `√x` is taken, as `√(x)` is. */
export const PREFIXED: ReadonlySet<string> = new Set(['sqrt', 'floor', 'abs', 'missing'])

const SUMS: ReadonlyMap<unknown, Arithmetic> = new Map([
  ['+', '+'],
  ['-', '-'],
])
const PRODUCTS: ReadonlyMap<unknown, Arithmetic> = new Map([
  ['*', '*'],
  ['/', '/'],
  ['%', '%'],
])
const COMPARISONS: ReadonlyMap<unknown, Comparison> = new Map(
  (['<', '<=', '>', '>=', '==', '!='] as const).map((sign) => [sign, sign]),
)

class Parser {
  readonly brokenNames = new Set<string>()
  readonly #tokens: Tokens
  #at = 0
  #depth = 0

  constructor(tokens: Tokens) {
    this.#tokens = tokens
  }

  run(problems: OslProblem[]): Statement[] {
    const statements: Statement[] = []
    while (!this.#isAt('close')) {
      if (this.#takeKind('end')) continue
      const from = this.#at
      const statement = collecting(problems, () => this.#statement())
      if (statement !== undefined) statements.push(statement)
      else if (this.#tokens.kinds[from] === 'word') {
        this.brokenNames.add(String(this.#tokens.values[from + 1]))
      }
      while (!this.#isAt('end') && !this.#isAt('close')) this.#at++
    }
    return statements
  }

  #isAt(kind: Tokens['kinds'][number]): boolean {
    return this.#tokens.kinds[this.#at] === kind
  }

  #takeKind(kind: Tokens['kinds'][number]): boolean {
    if (!this.#isAt(kind)) return false
    this.#at++
    return true
  }

  #span(at = this.#at): Span {
    return { at: this.#tokens.ats[at]!, length: this.#tokens.lengths[at]! }
  }

  /** From token `from` to the last that was taken. */
  #since(from: number): Span {
    const last = this.#span(Math.max(from, this.#at - 1))
    const { at } = this.#span(from)
    return { at, length: last.at + last.length - at }
  }

  /** A word or a sign; a name that is spelled so is none. */
  #is(text: string): boolean {
    const kind = this.#tokens.kinds[this.#at]
    return (kind === 'word' || kind === 'sign') && this.#tokens.values[this.#at] === text
  }

  #take(text: string): boolean {
    if (!this.#is(text)) return false
    this.#at++
    return true
  }

  #need(text: string, hint?: string): void {
    if (!this.#take(text)) this.#fail(`"${text}" must come`, hint)
  }

  #fail(what: string, hint?: string): never {
    const isOver = this.#isAt('end') || this.#isAt('close')
    const here = isOver ? 'the statement ends' : `here is "${this.#shown()}"`
    const span = isOver ? { ...this.#span(), length: 1 } : this.#span()
    throw new OslError('osl-syntax', `${what}, but ${here}`, span, hint)
  }

  #shown(): string {
    const value = String(this.#tokens.values[this.#at]).slice(0, 32)
    const before = this.#isAt('parameter') ? '$' : this.#isAt('field') ? 'field.' : ''
    return before + value
  }

  #name(what: string): Named {
    if (!this.#isAt('name')) {
      this.#fail(
        `${what} must come`,
        this.#isAt('word') ? (STATEMENT_HINTS.get(this.#shown()) ?? WORD) : undefined,
      )
    }
    const name = this.#tokens.values[this.#at] as string
    return { name, ...this.#span(this.#at++) }
  }

  #target(what: string): Target {
    if (!this.#isAt('field')) return { ...this.#name(what), isField: false }
    const name = this.#tokens.values[this.#at] as string
    return { name, isField: true, ...this.#span(this.#at++) }
  }

  #statement(): Statement {
    const from = this.#at
    this.#depth = 0
    const statement = this.#statementBody()
    if (!this.#isAt('end') && !this.#isAt('close')) {
      this.#fail('the statement must end', END_HINTS.get(this.#shown()))
    }
    return { ...statement, ...this.#since(from) } as Statement
  }

  #statementBody() {
    if (this.#take('let')) {
      const name = this.#name('a name')
      this.#need('=')
      return { kind: 'let', name, value: this.#expression() }
    }
    if (this.#take('def')) return this.#def()
    if (this.#take('table')) return this.#table()
    if (this.#take('nodata')) {
      const field = this.#target('a field')
      this.#take('=')
      return { kind: 'nodata', field, value: this.#signedNumber() }
    }
    if (this.#take('where')) return { kind: 'where', condition: this.#expression() }
    if (this.#take('return')) return this.#return()
    if (this.#take('show')) {
      const name = this.#name('a name')
      this.#need('=', `write "show name = ${name.name}"`)
      return { kind: 'show', name, value: this.#expression(), where: this.#where() }
    }
    const field = this.#target('a statement')
    this.#need('=', this.#hintBehind(field.name))
    return { kind: 'assign', field, value: this.#expression(), where: this.#where() }
  }

  /** Behind the first name of a statement, where "=" must come. */
  #hintBehind(name: string): string | undefined {
    if (this.#is('==')) return 'one "=" sets a field'
    const sign = this.#signHere()
    const isInPlace = SUMS.has(sign) || PRODUCTS.has(sign)
    if (isInPlace && this.#tokens.values[this.#at + 1] === '=') {
      return `write "${name} = ${name} ${sign} …"`
    }
    return STATEMENT_HINTS.get(name)
  }

  #def() {
    const name = this.#name('a name')
    this.#need('(')
    const parameters: Named[] = []
    if (!this.#take(')')) {
      do {
        const parameter = this.#name('the name of a value')
        if (parameters.some((other) => other.name === parameter.name)) {
          throw new OslError('osl-duplicate', `"${parameter.name}" stands there already`, parameter)
        }
        parameters.push(parameter)
      } while (this.#take(','))
      this.#need(')')
    }
    this.#need('=')
    return { kind: 'def', name, parameters, value: this.#expression() }
  }

  #table() {
    const name = this.#name('a name')
    this.#need('=')
    this.#need('[')
    const values: number[] = []
    do values.push(this.#signedNumber())
    while (this.#take(','))
    this.#need(']')
    return { kind: 'table', name, values }
  }

  #return() {
    const name = this.#name('a name')
    this.#need('=', REDUCERS.has(name.name) ? `write "return name = ${name.name}(…)"` : undefined)
    const reducer = this.#name('count, sum, mean, min or another of these')
    if (!this.#is('(') && !REDUCERS.has(reducer.name)) {
      const hint = `write "return m = mean(${reducer.name})", or "show s = ${reducer.name}" for each cell`
      throw new OslError('osl-syntax', 'one value of all cells must come', reducer, hint)
    }
    this.#need('(', `${reducer.name} must be of something, as "mean(temp)" is`)
    const args = this.#arguments()
    const by = this.#take('by') ? this.#target('a field') : undefined
    return { kind: 'return', name, reducer, args, by, where: this.#where() }
  }

  #where(): Expression | undefined {
    return this.#take('where') ? this.#expression() : undefined
  }

  #signedNumber(): number {
    const sign = this.#take('-') ? -1 : 1
    if (!this.#isAt('number')) this.#fail('a number must come')
    return sign * (this.#tokens.values[this.#at++] as number)
  }

  /** One level deeper, for as long as `read` takes. */
  #deeper<T>(read: () => T): T {
    if (++this.#depth > DEPTH_MAX) {
      throw new OslError('osl-too-deep', `more than ${DEPTH_MAX} levels of nesting`, this.#span())
    }
    const value = read()
    this.#depth--
    return value
  }

  #expression(): Expression {
    return this.#deeper(() => this.#logic('or', () => this.#logic('and', () => this.#compared())))
  }

  #logic(kind: 'and' | 'or', next: () => Expression): Expression {
    const from = this.#at
    const first = next()
    if (!this.#is(kind)) return first
    const operands = [first]
    while (this.#take(kind)) operands.push(next())
    return { kind, operands, ...this.#since(from) }
  }

  #compared(): Expression {
    const from = this.#at
    const left = this.#total()
    const operator = this.#operator(COMPARISONS)
    if (operator === undefined) {
      if (this.#is('=')) {
        throw new OslError('osl-syntax', 'one "=" sets a field; "==" compares', this.#span())
      }
      return left
    }
    const right = this.#total()
    if (COMPARISONS.has(this.#signHere())) {
      const hint = 'write "a < b and b < c"'
      throw new OslError('osl-syntax', 'comparisons do not chain', this.#span(), hint)
    }
    return { kind: 'compare', operator, left, right, ...this.#since(from) }
  }

  #total(): Expression {
    return this.#chain(SUMS, () => this.#chain(PRODUCTS, () => this.#unary()))
  }

  #chain(operators: ReadonlyMap<unknown, Arithmetic>, next: () => Expression): Expression {
    const from = this.#at
    const first = next()
    let operator = this.#operator(operators)
    if (operator === undefined) return first
    const rest: { operator: Arithmetic; operand: Expression }[] = []
    for (; operator !== undefined; operator = this.#operator(operators)) {
      rest.push({ operator, operand: next() })
    }
    return { kind: 'sum', first, rest, ...this.#since(from) }
  }

  #signHere(): unknown {
    return this.#isAt('sign') ? this.#tokens.values[this.#at] : undefined
  }

  #operator<T>(operators: ReadonlyMap<unknown, T>): T | undefined {
    const operator = operators.get(this.#signHere())
    if (operator !== undefined) this.#at++
    return operator
  }

  #unary(): Expression {
    const from = this.#at
    if (this.#take('-')) {
      const of = this.#deeper(() => this.#unary())
      return { kind: 'negate', of, ...this.#since(from) }
    }
    if (this.#take('not')) {
      const of = this.#deeper(() => this.#compared())
      return { kind: 'not', of, ...this.#since(from) }
    }
    return this.#power()
  }

  #power(): Expression {
    const from = this.#at
    const base = this.#primary()
    if (!this.#take('^')) return base
    const exponent = this.#isAt('number') ? (this.#tokens.values[this.#at] as number) : Number.NaN
    if (!Number.isInteger(exponent) || exponent < EXPONENT_MIN || exponent > EXPONENT_MAX) {
      this.#fail(`a whole number from ${EXPONENT_MIN} to ${EXPONENT_MAX} must come after "^"`)
    }
    this.#at++
    return { kind: 'power', base, exponent, ...this.#since(from) }
  }

  #primary(): Expression {
    const from = this.#at
    const value = this.#tokens.values[from]!
    if (this.#takeKind('number')) {
      return { kind: 'number', value: value as number, ...this.#span(from) }
    }
    if (this.#takeKind('parameter')) {
      return { kind: 'parameter', name: value as string, ...this.#span(from) }
    }
    if (this.#is('true') || this.#is('false')) {
      this.#at++
      return { kind: 'truth', isTrue: value === 'true', ...this.#span(from) }
    }
    if (this.#take('(')) {
      const inner = this.#expression()
      this.#needClosing(from)
      return inner
    }
    if (this.#take('if')) return this.#if(from)
    if (!this.#isAt('name') && !this.#isAt('field'))
      this.#fail('a value must come', this.#hintForValue())
    return this.#named(from)
  }

  /** For what is no value. */
  #hintForValue(): string | undefined {
    const before = this.#tokens.values[this.#at - 1]
    if (this.#is('[')) return 'write "table name = [1, 2, 3]" above, and the name here'
    if (!this.#is('*')) return undefined
    return before === '*' ? 'write "^ 2" for a power' : 'write "count(true)" for all cells'
  }

  #needClosing(opened: number): void {
    if (this.#take(')')) return
    const isOver = this.#isAt('end') || this.#isAt('close')
    const here = isOver ? 'the statement ends' : `"${this.#shown()}"`
    const message = `this bracket is still open where ${here}${isOver ? '' : ' comes'}`
    throw new OslError('osl-syntax', message, this.#span(opened))
  }

  #if(from: number): Expression {
    const condition = this.#expression()
    this.#need('then')
    const yes = this.#expression()
    this.#need('else', 'both sides must be there: "if … then … else …"')
    const no = this.#expression()
    return { kind: 'if', condition, yes, no, ...this.#since(from) }
  }

  #named(from: number): Expression {
    const { name, isField } = this.#target('a value')
    if (this.#is('[')) return this.#neighbour(name, from)
    if (!isField && this.#take('(')) {
      const args = this.#arguments()
      return { kind: 'call', name, args, ...this.#since(from) }
    }
    if (!isField && PREFIXED.has(name) && this.#opensValue()) {
      const arg = this.#deeper(() => this.#unary())
      return { kind: 'call', name, args: [arg], ...this.#since(from) }
    }
    return { kind: 'name', name, isField, ...this.#span(from) }
  }

  #opensValue(): boolean {
    const kind = this.#tokens.kinds[this.#at]
    return kind === 'number' || kind === 'name' || kind === 'parameter' || kind === 'field'
  }

  /** Behind the opening bracket. */
  #arguments(): Expression[] {
    const opened = this.#at - 1
    const args: Expression[] = []
    if (this.#take(')')) return args
    do args.push(this.#expression())
    while (this.#take(','))
    this.#needClosing(opened)
    return args
  }

  #neighbour(name: string, from: number): Expression {
    this.#need('[')
    const dx = this.#signedNumber()
    this.#need(
      ',',
      'a neighbour is columns and rows away, as "temp[-1, 0]"; of a table write "look(t, 1)"',
    )
    const dy = this.#signedNumber()
    this.#need(']')
    return { kind: 'neighbour', name, dx, dy, ...this.#since(from) }
  }
}
