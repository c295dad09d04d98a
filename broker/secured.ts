/** Opens what a gateway that is secured has on disk, and joins it: part of the composition root (main.ts). */
import { join } from 'node:path'
import type { SecurityHead } from '../shared/protocol/security-log.ts'
import { SYSTEM_CLOCK } from '../shared/runtime/clock.ts'
import { forgetUnfinished, isThere, unfinished } from '../shared/runtime/private-folder.ts'
import type { Running } from '../shared/runtime/program.ts'
import { fingerprintText } from '../shared/runtime/public-keys.ts'
import { certifyNode, certifyUser } from './adapters/certificates.ts'
import { EnrolmentDoor } from './adapters/enrolment-door.ts'
import { loadFleetKeys, readKeyFiles } from './adapters/fleet-keys.ts'
import { HostsLeaf } from './adapters/hosts-leaf.ts'
import { IdentityStore } from './adapters/identity-store.ts'
import type { SecureDoorOptions } from './adapters/mqtt-secure-door.ts'
import { Passwords } from './adapters/passwords.ts'
import { loadSealKey } from './adapters/seal-key.ts'
import { Sealer } from './adapters/sealer.ts'
import { SecurityLog } from './adapters/security-log.ts'
import type { TlsKeys } from './adapters/tls-listener.ts'
import { AuthorityCalls } from './authority-calls.ts'
import type { GatewayConfig } from './config.ts'
import { RecentRefusals } from './core/access/recent-refusals.ts'
import { Recipients } from './recipients.ts'
import { Security, type SecurityContext, securityFolder } from './security.ts'
import { UserCalls } from './user-calls.ts'
import { Users } from './users.ts'

type Context = Pick<Running, 'log' | 'fatal' | 'shutdown'>

const LOOK_MS = 60_000
const SECOND_MS = 1000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** How far the end of the log that is kept in the store may be behind: a store is flushed no more often than that. */
const HEAD_MS = 1000

export interface Secured {
  readonly security: Security
  readonly door: SecureDoorOptions
  /** To whom results can be sealed, and the sealing of them. */
  readonly recipients: Recipients
  /** What clients see that check names; looked at every minute, by `watchHosts`. */
  readonly hosts: HostsLeaf
}

interface Registry {
  readonly store: IdentityStore
  readonly log: SecurityLog
  readonly refusals: RecentRefusals
}

/** The registry and the security log, which keep each other. */
async function openRegistry(folder: string, { log, fatal, shutdown }: Context): Promise<Registry> {
  const store = await IdentityStore.open(join(folder, 'identities'), fatal)
  shutdown.add('identities', () => store.close())
  const { head: expectedHead, floorTs } = store.meta
  const refusals = new RecentRefusals()
  let timer: NodeJS.Timeout | undefined
  const keep = (): void => {
    timer = undefined
    store.flushMeta().catch(fatal)
  }
  const securityLog = await SecurityLog.open(
    {
      folder,
      expectedHead,
      onTold: (ts, event) => refusals.take(ts, event),
      onHead(head) {
        store.keepMeta({ head })
        timer ??= setTimeout(keep, HEAD_MS).unref()
      },
      now: () => SYSTEM_CLOCK.now(),
    },
    log,
  )
  shutdown.add('security log', async () => {
    await securityLog.close()
    clearTimeout(timer)
  })
  if (floorTs === undefined) {
    await securityLog.append({ event: 'secured', who: 'admin', via: 'gateway' })
    store.keepMeta({ floorTs: SYSTEM_CLOCK.now().wallMs })
    await store.flushMeta()
  }
  return { store, log: securityLog, refusals }
}

