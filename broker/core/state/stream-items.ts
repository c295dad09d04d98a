/**
 * What stands in streams: a write, in those of thousands perhaps, or an order about tiles, in one. Streams have it by
 * reference; what an entry says is made when it leaves, and its chain when it is first asked for.
 */
import type { Wire } from '../../../shared/operations/operation.ts'
import type { ControlOrder } from '../../../shared/protocol/control-entries.ts'
import { type EntryForAll, EntryTemplate } from '../../../shared/protocol/entry-template.ts'
import type { MessageBytes } from '../../../shared/protocol/message-bytes.ts'
import { extendChainWords } from '../../../shared/protocol/stream-chain.ts'
import type { EntryParts } from './entry-parts.ts'

const ENTRY_OVERHEAD_BYTES = 160
const WORDS = 2

export interface ItemContent {
  readonly forAll: EntryForAll
  /** The arguments for these tiles, where they are not those of all. */
  readonly cut?: (tiles: Uint32Array, member: number) => Wire
  /** What a tile adds to an entry, at most. */
  readonly tileBytes: number
  readonly order?: ControlOrder
}

export class StreamItem {
  readonly seq: number
  readonly parts: EntryParts
  readonly order: ControlOrder | undefined
  readonly #content: ItemContent
  /** What the chain knows it by, as two words. */
  readonly #body: Int32Array
  #template: EntryTemplate | undefined

  constructor(content: ItemContent, parts: EntryParts) {
    this.seq = content.forAll.seq
    this.order = content.order
    this.parts = parts
    this.#content = content
    this.#body = new Int32Array(new Uint8Array(content.forAll.body).buffer)
  }

  /** What a part takes in flight, estimated. */
  bytesOf(part: number): number {
    const { offsets } = this.parts
    return ENTRY_OVERHEAD_BYTES + (offsets[part + 1]! - offsets[part]!) * this.#content.tileBytes
  }

  /** `chain` is that of the stream before the part, and then that at it. */
  extend(chain: Int32Array, part: number): void {
    const { offsets, words, chains } = this.parts
    const own = { from: offsets[part]!, to: offsets[part + 1]! }
    const link = { seq: this.seq, body: this.#body, words, ...own }
    extendChainWords(chain, this.parts.positionOf(part), link)
    chains[part * WORDS] = chain[0]!
    chains[part * WORDS + 1] = chain[1]!
  }

  /** Its chain is known. */
  encode(bytes: MessageBytes, part: number): void {
    const { forAll, cut } = this.#content
    const { offsets, tiles, chains, members } = this.parts
    this.#template ??= new EntryTemplate(forAll)
    this.#template.encode(bytes, {
      position: this.parts.positionOf(part),
      chains,
      chainAt: part * WORDS,
      tiles,
      from: offsets[part]!,
      to: offsets[part + 1]!,
      args: cut === undefined ? forAll.args : cut(this.parts.tilesOf(part), members[part]!),
    })
  }
}
