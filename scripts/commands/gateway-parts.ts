import type { Restored, RestoreOrder } from '../../broker/restore.ts'
import type { RestoredLedger, RestoreLedgerOrder } from '../../broker/restore-ledger.ts'
import type { BackupManifest } from '../../shared/protocol/backup-manifest.ts'

/** What commands have the gateway's program do in a data directory. */
export interface GatewayParts {
  /** Makes keys; resolves with its exit code. */
  makeKeys(data: string): Promise<number>
  restore(order: RestoreOrder): Promise<Restored>
  restoreLedger(order: RestoreLedgerOrder): Promise<RestoredLedger>
  checkBackup(file: string): Promise<BackupManifest>
}