export async function openSecured(
  { data, tlsNames: names = [], rotateAfterDays }: GatewayConfig,
  context: Context,
  calls: Omit<SecurityContext, 'clock' | 'logger' | 'fatal' | 'rotateAfterMs'> & {
    /** What it may do is not what it was; or this token of it is over, and so is what was opened by that. */
    identityChanged(identity: string, token?: string): void
  },
): Promise<Secured> {
  const folder = securityFolder(data)
  const keys = loadFleetKeys(folder)!
  const { log: logger, fatal } = context
  const clock = SYSTEM_CLOCK
  const registry = await openRegistry(folder, context)
  const passwords = new Passwords()
  const users = new Users(
    {},
    {
      ...{ store: registry.store, passwords, clock, nowTs: () => security.nowTs() },
      changed: (identity, token) => {
        if (token === undefined) security.access.endOf(identity)
        calls.identityChanged(identity, token)
      },
    },
  )
  const userCalls = new UserCalls({
    ...{ users, log: registry.log, keys, certifyUser, nowTs: () => security.nowTs() },
  })
  const authorityCalls = new AuthorityCalls({
    ...{ ...registry, keys, folder, nowTs: () => security.nowTs() },
    files: () => readKeyFiles(folder),
    hostsCertificate: () => hosts.keys.certificate,
  })
  const sealer = new Sealer()
  context.shutdown.add('sealer', () => sealer.close())
  const recipients = new Recipients({
    ...{ ...registry, sealer, nowTs: () => security.nowTs() },
    signer: loadSealKey(folder),
    fingerprint: fingerprintText,
  })
  const calling = { userCalls, authorityCalls, recipients }
  const parts = { folder, keys, certifyNode, users, ...calling, ...registry }
  const rotateAfterMs = rotateAfterDays === undefined ? undefined : rotateAfterDays * DAY_MS
  const security: Security = new Security(parts, { ...calls, rotateAfterMs, clock, logger, fatal })
  const looks = setInterval(() => security.rotations.look(), HOUR_MS)
  const ends = setInterval(() => users.endOver(), SECOND_MS)
  context.shutdown.add('rotations', () => {
    clearInterval(ends)
    clearInterval(looks)
    security.rotations.close()
  })
  // Its clients have clocks of their own, which are right where this one is.
  const now = (): number => clock.now().wallMs
  const hosts: HostsLeaf = HostsLeaf.open({ folder, authority: keys.authority, names, now })
  await hosts.look()
  const enrolment = new EnrolmentDoor({}, security.enrolment)
  return { security, recipients, hosts, door: { ...security.door, enrolment, hosts: hosts.keys } }
}

/** Has the certificate made anew when that is due, and gives it to those who show it. */
export function watchHosts(
  { hosts, security }: Secured,
  { log, shutdown }: Context,
  renew: (keys: TlsKeys) => void,
): void {
  const look = async (): Promise<void> => {
    security.access.endOver()
    try {
      if (!(await hosts.look())) return
      renew(hosts.keys)
      security.leafRenewed()
      log.info({ code: 'leaf-renewed' }, 'browsers and other clients see a new certificate')
    } catch (error) {
      log.error({ err: error, code: 'leaf-not-renewed' }, 'the certificate for browsers stays')
    }
  }
  const timer = setInterval(look, LOOK_MS)
  shutdown.add('certificates', () => clearInterval(timer))
}

/** Has the time that passes kept, and says once a day where the security log ends, where others can keep that. */
export function watchSecurity(
  { security }: Secured,
  { fatal, shutdown }: Context,
  tell: (head: SecurityHead) => void,
): void {
  let hours = 0
  const look = (): void => {
    if (hours++ % (DAY_MS / HOUR_MS) === 0) tell(security.logHead)
    security.keepTime().catch(fatal)
  }
  const timer = setInterval(look, HOUR_MS)
  shutdown.add('time', () => clearInterval(timer))
  look()
}

/** A gateway that may have keys is started without them: that is said where nobody can take it back. */
export async function saySecurityIsOff(data: string, context: Context): Promise<void> {
  const folder = securityFolder(data)
  if (!isThere(folder)) return
  context.log.warn({ code: 'security-off' }, 'whoever reaches this gateway may command the fleet')
  const { log } = await openRegistry(folder, context)
  await log.append({ event: 'security-off', who: 'gateway', via: 'gateway' })
}

/** What a restore that was killed has left has the keys of a fleet, and nobody needs it. */
export function forgetLeftOver(data: string, { log }: Pick<Context, 'log'>): void {
  const folder = securityFolder(data)
  const path = unfinished(folder)
  try {
    if (!isThere(path)) return
    forgetUnfinished(folder)
    log.warn({ code: 'keys-left-over', path }, 'keys that a restore left behind are removed')
  } catch (error) {
    const said = 'keys that a restore left behind cannot be removed: remove them'
    log.warn({ err: error, code: 'keys-left-over', path }, said)
  }
}
