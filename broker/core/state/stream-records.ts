/**
 * Where all streams stand, as the ledger has it: some hundred members a record, since one write may touch ten thousand
 * streams, and each of them is a few bytes. A record is what it is when it is written: all steps whose records
 * share a flush share it.
 *
 * Invariant: what is known of a member is at its index, and no record is longer than its last member.
 */
import { DIGEST_BYTES } from '../../../shared/core/hash.ts'
import type { StreamRecord, StreamsRecord } from '../ledger-records.ts'

/** Some kilobytes a record, and some tens of records for the largest fleet that one gateway is for. */
export const CHUNK_MEMBERS = 256
/** Head, acknowledged position and its sequence. */
const MARKS = 3

interface Chunk {
  members: number
  marks: Float64Array
  chains: Uint8Array
}

export class StreamRecords {
  readonly #chunks = new Map<number, Chunk>()

  /** Gives the key of the record that it is in. */
  put(index: number, { head, acked, ackedChain, ackedSeq }: StreamRecord): number {
    const key = Math.floor(index / CHUNK_MEMBERS)
    const at = index % CHUNK_MEMBERS
    const chunk = this.#withRoom(key, at + 1)
    chunk.marks[at * MARKS] = head
    chunk.marks[at * MARKS + 1] = acked
    chunk.marks[at * MARKS + 2] = ackedSeq
    chunk.chains.set(ackedChain, at * DIGEST_BYTES)
    return key
  }

  get(index: number): StreamRecord | undefined {
    const chunk = this.#chunks.get(Math.floor(index / CHUNK_MEMBERS))
    const at = index % CHUNK_MEMBERS
    if (chunk === undefined || at >= chunk.members) return undefined
    const [head, acked, ackedSeq] = chunk.marks.subarray(at * MARKS, (at + 1) * MARKS)
    const ackedChain = chunk.chains.slice(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES)
    return { head: head!, acked: acked!, ackedChain, ackedSeq: ackedSeq! }
  }

  /** It shows what is put there later, too. */
  record(key: number): StreamsRecord {
    const { members, marks, chains } = this.#chunks.get(key)!
    return {
      marks: new Uint8Array(marks.buffer, 0, members * MARKS * Float64Array.BYTES_PER_ELEMENT),
      chains: chains.subarray(0, members * DIGEST_BYTES),
    }
  }

  restore(key: number, record: StreamsRecord): void {
    const marks = new Float64Array(new Uint8Array(record.marks).buffer)
    const members = marks.length / MARKS
    this.#chunks.set(key, { members, marks, chains: new Uint8Array(record.chains) })
  }

  #withRoom(key: number, members: number): Chunk {
    let chunk = this.#chunks.get(key)
    if (chunk === undefined) {
      chunk = { members: 0, marks: new Float64Array(0), chains: new Uint8Array(0) }
      this.#chunks.set(key, chunk)
    }
    if (chunk.marks.length < members * MARKS) {
      const room = Math.min(CHUNK_MEMBERS, Math.max(members, 2 * chunk.members))
      chunk.marks = grown(chunk.marks, new Float64Array(room * MARKS))
      chunk.chains = grown(chunk.chains, new Uint8Array(room * DIGEST_BYTES))
    }
    chunk.members = Math.max(chunk.members, members)
    return chunk
  }
}

function grown<T extends Float64Array | Uint8Array>(from: T, to: T): T {
  to.set(from)
  return to
}
