/**
 * Programs of the operation language as operations: what a write entry and a read part carry, as CBOR has it, and what
 * is known of it once it was checked. The names say which semantics: boards announce them, and a change is another name.
 */
import { COLUMNS_MAX, FIRST_COLUMN, MICROGLYPHS_MAX, POOL_MAX } from '../osl/codex.ts'
import { bytesOfPool, type Output, type Program, poolOfBytes } from '../osl/program.ts'
import { type Sound, verify } from '../osl/verifier.ts'
import type { Wire } from './operation.ts'

export const OSL_WRITE = 'osl1-write'
export const OSL_READ = 'osl1-read'
export const OSL_SCATTER = 'osl1-scatter'
export const OSL_ITEMS = 'osl1-items'

/** The normal form: numbers are bound, `pool` are doubles, little-endian. */
export interface ProgramArgs extends Wire {
  readonly code: Uint8Array
  readonly pool: Uint8Array
  readonly outputs: readonly Output[]
  /** How many columns of numbers come with the cells, where it says it. */
  readonly columns?: number
}

export function argsOfProgram({ code, pool, outputs }: Program): ProgramArgs {
  return { code, pool: bytesOfPool(pool), outputs }
}

export interface CheckedProgram {
  readonly program: Program
  readonly sound: Sound
}

/** Arguments are objects that nobody changes, and are asked about again and again. */
const checked = new WeakMap<Wire, CheckedProgram>()

/** The program of arguments in their normal form; `fields` is how many the grid has. Throws if it is none. */
export function programOf(args: Wire, fields: number): CheckedProgram {
  const known = checked.get(args)
  if (known !== undefined) return known
  const { code, pool, outputs, columns = 0 } = args as Partial<ProgramArgs>
  const isShaped =
    code instanceof Uint8Array &&
    pool instanceof Uint8Array &&
    code.length <= 8 * MICROGLYPHS_MAX &&
    pool.length <= 8 * POOL_MAX &&
    pool.length % 8 === 0 &&
    Number.isInteger(columns) &&
    columns >= 0 &&
    columns <= COLUMNS_MAX &&
    Array.isArray(outputs) &&
    outputs.every(isOutput)
  if (!isShaped) throw new Error('it carries no program')
  const program = { code, pool: poolOfBytes(pool), outputs }
  const sound = verify(program, fields, columns)
  if (!sound.ok) throw new Error(`microglyph ${sound.at}: ${sound.message}`)
  const made = { program, sound }
  checked.set(args, made)
  return made
}

function isOutput(value: unknown): value is Output {
  const { name, kind, slot } = (value ?? {}) as Partial<Output>
  return typeof name === 'string' && typeof kind === 'string' && Number.isInteger(slot)
}

/** Fields that it loads, stores or reads of neighbours: status and columns are nobody's to grant. */
export function fieldsOfProgram({ sound }: CheckedProgram): number[] {
  const all = new Set([...sound.loads, ...sound.stores, ...sound.nears])
  return [...all].filter((field) => field < FIRST_COLUMN).sort((left, right) => left - right)
}
