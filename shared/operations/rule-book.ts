/**
 * The rule book: conditions that boards evaluate after each write on the tiles that it touched. A condition is an
 * expression of the operation language (docs/osl.md); it becomes a program that counts the cells for which it is true.
 * The text stays at the gateway; what goes to boards, in a stream's entry `$rules`, is the program.
 */
import * as v from 'valibot'
import { isId } from '../core/ids.ts'
import type { Region } from '../grid/geometry.ts'
import { compile } from '../osl/compiler.ts'
import { tokenize } from '../osl/lexer.ts'
import { placeOf } from '../osl/osl-problems.ts'
import { verify } from '../osl/verifier.ts'
import { isPlainObject, type Parsed, type Problem, parseWith } from '../protocol/problems.ts'
import { parseRegion } from '../protocol/region.ts'
import type { RuleText } from '../protocol/views.ts'
import type { GridContext, Wire } from './operation.ts'
import { argsOfProgram, type CheckedProgram, type ProgramArgs, programOf } from './osl-program.ts'

/** A board tells which of them are raised in a tile by a bit each. */
export const RULES_MAX = 32
/** Of the programs of a book: it goes to boards as one entry of a stream. */
export const BOOK_BYTES_MAX = 24 * 1024
const MESSAGE_MAX = 256
const BYTES_PER_RULE = 128

/** With the program that counts the cells for which it is true. */
export interface Rule extends RuleText {
  readonly program: ProgramArgs
}

export interface RuleBookDraft {
  readonly rules: readonly Rule[]
  /** The version that is to be replaced; without it, whichever there is. */
  readonly ifVersion?: number
}

const whole = v.pipe(v.number('a whole number'), v.integer('a whole number'), v.minValue(0))
const schema = v.strictObject({
  rules: v.pipe(
    v.array(
      v.strictObject({
        name: v.custom<string>(isId, 'an id: letters, digits, _ and -, at most 64'),
        when: v.string(),
        over: v.optional(v.custom<Record<string, unknown>>(isPlainObject, 'a region')),
        message: v.pipe(v.string(), v.maxLength(MESSAGE_MAX, `at most ${MESSAGE_MAX} characters`)),
      }),
    ),
    v.maxLength(RULES_MAX, `at most ${RULES_MAX} rules`),
  ),
  if_version: v.optional(whole),
})

/** Checks a book from outside against the grid, and compiles its conditions. */
export function parseRuleBook(input: unknown, grid: GridContext): Parsed<RuleBookDraft> {
  const shape = parseWith(schema, input, '')
  if (!shape.ok) return shape
  const problems: Problem[] = []
  const rules: Rule[] = []
  let bytes = 0
  for (const [index, { name, when, over, message }] of shape.value.rules.entries()) {
    const path = `rules[${index}]`
    if (shape.value.rules.findIndex((other) => other.name === name) < index) {
      const said = `there are two rules "${name}"`
      problems.push({ path: `${path}.name`, code: 'duplicate', message: said })
    }
    const region = over === undefined ? undefined : regionOf(over, path, grid, problems)
    const program = compileCondition(when, `${path}.when`, grid, problems)
    if (program === undefined) continue
    bytes += program.code.length + program.pool.length + BYTES_PER_RULE
    rules.push({ name, when, ...(region === undefined ? {} : { over: region }), message, program })
  }
  if (bytes > BOOK_BYTES_MAX) {
    const message = `the programs of the rules take ${bytes} bytes, at most ${BOOK_BYTES_MAX} are taken`
    problems.push({ path: 'rules', code: 'too-large', message })
  }
  if (problems.length > 0) return { ok: false, problems }
  const { if_version: ifVersion } = shape.value
  return { ok: true, value: { rules, ...(ifVersion === undefined ? {} : { ifVersion }) } }
}

function regionOf(
  over: Record<string, unknown>,
  path: string,
  { geometry }: GridContext,
  problems: Problem[],
): Region | undefined {
  const found: Problem[] = []
  const { region } = parseRegion(over, geometry, found)
  for (const problem of found) {
    const message = problem.message.replace(/^region/, `${path}.over`)
    problems.push({ ...problem, path: problem.path.replace(/^region/, `${path}.over`), message })
  }
  return region
}

