/**
 * Memory for the pages of one batch, used again for the next: a buffer for each page would cost more
 * in collecting than the work on it, and what is thrown away stays until V8 collects its old space,
 * which an agent that rests does not bring about.
 */
import type { TilePage } from '../../shared/grid/tile-page.ts'
import type { UniformPage } from '../../shared/grid/uniform-page.ts'
import { PageTable } from './page-table.ts'

const CHUNK_BYTES_MIN = 16 * 1024
const CHUNK_BYTES_MAX = 256 * 1024
const ALIGNMENT_BYTES = 8

export interface ArenaMark {
  readonly chunk: number
  readonly at: number
}

export class PageArena {
  /** Those of the batch. */
  readonly pages = new PageTable<TilePage | UniformPage>()
  readonly #chunks: Uint8Array[] = []
  #chunk = 0
  #at = 0

  /** `bytes` bytes at a multiple of 8, with whatever lay there before. */
  take(bytes: number): Uint8Array {
    while (this.#chunk < this.#chunks.length) {
      const chunk = this.#chunks[this.#chunk]!
      const start = this.#at
      if (start + bytes <= chunk.length) {
        this.#at = Math.ceil((start + bytes) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return chunk.subarray(start, start + bytes)
      }
      this.#chunk += 1
      this.#at = 0
    }
    const size = Math.min(CHUNK_BYTES_MAX, CHUNK_BYTES_MIN * 2 ** this.#chunks.length)
    this.#chunks.push(new Uint8Array(Math.max(bytes, size)))
    return this.take(bytes)
  }

  /** Where it stands; what is taken from here on can be given back. */
  get mark(): ArenaMark {
    return { chunk: this.#chunk, at: this.#at }
  }

  /** What was taken since is free again. */
  giveBack({ chunk, at }: ArenaMark): void {
    this.#chunk = chunk
    this.#at = at
  }

  /** All that was taken may be taken again. */
  clear(): void {
    this.#chunk = 0
    this.#at = 0
    this.pages.clear()
  }

  /** Like `clear`, and lets go of memory that is more than `bytesMax`. */
  shrink(bytesMax: number): void {
    this.clear()
    if (bytesMax === 0) this.pages.release()
    let bytes = 0
    const kept = this.#chunks.findIndex((chunk) => {
      bytes += chunk.length
      return bytes > bytesMax
    })
    if (kept >= 0) this.#chunks.length = kept
  }
}
