/**
 * The hash chain of a node's stream: `chain(n) = digest(chain(n-1) ‖ position ‖ seq ‖ body ‖ tiles)`.
 * Gateway and node compute it each for itself; that the two agree at a position proves that the node
 * applied exactly the entries that the ledger holds up to there (log matching, as in Raft).
 */
import { DIGEST_BYTES, digest } from '../core/hash.ts'

/** The chain of an empty stream. */
export const CHAIN_START: Uint8Array = new Uint8Array(DIGEST_BYTES)

const HEAD_BYTES = DIGEST_BYTES * 4

/** For most links: one write extends ten thousand chains. */
const room = roomOf(4096)

export interface ChainLink {
  readonly position: number
  readonly seq: number
  /** Stands for the operation, its region and arguments. */
  readonly body: Uint8Array
  readonly tiles: Uint8Array
}

export function extendChain(chain: Uint8Array, link: ChainLink): Uint8Array {
  const length = HEAD_BYTES + link.tiles.length
  const { bytes, view } = length <= room.bytes.length ? room : roomOf(length)
  bytes.set(chain, 0)
  view.setFloat64(DIGEST_BYTES, link.position, true)
  view.setFloat64(DIGEST_BYTES * 2, link.seq, true)
  bytes.set(link.body, DIGEST_BYTES * 3)
  bytes.set(link.tiles, HEAD_BYTES)
  return digest(bytes.subarray(0, length))
}

function roomOf(length: number): { readonly bytes: Uint8Array; readonly view: DataView } {
  const bytes = new Uint8Array(length)
  return { bytes, view: new DataView(bytes.buffer) }
}
