/**
 * The first message on a connection: who the node is, whose store it carries and where that stands, so
 * that the gateway knows what to send, or refuses it (recovery.md, Identity).
 */
import { packTiles } from '../../shared/operations/columns.ts'
import { type Hello, PROTOCOL_VERSION, type Up } from '../../shared/protocol/messages.ts'
import type { AgentOptions, Upgradeable } from './agent-options.ts'
import type { ExaminedPage, StreamMark } from './events.ts'
import type { StoreFacts } from './stored-state.ts'

export function helloOf(
  { node, process, weight, sliceBytesMax, operations, upgrade, logs, pages }: AgentOptions,
  stands: {
    readonly store: StoreFacts
    readonly mark: StreamMark
    /** The version of the rule book. */
    readonly rules: number
    /** Tiles whose page is damaged, packed; left out if there are none. */
    readonly broken?: Uint8Array
  },
): Up {
  const { storeId, boot, ledgerId, grid } = stands.store
  const { position, chain, seq } = stands.mark
  const bound = sliceBytesMax === undefined ? {} : { sliceBytesMax }
  const broken = stands.broken === undefined ? {} : { broken: stands.broken }
  return {
    t: 'hello',
    version: PROTOCOL_VERSION,
    node,
    storeId,
    boot,
    process,
    ledgerId,
    position,
    chain,
    seq,
    weight,
    ...bound,
    operations: [...operations],
    grid,
    ...broken,
    ...(upgrade === undefined ? {} : { upgrade: programOf(upgrade) }),
    ...(logs === undefined ? {} : { logs }),
    ...(pages === undefined ? {} : { pages }),
    rules: stands.rules,
  }
}

function programOf({ version, architecture, outcome }: Upgradeable): Hello['upgrade'] {
  const told = outcome === undefined ? {} : { outcome }
  return { version, architecture, attempts: true, ...told }
}

/** What the store holds from a tile on, for a gateway that builds a ledger. */
export function heldOf(
  storeId: string,
  position: number,
  { from, pages, next }: { from: number; pages: readonly ExaminedPage[]; next: number | null },
): Up {
  const tiles = packTiles(pages.map(({ tile }) => tile))
  return { t: 'held', storeId, position, from, tiles, ats: pages.map(({ at }) => at), next }
}
