/**
 * What a submitter may ask for (security.md, 4), checked on the normal form of a task: glyphs are resolved, defaults are
 * filled in, and so it is what would be done that is checked. A region lies inside one granted rectangle as a whole:
 * two that touch are not added up. An operation that goes over all fields needs all of them. Items lie in no region, so
 * an operation over items needs a grant that has no bound of regions. Each part that is not granted is named.
 */
import type { Region } from '../../../shared/grid/geometry.ts'
import { findOperation } from '../../../shared/operations/catalog.ts'
import type { GridContext } from '../../../shared/operations/operation.ts'
import {
  type Grant,
  submits,
  submitsAny,
  type UserPrincipal,
} from '../../../shared/protocol/access.ts'
import { PROBLEMS_MAX, type Problem } from '../../../shared/protocol/problems.ts'
import { askedOp, type TaskBody } from '../../../shared/protocol/task.ts'
import { regionRead } from '../state/task-extent.ts'

const NOTHING: Grant = { ops: [], regions: [], fields: [] }

/** What of a task this user may not ask for. */
export function ungranted(user: UserPrincipal, body: TaskBody, grid: GridContext): Problem[] {
  if (submitsAny(user)) return []
  const { ops, regions, fields } = (submits(user) ? user.grant : undefined) ?? NOTHING
  const problems: Problem[] = []
  const refuse = (path: string, what: string): void => {
    problems.push({ path, code: 'not-granted', message: `${what} is not granted to ${user.name}` })
  }
  // Of a program it is the name, whichever version is asked for.
  const op = askedOp(body).split('@')[0]!
  if (ops !== '*' && !ops.includes(op)) refuse('op', `operation ${op}`)
  const region = body.region && regionRead(body, grid)
  if (regions !== '*' && !regions.some((one) => isInside(region, one))) {
    refuse(region === undefined ? 'items' : 'region', nameOf(region))
  }
  if (fields === '*') return problems
  for (const field of fieldsOf(body, grid)) {
    if (problems.length >= PROBLEMS_MAX) break
    if (!fields.includes(field)) refuse('args', `field ${field}`)
  }
  return problems
}

/** What this user may not tell of these cells of a field. */
export function ungrantedCells(
  user: UserPrincipal,
  { field, cells }: { readonly field: number; readonly cells: readonly number[] },
  grid: GridContext,
): Problem[] {
  if (submitsAny(user)) return []
  const { width } = grid.geometry
  for (const id of new Set(cells)) {
    const region = { x: id % width, y: Math.floor(id / width), w: 1, h: 1 }
    const problems = ungranted(
      user,
      { op: 'scatter', region, args: { field }, deadlineMs: 0 },
      grid,
    )
    if (problems.length > 0) return problems
  }
  return []
}

function isInside(region: Region | undefined, { x, y, w, h }: Region): boolean {
  if (region === undefined) return false
  const isWide = region.x >= x && region.x + region.w <= x + w
  return isWide && region.y >= y && region.y + region.h <= y + h
}

function nameOf(region: Region | undefined): string {
  if (region === undefined) return 'what lies in no region'
  return `region ${[region.x, region.y, region.w, region.h].join()}`
}

/** Those that it names, or all that it goes over without naming them. */
function fieldsOf({ op, args }: TaskBody, grid: GridContext): string[] {
  const operation = findOperation(op)
  if (operation === undefined || operation.kind === 'items') return []
  const indexes = operation.fieldsOf(args)
  const all = grid.fields.map(({ name }) => name)
  return indexes === 'all' ? all : indexes.map((index) => all[index]!)
}
