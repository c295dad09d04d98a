/**
 * The hash chain of a node's stream: `chain(n) = digest(chain(n-1) ‖ position ‖ seq ‖ body ‖ tiles)`.
 * Gateway and node compute it each for itself; that the two agree at a position proves that the node
 * applied exactly the entries that the ledger holds up to there (log matching, as in Raft).
 */
import { DIGEST_BYTES, digest, digestWords } from '../core/hash.ts'

/** The chain of an empty stream. */
export const CHAIN_START: Uint8Array = new Uint8Array(DIGEST_BYTES)

const HEAD_BYTES = DIGEST_BYTES * 4

/** Of one link at a time. */
const head = new Int32Array(HEAD_BYTES / Int32Array.BYTES_PER_ELEMENT)
const numbers = new Float64Array(head.buffer)

export interface ChainLink {
  readonly position: number
  readonly seq: number
  /** Stands for the operation, its region and arguments. */
  readonly body: Uint8Array
  readonly tiles: Uint8Array
}

export function extendChain(chain: Uint8Array, link: ChainLink): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + link.tiles.length)
  const view = new DataView(bytes.buffer)
  bytes.set(chain, 0)
  view.setFloat64(DIGEST_BYTES, link.position, true)
  view.setFloat64(DIGEST_BYTES * 2, link.seq, true)
  bytes.set(link.body, DIGEST_BYTES * 3)
  bytes.set(link.tiles, HEAD_BYTES)
  return digest(bytes)
}

/** A link as the gateway has it: chain and body are two words each, and the tiles are `words[from … to)`. */
export interface WordLink {
  readonly seq: number
  readonly body: Int32Array
  readonly words: Int32Array
  readonly from: number
  readonly to: number
}

/** The same in the place of `chain`. Nothing is made for it: one write extends ten thousand chains. */
export function extendChainWords(chain: Int32Array, position: number, link: WordLink): void {
  head[0] = chain[0]!
  head[1] = chain[1]!
  numbers[1] = position
  numbers[2] = link.seq
  head[6] = link.body[0]!
  head[7] = link.body[1]!
  digestWords(link.words, link, chain, 0, head)
}
