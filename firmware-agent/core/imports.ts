/**
 * Pages that come to this node in pieces. A page is whole when all pieces of one copy of it are there: of
 * the same move, the same `at` and the same digest. Pieces of different copies never mix, for between two
 * of them a write may have changed the tile (recovery.md, Placement and hand-off), or the page has another form
 * under the same digest (packed-page.ts): a piece that comes again with other bytes begins a copy.
 *
 * Only memory: what is not whole when the connection ends is sent again. Bounded in bytes; the gateway
 * paces what it sends, so the bound is met only when pieces are lost.
 */
import { equalBytes } from '../../shared/core/hash.ts'
import { concatBytes } from '../../shared/operations/columns.ts'
import type { Chunk } from '../../shared/protocol/messages.ts'
import type { IncomingPage } from './effects.ts'

interface Incoming {
  readonly first: Chunk
  readonly pieces: (Uint8Array | undefined)[]
  missing: number
  bytes: number
}

const BYTES_MAX = 4 * 1024 * 1024
const PIECES_MAX = 1024

export class Imports {
  /** By tile, oldest first. */
  readonly #incoming = new Map<number, Incoming>()
  #bytes = 0

  /** Takes a piece; returns the page that it makes whole. */
  receive(chunk: Chunk): IncomingPage | undefined {
    if (chunk.index >= chunk.of || chunk.of > PIECES_MAX) return undefined
    let incoming = this.#incoming.get(chunk.tile)
    const repeated = incoming?.pieces[chunk.index]
    const isOther = repeated !== undefined && !equalBytes(repeated, chunk.bytes)
    if (incoming === undefined || isOther || !isSameCopy(incoming.first, chunk)) {
      this.discard(chunk.tile)
      incoming = { first: chunk, pieces: new Array(chunk.of), missing: chunk.of, bytes: 0 }
      this.#incoming.set(chunk.tile, incoming)
    } else if (repeated !== undefined) return undefined
    incoming.pieces[chunk.index] = chunk.bytes
    incoming.missing -= 1
    incoming.bytes += chunk.bytes.length
    this.#bytes += chunk.bytes.length
    if (incoming.missing > 0) {
      this.#makeRoom()
      return undefined
    }
    this.discard(chunk.tile)
    const { move, tile, at, digest } = chunk
    return { move, tile, at, digest, bytes: concatBytes(incoming.pieces as Uint8Array[]) }
  }

  /** The move of this tile was given up. */
  discard(tile: number): void {
    this.#bytes -= this.#incoming.get(tile)?.bytes ?? 0
    this.#incoming.delete(tile)
  }

  clear(): void {
    this.#incoming.clear()
    this.#bytes = 0
  }

  #makeRoom(): void {
    for (const tile of this.#incoming.keys()) {
      if (this.#bytes <= BYTES_MAX || this.#incoming.size === 1) return
      this.discard(tile)
    }
  }
}

function isSameCopy(left: Chunk, right: Chunk): boolean {
  return (
    left.move === right.move &&
    left.at === right.at &&
    left.of === right.of &&
    equalBytes(left.digest, right.digest)
  )
}
