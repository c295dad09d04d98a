/** Random programs, as text: every statement, function and operator of the language, over numbers that are awkward. */
import type { Random } from '../../shared/core/random.ts'
import type { Field } from '../../shared/grid/fields.ts'
import { ELEMENTARY } from '../../shared/osl/elementary.ts'

export const OSL_FIELDS: readonly Field[] = [
  { name: 'a', type: 'f64' },
  { name: 'b', type: 'f32' },
  { name: 'c', type: 'u8' },
  { name: 'e', type: 'i32' },
  { name: 'n', type: 'f64', nodata: 5 },
]

const LITERALS = ['3', '0.5', '-9999', '0', '1e200', '1e-300', '255', '2147483647', '0x1f', '1_000']
const NUMBERS = [0, 1, -1, 5, 1e300, -1e300, 0.1, 255, 2147483647, -9999, 1e-310, -0.4, 3]
const COMPARISONS = ['<', '<=', '>', '>=', '==', '!=']
const UNARY = ['abs', 'sqrt', 'floor', 'round', 'ceil', 'sign']
const ELEMENTARY_NAMES = [...ELEMENTARY.keys()]

export interface WriterOptions {
  readonly fields: readonly Field[]
  /** Which numbers may be missing, of which fields. */
  readonly nodata: readonly string[]
  /** How far neighbours are; none with 0. */
  readonly reach: number
}

const OPTIONS: WriterOptions = {
  fields: OSL_FIELDS,
  nodata: ['nodata e -9999', 'nodata b = 0.1', 'nodata c = 255'],
  reach: 0,
}

export class ProgramWriter {
  readonly #random: Random
  readonly #names: readonly string[]
  /** What there are classes of. */
  readonly #classes: readonly string[]
  readonly #nodata: readonly string[]
  readonly #reach: number
  #lets: string[] = []
  #stored = new Set<string>()
  #hasDefs = false

  constructor(random: Random, options: Partial<WriterOptions> = {}) {
    const { fields, nodata, reach } = { ...OPTIONS, ...options }
    this.#random = random
    this.#names = fields.map(({ name }) => name)
    const small = fields.filter(({ type }) => type === 'u8')
    this.#classes = [...small.map(({ name }) => name), 'status']
    this.#nodata = nodata
    this.#reach = reach
  }

  pick<T>(of: readonly T[]): T {
    return of[this.#random.integer(of.length)]!
  }

  #chance(oneIn: number): boolean {
    return this.#random.integer(oneIn) === 0
  }

