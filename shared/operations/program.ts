/**
 * `program`: a task that says itself what is to be done, as text or compiled. It is checked and bound here, on the
 * gateway; what goes on is the program, as the operation that writes or reads by it (osl-write.ts, osl-read.ts).
 */
import * as v from 'valibot'
import { own } from '../core/own.ts'
import type { Region } from '../grid/geometry.ts'
import { bind } from '../osl/bound-program.ts'
import { READS_NO_NEIGHBOURS } from '../osl/checked-source.ts'
import { REACH_MAX } from '../osl/codex.ts'
import { type Compiled, compile } from '../osl/compiler.ts'
import { type OslProblem, placeOf } from '../osl/osl-problems.ts'
import { classBytesOf, fixedBytesOf, slotsOf } from '../osl/partials.ts'
import { hashOfProgram, type Program } from '../osl/program.ts'
import type { Sound } from '../osl/verifier.ts'
import {
  isPlainObject,
  NAME_SHOWN_MAX,
  type Parsed,
  PROBLEMS_MAX,
  type Problem,
  parseWith,
  wholeWithin,
} from '../protocol/problems.ts'
import { GET_LSUS_MAX } from './get.ts'
import type { GridContext, Wire } from './operation.ts'
import { edgeBytesMax, type NearArgs, OSL_NEAR } from './osl-near.ts'
import { argsOfProgram, OSL_READ, OSL_WRITE, programOf } from './osl-program.ts'

/** Of a task, units × cells, unless the gateway says otherwise: 67M LSUs × 700 units. */
export const OSL_COST_MAX = 5e10

/** Of an answer, beside what each tile adds: parts have at most 32 KiB. */
const FIXED_BYTES_MAX = 24 * 1024
/** Of what is returned by class: an answer goes in one message, and with most numbers takes a tenth of this. */
const CLASS_BYTES_MAX = 960 * 1024

/** Of a task that reads neighbours: what lies around them goes through the gateway, and is kept with the write. */
export const NEAR_TILES_MAX = 4096
const EDGE_BYTES_MAX = 16 * 1024 * 1024

/** What a result says of the program that made it. */
export interface ProgramFacts {
  readonly hash: string
  /** Units a cell. */
  readonly cost: number
}

export interface ResolvedProgram {
  /** By which operation it runs. */
  readonly op: string
  readonly args: Wire
  readonly facts: ProgramFacts
}

export interface ProgramLimits {
  /** Units × cells of a task. */
  readonly costMax: number
}

const schema = v.strictObject({
  source: v.optional(v.string()),
  program: v.optional(
    v.strictObject({
      v: v.literal(1),
      code: v.instance(Uint8Array, 'bytes'),
      pool: v.instance(Uint8Array, 'bytes'),
      outputs: v.custom<unknown[]>(Array.isArray, 'a list'),
    }),
  ),
  with: v.optional(v.custom<Record<string, unknown>>(isPlainObject, 'an object of numbers'), {}),
  steps: v.optional(wholeWithin(1, REACH_MAX), 1),
})

/** Checks what a `program` asks for over a region, and binds it. */
export function parseProgram(
  input: unknown,
  region: Region | undefined,
  context: GridContext,
  limits: ProgramLimits,
): Parsed<ResolvedProgram> {
  const shape = parseWith(schema, input, 'args')
  if (!shape.ok) return shape
  const { source, program, with: values, steps } = shape.value
  if ((source === undefined) === (program === undefined)) {
    const message = 'args has exactly one of source and program'
    const code = source === undefined ? 'missing' : 'not-allowed'
    return { ok: false, problems: [{ path: 'args', code, message }] }
  }
  if (program !== undefined) {
    const { code, pool, outputs } = program
    const given = { code, pool, outputs: outputs.map(withSlot) }
    return resolveProgram(given, { steps, region }, context, limits)
  }
  const result = compile(source!, { fields: context.fields, width: context.geometry.width })
  if (!result.ok) {
    const problems = result.problems.map((problem) => problemOf(source!, problem, 'args.source'))
    return { ok: false, problems }
  }
  return resolveCompiled(result.compiled, { values, steps }, region, context, limits)
}

/** Binds a program that was compiled, and checks it as one that a task brings along. */
export function resolveCompiled(
  compiled: Compiled,
  { values, steps }: { values: Readonly<Record<string, unknown>>; steps: number },
  region: Region | undefined,
  context: GridContext,
  limits: ProgramLimits,
): Parsed<ResolvedProgram> {
  const bound = bindParameters(compiled, values, 'args.with')
  if (!bound.ok) return bound
  return resolveProgram(argsOfProgram(bound.value), { steps, region }, context, limits)
}

/** The slot of an output that says none is its own. */
function withSlot(output: unknown, index: number): unknown {
  return isPlainObject(output) && output.slot === undefined ? { ...output, slot: index } : output
}

/** A problem in a text, as refusals have it. */
export function problemOf(
  source: string,
  { code, message, span, hint }: OslProblem,
  path: string,
): Problem {
  return { path, code, message, ...placeOf(source, span), ...(hint === undefined ? {} : { hint }) }
}

