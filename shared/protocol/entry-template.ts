/**
 * Entries of streams as the gateway sends them: those of one write differ in their position, chain and tiles, and in
 * their arguments where each node gets its own. Byte for byte what `encodeMessage` makes of the same message.
 */
import { DIGEST_BYTES } from '../core/hash.ts'
import type { Wire } from '../operations/operation.ts'
import { encodeCbor } from './cbor.ts'
import {
  ARRAY,
  BYTES,
  encodedOf,
  HEAD_BYTES_MAX,
  MAP,
  type MessageBytes,
  WORD_BYTES,
} from './message-bytes.ts'
import type { Entry } from './messages.ts'

/** What the entries of a write share. */
export type EntryForAll = Pick<Entry, 'seq' | 'op' | 'region' | 'body'> & { readonly args: Wire }

/** What one of them has of its own: two words of chain from `chainAt` on, and `tiles[from … to)`. */
export interface EntryForOne {
  readonly position: number
  readonly chains: Int32Array
  readonly chainAt: number
  readonly tiles: Uint32Array
  readonly from: number
  readonly to: number
  /** The same as of all, or others. */
  readonly args: Wire
}

const KEYS = 8
const MESSAGE_KEYS = 4
/** Position and tiles. */
const HEADS = 2

const BEFORE_SESSION = Buffer.concat([
  Buffer.of(MAP | MESSAGE_KEYS),
  encodedOf('t', 'entries', 'session'),
])
const BEFORE_CONFIRMED = encodedOf('confirmed')
const BEFORE_ENTRIES = encodedOf('entries')
const BEFORE_POSITION = Buffer.concat([Buffer.of(MAP | KEYS), encodedOf('position')])
const BEFORE_TILES = encodedOf('tiles')
const BEGIN_ROOM =
  BEFORE_SESSION.length + BEFORE_CONFIRMED.length + BEFORE_ENTRIES.length + 3 * HEAD_BYTES_MAX

/** A message of so many entries, which are to follow. */
export function beginEntries(
  bytes: MessageBytes,
  { session, confirmed, entries }: { session: number; confirmed: number; entries: number },
): void {
  bytes.room(BEGIN_ROOM)
  bytes.copy(BEFORE_SESSION)
  bytes.number(session)
  bytes.copy(BEFORE_CONFIRMED)
  bytes.number(confirmed)
  bytes.copy(BEFORE_ENTRIES)
  bytes.head(ARRAY, entries)
}

export class EntryTemplate {
  readonly #beforeChain: Uint8Array
  readonly #beforeArgs: Uint8Array
  readonly #args: Wire
  /** From behind the chain to the tiles, where the arguments are those of all: where no entry has those, it is not made. */
  #beforeTiles: Uint8Array | undefined
  readonly #afterTiles: Uint8Array
  readonly #bytesForAll: number

  constructor({ seq, op, region, args, body }: EntryForAll) {
    this.#beforeChain = Buffer.concat([
      encodedOf('seq', seq, 'chain'),
      Buffer.of(BYTES | DIGEST_BYTES),
    ])
    this.#beforeArgs = encodedOf('op', op, 'region', region, 'args')
    this.#args = args
    this.#afterTiles = encodedOf('body', body)
    this.#bytesForAll =
      BEFORE_POSITION.length +
      this.#beforeChain.length +
      DIGEST_BYTES +
      this.#afterTiles.length +
      HEADS * HEAD_BYTES_MAX
  }

  #beforeTilesWith(args: Wire): Uint8Array {
    return Buffer.concat([this.#beforeArgs, encodeCbor(args), BEFORE_TILES])
  }

  encode(bytes: MessageBytes, own: EntryForOne): void {
    const isOfAll = own.args === this.#args
    const beforeTiles = isOfAll
      ? (this.#beforeTiles ??= this.#beforeTilesWith(own.args))
      : this.#beforeTilesWith(own.args)
    bytes.room(this.#bytesForAll + beforeTiles.length + (own.to - own.from) * WORD_BYTES)
    bytes.copy(BEFORE_POSITION)
    bytes.number(own.position)
    bytes.copy(this.#beforeChain)
    bytes.word(own.chains[own.chainAt]!)
    bytes.word(own.chains[own.chainAt + 1]!)
    bytes.copy(beforeTiles)
    bytes.head(BYTES, (own.to - own.from) * WORD_BYTES)
    bytes.words(own.tiles, own.from, own.to)
    bytes.copy(this.#afterTiles)
  }
}
