/**
 * The types that an option can have. Each reads the same text from a flag and from the environment,
 * and says for the file which TOML values it takes. `malformed` is a misuse (a flag that is no
 * number), `out-of-range` a wrong setting.
 */
import { own } from '../core/own.ts'

export type OptionParsing<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false
      readonly fault: 'malformed' | 'out-of-range'
      readonly message: string
    }

export type FileValue = 'string' | 'number' | 'boolean' | 'list'

export interface OptionType<T> {
  /** Stands for the value in the help: `<n>`; empty for a switch. */
  readonly placeholder: string
  /** What is taken, in words: `0 to 65535`; empty when any text is. */
  readonly range: string
  /** A value, for whoever wrote one of another kind. */
  readonly example?: string | undefined
  readonly fileValues: readonly FileValue[]
  parse(text: string): OptionParsing<T>
  format(value: T): string
}

/** A value as a TOML file has it: read as the text that a flag would give. */
export function parseFileValue<T>(type: OptionType<T>, value: unknown): OptionParsing<T> {
  const { fileValues } = type
  const kind = Array.isArray(value) ? 'list' : typeof value
  const isTaken =
    fileValues.some((taken) => taken === kind) &&
    (!Array.isArray(value) || value.every((entry) => typeof entry === 'string'))
  if (isTaken) return type.parse(Array.isArray(value) ? value.join(',') : String(value))
  const expected = fileValues.map((taken) => (taken === 'list' ? 'list of strings' : taken))
  const example = type.example === undefined ? '' : `, such as "${type.example}"`
  return malformed(`must be a ${expected.join(' or a ')}${example}`)
}

export interface NumberBounds {
  readonly min: number
  readonly max: number
  readonly unit?: Unit
}

export type Unit = 'ms' | 's' | 'h' | 'bytes' | '%' | 'a second'

/** Suffixes that may follow a number of this unit, and what each is worth in it. */
const SUFFIXES: Readonly<Partial<Record<Unit, Readonly<Record<string, number>>>>> = {
  ms: { ms: 1, s: 1000, min: 60_000, h: 3_600_000 },
  s: { s: 1, min: 60, h: 3600 },
  h: { h: 1, d: 24 },
  bytes: { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 },
}

const NUMBER = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([A-Za-z]*)$/

export function malformed(message: string): Extract<OptionParsing<never>, { ok: false }> {
  return { ok: false, fault: 'malformed', message }
}

function outOfRange(message: string): OptionParsing<never> {
  return { ok: false, fault: 'out-of-range', message }
}

/** A number in the unit of the option's name; `10s`, `64MiB` and the like are taken too. */
function quantity(bounds: NumberBounds, isWhole: boolean): OptionType<number> {
  const { min, max, unit } = bounds
  const suffixes = (unit && SUFFIXES[unit]) ?? {}
  const range = `${min} to ${max}${unit ? ` ${unit}` : ''}`
  return {
    placeholder: '<n>',
    range,
    fileValues: Object.keys(suffixes).length > 0 ? ['number', 'string'] : ['number'],
    parse(text) {
      const match = NUMBER.exec(text.trim())
      const factor = match && (match[2] === '' ? 1 : own(suffixes, match[2]!))
      if (!match || factor === undefined) {
        const known = Object.keys(suffixes)
        const hint = known.length > 0 ? ` (units: ${known.join(', ')})` : ''
        return malformed(`"${text}" is not a number${hint}`)
      }
      const value = product(Number(match[1]), factor!)
      if (isWhole && !Number.isInteger(value)) {
        return malformed(`${text} is not a whole number${unit ? ` of ${unit}` : ''}`)
      }
      if (!(value >= min && value <= max)) {
        return outOfRange(`${text} is out of range, ${range} is taken`)
      }
      return { ok: true, value }
    },
    format: String,
  }
}

/** A decimal has no exact product: 1.1 times an hour's milliseconds ends in …005. 15 digits say it. */
function product(value: number, factor: number): number {
  return factor === 1 ? value : Number((value * factor).toPrecision(15))
}

export function integer(bounds: NumberBounds): OptionType<number> {
  return quantity(bounds, true)
}

export function number(bounds: NumberBounds): OptionType<number> {
  return quantity(bounds, false)
}

/** A length of time, in whole units of the option's name. */
export function duration(bounds: NumberBounds & { unit: 'ms' | 's' | 'h' }): OptionType<number> {
  return quantity(bounds, true)
}

export function boolean(): OptionType<boolean> {
  return {
    placeholder: '',
    range: 'true or false',
    fileValues: ['boolean'],
    parse(text) {
      if (text === 'true' || text === '1') return { ok: true, value: true }
      if (text === 'false' || text === '0') return { ok: true, value: false }
      return malformed(`"${text}" is neither true nor false`)
    },
    format: String,
  }
}

export function choice<const T extends string>(values: readonly T[]): OptionType<T> {
  const range = values.join(', ')
  return {
    placeholder: '<name>',
    range,
    fileValues: ['string'],
    parse(text) {
      const value = values.find((candidate) => candidate === text)
      return value === undefined
        ? outOfRange(`"${text}" is not one of ${range}`)
        : { ok: true, value }
    },
    format: String,
  }
}

export interface TextRule<T> {
  readonly placeholder?: string
  readonly range?: string
  readonly example?: string
  parse?(text: string): OptionParsing<T>
  format?(value: T): string
}

/** Text, or whatever `rule.parse` makes of it. */
export function text<T = string>(rule: TextRule<T> = {}): OptionType<T> {
  return {
    placeholder: rule.placeholder ?? '<text>',
    range: rule.range ?? '',
    example: rule.example,
    fileValues: ['string'],
    parse(given) {
      if (given === '') return malformed('the value is empty')
      return rule.parse ? rule.parse(given) : { ok: true, value: given as T }
    },
    format: rule.format ?? String,
  }
}

/** Texts between commas; a list in the file. */
export function list(): OptionType<readonly string[]> {
  return {
    placeholder: '<a,b,…>',
    range: '',
    fileValues: ['list', 'string'],
    parse(given) {
      const parts = given.split(',').map((part) => part.trim())
      return parts.includes('')
        ? malformed(`"${given}" has an empty entry`)
        : { ok: true, value: Object.freeze(parts) }
    },
    format: (value) => value.join(','),
  }
}
