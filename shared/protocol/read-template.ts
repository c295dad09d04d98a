/**
 * The messages of one round of a read: thousands that differ in the session, the place in the stream, the name of the
 * part and the tiles. What they share is encoded once, and the rest is written between. Byte for byte what
 * `encodeMessage` makes of the same message (RFC 8949 §3).
 */
import { encodeCbor } from './cbor.ts'
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

const BYTES = 0x40
const MAP = 0xa0
const IN_ONE = 24
const IN_TWO = 25
const IN_FOUR = 26
const FLOAT64 = 0xfb
const WORD_BYTES = 4
const DIGEST_DIGITS = 16
const DIGITS = Buffer.from('0123456789abcdef')
/** Of a head or number; a message has two numbers and two lists of tiles. */
const HEAD_BYTES_MAX = 9
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
  /** Where a message is put together, since how long it gets shows at its end. */
  #bytes = Buffer.alloc(0)
  #at = 0

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
    this.#begin(own.to - own.from)
    this.#copy(this.#beforeSession)
    this.#number(own.session)
    this.#copy(this.#beforeDigest)
    this.#digits(own.digests[own.digestAt]!)
    this.#digits(own.digests[own.digestAt + 1]!)
    this.#copy(this.#beforeAfter)
    this.#number(own.after)
    this.#copy(this.#beforeTiles)
    this.#tiles(own, false)
    this.#copy(this.#beforeUnborn)
    this.#tiles(own, true)
    const message = Buffer.allocUnsafe(this.#at)
    this.#bytes.copy(message, 0, 0, this.#at)
    return message
  }

  #begin(tiles: number): void {
    const room = this.#bytesForAll + DIGEST_DIGITS + HEADS * HEAD_BYTES_MAX + tiles * WORD_BYTES
    if (this.#bytes.length < room) this.#bytes = Buffer.alloc(2 * room)
    this.#at = 0
  }

  #copy(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** As the library has it: an integer of more than 32 bits is a float. */
  #number(value: number): void {
    if (value >>> 0 === value) {
      this.#head(0, value)
      return
    }
    this.#bytes[this.#at] = FLOAT64
    this.#at = this.#bytes.writeDoubleBE(value, this.#at + 1)
  }

  #head(major: number, argument: number): void {
    const bytes = this.#bytes
    if (argument < IN_ONE) {
      bytes[this.#at++] = major | argument
    } else if (argument < 2 ** 8) {
      bytes[this.#at++] = major | IN_ONE
      bytes[this.#at++] = argument
    } else if (argument < 2 ** 16) {
      bytes[this.#at++] = major | IN_TWO
      this.#at = bytes.writeUInt16BE(argument, this.#at)
    } else {
      bytes[this.#at++] = major | IN_FOUR
      this.#at = bytes.writeUInt32BE(argument, this.#at)
    }
  }

  /** Of a word, its lowest byte first. */
  #digits(word: number): void {
    const bytes = this.#bytes
    for (let shift = 0; shift < 32; shift += 8) {
      bytes[this.#at++] = DIGITS[(word >>> (shift + 4)) & 15]!
      bytes[this.#at++] = DIGITS[(word >>> shift) & 15]!
    }
  }

  /** A list of those that are unborn, or of those that are not. */
  #tiles({ tiles, from, to, unborn }: ReadForOne, isUnborn: boolean): void {
    if (typeof unborn === 'boolean') {
      this.#head(BYTES, unborn === isUnborn ? (to - from) * WORD_BYTES : 0)
      if (unborn === isUnborn) for (let at = from; at < to; at++) this.#word(tiles[at]!)
      return
    }
    let count = 0
    for (let at = from; at < to; at++) if ((unborn[at] === 1) === isUnborn) count += 1
    this.#head(BYTES, count * WORD_BYTES)
    for (let at = from; at < to; at++) if ((unborn[at] === 1) === isUnborn) this.#word(tiles[at]!)
  }

  /** Its lowest byte first. */
  #word(word: number): void {
    const bytes = this.#bytes
    const at = this.#at
    bytes[at] = word
    bytes[at + 1] = word >>> 8
    bytes[at + 2] = word >>> 16
    bytes[at + 3] = word >>> 24
    this.#at = at + WORD_BYTES
  }
}

/** Key, value, key… one after the other. */
function encodedOf(...items: unknown[]): Uint8Array {
  return Buffer.concat(items.map(encodeCbor))
}
