/**
 * The sum of any finite doubles, and of their squares, without a rounding error: so both are the same
 * in whatever order and by whomever numbers were added, and what follows from them is rounded once.
 *
 * Numbers with the same sign and exponent share a bin, after R. Neal, "Fast exact summation using small
 * and large superaccumulators" (2015). A mantissa of 53 bits is cut into a, b and c of 18, 18 and 17;
 * each bin adds up the pieces and their products, whole numbers below 2^36, in doubles. After 2^17
 * numbers the bins are emptied into two integers: the sum in units of 2^-1074, that of squares in 2^-2148.
 */

export const BINS = 4096
export const SLOTS = 8
/** Numbers after which bins must be emptied. */
export const ADDED_MAX = 2 ** 17
const B_RANGE = 2 ** 18

/** Of one unit of `sum`. */
export const SUM_EXPONENT = -1074

export class ExactSums {
  readonly #bins = new Float64Array(BINS * SLOTS)
  readonly #isUsed = new Uint8Array(BINS)
  #sum = 0n
  #squares = 0n
  #added = 0

  /** Adds `count` doubles; `words` are their bits, little-endian, two a double. */
  add(words: Int32Array, count: number): void {
    for (let from = 0; from < count; ) {
      if (this.#added === ADDED_MAX) this.#empty()
      const end = Math.min(count, from + ADDED_MAX - this.#added)
      this.#addSome(words, from, end)
      this.#added += end - from
      from = end
    }
  }

  /** Adds the first double of `words` so many times, at most 2^17. */
  addSame(words: Int32Array, times: number): void {
    if (this.#added + times > ADDED_MAX) this.#empty()
    const bin = words[1]! >>> 20
    this.#isUsed[bin] = 1
    addPieces(this.#bins, bin * SLOTS, { low: words[0]!, high: words[1]!, times })
    this.#added += times
  }

  #addSome(words: Int32Array, from: number, end: number): void {
    const bins = this.#bins
    const isUsed = this.#isUsed
    for (let at = 2 * from; at < 2 * end; at += 2) {
      const low = words[at]!
      const high = words[at + 1]!
      const bin = high >>> 20
      const top = (high & 0xfffff) | ((bin & 0x7ff) === 0 ? 0 : 0x100000)
      const a = top >>> 3
      const b = ((top & 7) << 15) | (low >>> 17)
      const c = low & 0x1ffff
      const slot = bin * SLOTS
      isUsed[bin] = 1
      bins[slot]! += a * B_RANGE + b
      bins[slot + 1]! += c
      bins[slot + 2]! += a * a
      bins[slot + 3]! += a * b
      bins[slot + 4]! += b * b
      bins[slot + 5]! += a * c
      bins[slot + 6]! += b * c
      bins[slot + 7]! += c * c
    }
  }

  #empty(): void {
    for (let bin = 0; bin < BINS; bin++) {
      if (this.#isUsed[bin] === 0) continue
      const { sum, squares } = takeBin(this.#bins, bin * SLOTS, bin)
      this.#sum += sum
      this.#squares += squares
      this.#isUsed[bin] = 0
    }
    this.#added = 0
  }

  /** In units of 2^-1074. */
  get sum(): bigint {
    this.#empty()
    return this.#sum
  }

  /** In units of 2^-2148. */
  get squares(): bigint {
    this.#empty()
    return this.#squares
  }
}

/** Adds a double so many times to the bin that begins at `slot`; the bin's number is `high >>> 20`. */
export function addPieces(
  bins: Float64Array,
  slot: number,
  { low, high, times }: { low: number; high: number; times: number },
): void {
  const top = (high & 0xfffff) | (((high >>> 20) & 0x7ff) === 0 ? 0 : 0x100000)
  const a = top >>> 3
  const b = ((top & 7) << 15) | (low >>> 17)
  const c = low & 0x1ffff
  bins[slot]! += times * (a * B_RANGE + b)
  bins[slot + 1]! += times * c
  bins[slot + 2]! += times * a * a
  bins[slot + 3]! += times * a * b
  bins[slot + 4]! += times * b * b
  bins[slot + 5]! += times * a * c
  bins[slot + 6]! += times * b * c
  bins[slot + 7]! += times * c * c
}

/** What the bin of that number holds, which begins at `slot`, in units of 2^-1074 and 2^-2148; it is empty then. */
export function takeBin(
  bins: Float64Array,
  slot: number,
  bin: number,
): { sum: bigint; squares: bigint } {
  const slots = Array.from(bins.subarray(slot, slot + SLOTS), BigInt)
  bins.fill(0, slot, slot + SLOTS)
  const [ab, c, aa, aTimesB, bb, ac, bc, cc] = slots as [
    ...[bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint],
  ]
  const exponent = BigInt(Math.max(bin & 0x7ff, 1) - 1)
  const sum = ((ab << 17n) + c) << exponent
  const squares = (aa << 70n) + (aTimesB << 53n) + (bb << 34n) + (ac << 36n) + (bc << 18n) + cc
  return { sum: bin < BINS / 2 ? sum : -sum, squares: squares << (2n * exponent) }
}

/** The double next to `numerator / denominator` times 2^`exponent`, ties to even. */
export function nearest(numerator: bigint, denominator: bigint, exponent: number): number {
  if (numerator < 0n) return -nearest(-numerator, denominator, exponent)
  if (numerator === 0n) return 0
  // Of the last bit that the result can have, or one below it.
  const lead = bitsOf(numerator) - bitsOf(denominator) - 1 + exponent
  let last = Math.max(lead - 52, SUM_EXPONENT)
  let { quotient, rest, divisor } = divide(numerator, denominator, last - exponent)
  if (quotient >> 53n > 0n) {
    last += 1
    ;({ quotient, rest, divisor } = divide(numerator, denominator, last - exponent))
  }
  const half = 2n * rest - divisor
  if (half > 0n || (half === 0n && quotient % 2n === 1n)) quotient += 1n
  return Number(quotient) * 2 ** last
}

function divide(numerator: bigint, denominator: bigint, shift: number) {
  const dividend = shift < 0 ? numerator << BigInt(-shift) : numerator
  const divisor = shift > 0 ? denominator << BigInt(shift) : denominator
  return { quotient: dividend / divisor, rest: dividend % divisor, divisor }
}

function bitsOf(value: bigint): number {
  const digits = value.toString(16)
  return digits.length * 4 - (Math.clz32(Number.parseInt(digits[0]!, 16)) - 28)
}

/** More than the square of the largest double takes, over all LSUs that there can be. */
const INTEGER_BYTES_MAX = 1024

/** An integer as bytes: its sign, how many zero bytes end it (2, little-endian), and the bytes before. */
export function packInteger(value: bigint): Uint8Array {
  const digits = (value < 0n ? -value : value).toString(16)
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  const zeros = bytes.length - end
  const head = Uint8Array.of(value < 0n ? 1 : 0, zeros & 0xff, zeros >> 8)
  return Buffer.concat([head, bytes.subarray(0, end)])
}

/** Whether these may be bytes of `packInteger`, and of a sum that there can be. */
export function isPackedInteger(bytes: unknown): bytes is Uint8Array {
  if (!(bytes instanceof Uint8Array) || bytes.length < 3) return false
  return zerosOf(bytes) + bytes.length <= INTEGER_BYTES_MAX
}

function zerosOf(bytes: Uint8Array): number {
  return bytes[1]! + (bytes[2]! << 8)
}

/** `bytes` are as `isPackedInteger` has them. */
export function unpackInteger(bytes: Uint8Array): bigint {
  const zeros = zerosOf(bytes)
  const digits = Buffer.from(bytes.subarray(3)).toString('hex')
  const magnitude = BigInt(`0x0${digits}`) << BigInt(8 * zeros)
  return bytes[0] === 1 ? -magnitude : magnitude
}
