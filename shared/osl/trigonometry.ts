/**
 * sin, cos, tan and their inverses, made as those of exponentials.ts are, with the same bound of error. Angles beyond
 * 2^30 either way have no result: there a double is next to others that are far from it on the circle.
 */
import { polynomial, productError, quotientRest, sumError } from './double-double.ts'

/** A quarter of a circle, as a sum: 160 bits. */
const QUARTER = 1.5707963267948966
const QUARTER_REST = 6.123233995736766e-17
const QUARTER_LAST = -1.4973849048591698e-33
const BY_QUARTER = 0.6366197723675814

export const ANGLE_MAX = 2 ** 30

/** (−1)^n/(2n + 1)!, from n = 10 down to 1: of (sin r − r) ÷ r³. */
const SIN_SERIES = Array.from({ length: 10 }, (_, at) => sign(10 - at) / factorial(21 - 2 * at))
/** (−1)^n/(2n)!, from n = 11 down to 2: of (cos r − 1 + r²/2) ÷ r⁴. */
const COS_SERIES = Array.from({ length: 10 }, (_, at) => sign(11 - at) / factorial(22 - 2 * at))
/** (−1)^n/(2n + 1), from n = 8 down to 1: of (atan u − u) ÷ u³. */
const ATAN_SERIES = Array.from({ length: 8 }, (_, at) => sign(8 - at) / (17 - 2 * at))

function sign(n: number): number {
  return n % 2 === 0 ? 1 : -1
}

/** Exact up to 22. */
function factorial(n: number): number {
  return n < 2 ? 1 : n * factorial(n - 1)
}

/** atan of eighths, as sums. */
const ATANS: readonly number[] = [
  ...[0, 0.12435499454676144, 0.24497866312686414, 0.35877067027057225, 0.4636476090008061],
  ...[0.5585993153435624, 0.6435011087932844, 0.7188299996216245, 0.7853981633974483],
]
const ATAN_RESTS: readonly number[] = [
  ...[0, -3.1253241424539383e-18, 1.0698755618734451e-17, -2.4623815582638635e-17],
  ...[2.2698777452961687e-17, -5.4556305485916264e-18, 1.5834785051444286e-17],
  ...[-2.1478388444456983e-17, 3.061616997868383e-17],
]

/** A result of two parts is left here: nothing is allocated in a loop over cells. */
let high = 0
let low = 0

/** x less n quarters of a circle is `high` + `low`, an eighth at most: this is n. x is within the bound. */
function reduced(x: number): number {
  const n = Math.floor(x * BY_QUARTER + 0.5)
  if (n === 0) {
    high = x
    low = 0
    return 0
  }
  const first = n * QUARTER
  const firstRest = productError(n, QUARTER, first)
  const second = n * QUARTER_REST
  const secondRest = productError(n, QUARTER_REST, second)
  // Exact, since both are nearly the same.
  const start = x - first
  const taken = -firstRest - second
  const takenRest = sumError(-firstRest, -second, taken)
  const left = start + taken
  const leftRest = sumError(start, taken, left)
  const rest = leftRest + (takenRest - secondRest - n * QUARTER_LAST)
  high = left + rest
  low = left - high + rest
  return n
}

/** sin of `r` + `rest`. */
function sinParts(r: number, rest: number): void {
  const z = r * r
  high = r
  low = r * z * polynomial(SIN_SERIES, z) + rest * (1 - z / 2)
}

function cosParts(r: number, rest: number): void {
  const z = r * r
  const half = z / 2
  high = 1 - half
  const ofHalf = productError(r, r, z) / 2 + r * rest
  low = 1 - high - half + (z * z * polynomial(COS_SERIES, z) - ofHalf)
}

/** Of a number of quarters and what is left: sin of it all, or cos for one quarter more. */
function sinOf(quarters: number): number {
  if ((quarters & 1) === 0) sinParts(high, low)
  else cosParts(high, low)
  return (quarters & 2) === 0 ? high + low : -(high + low)
}

function isAngle(x: number): boolean {
  return Math.abs(x) <= ANGLE_MAX
}

export function sin(x: number): number {
  return isAngle(x) ? sinOf(reduced(x)) : Number.NaN
}

export function cos(x: number): number {
  return isAngle(x) ? sinOf(reduced(x) + 1) : Number.NaN
}