  /** A program that sets fields, and parameters for it. */
  write(): string {
    return [...this.#opening(), ...this.#some(3, () => this.#assignment())].join('\n')
  }

  read(): string {
    const outputs = this.#some(4, (index) => this.#output(`r${index}`))
    return [...this.#opening(), ...outputs].join('; ')
  }

  readonly parameters = { p: 2.5, q: -3 }

  /** What a cell may hold, as its type has it. */
  cell({ type }: Field): number {
    const drawn =
      this.pick(NUMBERS) * (this.#chance(3) ? 1 : Math.fround(this.#random.integer(1000) / 7))
    const value = Number.isFinite(drawn) ? drawn : 3
    switch (type) {
      case 'u8':
        return new Uint8Array([value])[0]!
      case 'i32':
        return new Int32Array([value])[0]!
      case 'f32': {
        const rounded = Math.fround(value)
        return (Number.isFinite(rounded) ? rounded : 7) + 0
      }
    }
    return value + 0
  }

  #some<T>(max: number, make: (index: number) => T): T[] {
    return Array.from({ length: 1 + this.#random.integer(max) }, (_, index) => make(index))
  }

  #opening(): string[] {
    this.#lets = []
    this.#stored = new Set()
    this.#hasDefs = this.#chance(3)
    const lines: string[] = []
    for (const line of this.#nodata) if (this.#chance(4)) lines.push(line)
    if (this.#hasDefs) {
      lines.push(
        'table steps = [1, -2, 3.5, 0]',
        'def f(v, w) = (v + w) / x',
        'def g(v) = f(v, 2) - v',
      )
      lines.push('def both(s, t) = s and not t')
    }
    if (this.#chance(2)) {
      lines.push(`let k = ${this.number(2)}`)
      this.#lets.push('k')
    }
    if (this.#chance(4)) lines.push(`where ${this.condition(1)}`)
    return lines
  }

  #assignment(): string {
    const name = this.pick([...this.#names, 'status'])
    const line = `${name} = ${this.number(1 + this.#random.integer(4))}${this.#where()}`
    this.#stored.add(name)
    return line
  }

  #where(): string {
    return this.#chance(2) ? ` where ${this.condition(this.#random.integer(3))}` : ''
  }

  #output(name: string): string {
    const number = (): string => this.number(this.#random.integer(3))
    const form = this.pick([
      () => `${this.pick(['count', 'any', 'all'])}(${this.condition(1)})${this.#by()}`,
      () => `${this.pick(['sum', 'mean', 'var'])}(${number()})${this.#by()}`,
      () => `${this.pick(['min', 'max', 'argmin', 'argmax'])}(${number()})${this.#by()}`,
      () => `histogram(${number()}, -10, 300, ${1 + this.#random.integer(9)})`,
      () => `top(${number()}, ${1 + this.#random.integer(5)})`,
    ])
    if (this.#chance(6)) return `show ${name} = ${number()}${this.#where()}`
    return `return ${name} = ${form()}${this.#where()}`
  }

  #by(): string {
    return this.#chance(3) ? ` by ${this.pick(this.#classes)}` : ''
  }

  number(depth: number): string {
    if (depth <= 0)
      return this.pick([...this.#names, 'x', 'y', 'status', '$p', '$q', ...LITERALS, ...this.#lets])
    const number = (): string => this.number(depth - 1)
    const condition = (): string => this.condition(depth - 1)
    return this.pick([
      () => `(${number()} ${this.pick(['+', '-', '*', '/', '%', '×', '÷'])} ${number()})`,
      () => `(${number()} - ${number()} * ${number()} + ${number()})`,
      () => `${this.pick(['min', 'max', 'coalesce', 'hash'])}(${number()}, ${number()})`,
      () => `${this.pick(UNARY)}(${number()})`,
      () => `(if ${condition()} then ${number()} else ${number()})`,
      () => `pick(${condition()}, ${number()}, ${number()})`,
      () => `clamp(${number()}, 0, 100)`,
      () => this.#elementary(number),
      () => `random(${number()})`,
      () => `-${number()}`,
      () => `${this.number(0).replace('-', '')}^${2 + this.#random.integer(3)}`,
      () => this.#called(number) ?? number(),
      () => this.#neighbour() ?? number(),
    ])()
  }

  #elementary(number: () => string): string {
    const name = this.pick(ELEMENTARY_NAMES)
    return `${name}(${number()}${ELEMENTARY.get(name)!.length === 2 ? `, ${number()}` : ''})`
  }

  #called(number: () => string): string | undefined {
    if (!this.#hasDefs) return undefined
    return this.pick([
      () => `f(${number()}, ${number()})`,
      () => `g(${number()})`,
      () => `look(steps, ${number()})`,
    ])()
  }

  #neighbour(): string | undefined {
    const name = this.pick(this.#names)
    if (this.#reach === 0 || this.#stored.has(name)) return undefined
    const distance = (): number => this.#random.integer(2 * this.#reach + 1) - this.#reach
    return `${name}[${distance()}, ${distance()}]`
  }

  condition(depth: number): string {
    const number = (): string => this.number(Math.max(0, depth - 1))
    const comparison = (): string => `${number()} ${this.pick(COMPARISONS)} ${number()}`
    if (depth <= 0) return comparison()
    const condition = (): string => this.condition(depth - 1)
    return this.pick([
      comparison,
      () => `(${condition()} and ${condition()})`,
      () => `(${condition()} or ${condition()})`,
      () => `(not ${condition()})`,
      () => `missing(${number()})`,
      () => `(if ${condition()} then ${condition()} else ${condition()})`,
      () => (this.#hasDefs ? `both(${condition()}, ${condition()})` : 'true'),
    ])()
  }
}
