/** Which `ca restore` runs: gives a new gateway the keys and identities of one that is lost, whole or not at all. */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { toBase32 } from '../shared/core/base32.ts'
import { named, type SecurityHead } from '../shared/protocol/security-log.ts'
import { asOwnerOfPlace } from '../shared/runtime/as-owner.ts'
import { keepLastBackup } from '../shared/runtime/backup-mark.ts'
import { SYSTEM_CLOCK } from '../shared/runtime/clock.ts'
import { AppError, EXIT_CONFIG, EXIT_USAGE } from '../shared/runtime/errors.ts'
import { ExclusiveLock, GATEWAY_FIRST } from '../shared/runtime/exclusive-lock.ts'
import type { Logger } from '../shared/runtime/logger.ts'
import { beginFolder, finishFolder, isThere, unfinished } from '../shared/runtime/private-folder.ts'
import { type Derive, damaged, newer, openSealed } from '../shared/runtime/sealed-file.ts'
import { tidied } from '../shared/runtime/tidied.ts'
import { loadFleetKeys, putKeyFiles } from './adapters/fleet-keys.ts'
import { IdentityStore } from './adapters/identity-store.ts'
import { SecurityLog } from './adapters/security-log.ts'
import type { RegistryChange } from './core/access/registry.ts'
import {
  type BackupContent,
  type BackupNames,
  namesIn,
  type Revoked,
  readBackup,
  restoredRecords,
  revokedBy,
} from './core/backup.ts'
import { securityFolder } from './security.ts'

export interface RestoreOrder {
  /** The data directory of the gateway, which must not run, and have no keys. */
  readonly data: string
  readonly backup: Uint8Array
  /** Asked once it is known that there is a place for them. */
  passphrase(): Promise<string>
  /** Who is to stay out: what the backup cannot know, since it came later. */
  /** `ts`: when the backup was made, Unix ms. */
  revoked(found: BackupNames, ts: number): Promise<readonly string[]>
  readonly derive?: Derive
}

export interface Restored {
  readonly pin: string
  /** When the backup was made. Unix ms. */
  readonly ts: number
  readonly nodes: number
  readonly users: number
  readonly recipients: number
  readonly revoked: readonly string[]
  /** The end of the security log of before, when the backup was made. */
  readonly log: SecurityHead
}

/** What nobody else may do with what is made. */
export const OWN = 0o077
/** In one transaction. */
const RECORDS = 1000

export async function restoreFleet(order: RestoreOrder): Promise<Restored> {
  const before = process.umask(OWN)
  try {
    const lock = await ExclusiveLock.acquireAsOwner(order.data, GATEWAY_FIRST)
    try {
      return await restoreKeys(order)
    } finally {
      await lock.release()
    }
  } finally {
    process.umask(before)
  }
}

/** By whoever has the lock of the data directory. */
export async function restoreKeys(order: RestoreOrder): Promise<Restored> {
  assertFree(order.data)
  const passphrase = await order.passphrase()
  const { head, content: bytes } = await openSealed(order.backup, passphrase, order.derive)
  const reading = readBackup(bytes)
  if (!reading.ok) throw reading.problem === 'later' ? newer() : damaged('a record is none')
  const { content } = reading
  const { moment, records } = content
  const revoked = await whoIsOut(order, content)
  // The clock of a new box may be behind: nothing that was over begins again there.
  const nowTs = Math.max(SYSTEM_CLOCK.now().wallMs, moment.ts)
  const changes = restoredRecords(nowTs, records, revoked)
  await place(order.data, { pin: head.pin, nowTs, changes, revoked, content })
  const { nodes, users, recipients } = namesIn(changes)
  return {
    ...{ pin: head.pin, ts: moment.ts, log: moment.log },
    ...{ nodes: nodes.length, users: users.length, recipients: recipients.length },
    revoked: [
      ...revoked.nodes,
      ...revoked.users.map((name) => `user/${name}`),
      ...revoked.recipients.map((name) => `recipient/${name}`),
    ],
  }
}

