/** Sum, mean and variance of doubles as fractions of whole numbers: the slow and simple way. */

export interface Fraction {
  readonly numerator: bigint
  readonly denominator: bigint
}

/** A double as a whole number of 2^-1074. */
function unitsOf(value: number): bigint {
  let units = 0n
  let rest = Math.abs(value)
  for (let exponent = 1023; rest !== 0; exponent--) {
    const bit = 2 ** exponent
    if (rest < bit) continue
    rest -= bit
    units |= 1n << BigInt(exponent + 1074)
  }
  return value < 0 ? -units : units
}

const UNIT = 1n << 1074n
const LARGEST: Fraction = { numerator: unitsOf(Number.MAX_VALUE), denominator: UNIT }

export function exactOf(values: readonly number[]): Record<'sum' | 'mean' | 'variance', Fraction> {
  const known = new Map([...new Set(values)].map((value) => [value, unitsOf(value)]))
  const units = values.map((value) => known.get(value)!)
  const n = BigInt(units.length)
  const sum = units.reduce((a, b) => a + b)
  const distances = units.reduce((total, one) => total + (n * one - sum) ** 2n, 0n)
  return {
    sum: { numerator: sum, denominator: UNIT },
    mean: { numerator: sum, denominator: UNIT * n },
    variance: { numerator: distances, denominator: UNIT ** 2n * n ** 3n },
  }
}

const absolute = (value: bigint): bigint => (value < 0n ? -value : value)

/** Whether a double can hold it. */
export function isHeld({ numerator, denominator }: Fraction): boolean {
  return absolute(numerator) * LARGEST.denominator <= LARGEST.numerator * denominator
}

/** Right to 1e-12 of the exact result, or to 2^-1074 where that is more. */
export function isRight(found: number, { numerator, denominator }: Fraction): boolean {
  if (!Number.isFinite(found)) return false
  // Both sides times denominator × 2^1074.
  const error = absolute(unitsOf(found) * denominator - numerator * UNIT)
  return error * 10n ** 12n <= absolute(numerator) * UNIT || error <= denominator
}
