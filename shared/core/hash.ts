/**
 * Fast non-cryptographic hashes. xxHash32 (Y. Collet, XXH32 specification 0.1.1) over bytes, held
 * to its published vectors by a test; two seeds of it make the 8-byte digests of tile pages and
 * stream chains. They detect damage and divergence, not forgery.
 */
const P1 = 0x9e3779b1
const P2 = 0x85ebca77
const P3 = 0xc2b2ae3d
const P4 = 0x27d4eb2f
const P5 = 0x165667b1

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

/** XXH32 of `bytes`, as an unsigned 32-bit number. */
export function xxh32(bytes: Uint8Array, seed = 0): number {
  const length = bytes.length
  let at = 0
  let hash: number
  if (length >= 16) {
    let v1 = (seed + P1 + P2) | 0
    let v2 = (seed + P2) | 0
    let v3 = seed | 0
    let v4 = (seed - P1) | 0
    const limit = length - 16
    while (at <= limit) {
      v1 = Math.imul(rotate((v1 + Math.imul(word(bytes, at), P2)) | 0, 13), P1)
      v2 = Math.imul(rotate((v2 + Math.imul(word(bytes, at + 4), P2)) | 0, 13), P1)
      v3 = Math.imul(rotate((v3 + Math.imul(word(bytes, at + 8), P2)) | 0, 13), P1)
      v4 = Math.imul(rotate((v4 + Math.imul(word(bytes, at + 12), P2)) | 0, 13), P1)
      at += 16
    }
    hash = (rotate(v1, 1) + rotate(v2, 7) + rotate(v3, 12) + rotate(v4, 18)) | 0
  } else {
    hash = (seed + P5) | 0
  }
  return finish((hash + length) | 0, bytes, at)
}

/** Takes in the bytes from `at` on, fewer than a whole stripe, and mixes the end. `hash` has the length of all. */
function finish(hash: number, bytes: Uint8Array, at: number): number {
  const length = bytes.length
  for (; at + 4 <= length; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(word(bytes, at), P3)) | 0, 17), P4)
  }
  for (; at < length; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at]!, P5)) | 0, 11), P1)
  }
  return avalanche(hash)
}

function avalanche(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 15), P2)
  mixed = Math.imul(mixed ^ (mixed >>> 13), P3)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** What `mix32` has made of a number, back. */
export function unmix32(mixed: number): number {
  let value = mixed ^ (mixed >>> 16)
  value = Math.imul(value, 0x7ed1b41d)
  value = Math.imul(value ^ (value >>> 13) ^ (value >>> 26), 0xa5cb9243)
  return (value ^ (value >>> 16)) >>> 0
}

/** From here on a view of whole words pays for itself. */
const PAIR_BYTES_MIN = 64
/** What is taken in at a time. */
export const STRIPE_BYTES = 16
const pair = new Int32Array(8)

function beginPair(state: Int32Array, left: number, right: number): void {
  state[0] = left + P1 + P2
  state[1] = left + P2
  state[2] = left
  state[3] = left - P1
  state[4] = right + P1 + P2
  state[5] = right + P2
  state[6] = right
  state[7] = right - P1
}

/**
 * Takes in the words from `from` to `end`, which are a multiple of four, under both seeds. What a tile page costs is this
 * loop. V8 makes it half as fast as it can be if it takes the state apart by a pattern, or begins at a number that may
 * be negative.
 */
function mixStripes(state: Int32Array, words: Int32Array, end: number, from = 0): void {
  let l1 = state[0]!
  let l2 = state[1]!
  let l3 = state[2]!
  let l4 = state[3]!
  let r1 = state[4]!
  let r2 = state[5]!
  let r3 = state[6]!
  let r4 = state[7]!
  for (let index = from >>> 0; index < end; index += 4) {
    let word = Math.imul(words[index]!, P2)
    l1 = (l1 + word) | 0
    r1 = (r1 + word) | 0
    l1 = Math.imul((l1 << 13) | (l1 >>> 19), P1)
    r1 = Math.imul((r1 << 13) | (r1 >>> 19), P1)
    word = Math.imul(words[index + 1]!, P2)
    l2 = (l2 + word) | 0
    r2 = (r2 + word) | 0
    l2 = Math.imul((l2 << 13) | (l2 >>> 19), P1)
    r2 = Math.imul((r2 << 13) | (r2 >>> 19), P1)
    word = Math.imul(words[index + 2]!, P2)
    l3 = (l3 + word) | 0
    r3 = (r3 + word) | 0
    l3 = Math.imul((l3 << 13) | (l3 >>> 19), P1)
    r3 = Math.imul((r3 << 13) | (r3 >>> 19), P1)
    word = Math.imul(words[index + 3]!, P2)
    l4 = (l4 + word) | 0
    r4 = (r4 + word) | 0
    l4 = Math.imul((l4 << 13) | (l4 >>> 19), P1)
    r4 = Math.imul((r4 << 13) | (r4 >>> 19), P1)
  }
  state[0] = l1
  state[1] = l2
  state[2] = l3
  state[3] = l4
  state[4] = r1
  state[5] = r2
  state[6] = r3
  state[7] = r4
}

