/**
 * exp, log and what is made of them, in + − × ÷ and steps on the bits of a double: `Math.exp` and the others are not
 * the same on every build of Node. Not copied from a library: arguments are reduced as everywhere (J.-M. Muller,
 * "Elementary Functions", 2016), what is left is a series of Taylor whose coefficients are quotients of whole numbers, and
 * the last sum is of a number and a far smaller one. So each result is within 0.8 of the last bit of the exact one
 * (test/shared/osl/elementary.test.ts), but among numbers below 2^-1022, where it may be one.
 */
import { polynomial, productError, quotientRest, sumError } from './double-double.ts'

/** ln 2, of which the first part times a whole number below 2^11 is exact. */
const LN2_HIGH = 0.6931471805598903
const LN2_LOW = 5.497923018708371e-14
/** The same, the first part next to it; and its inverse. */
const LN2 = LN2_HIGH + LN2_LOW
const LN2_REST = LN2_HIGH - LN2 + LN2_LOW
const LOG2_E = 1 / LN2
const LOG2_E_REST = quotientRest(1, 0, LN2, LN2_REST, LOG2_E)

/** 1/n!, from n = 14 down to 2: of (e^r − 1 − r) ÷ r². */
const EXP_SERIES = coefficients(13, (at) => 1 / factorial(14 - at))
/** 2/(2n + 1), from n = 13 down to 2: of the logarithm, behind its first two terms. */
const LOG_SERIES = coefficients(12, (at) => 2 / (2 * (13 - at) + 1))
/** About √2: mantissas are brought between half of it and it. */
const MANTISSA_MAX = 1.4
const TWO_THIRDS = 2 / 3
const TWO_THIRDS_REST = (2 - TWO_THIRDS * 2 - TWO_THIRDS) / 3

function coefficients(count: number, of: (at: number) => number): readonly number[] {
  return Array.from({ length: count }, (_, at) => of(at))
}

/** Exact up to 22. */
function factorial(n: number): number {
  return n < 2 ? 1 : n * factorial(n - 1)
}

/** A result of two parts is left here: nothing is allocated in a loop over cells. */
let high = 0
let low = 0

const double = new Float64Array(1)
const words = new Int32Array(double.buffer)

/** 2^k, k within −1022 … 1023. */
function powerOfTwo(k: number): number {
  words[0] = 0
  words[1] = (k + 1023) << 20
  return double[0]!
}

/** Where e^x is beyond all doubles, or below all of them. */
const EXP_MAX = 710
const EXP_MIN = -746

/** e^(x + rest) is (`high` + `low`) × 2^k: this is k. */
function reducedExp(x: number, rest: number): number {
  const k = Math.floor(x * LOG2_E + 0.5)
  const start = x - k * LN2_HIGH
  const correction = k * LN2_LOW - rest
  const r = start - correction
  const rRest = start - r - correction
  high = 1 + r
  low = r - (high - 1) + (rRest + r * rRest + r * r * polynomial(EXP_SERIES, r))
  return k
}

/** `value` × 2^k; for a result below 2^-1022 in two steps. */
function scaled(value: number, k: number): number {
  if (k > 1023) return value * 2 * powerOfTwo(k - 1)
  if (k >= -1021) return value * powerOfTwo(k)
  return value * powerOfTwo(k + 100) * 2 ** -100
}

function expOf(x: number, rest: number): number {
  if (!(x < EXP_MAX)) return x >= EXP_MAX ? Number.POSITIVE_INFINITY : Number.NaN
  if (x < EXP_MIN) return 0
  const k = reducedExp(x, rest)
  return scaled(high + low, k)
}

export function exp(x: number): number {
  return expOf(x, 0)
}

export function exp2(x: number): number {
  if (!(x < 1024)) return x >= 1024 ? Number.POSITIVE_INFINITY : Number.NaN
  if (x < -1080) return 0
  const k = Math.floor(x + 0.5)
  // Exact, and at most a half.
  const part = x - k
  const product = part * LN2
  const rest = productError(part, LN2, product) + part * LN2_REST
  // Of so little, no further power of two is taken off.
  const more = reducedExp(product, rest)
  return scaled(high + low, k + more)
}

