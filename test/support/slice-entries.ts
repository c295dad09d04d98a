/** Entries as the gateway cuts them for one node: parsed, cut at tile borders, decoded from the wire. */
import type { Region } from '../../shared/grid/geometry.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { packTiles } from '../../shared/operations/columns.ts'
import {
  type GridContext,
  PART_BYTES_MAX,
  type Wire,
  type WriteOperation,
} from '../../shared/operations/operation.ts'
import { decodeDown, type Entry, encodeMessage } from '../../shared/protocol/messages.ts'
import { extendChain } from '../../shared/protocol/stream-chain.ts'

export interface WriteTask {
  readonly op: string
  readonly region: Region
  readonly args: unknown
  /** Tiles of one entry at most. */
  readonly tilesMax?: number
}

/** A stream that grows by tasks; one task is one sequence number. */
export class EntryStream {
  readonly #context: GridContext
  #chain = new Uint8Array(8)
  #position = 0
  #seq = 0

  constructor(context: GridContext) {
    this.#context = context
  }

  /** The next sequence number is above this one. */
  get seq(): number {
    return this.#seq
  }

  write(task: WriteTask): Entry[] {
    this.#seq += 1
    return this.#cut(task, this.#seq)
  }

  /** The task again under a sequence number of the past. */
  writeAgain(task: WriteTask, seq: number): Entry[] {
    return this.#cut(task, seq)
  }

  #cut({ op, region, args, tilesMax = Number.POSITIVE_INFINITY }: WriteTask, seq: number): Entry[] {
    const operation = findOperation(op) as WriteOperation
    const parsed = operation.parse(args, region, this.#context)
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
    const tiles = this.#context.geometry.tilesOf(region)
    const perTile = operation.argumentBytesPerTile(parsed.value, this.#context, tiles)
    const room = perTile === 0 ? tilesMax : Math.min(tilesMax, PART_BYTES_MAX / perTile)
    const step = Math.max(1, Math.floor(room))
    const entries: Entry[] = []
    for (let at = 0; at < tiles.length; at += step) {
      entries.push(this.#entry(operation, parsed.value, region, tiles.slice(at, at + step), seq))
    }
    return entries
  }

  #entry(
    operation: WriteOperation,
    args: Wire,
    region: Region,
    tiles: Uint32Array,
    seq: number,
  ): Entry {
    this.#position += 1
    const body = new Uint8Array(8).fill(seq)
    const link = { position: this.#position, seq, body, tiles: packTiles(tiles) }
    this.#chain = new Uint8Array(extendChain(this.#chain, link))
    return overTheWire({
      ...link,
      chain: this.#chain,
      op: operation.name,
      region: [region.x, region.y, region.w, region.h],
      args: operation.cut(args, region, tiles, this.#context),
    })
  }
}

/** As it arrives: from a Buffer, in which nothing is aligned. */
function overTheWire(entry: Entry): Entry {
  const message = { t: 'entries' as const, session: 1, confirmed: 0, entries: [entry] }
  const decoded = decodeDown(Buffer.from(encodeMessage(message)))
  if (!decoded.ok) throw new Error(decoded.problem)
  if (decoded.message.t !== 'entries') throw new Error('another message')
  return decoded.message.entries[0]!
}
