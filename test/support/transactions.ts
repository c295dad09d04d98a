/** How many transactions a store has made, as another view of the same file sees it. */
import { open } from 'lmdb'
import { databasePath } from '../../shared/runtime/lmdb.ts'

export interface TransactionCount {
  read(): number
  close(): Promise<void>
}

/** Of the store in `directory`, which is open in this process or in another. */
export function countTransactions(directory: string): TransactionCount {
  const view = open(databasePath(directory), { readOnly: true, noSubdir: false, maxDbs: 7 })
  return {
    read: () => (view.getStats() as { lastTxnId: number }).lastTxnId,
    close: async () => await view.close(),
  }
}
