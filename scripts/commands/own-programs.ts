import type { Restored, RestoreOrder } from '../../broker/restore.ts'
import type { RestoredLedger, RestoreLedgerOrder } from '../../broker/restore-ledger.ts'
import type { BackupManifest } from '../../shared/protocol/backup-manifest.ts'
import type { Enrol } from './enroll.ts'

/** What commands have the programs of this machine do. */
export interface OwnPrograms {
  readonly enrol: Enrol
  /** The gateway's, in a data directory: makes keys; resolves with its exit code. */
  makeKeys(data: string): Promise<number>
  restore(order: RestoreOrder): Promise<Restored>
  restoreLedger(order: RestoreLedgerOrder): Promise<RestoredLedger>
  checkBackup(file: string): Promise<BackupManifest>
}
