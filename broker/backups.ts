/**
 * Backups of a gateway that runs: its ledger is copied as of one moment, the copy is opened and counted by a process of its
 * own, and only then is anybody given anything. The copy lies beside the ledger for as long as it is being sent.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  CONFIGURATION_FILE,
  LEDGER_FILE,
  SECRETS_FILE,
} from '../shared/protocol/backup-manifest.ts'
import { decodeCbor } from '../shared/protocol/cbor.ts'
import { type BackupPart, writeBackupFile } from '../shared/runtime/backup-file.ts'
import { AppError } from '../shared/runtime/errors.ts'
import { WORD_BITS } from '../shared/runtime/lmdb.ts'
import { countStore, type StoreCount } from '../shared/runtime/store-count.ts'
import { VERSION } from '../shared/runtime/version.ts'
import type { Asker, AuthorityPort, BackupPort, GivenBackup } from './adapters/http-port.ts'
import type { LedgerStore } from './adapters/ledger-store.ts'
import { type IdentityRecord, LEDGER_TABLES } from './core/ledger-records.ts'
import { assertRoom } from './disk-room.ts'

export interface BackupParts {
  /** Of the gateway. */
  readonly data: string
  readonly ledger: Pick<LedgerStore, 'identity' | 'copyTo' | 'fileBytes'>
  /** The file that the gateway was configured by, if there is one. */
  readonly configuration: string | undefined
}

/** Of a gateway that is secured. */
interface Secrets {
  /** Resolves with keys and identities in a file that the passphrase opens. */
  readonly authorityCalls: Pick<AuthorityPort, 'backup'>
}

/** Left free beside the copy, or the ledger itself would have no room. */
const ROOM_BYTES = 64 * 1024 * 1024
/** What came since it began is on no board, and no copy could say against what the boards have it counts (0026). */
const RECOVERING =
  'the ledger is being put together from what the nodes hold: until that is done no backup is made, and the last one stays the one to restore'
const IDENTITY = { table: 'meta', key: 'identity' } as const
const RECORD_LIMITS = { bytesMax: 1024 * 1024, depthMax: 16, itemsMax: 100_000 }
const MAX_DBS = LEDGER_TABLES.length + 2
const CONFIGURATION_BYTES_MAX = 1024 * 1024

/** Where the copy lies. */
function copyFolder(data: string): string {
  return join(data, 'backup.new')
}

/** Of one that was being made when the gateway ended. */
export function forgetUnsentBackup(data: string): void {
  rmSync(copyFolder(data), { recursive: true, force: true })
}

/** Opens and counts a copy of a ledger; says what is wrong with it. */
export async function countLedger(
  directory: string,
): Promise<(StoreCount & { readonly identity: IdentityRecord }) | { readonly problem: string }> {
  const count = await countStore(directory, { maxDbs: MAX_DBS, record: IDENTITY })
  if ('problem' in count) return count
  const decoded = count.record && decodeCbor(count.record, RECORD_LIMITS)
  if (!decoded?.ok) return { problem: 'it does not say which ledger it is' }
  return { ...count, identity: decoded.value as IdentityRecord }
}

export class Backups implements BackupPort {
  readonly #parts: BackupParts
  readonly #secrets: Secrets | undefined
  #isUnderWay = false

  constructor(parts: BackupParts, secrets: Secrets | undefined) {
    this.#parts = parts
    this.#secrets = secrets
  }

  async make(passphrase: string | undefined, asker: Asker): Promise<GivenBackup> {
    if (this.#isUnderWay) {
      throw new AppError('backup-under-way', 'a backup is being made: try again when it is')
    }
    this.#isUnderWay = true
    let isReleased = false
    const release = async (): Promise<void> => {
      if (isReleased) return
      isReleased = true
      // What is left of it the next one removes, or says why it cannot.
      await rm(copyFolder(this.#parts.data), { recursive: true, force: true }).catch(() => {})
      this.#isUnderWay = false
    }
    try {
      const { bytes, pieces } = await this.#make(passphrase, asker)
      const content = Readable.from(endingWith(pieces(), release), { highWaterMark: 1 })
      content.once('close', () => void release())
      return { bytes, content }
    } catch (error) {
      await release()
      throw error
    }
  }

  async #make(passphrase: string | undefined, asker: Asker) {
    const { data, ledger } = this.#parts
    if (passphrase !== undefined && this.#secrets === undefined) {
      throw new AppError('not-secured', 'this gateway is not secured, and has no keys')
    }
    // Before anything is copied. Once it is done, it does not begin again before the next start.
    if (ledger.identity()?.isRecovering === true) throw new AppError('recovering', RECOVERING)
    forgetUnsentBackup(data)
    const bytes = ledger.fileBytes()
    assertRoom(data, bytes + ROOM_BYTES)
    const ts = Date.now()
    const folder = copyFolder(data)
    mkdirSync(folder, { mode: 0o700 })
    const copy = join(folder, 'ledger')
    await ledger.copyTo(copy)
    const count = await countLedger(copy)
    if ('problem' in count) {
      // It may have filled meanwhile: so much was to be left.
      assertRoom(data, ROOM_BYTES)
      const message = `the copy of the ledger cannot be used: ${count.problem}`
      throw new AppError('backup-damaged', message)
    }
    const { records, sha256, identity } = count
    const parts: BackupPart[] = [
      { name: LEDGER_FILE, path: join(copy, 'data.mdb'), bytes: count.bytes, sha256 },
      ...this.#configuration(),
    ]
    if (passphrase !== undefined) {
      parts.push({
        name: SECRETS_FILE,
        content: await this.#secrets!.authorityCalls.backup(passphrase, asker),
      })
    }
    asker.assertMay()
    const { ledgerId, term, seq } = identity
    const facts = { program: VERSION, ledgerId, term, seq, ts, word: WORD_BITS, records }
    return writeBackupFile(facts, parts)
  }

  #configuration(): BackupPart[] {
    const { configuration: path } = this.#parts
    if (path === undefined || !existsSync(path)) return []
    const content = readFileSync(path)
    return content.length > CONFIGURATION_BYTES_MAX ? [] : [{ name: CONFIGURATION_FILE, content }]
  }
}

/** Does this before the last piece is given: whoever has all of them may ask for the next backup at once. */
async function* endingWith<T>(
  pieces: AsyncIterable<T>,
  act: () => Promise<void>,
): AsyncGenerator<T> {
  let last: T | undefined
  for await (const piece of pieces) {
    if (last !== undefined) yield last
    last = piece
  }
  await act()
  if (last !== undefined) yield last
}
