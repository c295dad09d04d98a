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
const WORDS = 2

/** Of a member, its chain as two words. */
interface Stand extends Omit<StreamRecord, 'ackedChain'> {
  readonly ackedLeft: number
  readonly ackedRight: number
}

class Chunk {
  members = 0
  readonly marks = new Float64Array(CHUNK_MEMBERS * MARKS)
  readonly chains = new Uint8Array(CHUNK_MEMBERS * DIGEST_BYTES)
  readonly chainWords = new Int32Array(this.chains.buffer)
  record: StreamsRecord | undefined
}

export class StreamRecords {
  readonly #chunks = new Map<number, Chunk>()

  /** Gives the key of the record that it is in. */
  put(index: number, { head, acked, ackedSeq, ackedLeft, ackedRight }: Stand): number {
    const key = Math.floor(index / CHUNK_MEMBERS)
    const at = index % CHUNK_MEMBERS
    const chunk = this.#chunkOf(key)
    const { marks, chainWords } = chunk
    marks[at * MARKS] = head
    marks[at * MARKS + 1] = acked
    marks[at * MARKS + 2] = ackedSeq
    chainWords[at * WORDS] = ackedLeft
    chainWords[at * WORDS + 1] = ackedRight
    if (chunk.members <= at) grow(chunk, at + 1)
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
    return this.#chunkOf(key).record!
  }

  restore(key: number, { marks, chains }: StreamsRecord): void {
    const chunk = this.#chunkOf(key)
    grow(chunk, chains.length / DIGEST_BYTES)
    chunk.marks.set(new Float64Array(new Uint8Array(marks).buffer))
    chunk.chains.set(chains)
  }

  #chunkOf(key: number): Chunk {
    let chunk = this.#chunks.get(key)
    if (chunk === undefined) {
      chunk = new Chunk()
      this.#chunks.set(key, chunk)
    }
    return chunk
  }
}

function grow(chunk: Chunk, members: number): void {
  const { marks, chains } = chunk
  chunk.members = members
  chunk.record = {
    marks: new Uint8Array(marks.buffer, 0, members * MARKS * Float64Array.BYTES_PER_ELEMENT),
    chains: chains.subarray(0, members * DIGEST_BYTES),
  }
}
