/**
 * Numbers as the sum of two doubles, the second far below the first: some 106 bits, by + − × ÷ alone. What a rounding
 * lost is had without an error of its own, after T. J. Dekker, "A floating-point technique for extending the available
 * precision" (1971), and D. E. Knuth, "Seminumerical Algorithms", 4.2.2. Products of more than 2^996 are not split.
 */

/** What `a + b` lost, where `sum` is what it gave. */
export function sumError(a: number, b: number, sum: number): number {
  const ofB = sum - a
  return a - (sum - ofB) + (b - ofB)
}

/** 2^27 + 1: cuts the 53 bits of a double into halves whose products are exact. */
const SPLITTER = 134217729

/** What `a × b` lost, where `product` is what it gave. */
export function productError(a: number, b: number, product: number): number {
  const bigA = SPLITTER * a
  const bigB = SPLITTER * b
  const highA = bigA - (bigA - a)
  const highB = bigB - (bigB - b)
  const lowA = a - highA
  const lowB = b - highB
  return highA * highB - product + highA * lowB + lowA * highB + lowA * lowB
}

/** What is missing in `high = aHigh ÷ bHigh` to the quotient of both sums. */
export function quotientRest(
  aHigh: number,
  aLow: number,
  bHigh: number,
  bLow: number,
  high: number,
): number {
  const product = high * bHigh
  const error = productError(high, bHigh, product)
  return (aHigh - product - error + aLow - high * bLow) / bHigh
}

/** A polynomial from the highest coefficient down, at `x`. */
export function polynomial(coefficients: readonly number[], x: number): number {
  let value = 0
  for (let at = 0; at < coefficients.length; at++) value = value * x + coefficients[at]!
  return value
}
