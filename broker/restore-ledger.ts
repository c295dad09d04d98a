/**
 * Which `restore` runs: puts the copy of a backup in the place of a ledger that is lost, and, where they are in it, keys and
 * identities beside it. Until the copy has its place, nothing of it is there.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { toBase32 } from '../shared/core/base32.ts'
import {
  type BackupManifest,
  LEDGER_FILE,
  SECRETS_FILE,
} from '../shared/protocol/backup-manifest.ts'
import { asOwnerOfPlace } from '../shared/runtime/as-owner.ts'
import { BackupFile } from '../shared/runtime/backup-file.ts'
import { AppError, EXIT_BAD_INPUT, EXIT_CONFIG } from '../shared/runtime/errors.ts'
import { ExclusiveLock, GATEWAY_FIRST } from '../shared/runtime/exclusive-lock.ts'
import { flush } from '../shared/runtime/flush.ts'
import { databasePath, trustDatabase, WORD_BITS } from '../shared/runtime/lmdb.ts'
import { isThere, unfinished } from '../shared/runtime/private-folder.ts'
import { damaged, headOf } from '../shared/runtime/sealed-file.ts'
import { SystemRandom } from '../shared/runtime/system-random.ts'
import { tidied } from '../shared/runtime/tidied.ts'
import { loadFleetKeys } from './adapters/fleet-keys.ts'
import { LedgerStore } from './adapters/ledger-store.ts'
import { countLedger } from './backups.ts'
import { newLedgerId } from './core/coordinator.ts'
import { LEDGER_TABLES } from './core/ledger-records.ts'
import { restoredChanges } from './core/restored-ledger.ts'
import { assertRoom } from './disk-room.ts'
import { OWN, type Restored, type RestoreOrder, restoreKeys } from './restore.ts'
import { securityFolder } from './security.ts'

export interface RestoreLedgerOrder extends Pick<RestoreOrder, 'passphrase' | 'revoked'> {
  /** The data directory of the gateway, which must not run, and have no ledger. */
  readonly data: string
  /** The path of the backup. */
  readonly file: string
  readonly nowTs: number
}

export interface RestoredLedger {
  readonly manifest: BackupManifest
  /** That are waited for. */
  readonly nodes: readonly string[]
  /** Tasks that had not ended in the copy. */
  readonly failed: number
  /** Of the gateway, if keys were in it, and none in their place. */
  readonly keys: Restored | undefined
  /** Keys that were in their place before: nothing of those in the backup is used. */
  readonly hadKeys: boolean
}

/** Beside the copy. */
const ROOM_BYTES = 16 * 1024 * 1024

/** Opens and counts what is in a backup, and changes nothing. */
export async function checkBackup(path: string): Promise<BackupManifest> {
  const backup = await BackupFile.open(path)
  // A disk that the backup lies on may be for reading alone.
  const folder = mkdtempSync(join(tmpdir(), 'obelisk-backup-'))
  const tidy = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    return await tidied(tidy, async () => {
      await extractLedger(backup, join(folder, 'ledger'))
      if (backup.has(SECRETS_FILE)) headOf(await backup.read(SECRETS_FILE))
      return backup.manifest
    })
  } finally {
    await backup.close()
  }
}

export async function restoreLedger(order: RestoreLedgerOrder): Promise<RestoredLedger> {
  const before = process.umask(OWN)
  const backup = await BackupFile.open(order.file)
  try {
    const lock = await ExclusiveLock.acquireAsOwner(order.data, GATEWAY_FIRST)
    try {
      return await restore(order, backup)
    } finally {
      await lock.release()
    }
  } finally {
    process.umask(before)
    await backup.close()
  }
}

