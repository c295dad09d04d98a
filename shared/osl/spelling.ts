/**
 * The two spellings of a program: with glyphs, and as it is typed. Only tokens are spelled anew, and each stays the same
 * token, so both compile to the same bytes; comments, spaces and lines stay.
 */
import { NAMED, type Tokens, TYPED, tokenize } from './lexer.ts'
import type { OslProblem } from './osl-problems.ts'
import { PREFIXED } from './parser.ts'

export type Spelling = 'glyphs' | 'ascii'

const SIGN_OF = new Map(
  [...NAMED, ...TYPED].map(([sign, typed]): [string, string] => [typed, sign]),
)
/** Statements that give a name of their own: whatever it is, it is no glyph. */
const NAMING: readonly unknown[] = ['let', 'def', 'table']
const PLACES: readonly unknown[] = ['x', 'y']
/** Tokens that a function of one value may stand before, without brackets. */
const VALUES: readonly unknown[] = ['number', 'name', 'parameter', 'field']
const ENDS_IN_NAME = /[A-Za-z0-9_]$/
const BEGINS_NAME = /^[A-Za-z0-9_$.]/

/** The source in that spelling. What is no token of the language goes into `problems`, and stays as it is. */
export function spell(source: string, spelling: Spelling, problems: OslProblem[]): string {
  const tokens = tokenize(source, problems)
  const owned = ownNames(tokens)
  let text = ''
  let from = 0
  for (const [index, at] of tokens.ats.entries()) {
    const kind = tokens.kinds[index]!
    if (kind !== 'sign' && kind !== 'word' && kind !== 'name') continue
    const typed = String(tokens.values[index])
    const sign = spelling === 'ascii' ? undefined : signOf(tokens, index, owned)
    const spelled = spelling === 'ascii' ? typed : sign
    const end = at + tokens.lengths[index]!
    if (spelled === undefined || spelled === source.slice(at, end)) continue
    text += source.slice(from, at)
    // A glyph parts what stands around it, a word does not.
    const isWord = ENDS_IN_NAME.test(spelled)
    if (isWord && ENDS_IN_NAME.test(text)) text += ' '
    text += spelled
    if (isWord && BEGINS_NAME.test(source.slice(end))) text += ' '
    from = end
  }
  return text + source.slice(from)
}

/** Names that the program gives itself, and those of the values of its functions. */
function ownNames({ kinds, values }: Tokens): ReadonlySet<unknown> {
  const names = new Set<unknown>()
  for (const [index, kind] of kinds.entries()) {
    const isFirst = index === 0 || kinds[index - 1] === 'end'
    if (!isFirst || kind !== 'word' || !NAMING.includes(values[index])) continue
    for (let at = index + 1; kinds[at] !== 'end' && values[at] !== '='; at++) {
      if (kinds[at] === 'name') names.add(values[at])
    }
  }
  return names
}

/** The glyph for what is typed: of a name only where it is that of a function, or of a place. */
function signOf({ kinds, values }: Tokens, index: number, own: ReadonlySet<unknown>) {
  const typed = values[index] as string
  const sign = SIGN_OF.get(typed)
  if (kinds[index] !== 'name') return sign
  if (own.has(typed)) return undefined
  if (PLACES.includes(typed)) return sign
  const next = index + 1
  const isCalled = kinds[next] === 'sign' && values[next] === '('
  const isPrefix = PREFIXED.has(typed) && VALUES.includes(kinds[next])
  return isCalled || isPrefix ? sign : undefined
}
