/**
 * What a task runs that names a program of the codex: the version that is meant at this moment, bound to the numbers of
 * the task. From then on it is a task like any other, whatever becomes of the codex.
 */
import { OSL_COST_MAX, resolveCompiled } from '../../../shared/operations/program.ts'
import type { Parsed } from '../../../shared/protocol/problems.ts'
import { calledName } from '../../../shared/protocol/program-call.ts'
import type { Submission, TaskBody, TaskContext } from '../../../shared/protocol/task.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'

/** The body as it is accepted; of any other task it is that of its submission. */
export function resolveCall(
  { codex, options }: Pick<CoordinatorContext, 'codex' | 'options'>,
  { body, call }: Submission,
): Parsed<TaskBody> {
  if (call === undefined) return { ok: true, value: body }
  const found = codex.resolve(call)
  if (!found.ok) return found
  const compiled = codex.compiled(found.value)
  if (!compiled.ok) return compiled
  const grid: TaskContext = options.grid
  const limits = { costMax: grid.oslCostMax ?? OSL_COST_MAX }
  const asked = { values: call.with, steps: call.steps ?? 1 }
  const resolved = resolveCompiled(compiled.value, asked, body.region, grid, limits)
  if (!resolved.ok) return resolved
  const { op, args, facts } = resolved.value
  const { context } = call
  const { name, version } = found.value
  const program = {
    as: calledName(call),
    ...{ hash: facts.hash, name, version },
    ...(context === undefined ? {} : { context }),
    cost: facts.cost,
  }
  return { ok: true, value: { ...body, op, args, program } }
}
