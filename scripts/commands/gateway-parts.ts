import type { Restored, RestoreOrder } from '../../broker/restore.ts'

/** What commands have the gateway's program do in a data directory. */
export interface GatewayParts {
  /** Makes keys; resolves with its exit code. */
  makeKeys(data: string): Promise<number>
  restore(order: RestoreOrder): Promise<Restored>
}
