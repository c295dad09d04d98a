/**
 * The events of the security log: the one table that the gateway writes by, the command prints by, and
 * docs/operations.md shows. Each has a level, and a weight, which says what the log means for what happens:
 *
 * - `grants`: somebody may do more than before. The line is on disk first, or it does not happen.
 * - `takes`: somebody may do less. It happens in any case, and the line waits for a disk that is full.
 * - `tells`: nobody may do more or less. Whoever can cause it could cause millions, so repeats are one line.
 * - `own`: the log says it of itself.
 */

export const SECURITY_LEVELS = ['info', 'warn', 'alarm'] as const
export type SecurityLevel = (typeof SECURITY_LEVELS)[number]
export type SecurityWeight = 'grants' | 'takes' | 'tells' | 'own'

interface Meaning {
  readonly level: SecurityLevel
  readonly weight: SecurityWeight
}

export const SECURITY_EVENTS = {
  secured: { level: 'info', weight: 'grants' },
  'token-created': { level: 'info', weight: 'grants' },
  enrolled: { level: 'info', weight: 'grants' },
  'rotation-wanted': { level: 'info', weight: 'grants' },
  'key-rotated': { level: 'info', weight: 'grants' },
  'user-added': { level: 'info', weight: 'grants' },
  'user-changed': { level: 'info', weight: 'grants' },
  'recipient-added': { level: 'info', weight: 'grants' },
  'ca-backup': { level: 'warn', weight: 'grants' },
  'ca-restored': { level: 'warn', weight: 'grants' },
  'security-off': { level: 'alarm', weight: 'grants' },
  'token-revoked': { level: 'info', weight: 'takes' },
  'user-removed': { level: 'info', weight: 'takes' },
  'recipient-removed': { level: 'info', weight: 'takes' },
  'node-revoked': { level: 'warn', weight: 'takes' },
  'program-defined': { level: 'info', weight: 'tells' },
  'program-switched': { level: 'info', weight: 'tells' },
  'context-set': { level: 'info', weight: 'tells' },
  'ghost-begun': { level: 'info', weight: 'tells' },
  'ghost-ended': { level: 'info', weight: 'tells' },
  login: { level: 'info', weight: 'tells' },
  'admin-socket': { level: 'info', weight: 'tells' },
  'leaf-renewed': { level: 'info', weight: 'tells' },
  'login-failed': { level: 'warn', weight: 'tells' },
  locked: { level: 'warn', weight: 'tells' },
  'certificate-refused': { level: 'warn', weight: 'tells' },
  'client-id-taken': { level: 'warn', weight: 'tells' },
  'publish-refused': { level: 'warn', weight: 'tells' },
  'subscribe-refused': { level: 'warn', weight: 'tells' },
  'request-refused': { level: 'warn', weight: 'tells' },
  'grant-refused': { level: 'warn', weight: 'tells' },
  'enroll-refused': { level: 'warn', weight: 'tells' },
  'board-changed': { level: 'warn', weight: 'tells' },
  'clock-behind': { level: 'warn', weight: 'tells' },
  'token-used-twice': { level: 'alarm', weight: 'tells' },
  'identity-twice': { level: 'alarm', weight: 'tells' },
  'log-begun': { level: 'info', weight: 'own' },
  'log-continued': { level: 'info', weight: 'own' },
  'log-torn': { level: 'warn', weight: 'own' },
  'log-suppressed': { level: 'warn', weight: 'own' },
  'log-broken': { level: 'alarm', weight: 'own' },
} as const satisfies Readonly<Record<string, Meaning>>

export type SecurityEventName = keyof typeof SECURITY_EVENTS

type Weighing<W extends SecurityWeight> = {
  [Name in SecurityEventName]: (typeof SECURITY_EVENTS)[Name]['weight'] extends W ? Name : never
}[SecurityEventName]

/** Written one by one, each of them. */
export type WeighedEvent = Weighing<'grants' | 'takes'>
export type ToldEvent = Weighing<'tells'>

/** The way by which somebody came; `gateway` for what the gateway does by itself. */
export type SecurityVia = 'mqtt' | 'http' | 'enrol' | 'socket' | 'gateway'

/** What happened. No secret and no payload ever stands in one. */
export interface SecurityEvent<Name extends SecurityEventName = SecurityEventName> {
  readonly event: Name
  /** Who did it, or tried: `named('user', …)`, `gateway`, `admin` for the admin socket, or `nobody`. */
  readonly who: string
  /** To whom or what, where that is somebody else. */
  readonly what?: string
  /** The address that it came from, as limits count it, or empty. */
  readonly source?: string
  /** A second address, of whoever had that identity or token before. */
  readonly other?: string
  readonly via: SecurityVia
  /** Why, as a code. */
  readonly code?: string
}

export function meaningOf(event: SecurityEventName): Meaning {
  return SECURITY_EVENTS[event]
}

export function isSecurityEvent(text: string): text is SecurityEventName {
  return Object.hasOwn(SECURITY_EVENTS, text)
}
