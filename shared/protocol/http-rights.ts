/**
 * What a route of HTTP asks of who comes (security.md, 9). Each route has one; whose a task is decides besides, for
 * those that may only see their own.
 */
import { type Principal, readsAll, submits, submitsAny } from './access.ts'

export const HTTP_RIGHTS = [
  /** Nobody needs to say who he is. */
  'none',
  /** Somebody who is known. */
  'known',
  /** To look at the fleet, and at everything that happens in it. */
  'read',
  /** To look at tasks, or at those that are one's own. */
  'tasks',
  'submit',
  /** To change the fleet. */
  'operate',
  'administer',
] as const
export type HttpRight = (typeof HTTP_RIGHTS)[number]

export function mayAsk(who: Principal, right: HttpRight): boolean {
  if (right === 'none' || who.kind === 'anyone') return true
  if (who.kind !== 'user') return false
  switch (right) {
    case 'known':
      return true
    case 'read':
      return readsAll(who)
    case 'tasks':
      return readsAll(who) || submits(who)
    case 'submit':
      return submits(who)
    case 'operate':
      return submitsAny(who)
    case 'administer':
      return who.roles.includes('admin')
  }
}