function assertFree(data: string): void {
  const folder = securityFolder(data)
  if (!isThere(folder) || readdirSync(folder).length === 0) return
  const message = `${data} has keys already: a gateway that has them is not given others. Move ${folder} away first`
  throw new AppError('secured', message, { exitCode: EXIT_CONFIG })
}

async function whoIsOut(order: RestoreOrder, { moment, records }: BackupContent): Promise<Revoked> {
  const revoked = revokedBy(await order.revoked(namesIn(records), moment.ts), records)
  const { unknown, ambiguous } = revoked
  if (ambiguous.length > 0) {
    const message = `the backup has more than one of the name ${ambiguous.join(', ')}: say node/…, user/… or recipient/…`
    throw new AppError('name-ambiguous', message, { exitCode: EXIT_USAGE })
  }
  if (unknown.length === 0) return revoked
  const message = `the backup has nobody of the name ${unknown.join(', ')}; who is not in it stays out in any case`
  throw new AppError('not-in-backup', message, { exitCode: EXIT_USAGE })
}

interface Wanted {
  readonly pin: string
  readonly nowTs: number
  readonly content: BackupContent
  readonly changes: readonly RegistryChange[]
  readonly revoked: Revoked
}

/** On disk and in its place when it resolves; of one that failed, or was interrupted, nothing is left. */
async function place(data: string, wanted: Wanted): Promise<void> {
  // A service has a user of its own, who has to read them.
  await asOwnerOfPlace(securityFolder(data), async (folder) => {
    const unmade = unfinished(folder)
    const tidy = (): void => rmSync(unmade, { recursive: true, force: true })
    // Of one that was killed nobody has seen anything.
    tidy()
    await tidied(tidy, async () => {
      beginFolder(folder)
      await make(folder, wanted)
      finishFolder(folder)
    })
  })
}

async function make(folder: string, wanted: Wanted): Promise<void> {
  const { pin, nowTs, changes, revoked } = wanted
  const { moment, files } = wanted.content
  const unmade = unfinished(folder)
  if (!putKeyFiles(folder, files)) throw newer()
  const keys = loadFleetKeys(unmade)!
  if (toBase32(keys.pin) !== pin) throw damaged('its keys are not of the fleet that it names')
  const store = await IdentityStore.open(join(unmade, 'identities'), (error) => {
    throw error
  })
  try {
    for (let at = 0; at < changes.length; at += RECORDS) {
      await store.write(changes.slice(at, at + RECORDS))
    }
    store.keepMeta({ floorTs: nowTs })
    await beginLog(unmade, store, moment.ts, revoked)
  } finally {
    await store.close()
  }
  keepLastBackup(unmade, moment.ts)
}

/** A chain of its own: that of before is lost, or lies where the keys lay. */
async function beginLog(
  folder: string,
  store: IdentityStore,
  ts: number,
  { nodes, users, recipients }: Revoked,
): Promise<void> {
  const now = (): { monotonicMs: number; wallMs: number } => SYSTEM_CLOCK.now()
  const onHead = (head: SecurityHead): void => store.keepMeta({ head })
  const log = await SecurityLog.open({ folder, onHead, now }, SILENT)
  try {
    const by = { who: 'admin', via: 'gateway' } as const
    const what = named('backup', new Date(ts).toISOString().replace(/[.:]/g, '-'))
    await log.append({ event: 'ca-restored', what, ...by })
    for (const node of nodes) {
      await log.append({ event: 'node-revoked', what: named('node', node), ...by })
    }
    for (const user of users) {
      await log.append({ event: 'user-removed', what: named('user', user), ...by })
    }
    for (const recipient of recipients) {
      await log.append({ event: 'recipient-removed', what: named('recipient', recipient), ...by })
    }
    if (log.isBroken) throw new AppError('log-broken', 'the security log cannot be written')
  } finally {
    await log.close()
  }
}

/** What fails is thrown. */
const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} }