const BEFORE = 'return n = count(('
const AFTER = '\n))'

/** The program that counts the cells for which a condition is true. */
function compileCondition(
  when: string,
  path: string,
  { fields, geometry }: GridContext,
  problems: Problem[],
): ProgramArgs | undefined {
  const before = problems.length
  const add = (code: Problem['code'], message: string, at: number, length: number, hint?: string) =>
    problems.push({
      ...{ path, code, message: `${path}: ${message}` },
      ...placeOf(when, { at, length }),
      ...(hint === undefined ? {} : { hint }),
    })
  const stray = strayBracketOf(when)
  if (stray !== undefined) {
    add('osl-syntax', 'the brackets of a condition must pair', stray, 1)
    return undefined
  }
  const result = compile(`${BEFORE}${when}${AFTER}`, { fields, width: geometry.width })
  if (!result.ok) {
    for (const { code, message, span, hint } of result.problems) {
      // What is missing at the end would come in what is put around it.
      const at = Math.min(Math.max(0, span.at - BEFORE.length), when.length)
      add(code, message, at, Math.min(span.length, Math.max(1, when.length - at)), hint)
    }
    return undefined
  }
  const { program, parameters } = result.compiled
  for (const name of parameters.keys()) {
    const at = when.indexOf(`$${name}`)
    add('osl-unknown-name', 'a rule has no parameters', at, name.length + 1, 'write the number')
  }
  const sound = verify(program, fields.length)
  if (!sound.ok) add('too-expensive', sound.message, 0, when.length)
  else if (sound.reach > 0) add('osl-radius', 'a rule cannot read neighbours', 0, when.length)
  return problems.length > before ? undefined : argsOfProgram(program)
}

/** Where a bracket stands that none pairs with: with it a condition could end, and something else begin. */
function strayBracketOf(when: string): number | undefined {
  const { kinds, values, ats } = tokenize(when, [])
  const open: number[] = []
  for (const [index, kind] of kinds.entries()) {
    if (kind !== 'sign') continue
    const sign = values[index]
    if (sign === '(' || sign === '[') open.push(ats[index]!)
    else if ((sign === ')' || sign === ']') && open.pop() === undefined) return ats[index]!
  }
  return open.pop()
}

/** What boards are told of a rule. */
export interface BoardRule {
  readonly over?: Region
  readonly program: CheckedProgram
}

export interface BoardBook {
  readonly version: number
  readonly rules: readonly BoardRule[]
}

/** The arguments of an entry `$rules`. */
export function argsOfBook(version: number, rules: readonly Rule[]): Wire {
  return {
    version,
    rules: rules.map(({ over, program: { code, pool, outputs } }) => {
      const region = over === undefined ? {} : { over: [over.x, over.y, over.w, over.h] }
      return { ...{ code, pool, outputs }, ...region }
    }),
  }
}

/** The book of an entry; throws if it is none for this grid. */
export function bookOfArgs(args: Wire, { fields, geometry }: GridContext): BoardBook {
  const { version, rules } = args as { version?: unknown; rules?: unknown }
  const isShaped =
    Number.isSafeInteger(version) && Array.isArray(rules) && rules.length <= RULES_MAX
  if (!isShaped) throw new Error('it carries no rule book')
  return {
    version: version as number,
    rules: rules.map((rule: Wire) => {
      const program = programOf(rule, fields.length)
      const {
        sound,
        program: { outputs },
      } = program
      const counts = sound.kind === 'read' && sound.reach === 0 && outputs.length === 1
      if (!counts || outputs[0]!.kind !== 'count') throw new Error('a rule counts nothing')
      if (rule.over === undefined) return { program }
      const [x, y, w, h] = rule.over as [number, number, number, number]
      const over = { x, y, w, h }
      if (!geometry.contains(over)) throw new Error('a rule is over what is not in the grid')
      return { program, over }
    }),
  }
}
