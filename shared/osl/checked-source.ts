/**
 * A program as text that can run as it is: compiled, and verified as each board will verify it. What compiles may still
 * be too large or cost too much.
 */
import type { Field } from '../grid/fields.ts'
import { type Compiled, compile, type OslGrid } from './compiler.ts'
import { OslError, type OslProblem } from './osl-problems.ts'
import { type Sound, verify } from './verifier.ts'

export const READS_NO_NEIGHBOURS = 'only a program that sets fields can read neighbours'

export interface SoundSource extends Compiled {
  readonly sound: Sound
  /** That it was written for. */
  readonly fields: readonly Field[]
}

const WHOLE = { at: 0, length: 1 }

export function compileSound(
  source: string,
  grid: OslGrid,
): { ok: true; compiled: SoundSource } | { ok: false; problems: OslProblem[] } {
  const made = compile(source, grid)
  if (!made.ok) return made
  const { fields } = grid
  const sound = verify(made.compiled.program, fields.length)
  const fail = (code: OslProblem['code'], message: string) => {
    return { ok: false as const, problems: [new OslError(code, message, WHOLE).problem] }
  }
  if (!sound.ok) return fail('osl-too-large', `it is too large: ${sound.message}`)
  if (sound.kind === 'read' && sound.reach > 0) return fail('osl-radius', READS_NO_NEIGHBOURS)
  return { ok: true, compiled: { ...made.compiled, sound, fields } }
}
