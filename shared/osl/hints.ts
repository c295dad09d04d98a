/** What to write instead, for people who know other languages: by what they typed. */
import { FUNCTIONS, REDUCERS } from './functions.ts'

/** How each function is called. */
const CALLS: ReadonlyMap<string, string> = new Map(
  [
    ...['min(a, b)', 'max(a, b)', 'abs(v)', 'sqrt(v)', 'floor(v)', 'ceil(v)', 'round(v)'],
    ...['sign(v)', 'hash(a, b)', 'random(seed)', 'look(table, place)', 'missing(v)'],
    ...['pick(condition, a, b)', 'clamp(v, low, high)', 'coalesce(v, w)'],
  ].map((call) => [call.slice(0, call.indexOf('(')), call]),
)

export function callOf(name: string): string {
  return CALLS.get(name) ?? `${name}(…)`
}

/** How a value of all cells is asked for. */
export function reducerCallOf(name: string): string {
  const { takes, constants } = REDUCERS.get(name)!
  return `${name}(${[takes === 'T' ? 'condition' : 'v', ...constants].join(', ')})`
}

const LOGIC = 'write "and", "or", "not"'
const CHOICE = 'write "if … then … else …"'
const NO_TEXT = 'there is no text, all values are numbers'
const NO_BLOCK = 'there are no blocks: the end of a line ends a statement'

/** For characters that mean nothing. */
export const CHARACTER_HINTS: ReadonlyMap<string, string> = new Map([
  ...['&', '|', '!', '~'].map((character): [string, string] => [character, LOGIC]),
  ...['"', "'", '`'].map((character): [string, string] => [character, NO_TEXT]),
  ...['{', '}'].map((character): [string, string] => [character, NO_BLOCK]),
  ['?', CHOICE],
  [':', 'one "=" sets a field'],
  ['.', 'only "field.name" has a point'],
  ['\\', 'inside brackets a statement goes on over the end of a line'],
])

const NO_LOOP = 'there are no loops: a program runs once for each cell'
const NOTHING = 'a value is missing by "nodata" or a division by 0; "missing(v)" asks'

/** For words that other languages begin a statement with. */
export const STATEMENT_HINTS: ReadonlyMap<string, string> = new Map([
  ...['for', 'foreach', 'while', 'repeat', 'loop'].map((word): [string, string] => [word, NO_LOOP]),
  ...['var', 'const', 'set'].map((word): [string, string] => [word, 'write "let name = …"']),
  ...['function', 'fn', 'func'].map((word): [string, string] => [word, 'write "def f(a) = …"']),
  ...['print', 'select', 'output'].map((word): [string, string] => [
    word,
    'write "return name = …", as in "return m = mean(v)"',
  ]),
  ['if', 'write "field = if … then … else …", or "field = … where …"'],
])

/** For functions of other languages. */
const FUNCTION_HINTS: ReadonlyMap<string, string> = new Map([
  ['mod', 'write "a % b"'],
  ['trunc', 'write "floor(v)", which goes down below 0, too'],
  ['int', 'write "floor(v)", which goes down below 0, too'],
  ['avg', 'write "return name = mean(v)"'],
  ['std', 'it is the root of what "return name = var(v)" gives'],
  ['isnan', 'write "missing(v)"'],
  ['isnull', 'write "missing(v)"'],
  ['nvl', 'write "coalesce(v, w)"'],
  ['ifelse', CHOICE],
  ['iif', CHOICE],
  ['ln', 'write "log(v)"'],
  ['log10', 'write "log2(v) / log2(10)"'],
  ['sinh', 'write "(exp(v) - exp(-v)) / 2"'],
  ['cosh', 'write "(exp(v) + exp(-v)) / 2"'],
])

export function functionHint(name: string): string | undefined {
  return FUNCTION_HINTS.get(name.toLowerCase())
}

export function functionsHint(own: Iterable<string>): string {
  return `there are ${[...FUNCTIONS.keys(), ...own].sort().join(' ')}`
}

/** For names of other languages. */
const NAME_HINTS: ReadonlyMap<string, string> = new Map([
  ...['null', 'nan', 'none', 'na', 'nil'].map((name): [string, string] => [name, NOTHING]),
  ['pi', 'write 3.141592653589793'],
  ...['col', 'column', 'row'].map((name): [string, string] => [name, 'x is the column, y the row']),
])

export function nameHint(name: string): string | undefined {
  return NAME_HINTS.get(name.toLowerCase())
}
