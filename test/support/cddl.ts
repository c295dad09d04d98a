/**
 * A reader and a validator for the part of CDDL (RFC 8610) that `obelisk.cddl` is written in: maps,
 * lists, alternatives, literals, ranges, occurrences and a few controls. It checks decoded values, so
 * an integer and a float of the same value are one. Anything else in the text is an error.
 */
export type Type =
  | { kind: 'name'; name: string }
  | { kind: 'literal'; value: string | number }
  | { kind: 'range'; low: number; high: number }
  | { kind: 'map'; members: Member[] }
  | { kind: 'list'; members: Member[] }
  | { kind: 'either'; types: Type[] }
  | { kind: 'control'; type: Type; control: string; operand: Type }

export interface Member {
  /** A text key; a type of keys; nothing in a list without names. */
  key: string | Type | undefined
  least: number
  most: number
  type: Type
}

export type Rules = ReadonlyMap<string, Type>

const TOKEN =
  /\s+|;[^\n]*|"(?:[^"\\]|\\.)*"|=>|\.\.|\.[a-z]+|-?\d+(?:\.\d+)?|[A-Za-z_$][\w$-]*|[=/{}[\](),:?*]/gy

class Reader {
  readonly #tokens: string[]
  #at = 0

  constructor(text: string) {
    this.#tokens = []
    TOKEN.lastIndex = 0
    while (TOKEN.lastIndex < text.length) {
      const from = TOKEN.lastIndex
      const found = TOKEN.exec(text)
      if (found === null) throw new Error(`not CDDL as read here: ${text.slice(from, from + 30)}`)
      if (!/^[\s;]/.test(found[0])) this.#tokens.push(found[0])
    }
  }

  rules(): Rules {
    const rules = new Map<string, Type>()
    while (this.#at < this.#tokens.length) {
      const name = this.#next()
      if (rules.has(name)) throw new Error(`the rule ${name} stands twice`)
      this.#expect('=')
      rules.set(name, this.#type())
    }
    return rules
  }

  #next(): string {
    const token = this.#tokens[this.#at++]
    if (token === undefined) throw new Error('the CDDL ends too early')
    return token
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false
    this.#at += 1
    return true
  }

