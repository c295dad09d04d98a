/**
 * The text of a program as tokens, in three columns. A line or `;` ends a statement, but not inside brackets. A glyph
 * may stand wherever its name or operator stands, and gives the same token.
 *
 * What a token means is always the table's own string, never a piece of the source (decision 0017); only names that
 * the user chose are pieces of it, and these are looked up in maps.
 */
import { GLYPHS } from './codex.ts'
import { CHARACTER_HINTS } from './hints.ts'
import { OslError, type OslProblem } from './osl-problems.ts'

export type TokenKind =
  | 'number'
  | 'name'
  /** A word of the language. */
  | 'word'
  | 'sign'
  /** `$name`: a parameter. */
  | 'parameter'
  /** `field.name`: a field whose name may be a word of the language. */
  | 'field'
  /** Of a statement. */
  | 'end'
  /** Of the program; always the last. */
  | 'close'

export interface Tokens {
  readonly kinds: readonly TokenKind[]
  /** A number's value, a name without `$` or `field.`, a word, a sign. */
  readonly values: readonly (string | number)[]
  readonly ats: readonly number[]
  /** In UTF-16 units. */
  readonly lengths: readonly number[]
}

export const WORDS: ReadonlyMap<string, string> = new Map(
  [
    ...['let', 'def', 'table', 'nodata', 'where', 'return', 'show', 'by'],
    ...['if', 'then', 'else', 'and', 'or', 'not', 'true', 'false'],
  ].map((word) => [word, word]),
)

const SIGNS: ReadonlyMap<string, string> = new Map(
  [...'+-*/%^<>=()[],', '<=', '>=', '==', '!='].map((sign) => [sign, sign]),
)

/** What is typed in place of a glyph that is not its own name. */
export const TYPED: ReadonlyMap<string, string> = new Map([
  ...([
    ['×', '*'],
    ['÷', '/'],
    ['−', '-'],
    ['◿', '%'],
    ['≤', '<='],
    ['≥', '>='],
    ['≠', '!='],
  ] as const),
  ...([
    ['←', '='],
    ['∧', 'and'],
    ['∨', 'or'],
    ['¬', 'not'],
  ] as const),
])

/** Nothing is typed for these by itself. */
const UNTYPED: readonly string[] = ['field', 'near', 'const', 'store', 'span']

/** Glyphs that stand for a function or a source of values, or for how a read ends. */
export const NAMED: ReadonlyMap<string, string> = new Map(
  GLYPHS.filter(({ name }) => !UNTYPED.includes(name))
    .filter(({ sign }) => !TYPED.has(sign) && !SIGNS.has(sign))
    .map(({ sign, name }) => [sign, name]),
)

const NUMBER =
  /0[xX][0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+)?/y

const TAB = 9
const NEWLINE = 10
const RETURN = 13
const SPACE = 32
const HASH = 35
const DOLLAR = 36
const DOT = 46
const SEMICOLON = 59
const UNDERSCORE = 95

/** The tokens of all statements; a character that means nothing ends its statement and is told. */
export function tokenize(source: string, problems: OslProblem[]): Tokens {
  return new Lexer(source, problems).run()
}

class Lexer {
  readonly #source: string
  readonly #problems: OslProblem[]
  readonly #kinds: TokenKind[] = []
  readonly #values: (string | number)[] = []
  readonly #ats: number[] = []
  readonly #lengths: number[] = []
  #at = 0
  #brackets = 0

  constructor(source: string, problems: OslProblem[]) {
    this.#source = source
    this.#problems = problems
  }

  run(): Tokens {
    const source = this.#source
    if (source.startsWith('\ufeff')) this.#at = 1
    while (this.#at < source.length) {
      const code = source.charCodeAt(this.#at)
      if (code === SPACE || code === TAB || code === RETURN) this.#at++
      else if (code === HASH) this.#skipLine()
      else if (code === NEWLINE || code === SEMICOLON) this.#endStatement(code)
      else this.#take(code)
    }
    this.#push('end', '', 0)
    this.#push('close', '', 0)
    return { kinds: this.#kinds, values: this.#values, ats: this.#ats, lengths: this.#lengths }
  }

  #push(kind: TokenKind, value: string | number, length: number): void {
    this.#kinds.push(kind)
    this.#values.push(value)
    this.#ats.push(this.#at)
    this.#lengths.push(length)
    this.#at += length
  }

  #skipLine(): void {
    const end = this.#source.indexOf('\n', this.#at)
    this.#at = end < 0 ? this.#source.length : end
  }

