/**
 * What a program of the codex, and its glyph, may be called: nothing that means something already, in the language or
 * as an operation.
 */
import { OPERATION_NAMES, TASK_OPERATIONS } from '../../../shared/operations/catalog.ts'
import { GLYPHS, OPERATION_GLYPHS } from '../../../shared/osl/codex.ts'
import { FUNCTIONS, REDUCERS } from '../../../shared/osl/functions.ts'
import { WORDS } from '../../../shared/osl/lexer.ts'
import { GIVEN } from '../../../shared/osl/names.ts'
import { isProgramName } from '../../../shared/protocol/program-call.ts'

const TAKEN: ReadonlySet<string> = new Set([
  ...TASK_OPERATIONS,
  ...OPERATION_NAMES,
  ...[...GLYPHS, ...OPERATION_GLYPHS].map(({ name }) => name),
  ...[...FUNCTIONS.keys(), ...REDUCERS.keys(), ...WORDS.keys(), ...GIVEN],
])

/** Signs of the language that are no glyph's own stand for one. */
const SIGNS: ReadonlySet<string> = new Set([
  ...[...GLYPHS, ...OPERATION_GLYPHS].map(({ sign }) => sign),
  '≥',
])

/** Why a program cannot be called so. */
export function faultOfName(name: string): string | undefined {
  if (!isProgramName(name)) {
    return 'the name of a program is a small letter, then up to 31 of a-z, 0-9 and "_"'
  }
  return TAKEN.has(name) ? `"${name}" has a meaning already` : undefined
}

/** Why this cannot be the glyph of a program. */
export function faultOfGlyph(glyph: string): string | undefined {
  if (!/^\p{S}$/u.test(glyph) || glyph.codePointAt(0)! <= 0x7f) {
    return 'a glyph is one character of the symbols of Unicode, outside ASCII'
  }
  return SIGNS.has(glyph) ? `${glyph} has a meaning already` : undefined
}
