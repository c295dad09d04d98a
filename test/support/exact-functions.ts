/**
 * Functions of real numbers in whole numbers of 2^-240, by series and by Newton: slow, and far more exact than a double.
 * A value is `units` × 2^`exponent` of these, so that results of all sizes have as many digits.
 */
const BITS = 240n
const ONE = 1n << BITS

export interface Exact {
  readonly units: bigint
  readonly exponent: number
}

const exactly = (units: bigint, exponent = 0): Exact => ({ units, exponent })
const times = (a: bigint, b: bigint): bigint => (a * b) >> BITS
const over = (a: bigint, b: bigint): bigint => (a << BITS) / b

/** A double that is 2^-180 or more, or 0. */
export function unitsOf(value: number): bigint {
  const { whole, exponent } = partsOf(value)
  const shift = BITS + BigInt(exponent)
  return shift >= 0n ? whole << shift : whole >> -shift
}

/** A double as a whole number times a power of two. */
function partsOf(value: number): { whole: bigint; exponent: number } {
  const bits = new DataView(new ArrayBuffer(8))
  bits.setFloat64(0, value)
  const high = bits.getUint32(0)
  const biased = (high >>> 20) & 0x7ff
  const fraction = (BigInt(high & 0xfffff) << 32n) | BigInt(bits.getUint32(4))
  const whole = biased === 0 ? fraction : fraction | (1n << 52n)
  return { whole: value < 0 ? -whole : whole, exponent: Math.max(biased, 1) - 1075 }
}

/** The sum of terms of which each is made of the one before, until they are 0. */
function series(first: bigint, next: (term: bigint, n: bigint) => bigint): bigint {
  let sum = 0n
  for (let [term, n] = [first, 1n]; term !== 0n && term !== -1n; n++) {
    sum += term
    term = next(term, n)
  }
  return sum
}

/** atan or atanh of 1/n. */
function inverse(n: bigint, sign: 1n | -1n): bigint {
  let sum = 0n
  for (let [power, k] = [ONE / n, 1n]; power !== 0n; k += 2n) {
    sum += (k % 4n === 1n ? 1n : sign) * (power / k)
    power /= n * n
  }
  return sum
}

const LN2 = 2n * inverse(3n, 1n)
const QUARTER = 2n * (4n * inverse(5n, -1n) - inverse(239n, -1n))

function exp(x: bigint): Exact {
  const k = over(x, LN2) >> BITS
  return exactly(
    series(ONE, (term, n) => times(term, x - k * LN2) / n),
    Number(k),
  )
}

function fixed({ units, exponent }: Exact): bigint {
  return exponent >= 0 ? units << BigInt(exponent) : units >> BigInt(-exponent)
}

function ln(x: number): bigint {
  const { whole, exponent } = partsOf(x)
  const length = BigInt(whole.toString(2).length)
  const m = (whole << BITS) >> length
  let y = unitsOf(Math.log(Number(m >> (BITS - 60n)) / 2 ** 60))
  for (let round = 0; round < 4; round++) {
    const guess = fixed(exp(y))
    y += over(2n * (m - guess), m + guess)
  }
  return y + (BigInt(exponent) + length) * LN2
}

/** Of so many units: both. */
function circle(x: bigint): { sin: bigint; cos: bigint } {
  const n = (over(x, QUARTER) + ONE / 2n) >> BITS
  const r = x - n * QUARTER
  const square = times(r, r)
  const sin = series(r, (term, k) => -times(term, square) / (2n * k * (2n * k + 1n)))
  const cos = series(ONE, (term, k) => -times(term, square) / (2n * k * (2n * k - 1n)))
  const turned = [
    { sin, cos },
    { sin: cos, cos: -sin },
    { sin: -sin, cos: -cos },
    { sin: -cos, cos: sin },
  ]
  return turned[Number(n & 3n)]!
}

function angle(y: bigint, x: bigint): bigint {
  const size = (of: bigint): number => Number(of >> (BITS - 80n))
  let guess = unitsOf(Math.atan2(size(y), size(x)))
  for (let round = 0; round < 5; round++) {
    const { sin, cos } = circle(guess)
    guess += over(times(y, cos) - times(x, sin), times(x, cos) + times(y, sin))
  }
  return guess
}

function root(of: bigint): bigint {
  let guess = unitsOf(Math.sqrt(Number(of >> (BITS - 80n)) / 2 ** 80)) + 1n
  for (let round = 0; round < 12; round++) guess = (guess + over(of, guess)) / 2n
  return guess
}

const leg = (x: bigint): bigint => root(ONE - times(x, x))

/** What each function of the language is of real numbers, where it has a result. */
export const EXACT: Readonly<Record<string, (a: number, b: number) => Exact>> = {
  exp: (x) => exp(unitsOf(x)),
  exp2: (x) => exp(times(unitsOf(x), LN2)),
  log: (x) => exactly(ln(x)),
  log2: (x) => exactly(over(ln(x), LN2)),
  pow: (x, y) => exp(times(ln(x), unitsOf(y))),
  tanh(x) {
    const power = fixed(exp(2n * unitsOf(x)))
    return exactly(over(power - ONE, power + ONE))
  },
  sin: (x) => exactly(circle(unitsOf(x)).sin),
  cos: (x) => exactly(circle(unitsOf(x)).cos),
  tan(x) {
    const { sin, cos } = circle(unitsOf(x))
    return exactly(over(sin, cos))
  },
  asin: (x) => exactly(angle(unitsOf(x), leg(unitsOf(x)))),
  acos: (x) => exactly(angle(leg(unitsOf(x)), unitsOf(x))),
  atan: (x) => exactly(angle(unitsOf(x), ONE)),
  atan2: (y, x) => exactly(angle(unitsOf(y), unitsOf(x))),
}

/** How far a double is from it, in units of its last bit. */
export function ulpsBetween(value: number, { units, exponent }: Exact): number {
  const { whole, exponent: of } = partsOf(value)
  // Both in units of 2^-40 of the last bit.
  const shift = exponent - of - Number(BITS) + 40
  const exact = shift >= 0 ? units << BigInt(shift) : units >> BigInt(-shift)
  return Math.abs(Number((whole << 40n) - exact)) / 2 ** 40
}
