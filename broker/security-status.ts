/** How it stands with who may come in: what an admin is told at a glance. */
import { ROLES } from '../shared/protocol/access.ts'
import type { Clock } from '../shared/runtime/clock.ts'
import type { AuthorityView, LockView, SecurityStatus } from './adapters/http-port.ts'
import type { IdentityStore } from './adapters/identity-store.ts'
import type { SecurityLog } from './adapters/security-log.ts'
import type { Lock } from './core/access/guess-limits.ts'
import type { RecentRefusals } from './core/access/recent-refusals.ts'
import { isOver } from './core/access/time-floor.ts'
import { isUnused } from './core/access/users.ts'
import type { Users } from './users.ts'

export interface StatusParts {
  readonly folder: string
  readonly store: IdentityStore
  readonly users: Users
  readonly log: SecurityLog
  readonly refusals: RecentRefusals
  readonly clock: Clock
  authority(): AuthorityView
  /** Sources that no door listens to. */
  shut(): readonly Lock[]
  nowTs(): number
}

/** There may be thousands of either. */
const LISTED_MAX = 50

export async function statusOf(parts: StatusParts): Promise<SecurityStatus> {
  const { folder, log, users, refusals, nowTs, store } = parts
  const now = nowTs()
  const records = users.records()
  const byRole = ROLES.map(
    (role) => [role, records.filter(([, { roles }]) => roles.includes(role)).length] as const,
  )
  const unused = records.filter(([, record]) => isUnused(now, record)).map(([name]) => name)
  const locks = [...users.locks(), ...parts.shut()]
  let openTokens = 0
  for await (const [, token] of store.eachToken()) {
    const { revokedTs, usedTs } = token
    if (revokedTs === undefined && usedTs === undefined && !isOver(now, token)) openTokens += 1
  }
  return {
    authority: parts.authority(),
    users: {
      count: records.length,
      byRole: Object.fromEntries(byRole),
      disabled: records.filter(([, { disabledTs }]) => disabledTs !== undefined).length,
      unused: unused.slice(0, LISTED_MAX),
      unusedCount: unused.length,
    },
    openTokens,
    locked: locks.slice(0, LISTED_MAX).map((lock) => lockView(lock, parts.clock.monotonicMs)),
    lockedCount: locks.length,
    refused: refusals.view(),
    log: { folder, head: log.head, isBroken: log.isBroken },
  }
}

function lockView({ name, source, untilMs }: Lock, nowMs: number): LockView {
  const seconds = Math.ceil((untilMs - nowMs) / 1000)
  return { ...(name === undefined ? {} : { user: name }), source, seconds }
}