function joined(state: Int32Array, from: 0 | 4): number {
  const left = rotate(state[from]!, 1) + rotate(state[from + 1]!, 7)
  return (left + rotate(state[from + 2]!, 12) + rotate(state[from + 3]!, 18)) | 0
}

/**
 * XXH32 of the bytes from `from` on, under two seeds, in one pass where they are long and lie at a multiple of 4: four
 * times as fast as two of `xxh32`, and what a tile page costs when it is read or written.
 */
export function xxh32Pair(
  bytes: Uint8Array,
  left: number,
  right: number,
  from = 0,
): [number, number] {
  const length = bytes.length - from
  const start = bytes.byteOffset + from
  if (length < PAIR_BYTES_MIN || start % 4 !== 0) {
    const rest = bytes.subarray(from)
    return [xxh32(rest, left), xxh32(rest, right)]
  }
  const words = (length >> 4) << 2
  beginPair(pair, left, right)
  mixStripes(pair, new Int32Array(bytes.buffer, start, words), words)
  const end = from + (words << 2)
  return [
    finish((joined(pair, 0) + length) | 0, bytes, end),
    finish((joined(pair, 4) + length) | 0, bytes, end),
  ]
}

/** The same of bytes that are never all there at once: whole stripes, then what is left. */
export class Xxh32Pair {
  readonly #state = new Int32Array(8)
  readonly #seeds: readonly [number, number]
  #bytes = 0

  constructor(left: number, right: number) {
    this.#seeds = [left, right]
    beginPair(this.#state, left, right)
  }

  /** At a multiple of 4, and as many as fill stripes. */
  add(bytes: Uint8Array): void {
    mixStripes(
      this.#state,
      new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2),
      bytes.length >> 2,
    )
    this.#bytes += bytes.length
  }

  /** With fewer bytes than a stripe has. */
  end(rest: Uint8Array): [number, number] {
    if (this.#bytes === 0) return [xxh32(rest, this.#seeds[0]), xxh32(rest, this.#seeds[1])]
    const state = this.#state
    return [
      finish((joined(state, 0) + this.#bytes + rest.length) | 0, rest, 0),
      finish((joined(state, 4) + this.#bytes + rest.length) | 0, rest, 0),
    ]
  }
}

/** A bijective mix of a 32-bit integer (the finalizer of MurmurHash3). */
export function mix32(value: number): number {
  let mixed = value | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

const encoder = new TextEncoder()
const scratch = new Uint8Array(1024)

/** XXH32 of a text's UTF-8 bytes. Short ASCII texts, the common keys, take a path without copies. */
export function hashText(text: string, seed = 0): number {
  const length = text.length
  if (length <= 256) {
    let at = 0
    for (; at < length; at++) {
      const code = text.charCodeAt(at)
      if (code > 127) break
      scratch[at] = code
    }
    if (at === length) return xxh32(scratch.subarray(0, length), seed)
  }
  return xxh32(encoder.encode(text), seed)
}

/** Bytes in a digest. */
export const DIGEST_BYTES = 8

/** An 8-byte digest of `bytes`: XXH32 under two seeds, little-endian. */
export function digest(bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(DIGEST_BYTES)
  const view = new DataView(result.buffer)
  const [left, right] = xxh32Pair(bytes, 0, P1)
  view.setUint32(0, left, true)
  view.setUint32(4, right, true)
  return result
}

const NO_WORDS = new Int32Array(0)

/**
 * What `digest` says of the bytes of `head`, which are whole stripes, and of `words[from … to)`, as two words at `at` of
 * `into`. Nothing is made for it.
 */
export function digestWords(
  words: Int32Array,
  { from, to }: { readonly from: number; readonly to: number },
  into: Uint32Array | Int32Array,
  at: number,
  head = NO_WORDS,
): void {
  const end = to - ((to - from) & 3)
  let left = P5
  let right = P1 + P5
  if (end > from || head.length > 0) {
    beginPair(pair, 0, P1)
    mixStripes(pair, head, head.length)
    mixStripes(pair, words, end, from)
    left = joined(pair, 0)
    right = joined(pair, 4)
  }
  const length = (head.length + to - from) << 2
  left = (left + length) | 0
  right = (right + length) | 0
  for (let index = end; index < to; index++) {
    const word = Math.imul(words[index]!, P3)
    left = Math.imul(rotate((left + word) | 0, 17), P4)
    right = Math.imul(rotate((right + word) | 0, 17), P4)
  }
  into[at] = avalanche(left)
  into[at + 1] = avalanche(right)
}

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index++) {
    if (left[index] !== right[index]) return false
  }
  return true
}