async function restore(order: RestoreLedgerOrder, backup: BackupFile): Promise<RestoredLedger> {
  const place = databasePath(order.data)
  const hadKeys = isThere(securityFolder(order.data))
  assertFree(order.data, place)
  const tidy = (): void => rmSync(unfinished(place), { recursive: true, force: true })
  // Of one that was killed nobody has seen anything.
  tidy()
  return await tidied(tidy, async () => {
    // A service has a user of its own, who has to read it.
    const said = await asOwnerOfPlace(place, (at) => makeLedger(order, backup, unfinished(at)))
    const keys = await keysOf(order, backup)
    await asOwnerOfPlace(place, (at) => {
      renameSync(databasePath(unfinished(at)), at)
      flush(dirname(at))
    })
    return { ...said, manifest: backup.manifest, keys, hadKeys }
  })
}

function assertFree(data: string, place: string): void {
  if (!isThere(place)) return
  const message = `${data} has a ledger already, which no older one replaces: move ${basename(place)} in it away first`
  throw new AppError('ledger-exists', message, { exitCode: EXIT_CONFIG })
}

/** In its directory below `folder`, whole and on disk when it resolves. */
async function makeLedger(
  { nowTs }: RestoreLedgerOrder,
  backup: BackupFile,
  folder: string,
): Promise<Pick<RestoredLedger, 'nodes' | 'failed'>> {
  mkdirSync(folder, { mode: 0o700 })
  await extractLedger(backup, databasePath(folder))
  trustDatabase(folder)
  const ledger = await LedgerStore.open(folder, LEDGER_TABLES, (error) => {
    throw error
  })
  try {
    const ledgerId = newLedgerId(new SystemRandom())
    const { ts: copyTs } = backup.manifest
    const changes = [...restoredChanges(ledger.load(), { ledgerId, nowTs, copyTs })]
    await ledger.write(changes)
    const identity = ledger.load().meta[0]?.value
    const failed = changes.filter(({ table }) => table === 'task').length
    return { nodes: identity?.restored?.nodes ?? [], failed }
  } finally {
    await ledger.close()
    flush(databasePath(folder))
  }
}

/** What is there in the end is what was counted when the backup was made. */
async function extractLedger(backup: BackupFile, directory: string): Promise<void> {
  const { manifest } = backup
  if (!backup.has(LEDGER_FILE)) throw damaged('there is no ledger in it')
  if (manifest.word !== WORD_BITS) {
    const message = `the ledger is of a machine with ${manifest.word} bits, and this one has ${WORD_BITS}: only such a one opens it`
    throw new AppError('backup-word-size', message, { exitCode: EXIT_BAD_INPUT })
  }
  const { bytes } = manifest.files[LEDGER_FILE]!
  mkdirSync(directory, { mode: 0o700 })
  assertRoom(directory, bytes + ROOM_BYTES)
  const target = await open(join(directory, 'data.mdb'), 'wx', 0o600)
  try {
    for await (const piece of backup.pieces(LEDGER_FILE)) await target.writeFile(piece)
    await target.sync()
  } finally {
    await target.close()
  }
  const count = await countLedger(directory)
  if ('problem' in count) {
    // It may have filled meanwhile.
    assertRoom(directory, ROOM_BYTES)
    throw damaged(`its ledger cannot be read: ${count.problem}`)
  }
  const { records, identity } = count
  const isSame =
    identity.ledgerId === manifest.ledgerId &&
    Object.entries(manifest.records).every(([table, number]) => records[table] === number)
  if (!isSame) throw damaged('its ledger is not the one that it tells of')
}

/** First in their place: a restore that is interrupted after that finds them there, and goes on. */
async function keysOf(
  { data, passphrase, revoked }: RestoreLedgerOrder,
  backup: BackupFile,
): Promise<Restored | undefined> {
  if (!backup.has(SECRETS_FILE)) return undefined
  const sealed = await backup.read(SECRETS_FILE)
  if (existsSync(securityFolder(data))) {
    const keys = loadFleetKeys(securityFolder(data))
    if (keys !== undefined && toBase32(keys.pin) === headOf(sealed).pin) return undefined
  }
  return await restoreKeys({ data, backup: sealed, passphrase, revoked })
}