  #expect(token: string): void {
    const found = this.#next()
    if (found !== token) throw new Error(`${token} expected, ${found} found`)
  }

  #type(): Type {
    const types = [this.#controlled()]
    while (this.#take('/')) types.push(this.#controlled())
    return types.length === 1 ? types[0]! : { kind: 'either', types }
  }

  #controlled(): Type {
    const type = this.#simple()
    const token = this.#tokens[this.#at]
    if (token === '..') {
      this.#at += 1
      return { kind: 'range', low: numberOf(type), high: numberOf(this.#simple()) }
    }
    if (token === undefined || !/^\.[a-z]+$/.test(token)) return type
    this.#at += 1
    return { kind: 'control', type, control: token.slice(1), operand: this.#simple() }
  }

  #simple(): Type {
    const token = this.#next()
    if (token === '{') return { kind: 'map', members: this.#members('}') }
    if (token === '[') return { kind: 'list', members: this.#members(']') }
    if (token === '(') {
      const type = this.#type()
      this.#expect(')')
      return type
    }
    if (token.startsWith('"')) return { kind: 'literal', value: JSON.parse(token) as string }
    if (/^-?\d/.test(token)) return { kind: 'literal', value: Number(token) }
    if (!/^[A-Za-z_$]/.test(token)) throw new Error(`a type expected, ${token} found`)
    return { kind: 'name', name: token }
  }

  #members(end: string): Member[] {
    const members: Member[] = []
    while (!this.#take(end)) {
      const [least, most] = this.#occurrence()
      const first = this.#type()
      if (this.#take(':')) members.push({ key: keyOf(first), least, most, type: this.#type() })
      else if (this.#take('=>')) members.push({ key: first, least, most, type: this.#type() })
      else members.push({ key: undefined, least, most, type: first })
      if (!this.#take(',') && this.#tokens[this.#at] !== end) throw new Error('a comma is missing')
    }
    return members
  }

  #occurrence(): [least: number, most: number] {
    if (this.#take('?')) return [0, 1]
    const next = this.#tokens[this.#at]
    const isCounted = /^\d+$/.test(next ?? '') && this.#tokens[this.#at + 1] === '*'
    const least = isCounted ? Number(this.#next()) : 0
    if (!this.#take('*')) return [1, 1]
    const isBounded = /^\d+$/.test(this.#tokens[this.#at] ?? '')
    return [least, isBounded ? Number(this.#next()) : Number.POSITIVE_INFINITY]
  }
}

function numberOf(type: Type): number {
  if (type.kind === 'literal' && typeof type.value === 'number') return type.value
  throw new Error('a number expected')
}

function keyOf(type: Type): string {
  if (type.kind === 'name') return type.name
  if (type.kind === 'literal' && typeof type.value === 'string') return type.value
  throw new Error('a key expected')
}

export function readCddl(text: string): Rules {
  return new Reader(text).rules()
}

const isNumber = (value: unknown): boolean => typeof value === 'number'
const isText = (value: unknown): boolean => typeof value === 'string'
const isWhole = (value: unknown): boolean => Number.isInteger(value)

/** The standard prelude (RFC 8610, appendix D), as far as it is used. */
const PRELUDE: Readonly<Record<string, (value: unknown) => boolean>> = {
  any: () => true,
  bool: (value) => typeof value === 'boolean',
  null: (value) => value === null,
  tstr: isText,
  bstr: (value) => value instanceof Uint8Array,
  number: isNumber,
  float64: isNumber,
  int: isWhole,
  uint: (value) => isWhole(value) && (value as number) >= 0,
}

/** The type behind names. */
export function resolve(rules: Rules, type: Type): Type {
  const found = type.kind === 'name' ? rules.get(type.name) : undefined
  return found === undefined ? type : resolve(rules, found)
}

/** What is wrong with a decoded value, as a path and a word; nothing when it is of the type. */
export function faultOf(rules: Rules, type: Type, value: unknown, path = ''): string | undefined {
  switch (type.kind) {
    case 'name': {
      const rule = rules.get(type.name)
      if (rule !== undefined) return faultOf(rules, rule, value, path)
      const isOf = PRELUDE[type.name]
      if (isOf === undefined) throw new Error(`there is no rule ${type.name}`)
      return isOf(value) ? undefined : `${path} is no ${type.name}`
    }
    case 'literal':
      return value === type.value ? undefined : `${path} is not ${JSON.stringify(type.value)}`
    case 'range': {
      const isInside =
        isWhole(value) && (value as number) >= type.low && (value as number) <= type.high
      return isInside ? undefined : `${path} is not in ${type.low}..${type.high}`
    }
    case 'either': {
      const faults = type.types.map((one) => faultOf(rules, one, value, path))
      return faults.includes(undefined) ? undefined : faults.join(', ')
    }
    case 'control':
      return (
        faultOf(rules, type.type, value, path) ??
        (holds(type.control, type.operand, value) ? undefined : `${path} breaks .${type.control}`)
      )
    case 'map':
      return faultOfMap(rules, type.members, value, path)
    case 'list':
      return faultOfList(rules, type.members, value, path)
  }
}

function holds(control: string, operand: Type, value: unknown): boolean {
  if (control === 'le') return (value as number) <= numberOf(operand)
  if (control === 'ge') return (value as number) >= numberOf(operand)
  if (control === 'regexp' && operand.kind === 'literal') {
    return new RegExp(`^(?:${operand.value})$`).test(value as string)
  }
  if (control !== 'size') throw new Error(`the control .${control} is not read here`)
  const size = typeof value === 'string' ? Buffer.byteLength(value) : (value as Uint8Array).length
  return operand.kind === 'range'
    ? size >= operand.low && size <= operand.high
    : size === numberOf(operand)
}

function faultOfMap(rules: Rules, members: Member[], value: unknown, path: string) {
  const isMap = typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)
  if (!isMap || Array.isArray(value)) return `${path} is no map`
  const left = new Map(Object.entries(value))
  for (const { key, least, type } of members.filter((member) => typeof member.key === 'string')) {
    if (!left.has(key as string)) {
      if (least > 0) return `${path}.${key} is missing`
      continue
    }
    const fault = faultOf(rules, type, left.get(key as string), `${path}.${key}`)
    if (fault !== undefined) return fault
    left.delete(key as string)
  }
  const open = members.find((member) => typeof member.key === 'object')
  for (const [key, one] of left) {
    if (open === undefined) return `${path}.${key} is unknown`
    const fault =
      faultOf(rules, open.key as Type, key, `${path}.${key}`) ??
      faultOf(rules, open.type, one, `${path}.${key}`)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** Either a fixed row of members, or one repeated member. */
function faultOfList(rules: Rules, members: Member[], value: unknown, path: string) {
  if (!Array.isArray(value)) return `${path} is no list`
  const repeated = members.length === 1 ? members[0]! : undefined
  const least = repeated?.least ?? members.length
  const most = repeated?.most ?? members.length
  if (value.length < least || value.length > most) return `${path} has ${value.length} members`
  for (const [index, one] of value.entries()) {
    const fault = faultOf(rules, (repeated ?? members[index]!).type, one, `${path}[${index}]`)
    if (fault !== undefined) return fault
  }
  return undefined
}