/** Numbers for the parameters of a program: each once, and none too many. */
export function bindParameters(
  compiled: Compiled,
  values: Readonly<Record<string, unknown>>,
  path: string,
): Parsed<Program> {
  const problems: Problem[] = []
  const bound = new Map<string, number>()
  for (const name of compiled.parameters.keys()) {
    const value = own(values, name)
    if (typeof value === 'number' && Number.isFinite(value)) bound.set(name, value)
    else {
      const code = value === undefined ? 'missing' : 'wrong-type'
      const what = value === undefined ? 'is missing' : 'must be a finite number'
      problems.push({ path: `${path}.${name}`, code, message: `${path}.${name} ${what}` })
    }
  }
  for (const name of Object.keys(values)) {
    if (problems.length >= PROBLEMS_MAX) break
    if (compiled.parameters.has(name)) continue
    const shown = name.slice(0, NAME_SHOWN_MAX)
    const message = `the program has no $${shown}`
    problems.push({ path: `${path}.${shown}`, code: 'unknown-key', message })
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: bind(compiled, bound) }
}

/**
 * Checks a bound program, as anybody may have made it, against the grid, the region and the limits. Without `steps` it
 * goes over single LSUs, and can read no neighbours.
 */
export function resolveProgram(
  args: Wire,
  over: { readonly steps?: number; readonly region: Region | undefined },
  context: GridContext,
  { costMax }: ProgramLimits,
): Parsed<ResolvedProgram> {
  const fail = (
    code: Problem['code'],
    message: string,
    path = 'args',
  ): Parsed<ResolvedProgram> => ({
    ok: false,
    problems: [{ path, code, message }],
  })
  const checked = checkedOf(args, context.fields.length)
  if (typeof checked === 'string')
    return fail('out-of-range', `the program is not sound: ${checked}`)
  const { program, sound } = checked
  const { steps = 1, region } = over
  if (steps > 1 && sound.reach === 0) {
    const message = 'only a program that reads neighbours has steps'
    return fail('not-allowed', message, 'args.steps')
  }
  if (sound.reach > 0 && over.steps === undefined)
    return fail('osl-radius', 'a program on single LSUs cannot read neighbours')
  const near = sound.reach > 0 ? { ...args, steps } : undefined
  const tooFar = near && faultOfNeighbours(near, sound, region, context)
  if (tooFar !== undefined) return fail(tooFar.code, tooFar.message, tooFar.path)
  const lsus = region === undefined ? 0 : region.w * region.h
  const units = sound.cost * lsus * steps
  if (units > costMax) {
    const often = steps === 1 ? '' : ` × ${steps} steps`
    const cost = `${sound.cost} units a cell × ${lsus} LSUs${often} = ${units}`
    return fail('too-expensive', `the program costs ${cost}, at most ${costMax} are taken`)
  }
  const tooMuch = faultOfOutputs(program, lsus)
  if (tooMuch !== undefined) return fail('osl-too-many-values', tooMuch)
  return {
    ok: true,
    value: {
      op: near !== undefined ? OSL_NEAR : sound.kind === 'write' ? OSL_WRITE : OSL_READ,
      args: near ?? args,
      facts: { hash: hashOfProgram(program), cost: sound.cost },
    },
  }
}

/** What keeps neighbours from being read. */
function faultOfNeighbours(
  args: Wire & Pick<NearArgs, 'steps'>,
  { kind, reach }: Sound,
  region: Region | undefined,
  context: GridContext,
): Problem | undefined {
  const { steps } = args
  if (kind === 'read') {
    return { path: 'args', code: 'osl-radius', message: READS_NO_NEIGHBOURS }
  }
  if (reach * steps > REACH_MAX) {
    const message = `${steps} steps of a program that reaches ${reach} cells reach ${reach * steps}, at most ${REACH_MAX} are taken`
    return { path: 'args.steps', code: 'osl-radius', message }
  }
  if (region === undefined) return undefined
  const tiles = context.geometry.countTilesOf(region)
  const bytes = edgeBytesMax(args, tiles, context)
  if (tiles <= NEAR_TILES_MAX && bytes <= EDGE_BYTES_MAX) return undefined
  const message =
    tiles > NEAR_TILES_MAX
      ? `the region has ${tiles} tiles, a program that reads neighbours goes over at most ${NEAR_TILES_MAX}`
      : `the edges of its tiles take up to ${bytes} bytes, at most ${EDGE_BYTES_MAX} are taken`
  return { path: 'region', code: 'too-large', message }
}

function checkedOf(args: Wire, fields: number): { program: Program; sound: Sound } | string {
  try {
    return programOf(args, fields)
  } catch (error) {
    return (error as Error).message
  }
}

/** Whether an answer has room for what both of two programs return. */
export function haveRoomTogether(programs: readonly Program[]): boolean {
  const slots = programs.flatMap(slotsOf)
  return fixedBytesOf(slots) <= FIXED_BYTES_MAX && classBytesOf(slots) <= CLASS_BYTES_MAX
}

function faultOfOutputs(program: Program, lsus: number): string | undefined {
  const slots = slotsOf(program)
  const bytes = fixedBytesOf(slots)
  if (bytes > FIXED_BYTES_MAX) {
    return `its outputs take ${bytes} bytes of each answer, at most ${FIXED_BYTES_MAX} are taken`
  }
  const byClass = classBytesOf(slots)
  if (byClass > CLASS_BYTES_MAX) {
    return `its outputs by class may take ${byClass} bytes of each answer, at most ${CLASS_BYTES_MAX} are taken`
  }
  const isShown = slots.some(({ name }) => name === 'show')
  if (isShown && lsus > GET_LSUS_MAX) {
    return `the region has ${lsus} LSUs, show gives at most ${GET_LSUS_MAX}`
  }
  return undefined
}
