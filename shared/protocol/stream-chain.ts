/**
 * The hash chain of a node's stream: `chain(n) = digest(chain(n-1) ‖ position ‖ seq ‖ body ‖ tiles)`.
 * Gateway and node compute it each for itself; that the two agree at a position proves that the node
 * applied exactly the entries that the ledger holds up to there (log matching, as in Raft).
 */
import { DIGEST_BYTES, digest } from '../core/hash.ts'

/** The chain of an empty stream. */
export const CHAIN_START: Uint8Array = new Uint8Array(DIGEST_BYTES)

export interface ChainLink {
  readonly position: number
  readonly seq: number
  /** Stands for the operation, its region and arguments. */
  readonly body: Uint8Array
  readonly tiles: Uint8Array
}

export function extendChain(chain: Uint8Array, link: ChainLink): Uint8Array {
  const bytes = new Uint8Array(DIGEST_BYTES * 4 + link.tiles.length)
  const view = new DataView(bytes.buffer)
  bytes.set(chain, 0)
  view.setFloat64(DIGEST_BYTES, link.position, true)
  view.setFloat64(DIGEST_BYTES * 2, link.seq, true)
  bytes.set(link.body, DIGEST_BYTES * 3)
  bytes.set(link.tiles, DIGEST_BYTES * 4)
  return digest(bytes)
}