  #endStatement(code: number): void {
    // A `;` inside brackets is a slip; what comes next says better what is missing.
    if (this.#brackets > 0 && code === NEWLINE) this.#at++
    else {
      this.#brackets = 0
      this.#push('end', '', 1)
    }
  }

  #take(code: number): void {
    if (isDigit(code) || (code === DOT && isDigit(this.#source.charCodeAt(this.#at + 1)))) {
      this.#takeNumber()
    } else if (isLetter(code) && code !== UNDERSCORE) this.#takeName()
    else if (code === DOLLAR) this.#takeParameter()
    else this.#takeSign()
  }

  #takeNumber(): void {
    NUMBER.lastIndex = this.#at
    const [text] = NUMBER.exec(this.#source)!
    const end = this.#nameEnd(this.#at + text.length)
    const value = Number(text.replaceAll('_', ''))
    if (end > this.#at + text.length || this.#source.charCodeAt(end) === DOT) {
      const span = { at: this.#at, length: end - this.#at }
      this.#fail('osl-number', `"${this.#textOf(span)}" is not a number`, span.length)
    } else if (Number.isFinite(value)) this.#push('number', value, text.length)
    else
      this.#fail(
        'osl-number',
        `${this.#textOf({ at: this.#at, length: text.length })} is not finite`,
        text.length,
      )
  }

  #takeName(): void {
    const end = this.#nameEnd(this.#at)
    const text = this.#source.slice(this.#at, end)
    if (text === 'field' && this.#source.charCodeAt(end) === DOT) {
      const nameEnd = this.#nameEnd(end + 1)
      if (nameEnd > end + 1) {
        this.#push('field', this.#source.slice(end + 1, nameEnd), nameEnd - this.#at)
        return
      }
    }
    const word = WORDS.get(text)
    this.#push(word === undefined ? 'name' : 'word', word ?? text, text.length)
  }

  #takeParameter(): void {
    const end = this.#nameEnd(this.#at + 1)
    if (end === this.#at + 1 || isDigit(this.#source.charCodeAt(this.#at + 1))) {
      this.#fail('osl-character', 'a name must follow "$"', 1)
    } else this.#push('parameter', this.#source.slice(this.#at + 1, end), end - this.#at)
  }

  #takeSign(): void {
    const two = SIGNS.get(this.#source.slice(this.#at, this.#at + 2))
    if (two?.length === 2) {
      this.#push('sign', two, 2)
      return
    }
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at)!)
    const sign = SIGNS.get(character)
    if (sign !== undefined) {
      if (sign === '(' || sign === '[') this.#brackets++
      else if ((sign === ')' || sign === ']') && this.#brackets > 0) this.#brackets--
      this.#push('sign', sign, 1)
      return
    }
    const typed = TYPED.get(character)
    const word = typed === undefined ? undefined : WORDS.get(typed)
    const name = NAMED.get(character)
    if (word !== undefined) this.#push('word', word, character.length)
    else if (typed !== undefined) this.#push('sign', typed, character.length)
    // `▤` is a word, as `show` is.
    else if (name !== undefined)
      this.#push(WORDS.has(name) ? 'word' : 'name', name, character.length)
    else {
      const message = `"${shown(character)}" means nothing here`
      this.#fail('osl-character', message, character.length, CHARACTER_HINTS.get(character))
    }
  }

  /** Tells it, and leaves out the rest of the statement. */
  #fail(
    code: 'osl-number' | 'osl-character',
    message: string,
    length: number,
    hint?: string,
  ): void {
    this.#problems.push(new OslError(code, message, { at: this.#at, length }, hint).problem)
    let start = this.#kinds.length
    while (start > 0 && this.#kinds[start - 1] !== 'end') start--
    for (const column of [this.#kinds, this.#values, this.#ats, this.#lengths])
      column.length = start
    this.#brackets = 0
    const rest = /[\n;]/g
    rest.lastIndex = this.#at
    this.#at = rest.exec(this.#source)?.index ?? this.#source.length
  }

  #nameEnd(from: number): number {
    let end = from
    while (end < this.#source.length) {
      const code = this.#source.charCodeAt(end)
      if (!isLetter(code) && !isDigit(code)) break
      end++
    }
    return end
  }

  #textOf({ at, length }: { at: number; length: number }): string {
    return this.#source.slice(at, at + Math.min(length, 32))
  }
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === UNDERSCORE
}

/** Half of a surrogate pair, or what nobody sees, by its number. */
function shown(character: string): string {
  if (!/[\p{C}\p{Z}]/u.test(character)) return character
  return `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`
}