export function tan(x: number): number {
  if (!isAngle(x)) return Number.NaN
  const isOdd = (reduced(x) & 1) === 1
  const r = high
  const rest = low
  sinParts(r, rest)
  const sine = high + low
  const sineRest = high - sine + low
  cosParts(r, rest)
  const cosine = high + low
  const cosineRest = high - cosine + low
  if (!isOdd) {
    const quotient = sine / cosine
    return quotient + quotientRest(sine, sineRest, cosine, cosineRest, quotient)
  }
  const quotient = -cosine / sine
  return quotient + quotientRest(-cosine, -cosineRest, sine, sineRest, quotient)
}

/** Below it, an angle is its tangent, as near as a double can say. */
const ATAN_MIN = 2 ** -30

/** The angle whose tangent is y ÷ x, as `high` + `low`: 0 ≤ y ≤ x, and neither is extreme. */
function atanParts(y: number, yRest: number, x: number, xRest: number): void {
  const eighths = Math.floor((8 * y) / x + 0.5)
  const start = eighths * x
  const above = 8 * y - start
  const aboveRest = sumError(8 * y, -start, above) + 8 * yRest - productError(eighths, x, start)
  const more = eighths * y
  const below = 8 * x + more
  const belowRest = sumError(8 * x, more, below) + 8 * xRest + productError(eighths, y, more)
  const aboveLow = aboveRest - eighths * xRest
  const belowLow = belowRest + eighths * yRest
  const u = above / below
  const uRest = quotientRest(above, aboveLow, below, belowLow, u)
  const z = u * u
  const known = ATANS[eighths]!
  const sum = known + u
  const rest = known - sum + u
  const small = ATAN_RESTS[eighths]! + (uRest + u * z * polynomial(ATAN_SERIES, z))
  high = sum + (rest + small)
  low = sum - high + (rest + small)
}

/** `whole` quarters of a circle less the angle that `high` + `low` is. */
function takeFrom(whole: number): void {
  const from = whole * QUARTER
  const value = from - high
  const rest = sumError(from, -high, value) + (whole * QUARTER_REST - low)
  high = value + rest
  low = value - high + rest
}

/** The angle of a point, from −π to π; missing for that in the middle. */
export function atan2(y: number, x: number): number {
  const angle = angleOf(Math.abs(y), 0, Math.abs(x), 0, x < 0)
  return y < 0 ? -angle : angle
}

/** Of a point above the middle. */
function angleOf(y: number, yRest: number, x: number, xRest: number, isLeft: boolean): number {
  const isSteep = y > x
  const small = isSteep ? x : y
  const smallRest = isSteep ? xRest : yRest
  const great = isSteep ? y : x
  const greatRest = isSteep ? yRest : xRest
  const ratio = small / great
  if (Number.isNaN(ratio)) return ratio
  if (ratio < ATAN_MIN) {
    high = ratio
    low = 0
  } else {
    // So that no product is beyond all doubles, nor below them.
    const unit = great > 2 ** 500 ? 2 ** -600 : great < 2 ** -500 ? 2 ** 600 : 1
    atanParts(small * unit, smallRest * unit, great * unit, greatRest * unit)
  }
  if (isSteep) takeFrom(1)
  if (isLeft) takeFrom(2)
  return high + low
}

export function atan(x: number): number {
  const angle = angleOf(Math.abs(x), 0, 1, 0, false)
  return x < 0 ? -angle : angle
}

/** √(1 − x²) as `high` + `low`; x is within −1 … 1. */
function otherLeg(x: number): void {
  const square = x * x
  const less = 1 - square
  const lessRest = sumError(1, -square, less) - productError(x, x, square)
  const root = Math.sqrt(less + lessRest)
  const product = root * root
  const missing = less - product - productError(root, root, product) + lessRest
  high = root
  low = root === 0 ? 0 : missing / (2 * root)
}

/** Missing beyond −1 … 1. */
export function asin(x: number): number {
  if (!(Math.abs(x) <= 1)) return Number.NaN
  otherLeg(x)
  const angle = angleOf(Math.abs(x), 0, high, low, false)
  return x < 0 ? -angle : angle
}

/** Missing beyond −1 … 1. */
export function acos(x: number): number {
  if (!(Math.abs(x) <= 1)) return Number.NaN
  otherLeg(x)
  return angleOf(high, low, Math.abs(x), 0, x < 0)
}
