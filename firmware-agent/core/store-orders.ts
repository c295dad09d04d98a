/**
 * Orders that cost a node what it holds: to begin with an empty store, or to go over to another ledger.
 * They count only for the store and the place that they were decided on (recovery.md, Identity), and never
 * while entries are on their way to disk.
 */
import { unpackTileBits, unpackTiles } from '../../shared/operations/columns.ts'
import type { Down } from '../../shared/protocol/messages.ts'
import type { AgentEffect } from './effects.ts'
import type { ShardStream } from './shard-stream.ts'

export function effectsOfOrder(
  order: Extract<Down, { t: 'wipe' | 'rebase' }>,
  storeId: string,
  stream: ShardStream,
): AgentEffect[] {
  const isMeant = order.storeId === storeId && order.position === stream.mark.position
  if (!isMeant || stream.isApplying) {
    const message = 'an order to give up tiles was not meant for this store'
    return [{ type: 'log', level: 'warn', code: 'wipe-refused', message }]
  }
  if (order.t === 'wipe') {
    const message = 'the gateway cannot use what this store holds'
    return [{ type: 'log', level: 'warn', code: 'wiping', message }, { type: 'wipe' }]
  }
  const message = `the store goes over to ledger ${order.ledgerId}`
  const keep = order.keepAs === 'bits' ? unpackTileBits(order.keep) : unpackTiles(order.keep)
  return [
    { type: 'log', level: 'warn', code: 'rebasing', message },
    { type: 'rebase', ledgerId: order.ledgerId, keep },
  ]
}
