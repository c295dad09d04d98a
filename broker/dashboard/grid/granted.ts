/** Whether somebody may have a region of a field worked on, so that he is shown no button that would be refused. */

import type { Region } from '../../../shared/grid/geometry.ts'
import type { Grant, Role } from '../../../shared/protocol/access.ts'

export interface Asker {
  /** Null where nobody is asked who he is. */
  readonly user: string | null
  readonly roles: readonly Role[]
  readonly grant?: Grant
}

export function isGranted(
  { user, roles, grant }: Asker,
  { op, field, region }: { readonly op: string; readonly field: string; readonly region: Region },
): boolean {
  if (user === null || roles.includes('operator') || roles.includes('admin')) return true
  if (!roles.includes('submitter') || grant === undefined) return false
  const has = (list: readonly string[] | '*', one: string): boolean =>
    list === '*' || list.includes(one)
  if (!has(grant.ops, op) || !has(grant.fields, field)) return false
  if (grant.regions === '*') return true
  return grant.regions.some(({ x, y, w, h }) => {
    const isWide = region.x >= x && region.x + region.w <= x + w
    return isWide && region.y >= y && region.y + region.h <= y + h
  })
}
