/**
 * What a task runs that names a program of the codex: the version that is meant at this moment, bound to the numbers of
 * the task. From then on it is a task like any other, whatever becomes of the codex.
 */
import type { GhostArgs } from '../../../shared/operations/ghost.ts'
import { resolveItemsCompiled, strangeRecords } from '../../../shared/operations/items-program.ts'
import type { ProgramArgs } from '../../../shared/operations/osl-program.ts'
import {
  OSL_COST_MAX,
  type ResolvedProgram,
  resolveCompiled,
} from '../../../shared/operations/program.ts'
import type { SoundSource } from '../../../shared/osl/checked-source.ts'
import type { Parsed, Problem } from '../../../shared/protocol/problems.ts'
import { calledName, type ProgramCall } from '../../../shared/protocol/program-call.ts'
import type { Submission, TaskBody, TaskContext } from '../../../shared/protocol/task.ts'
import type { GhostRecord } from '../ghost-record.ts'
import type { ProgramRecord } from '../ledger-records.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'

/** The body as it is accepted; of any other task it is that of its submission. */
export function resolveCall(
  context: Pick<CoordinatorContext, 'codex' | 'ghosts' | 'options' | 'random'>,
  { body, call }: Submission,
): Parsed<TaskBody> {
  if (call === undefined) return { ok: true, value: body }
  const { codex, options } = context
  const found = codex.resolve(call)
  if (!found.ok) return found
  const compiled = codex.compiled(found.value)
  if (!compiled.ok) return compiled
  const isOverItems = found.value.columns !== undefined
  const misplaced = faultOfExtent(calledName(found.value), isOverItems, body)
  if (misplaced !== undefined) return { ok: false, problems: [misplaced] }
  const resolved = isOverItems
    ? resolveOverItems(compiled.value, call, body, options.grid)
    : resolveOverCells(compiled.value, call, body, options.grid)
  if (!resolved.ok) return resolved
  const { op, args, facts } = resolved.value
  const { name, version } = found.value
  const program = {
    as: calledName(call),
    ...{ hash: facts.hash, name, version },
    ...(call.context === undefined ? {} : { context: call.context }),
    cost: facts.cost,
  }
  const shadow = shadowOf(context, { body, call, record: found.value, resolved: resolved.value })
  if (shadow === undefined) return { ok: true, value: { ...body, op, args, program } }
  const { ghost, args: ghostArgs } = shadow
  return {
    ok: true,
    value: {
      ...{ ...body, op, args: { ...args, ghost: ghostArgs } },
      program: { ...program, ghost: { version: ghost.version, number: ghost.number } },
    },
  }
}

interface Called {
  readonly body: TaskBody
  readonly call: ProgramCall
  readonly record: ProgramRecord
  readonly resolved: ResolvedProgram
}

/**
 * The version that shadows the one which the task gets, bound to the same numbers. Who names a version wants no other,
 * and what is for one recipient alone is compared by nobody.
 */
function shadowOf(
  {
    codex,
    ghosts,
    options,
    random,
  }: Pick<CoordinatorContext, 'codex' | 'ghosts' | 'options' | 'random'>,
  { body, call, record, resolved: { op, facts } }: Called,
): { readonly ghost: GhostRecord; readonly args: GhostArgs } | undefined {
  if (call.version !== undefined || body.seal !== undefined) return undefined
  const ghost = ghosts.draw(record, random)
  const version = ghost && codex.find(record.name, ghost.version)
  const compiled = version && codex.compiled(version)
  if (ghost === undefined || compiled?.ok !== true) return undefined
  const grid: TaskContext = options.grid
  const { w = 0, h = 0 } = body.region ?? {}
  // Of what one task may cost, what it costs already is no longer there.
  const costMax = (grid.oslCostMax ?? OSL_COST_MAX) - facts.cost * w * h
  const asked = { values: call.with, steps: call.steps ?? 1 }
  const own = resolveCompiled(compiled.value, asked, body.region, grid, { costMax })
  if (!own.ok || own.value.op !== op) return undefined
  const { tolerance } = ghost
  return { ghost, args: { ...(own.value.args as ProgramArgs), tolerance } }
}

function faultOfExtent(
  name: string,
  isOverItems: boolean,
  { items }: TaskBody,
): Problem | undefined {
  if (isOverItems === (items !== undefined)) return undefined
  return isOverItems
    ? { path: 'items', code: 'missing', message: `${name} runs over items, and there are none` }
    : { path: 'items', code: 'not-allowed', message: `${name} runs over a region, not over items` }
}

function limitsOf({ oslCostMax = OSL_COST_MAX }: TaskContext): { costMax: number } {
  return { costMax: oslCostMax }
}

function resolveOverCells(
  compiled: SoundSource,
  { with: values, steps = 1 }: ProgramCall,
  { region }: TaskBody,
  grid: TaskContext,
): Parsed<ResolvedProgram> {
  return resolveCompiled(compiled, { values, steps }, region, grid, limitsOf(grid))
}

function resolveOverItems(
  compiled: SoundSource,
  { with: values, steps = 1 }: ProgramCall,
  { items }: TaskBody,
  grid: TaskContext,
): Parsed<ResolvedProgram> {
  const records = items?.values ?? []
  const asked = { values, steps, count: records.length }
  const resolved = resolveItemsCompiled(compiled, asked, grid, limitsOf(grid))
  if (!resolved.ok) return resolved
  const strange = strangeRecords(resolved.value.args, records)
  return strange.length > 0 ? { ok: false, problems: strange } : resolved
}