/** x = m × 2^k with m from 0.7 to 1.4: `high` + `low` is ln m, this is k. x is above 0 and finite. */
function reducedLog(x: number): number {
  const isSmall = x < 2 ** -1022
  double[0] = isSmall ? x * 2 ** 54 : x
  let k = (words[1]! >> 20) - 1023
  words[1] = (words[1]! & 0xfffff) | (1023 << 20)
  let m = double[0]!
  if (m > MANTISSA_MAX) {
    m /= 2
    k += 1
  }
  // ln m = 2 (s + s³/3 + s⁵/5 …) with s = (m − 1) ÷ (m + 1).
  const above = m - 1
  const below = m + 1
  const s = above / below
  const sRest = quotientRest(above, 0, below, sumError(m, 1, below), s)
  const z = s * s
  const zRest = productError(s, s, z) + 2 * s * sRest
  const sz = s * z
  const szRest = productError(s, z, sz) + s * zRest + sRest * z
  const rest = z * polynomial(LOG_SERIES, z)
  const factor = TWO_THIRDS + rest
  const factorRest = TWO_THIRDS - factor + rest + TWO_THIRDS_REST
  const term = sz * factor
  const termRest = productError(sz, factor, term) + sz * factorRest + szRest * factor
  high = 2 * s + term
  low = 2 * s - high + term + (termRest + 2 * sRest)
  return isSmall ? k - 54 : k
}

/** ln x as `high` + `low`. */
function logParts(x: number): void {
  const k = reducedLog(x)
  if (k === 0) return
  const whole = k * LN2_HIGH
  const sum = whole + high
  const rest = whole - sum + high + (low + k * LN2_LOW)
  high = sum + rest
  low = sum - high + rest
}

export function log(x: number): number {
  if (!(x > 0)) return Number.NaN
  if (x === Number.POSITIVE_INFINITY) return x
  logParts(x)
  return high + low
}

export function log2(x: number): number {
  if (!(x > 0)) return Number.NaN
  if (x === Number.POSITIVE_INFINITY) return x
  const k = reducedLog(x)
  const product = high * LOG2_E
  const rest = productError(high, LOG2_E, product) + high * LOG2_E_REST + low * LOG2_E
  const sum = k + product
  return sum + (sumError(k, product, sum) + rest)
}

/** Missing for a negative x whose y is not whole, and for 0 to a negative power; 1 for any x to the power of 0. */
export function pow(x: number, y: number): number {
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.NaN
  if (y === 0) return 1
  if (x === 0) return y > 0 ? 0 : Number.NaN
  if (x > 0) return powOf(x, y)
  if (Math.floor(y) !== y || y - y !== 0) return Number.NaN
  const value = powOf(-x, y)
  return Math.floor(y / 2) * 2 === y ? value : -value
}

/** x is above 0. */
function powOf(x: number, y: number): number {
  if (x === Number.POSITIVE_INFINITY) return y > 0 ? x : 0
  if (x === 1) return 1
  logParts(x)
  const lnHigh = high
  const lnLow = low
  const product = y * lnHigh
  // Beyond what can be told; and y may be too great to be split.
  if (product > EXP_MAX) return Number.POSITIVE_INFINITY
  if (product < EXP_MIN) return 0
  return expOf(product, productError(y, lnHigh, product) + y * lnLow)
}

/** From here on it is 1, as near as a double can say. */
const TANH_MAX = 22

export function tanh(x: number): number {
  if (Number.isNaN(x)) return x
  const side = x < 0 ? -1 : 1
  const size = Math.abs(x)
  if (size > TANH_MAX) return side
  // (e^2x − 1) ÷ (e^2x + 1).
  const k = reducedExp(2 * size, 0)
  const a = scaled(high, k)
  const b = scaled(low, k)
  const above = a - 1
  const aboveRest = sumError(a, -1, above) + b
  const top = above + aboveRest
  const topRest = above - top + aboveRest
  const below = top + 2
  const belowRest = sumError(top, 2, below) + topRest
  const quotient = top / below
  return side * (quotient + quotientRest(top, topRest, below, belowRest, quotient))
}
