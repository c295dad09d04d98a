/**
 * What the glyphs compute of one number or two, where it is more than an operator of the processor: the same on every
 * board, bit for bit, since + − × ÷, sqrt, floor and the remainder are exact or rounded as IEEE 754 has it. NaN is
 * missing. The vectors of `mix` stand in docs/osl.md.
 */

/** The remainder with the sign of the divisor; missing for 0. */
export function floorMod(left: number, right: number): number {
  if (right === 0) return Number.NaN
  const rest = left % right
  return rest !== 0 && rest < 0 !== right < 0 ? rest + right : rest
}

/**
 * 32 mixed bits of two numbers, each brought to 32 bits as ECMAScript's ToInt32 does: the fraction cut off, then
 * modulo 2^32. From 0 to 2^32 − 1; missing if either is.
 */
export function mix(left: number, right: number): number {
  if (Number.isNaN(left) || Number.isNaN(right)) return Number.NaN
  let bits = Math.imul(left ^ 0x9e3779b9, 0x85ebca6b)
  bits ^= bits >>> 13
  bits = Math.imul(bits ^ right, 0xc2b2ae35)
  bits ^= bits >>> 16
  bits = Math.imul(bits, 0x85ebca6b)
  bits ^= bits >>> 13
  return (bits ^ (bits >>> 16)) >>> 0
}
