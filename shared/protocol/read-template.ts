/**
 * The messages of one round of a read: thousands that differ in the session, the place in the stream, the name of the
 * part and the tiles. What they share is encoded once, and the rest is written between. Byte for byte what
 * `encodeMessage` makes of the same message (RFC 8949 §3).
 */
import { encodeCbor } from './cbor.ts'
import { BYTES, encodedOf, HEAD_BYTES_MAX, MAP, MessageBytes, WORD_BYTES } from './message-bytes.ts'
import type { Read } from './messages.ts'

/** What the messages of a round share. */
export interface ReadForAll extends Pick<Read, 'task' | 'attempt' | 'leaseMs' | 'op' | 'args'> {
  /** The name of a part is this, and a digest in hexadecimal. ASCII. */
  readonly part: string
  readonly region: NonNullable<Read['grid']>['region']
}

/** What one of them has of its own. */
export interface ReadForOne extends Pick<Read, 'session' | 'after'> {
  /** The digest is the two words from `digestAt` on. */
  readonly digests: Uint32Array
  readonly digestAt: number
  /** The part's are `tiles[from … to)`. */
  readonly tiles: Uint32Array
  readonly from: number
  readonly to: number
  /** Which of `tiles` are not born yet, 1 each; or all of them, or none. */
  readonly unborn: Uint8Array | boolean
}

const DIGEST_DIGITS = 16
/** A message has two numbers and two lists of tiles. */
const HEADS = 4
const KEYS = 10
const GRID_KEYS = 3

export class ReadTemplate {
  readonly #beforeSession: Uint8Array
  readonly #beforeDigest: Uint8Array
  readonly #beforeAfter: Uint8Array
  readonly #beforeTiles: Uint8Array
  readonly #beforeUnborn = encodedOf('unborn')
  readonly #bytesForAll: number
  readonly #bytes = new MessageBytes()

  constructor({ task, part, attempt, leaseMs, op, args, region }: ReadForAll) {
    const name = encodeCbor(part + '0'.repeat(DIGEST_DIGITS)).subarray(0, -DIGEST_DIGITS)
    this.#beforeSession = Buffer.concat([Buffer.of(MAP | KEYS), encodedOf('t', 'read', 'session')])
    this.#beforeDigest = Buffer.concat([encodedOf('task', task, 'part'), name])
    this.#beforeAfter = encodedOf('attempt', attempt, 'leaseMs', leaseMs, 'after')
    this.#beforeTiles = Buffer.concat([
      encodedOf('op', op, 'args', args, 'grid'),
      Buffer.of(MAP | GRID_KEYS),
      encodedOf('region', region, 'tiles'),
    ])
    this.#bytesForAll =
      this.#beforeSession.length +
      this.#beforeDigest.length +
      this.#beforeAfter.length +
      this.#beforeTiles.length +
      this.#beforeUnborn.length
  }

  encode(own: ReadForOne): Uint8Array {
    const bytes = this.#bytes
    const tiles = own.to - own.from
    bytes.room(this.#bytesForAll + DIGEST_DIGITS + HEADS * HEAD_BYTES_MAX + tiles * WORD_BYTES)
    bytes.copy(this.#beforeSession)
    bytes.number(own.session)
    bytes.copy(this.#beforeDigest)
    bytes.digits(own.digests[own.digestAt]!)
    bytes.digits(own.digests[own.digestAt + 1]!)
    bytes.copy(this.#beforeAfter)
    bytes.number(own.after)
    bytes.copy(this.#beforeTiles)
    this.#tiles(own, false)
    bytes.copy(this.#beforeUnborn)
    this.#tiles(own, true)
    return bytes.take()
  }

  /** A list of those that are unborn, or of those that are not. */
  #tiles({ tiles, from, to, unborn }: ReadForOne, isUnborn: boolean): void {
    const bytes = this.#bytes
    if (typeof unborn === 'boolean') {
      const end = unborn === isUnborn ? to : from
      bytes.head(BYTES, (end - from) * WORD_BYTES)
      bytes.words(tiles, from, end)
      return
    }
    let count = 0
    for (let at = from; at < to; at++) if ((unborn[at] === 1) === isUnborn) count += 1
    bytes.head(BYTES, count * WORD_BYTES)
    for (let at = from; at < to; at++) if ((unborn[at] === 1) === isUnborn) bytes.word(tiles[at]!)
  }
}
